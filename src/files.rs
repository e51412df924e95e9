//! Reads a file that somebody else wrote (configuration, secrets, certificates): only regular files, only up to a size, and with reasons in plain
//! words; and says how one looks from outside, so that a change is seen without reading it. Blocking. Knows no contents, writes nothing.

use std::fmt;
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Why a file was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A directory, a pipe, a device: opening or reading it could wait for ever.
    NotAFile,
    /// Larger than this many bytes.
    TooLarge(u64),
    /// The system refused.
    Refused(ErrorKind),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::TooLarge(max) if max % (1 << 20) == 0 => write!(f, "it is larger than {} MiB", max >> 20),
            Self::TooLarge(max) => write!(f, "it is larger than {} KiB", max >> 10),
            Self::Refused(kind) => f.write_str(&words(*kind)),
        }
    }
}

/// How a file looks from outside: inode, size, and when it was changed (seconds, nanoseconds). `None`: it can't be looked at.
pub type Look = Option<(u64, u64, i64, i64)>;

/// How a file looks now. Links are followed: Kubernetes changes the one they lead through, and nothing else.
pub fn look_blocking(path: &Path) -> Look {
    let m = std::fs::metadata(path).ok()?;
    Some((m.ino(), m.len(), m.ctime(), m.ctime_nsec()))
}

/// What the system said, as people say it.
pub fn words(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::NotFound => "there is nothing of this name".into(),
        ErrorKind::PermissionDenied => "permission denied (the user that runs soakwatch may not read it)".into(),
        other => other.to_string(),
    }
}

/// The whole of a regular file of at most `max` bytes.
pub fn read_blocking(path: &Path, max: u64) -> Result<Vec<u8>, Unread> {
    let refused = |e: Error| Unread::Refused(e.kind());
    // Judged before it is opened: opening a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        return Err(Unread::NotAFile);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|f| f.take(max + 1).read_to_end(&mut bytes)).map_err(refused)?;
    if bytes.len() as u64 > max { Err(Unread::TooLarge(max)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_up_to_the_size() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read_blocking(&file, 5).unwrap(), b"12345");
        assert_eq!(read_blocking(&file, 4), Err(Unread::TooLarge(4)));
        assert_eq!(read_blocking(dir.path(), 4), Err(Unread::NotAFile));
        assert_eq!(read_blocking(Path::new("/dev/zero"), 4), Err(Unread::NotAFile));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert_eq!(read_blocking(&pipe, 4), Err(Unread::NotAFile));
        assert_eq!(read_blocking(&dir.path().join("gone"), 4), Err(Unread::Refused(ErrorKind::NotFound)));
        assert_eq!(Unread::TooLarge(1 << 20).to_string(), "it is larger than 1 MiB");
        assert_eq!(Unread::TooLarge(64 << 10).to_string(), "it is larger than 64 KiB");
    }
}
