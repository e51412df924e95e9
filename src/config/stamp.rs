//! How the files of a configuration look from outside (names, sizes, times of change): enough to see that one changed, without reading any. Blocking.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::load::{CUSTOMERS, MAX_FILES, SETTINGS, passed_over};

/// What is looked at of one file: its name, inode, size, and when it was changed (seconds, nanoseconds).
type Look = (String, u64, u64, i64, i64);

/// How a configuration's files looked. Equal stamps: nothing was changed in between, as far as the file system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Look>);

impl Stamp {
    /// How the files of a directory look now; those that can't be looked at are left out. Links are followed: Kubernetes changes the one they lead
    /// through, and nothing else.
    pub fn of(dir: &Path) -> Self {
        let look = |name: String| {
            let m: Metadata = fs::metadata(dir.join(&name)).ok()?;
            Some((name, m.ino(), m.len(), m.ctime(), m.ctime_nsec()))
        };
        let listed = fs::read_dir(dir.join(CUSTOMERS)).into_iter().flatten().take(MAX_FILES);
        let customers = listed.filter_map(|e| e.ok()?.file_name().into_string().ok()).filter(|n| !passed_over(n) && n.ends_with(".toml"));
        let mut files: Vec<Look> =
            std::iter::once(SETTINGS.to_owned()).chain(customers.map(|n| format!("{CUSTOMERS}/{n}"))).filter_map(look).collect();
        files.sort_unstable();
        Self(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_seen_to_change_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join(CUSTOMERS)).unwrap();
        write("customers/acme.toml", "1");
        let first = Stamp::of(dir.path());
        for passed_over in ["customers/.acme.toml.swp", "customers/acme.toml~", "customers/notes.txt", "other.toml"] {
            write(passed_over, "x");
            assert_eq!(Stamp::of(dir.path()), first, "{passed_over}");
        }
        write("customers/acme.toml", "2");
        let second = Stamp::of(dir.path());
        assert_ne!(second, first, "a file of the same length");
        write("soakwatch.toml", "");
        let third = Stamp::of(dir.path());
        assert_ne!(third, second, "a new file");
        fs::remove_file(dir.path().join("customers/acme.toml")).unwrap();
        assert_ne!(Stamp::of(dir.path()), third, "a file that is gone");
        assert_eq!(Stamp::of(&dir.path().join("nowhere")), Stamp::default());
    }
}
