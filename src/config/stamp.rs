//! How the files of a configuration, and those that it names, look from outside (names, sizes, times of change): enough to see that one changed, without
//! reading any. Blocking.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::load::{CUSTOMERS, MAX_FILES, SETTINGS, passed_over};
use crate::files::{Look, look_blocking};

/// How a configuration's files looked. Equal stamps: nothing was changed in between, as far as the file system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Its own files.
    own: Vec<(String, Look)>,
    /// The files it names, those too that are not there.
    named: Named,
}

/// How files looked that a configuration names, each just before it was read first. Of more than are looked at the rest is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named(BTreeMap<PathBuf, Look>);

impl Named {
    /// Looks at a file, unless it was looked at before.
    pub(super) fn look(&mut self, path: &Path) {
        if self.0.len() < MAX_FILES && !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), look_blocking(path));
        }
    }
}

impl Stamp {
    /// How the files of a directory look now; those that can't be looked at are left out. Of what they name nothing is known yet.
    pub fn of(dir: &Path) -> Self {
        let look = |name: String| {
            let look = look_blocking(&dir.join(&name));
            look.is_some().then_some((name, look))
        };
        let listed = fs::read_dir(dir.join(CUSTOMERS)).into_iter().flatten().take(MAX_FILES);
        let customers = listed.filter_map(|e| e.ok()?.file_name().into_string().ok()).filter(|n| !passed_over(n) && n.ends_with(".toml"));
        let mut own: Vec<(String, Look)> =
            std::iter::once(SETTINGS.to_owned()).chain(customers.map(|n| format!("{CUSTOMERS}/{n}"))).filter_map(look).collect();
        own.sort_unstable();
        Self { own, named: Named::default() }
    }

    /// The same with the files that were named.
    pub(super) fn with(self, named: Named) -> Self {
        Self { named, ..self }
    }

    /// How the same looks now: the files of the directory, and those that were named when this was made.
    pub fn again(&self, dir: &Path) -> Self {
        let named = self.named.0.keys().map(|path| (path.clone(), look_blocking(path))).collect();
        Self::of(dir).with(Named(named))
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

    #[test]
    fn a_file_that_is_named_is_seen_to_change_and_to_come() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("order.json");
        let mut named = Named::default();
        named.look(&file);
        let missing = Stamp::of(dir.path()).with(named);
        assert_eq!(missing.again(dir.path()), missing);
        fs::write(&file, "1").unwrap();
        let there = missing.again(dir.path());
        assert_ne!(there, missing, "it came");
        fs::write(&file, "2").unwrap();
        assert_ne!(there.again(dir.path()), there, "it changed");
        assert_eq!(missing.again(dir.path()), there.again(dir.path()), "looked at once more, not as it was");
    }
}
