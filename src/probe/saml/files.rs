//! The files a saml check reads: pinned certificates, and metadata that somebody puts there. Blocking, bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fields::Bytes as Size;
use crate::sso::saml::{self, PublicKey};

/// Bytes of a file of pinned certificates.
const MOST_PEM: u64 = 1 << 20;

/// The keys of the certificates in a PEM file.
pub(super) fn pins_blocking(file: &Path) -> Result<Vec<PublicKey>, String> {
    saml::pins(&read(file, MOST_PEM)?)
}

/// The keys of all files; the error names the file.
pub(super) fn all_pins_blocking(files: &[PathBuf]) -> Result<Vec<PublicKey>, String> {
    let mut all = Vec::new();
    for file in files {
        all.extend(pins_blocking(file).map_err(|why| format!("{} can't be used: {why}", file.display()))?);
    }
    Ok(all)
}

/// The document in a file.
pub(super) fn document_blocking(file: &Path, most: u64) -> Result<Arc<[u8]>, String> {
    read(file, most).map(Arc::from).map_err(|why| format!("{}: {why}", file.display()))
}

fn read(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    let opened = File::open(file).map_err(|e| e.to_string())?;
    // A pipe would never end, and a folder is none.
    if !opened.metadata().is_ok_and(|m| m.is_file()) {
        return Err("it is no file".into());
    }
    let mut bytes = Vec::new();
    opened.take(most + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {}", Size(most)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_and_are_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("metadata.xml");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(document_blocking(&file, 5).as_deref(), Ok(&b"12345"[..]));
        assert!(document_blocking(&file, 4).unwrap_err().ends_with("metadata.xml: it is larger than 4B"));
        assert_eq!(read(dir.path(), 5), Err("it is no file".into()));
        assert!(all_pins_blocking(&[file]).unwrap_err().contains("no certificate"));
    }
}
