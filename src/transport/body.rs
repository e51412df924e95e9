//! Reads a response's body, capped on the wire and after decompression. A bomb ends at the cap, whatever it would have become.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::exchange::wire;
use crate::fields::Bytes as Size;
use crate::large::{self, LARGE};
use crate::observed::{Failure, Observed};
use crate::outcome::{Cause, Class};

/// What we offer to read, unless the check says something else.
pub(super) const ACCEPTED: &str = "gzip, deflate, br, zstd";
/// A zstd stream may look back this far: 8 MiB, as RFC 9659 has it for the web. (Brotli's window is 16 MiB at most.)
const ZSTD_WINDOW_LOG: u32 = 23;
/// What brotli's decoder writes at once.
const BROTLI_PIECE: usize = 16 * 1024;
/// So much is handed to a decoder at once.
const PIECE: usize = 16 * 1024;

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

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Way {
    /// By `Content-Encoding`: `Some(None)` is not packed, `None` a way that is not known.
    fn of(encoding: &[u8]) -> Option<Option<Self>> {
        Some(match encoding.to_ascii_lowercase().as_slice() {
            b"identity" | b"" => None,
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            b"br" => Some(Self::Brotli),
            b"zstd" => Some(Self::Zstd),
            _ => return None,
        })
    }
}

/// A decoder. `Deflate` is not known yet to have a zlib header or not: servers send both under that name.
enum Unpack {
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
            Self::Deflate(s) => s,
            Self::Gzip(d) => d.get_ref(),
            Self::Zlib(d) => d.get_ref(),
            Self::Raw(d) => d.get_ref(),
            Self::Brotli(d) => d.get_ref(),
            Self::Zstd(d) => d.get_ref(),
        }
    }

    /// `None`: the machine has no room for one.
    fn by(way: Way, sink: Capped) -> Option<Self> {
        Some(match way {
            Way::Gzip => Self::Gzip(MultiGzDecoder::new(sink)),
            Way::Deflate => Self::Deflate(sink),
            Way::Brotli => Self::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI_PIECE))),
            Way::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(sink).ok()?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).ok()?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    fn write(self, chunk: &[u8]) -> (Self, io::Result<()>) {
        match self {
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
            Self::Deflate(s) => Ok(s.bytes),
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

/// A body as it came over the wire.
pub(super) struct Came {
    bytes: Vec<u8>,
    /// How it is packed; `None`: it is not, or is left as it is.
    way: Option<Way>,
}

/// Why a body could not be unpacked.
enum Wrong {
    /// There is more of it than may be; so many bytes were had.
    Over(usize),
    Broken,
    EndsEarly,
    /// No decoder could be made: that is ours.
    NoDecoder,
}

fn over(host: &str, max: u64) -> Failure {
    Failure::new(Class::Protocol, format!("{host}: the body is larger than {} (max_body)", Size(max)))
}

/// Reads the whole body as it is sent, at most `max` bytes. `raw_wanted`: the check asked for encodings of its own, so an unknown one is left as it is.
pub(super) async fn read(
    mut body: Incoming,
    headers: &HeaderMap,
    max: u64,
    raw_wanted: bool,
    host: &str,
    observed: &mut Observed,
) -> Result<Came, Failure> {
    let max_bytes = usize::try_from(max).unwrap_or(usize::MAX);
    let encodings: Vec<&[u8]> = headers.get_all(CONTENT_ENCODING).iter().map(|v| v.as_bytes().trim_ascii()).collect();
    let known = match encodings.as_slice() {
        [] => Some(None),
        [one] => Way::of(one),
        _ => None,
    };
    let way = match known {
        Some(way) => way,
        None if raw_wanted => None,
        None => return Err(Failure::new(Class::Protocol, format!("{host}: the body is compressed in a way we did not offer to read"))),
    };
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|e| wire(host, &e, "the body"))?.into_data() else { continue };
        if chunk.len() > max_bytes - bytes.len() {
            return Err(over(host, max));
        }
        bytes.extend_from_slice(&chunk);
        if way.is_none() {
            observed.body_bytes = Some(bytes.len() as u64);
        }
    }
    Ok(Came { bytes, way })
}

/// Unpacks what came, to at most `max` bytes: beside the runs where it is much.
pub(super) async fn unpack(came: Came, max: u64, host: &str, observed: &mut Observed) -> Result<Vec<u8>, Failure> {
    let Came { bytes, way } = came;
    // No body at all is not a broken archive (HEAD, 204, 304).
    let Some(way) = way.filter(|_| !bytes.is_empty()) else {
        observed.body_bytes = Some(bytes.len() as u64);
        return Ok(bytes);
    };
    let max_bytes = usize::try_from(max).unwrap_or(usize::MAX);
    let few = max_bytes.min(LARGE);
    // What will come of it nobody knows beforehand: where it turns out to be much, it is begun anew.
    let mut unpacked = if bytes.len() < LARGE { unpacked(way, &bytes, few) } else { Err(Wrong::Over(0)) };
    if matches!(unpacked, Err(Wrong::Over(_))) && (few < max_bytes || bytes.len() >= LARGE) {
        unpacked = large::aside(observed, move || self::unpacked(way, &bytes, max_bytes)).await?;
    }
    let had = match &unpacked {
        Ok(bytes) => Some(bytes.len()),
        Err(Wrong::Over(had)) => Some(*had),
        Err(_) => None,
    };
    observed.body_bytes = had.map(|n| n as u64);
    unpacked.map_err(|wrong| match wrong {
        Wrong::Over(_) => over(host, max),
        Wrong::Broken => Failure::new(Class::Protocol, format!("{host}: the compressed body can't be unpacked")),
        Wrong::EndsEarly => Failure::new(Class::Protocol, format!("{host}: the compressed body ends too early")),
        Wrong::NoDecoder => Failure::ours(Cause::Capacity, format!("{host}: this machine is out of means to unpack the body")),
    })
}

fn unpacked(way: Way, packed: &[u8], max: usize) -> Result<Vec<u8>, Wrong> {
    let mut unpack = Unpack::by(way, Capped { bytes: Vec::new(), max, full: false }).ok_or(Wrong::NoDecoder)?;
    for piece in packed.chunks(PIECE) {
        let written;
        (unpack, written) = unpack.write(piece);
        if unpack.sink().full {
            return Err(Wrong::Over(unpack.sink().bytes.len()));
        }
        written.map_err(|_| Wrong::Broken)?;
    }
    unpack.finish().map_err(|e| if e.to_string().contains("over the cap") { Wrong::Over(max) } else { Wrong::EndsEarly })
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

    /// The same comes of it either way; what is much waits for a turn, what is little does not.
    #[tokio::test]
    async fn much_is_unpacked_beside_the_runs() {
        let packed = |text: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(text).unwrap();
            Came { bytes: gzip.finish().unwrap(), way: Some(Way::Gzip) }
        };
        let (little, much) = (vec![b'x'; LARGE], vec![b'x'; LARGE + 1]);
        let (mut first, mut second) = (Observed::default(), Observed::default());
        let turns = large::all_turns().await;
        assert_eq!(unpack(packed(&little), 1 << 20, "h", &mut first).await.unwrap(), little);
        let waits = unpack(packed(&much), 1 << 20, "h", &mut second);
        let later = async move {
            tokio::task::yield_now().await;
            drop(turns);
        };
        assert_eq!(tokio::join!(waits, later).0.unwrap(), much);
        assert_eq!((first.waited.is_zero(), second.waited.is_zero()), (true, false));
        assert_eq!(second.body_bytes, Some(much.len() as u64));
        let over = unpack(packed(&much), LARGE as u64, "h", &mut second).await.unwrap_err();
        assert!(over.detail.contains("larger than 64KiB"), "{over:?}");
        assert_eq!((over.class, second.body_bytes), (Class::Protocol, Some(LARGE as u64)));
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
