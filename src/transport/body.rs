//! Reads a response's body: streamed, capped on the wire and after decompression. A bomb ends at the cap, whatever it would have become.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::exchange::wire;
use crate::fields::Bytes as Size;
use crate::observed::{Failure, Observed};
use crate::outcome::Class;

/// What we offer to read, unless the check says something else.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// A zstd stream may look back this far: 8 MiB, as RFC 9659 has it for the web. (Brotli's window is 16 MiB at most.)
const ZSTD_WINDOW_LOG: u32 = 23;
/// What brotli's decoder writes at once.
const BROTLI_PIECE: usize = 16 * 1024;

/// Where decompressed bytes go until there are too many.
struct Capped {
    bytes: Vec<u8>,
    max: usize,
    full: bool,
}

impl Write for Capped {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if from.len() > self.max - self.bytes.len() {
            self.full = true;
            return Err(io::Error::other("over the cap"));
        }
        self.bytes.extend_from_slice(from);
        Ok(from.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How the body is packed. `Deflate` is not known yet to have a zlib header or not: servers send both under that name.
enum Unpack {
    Plain(Capped),
    Gzip(MultiGzDecoder<Capped>),
    Deflate(Capped),
    Zlib(ZlibDecoder<Capped>),
    Raw(DeflateDecoder<Capped>),
    Brotli(Box<DecompressorWriter<Capped>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Capped>>),
}

impl Unpack {
    fn sink(&self) -> &Capped {
        match self {
            Self::Plain(s) | Self::Deflate(s) => s,
            Self::Gzip(d) => d.get_ref(),
            Self::Zlib(d) => d.get_ref(),
            Self::Raw(d) => d.get_ref(),
            Self::Brotli(d) => d.get_ref(),
            Self::Zstd(d) => d.get_ref(),
        }
    }

    /// By `Content-Encoding`; `None`: a way that is not known.
    fn by(encoding: &[u8], sink: Capped) -> Option<Self> {
        Some(match encoding.to_ascii_lowercase().as_slice() {
            b"identity" | b"" => Self::Plain(sink),
            b"gzip" | b"x-gzip" => Self::Gzip(MultiGzDecoder::new(sink)),
            b"deflate" => Self::Deflate(sink),
            b"br" => Self::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI_PIECE))),
            b"zstd" => {
                let mut decoder = zstd::stream::write::Decoder::new(sink).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).ok()?;
                Self::Zstd(Box::new(decoder))
            }
            _ => return None,
        })
    }

    fn write(self, chunk: &[u8]) -> (Self, io::Result<()>) {
        match self {
            Self::Plain(mut s) => {
                let done = s.write_all(chunk);
                (Self::Plain(s), done)
            }
            Self::Gzip(mut d) => {
                let done = d.write_all(chunk);
                (Self::Gzip(d), done)
            }
            // RFC 1950: the low half of the first byte is 8. A raw stream would begin so only with a stored block whose padding is not zero.
            Self::Deflate(s) if chunk.first().is_some_and(|b| b & 0x0f == 8) => Self::Zlib(ZlibDecoder::new(s)).write(chunk),
            Self::Deflate(s) => Self::Raw(DeflateDecoder::new(s)).write(chunk),
            Self::Zlib(mut d) => {
                let done = d.write_all(chunk);
                (Self::Zlib(d), done)
            }
            Self::Raw(mut d) => {
                let done = d.write_all(chunk);
                (Self::Raw(d), done)
            }
            Self::Brotli(mut d) => {
                let done = d.write_all(chunk);
                (Self::Brotli(d), done)
            }
            Self::Zstd(mut d) => {
                // It keeps what it unpacked until it is flushed, and the cap has to see it.
                let done = d.write_all(chunk).and_then(|()| d.flush());
                (Self::Zstd(d), done)
            }
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(s) | Self::Deflate(s) => Ok(s.bytes),
            Self::Gzip(d) => d.finish().map(|s| s.bytes),
            Self::Zlib(d) => d.finish().map(|s| s.bytes),
            Self::Raw(d) => d.finish().map(|s| s.bytes),
            Self::Brotli(mut d) => {
                d.close()?;
                d.into_inner().map(|s| s.bytes).map_err(|_| io::Error::other("the stream is not complete"))
            }
            Self::Zstd(d) => d.finish().map(|s| s.bytes),
        }
    }
}

/// Reads the whole body. `raw_wanted`: the check asked for encodings of its own, so an unknown one is left as it is.
pub(super) async fn read(
    mut body: Incoming,
    headers: &HeaderMap,
    max: u64,
    raw_wanted: bool,
    host: &str,
    observed: &mut Observed,
) -> Result<Vec<u8>, Failure> {
    let max_bytes = usize::try_from(max).unwrap_or(usize::MAX);
    let sink = || Capped { bytes: Vec::new(), max: max_bytes, full: false };
    let encodings: Vec<&[u8]> = headers.get_all(CONTENT_ENCODING).iter().map(|v| v.as_bytes().trim_ascii()).collect();
    let known = match encodings.as_slice() {
        [] => Some(Unpack::Plain(sink())),
        [one] => Unpack::by(one, sink()),
        _ => None,
    };
    let mut unpack = match known {
        Some(unpack) => unpack,
        None if raw_wanted => Unpack::Plain(sink()),
        None => return Err(Failure::new(Class::Protocol, format!("{host}: the body is compressed in a way we did not offer to read"))),
    };
    let over = || Failure::new(Class::Protocol, format!("{host}: the body is larger than {} (max_body)", Size(max)));
    let mut on_wire = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|e| wire(host, &e, "the body", true))?.into_data() else { continue };
        if chunk.is_empty() {
            continue;
        }
        on_wire = on_wire.saturating_add(chunk.len());
        let written;
        (unpack, written) = unpack.write(&chunk);
        observed.body_bytes = Some(unpack.sink().bytes.len() as u64);
        if unpack.sink().full || on_wire > max_bytes {
            return Err(over());
        }
        written.map_err(|_| Failure::new(Class::Protocol, format!("{host}: the compressed body can't be unpacked")))?;
    }
    // No body at all is not a broken archive (HEAD, 204, 304).
    if on_wire == 0 {
        observed.body_bytes = Some(0);
        return Ok(Vec::new());
    }
    match unpack.finish() {
        Ok(bytes) => {
            observed.body_bytes = Some(bytes.len() as u64);
            Ok(bytes)
        }
        Err(e) if e.to_string().contains("over the cap") => Err(over()),
        Err(_) => Err(Failure::new(Class::Protocol, format!("{host}: the compressed body ends too early"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn sink(max: usize) -> Capped {
        Capped { bytes: Vec::new(), max, full: false }
    }

    fn through(mut unpack: Unpack, packed: &[u8], step: usize) -> (bool, Option<Vec<u8>>) {
        for chunk in packed.chunks(step) {
            let done;
            (unpack, done) = unpack.write(chunk);
            if done.is_err() {
                return (unpack.sink().full, None);
            }
        }
        (false, unpack.finish().ok())
    }

    #[test]
    fn unpacks_gzip_and_both_deflates_in_any_pieces() {
        let text = b"hello, hello, hello, orders".repeat(50);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        for w in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
            w.write_all(&text).unwrap();
        }
        let (gzip, zlib, raw) = (gzip.finish().unwrap(), zlib.finish().unwrap(), raw.finish().unwrap());
        for step in [1, 7, 10_000] {
            assert_eq!(through(Unpack::Gzip(MultiGzDecoder::new(sink(5000))), &gzip, step).1.unwrap(), text);
            assert_eq!(through(Unpack::Deflate(sink(5000)), &zlib, step).1.unwrap(), text);
            assert_eq!(through(Unpack::Deflate(sink(5000)), &raw, step).1.unwrap(), text);
        }
        assert_eq!(through(Unpack::Gzip(MultiGzDecoder::new(sink(5000))), &gzip[..gzip.len() / 2], 100).1, None, "cut short");
        assert_eq!(through(Unpack::Gzip(MultiGzDecoder::new(sink(5000))), b"not gzip at all", 100), (false, None));
    }

    #[test]
    fn a_bomb_ends_at_the_cap() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..256 {
            bomb.write_all(&[0u8; 65_536]).unwrap();
        }
        let bomb = bomb.finish().unwrap();
        assert!(bomb.len() < 100_000);
        assert_eq!(through(Unpack::Gzip(MultiGzDecoder::new(sink(1 << 20))), &bomb, 16_384), (true, None));
    }
}
