//! What checks remember between runs: one small text each (an accepted document, an ETag, what is still to be cleaned up). Handed to a run by its
//! context; kept in the store as a note, so that it survives a restart. What is too large for one text is kept in numbered parts beside it.
//!
//! Owns the texts in force and the way to whoever stores them. Never knows what a text means: the kind that wrote it does.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue};
use tokio::sync::{mpsc, oneshot};

use crate::callbacks::Callbacks;
use crate::fields::CheckId;

/// The kind of the store's notes that hold them.
pub const MEMORY_NOTE: &str = "memory";
/// The kind of those that hold its parts.
pub const PART_NOTE: &str = "memory_part";
/// A text may have this many bytes.
pub const MOST_BYTES: usize = 128 << 10;

/// A text on its way to the store; `None` removes it.
#[derive(Debug)]
pub struct Keep {
    /// Whose.
    pub check: CheckId,
    /// Which part; `None`: the text itself.
    pub part: Option<u64>,
    /// What.
    pub text: Option<String>,
    /// Who waits until it is on disk.
    pub kept: Option<oneshot::Sender<()>>,
}

/// Why something was not remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Larger than [`MOST_BYTES`].
    #[error("it is larger than {} KiB", MOST_BYTES >> 10)]
    TooLarge,
    /// The daemon is stopping, or there is no store.
    #[error("there is no store to keep it in")]
    NoStore,
}

/// A document as it was last got; lives as long as the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Where it was got.
    pub url: String,
    /// Its `ETag`.
    pub etag: Option<HeaderValue>,
    /// Its `Last-Modified`.
    pub last_modified: Option<HeaderValue>,
    /// What else of its headers is judged: an answer that nothing changed need not say it again.
    pub headers: HeaderMap,
    /// What it says.
    pub body: Arc<[u8]>,
}

/// Documents of all checks may have this many bytes together; of more the next is got whole each time.
const MOST_CACHED: usize = 32 << 20;
/// One may have this many.
const MOST_OF_ONE: usize = 1 << 20;
/// One check may have this many documents.
const MOST_OF_A_CHECK: usize = 4;

/// What all checks remember.
#[derive(Debug, Default)]
pub struct Memories {
    texts: Mutex<HashMap<CheckId, Arc<str>>>,
    /// The parts that are in the store: what they say only until they are taken.
    parts: Mutex<HashMap<CheckId, BTreeMap<u64, String>>>,
    cached: Mutex<HashMap<CheckId, Vec<Cached>>>,
    keep: Option<mpsc::Sender<Keep>>,
    /// What reaches a run from outside while it goes on.
    pub callbacks: Callbacks,
}

impl Memories {
    /// With the way to the store. Without it (`default`), for a run outside the daemon, nothing is kept.
    pub fn new(keep: mpsc::Sender<Keep>) -> Self {
        Self { keep: Some(keep), ..Self::default() }
    }

    /// Takes in what the store knew.
    pub fn restore(&self, known: &BTreeMap<String, String>) {
        self.texts().extend(known.iter().filter_map(|(id, text)| Some((id.parse().ok()?, Arc::from(text.as_str())))));
    }

    /// Takes in the parts the store knew, by check and number (`ID NUMBER`). Returns the checks that have some.
    pub fn restore_parts(&self, known: BTreeMap<String, String>) -> Vec<CheckId> {
        let mut parts = self.parts();
        for (id, text) in known {
            if let Some((check, part)) = id.split_once(' ').and_then(|(check, part)| Some((check.parse().ok()?, part.parse().ok()?))) {
                parts.entry(check).or_default().insert(part, text);
            }
        }
        parts.keys().cloned().collect()
    }

    fn parts(&self) -> MutexGuard<'_, HashMap<CheckId, BTreeMap<u64, String>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of a check as the store knew them, once: from then on whoever took them knows them.
    pub fn take_parts(&self, check: &CheckId) -> BTreeMap<u64, String> {
        let mut parts = self.parts();
        let own = parts.get_mut(check).map(|own| own.iter_mut().map(|(n, text)| (*n, std::mem::take(text))).collect());
        own.unwrap_or_default()
    }

    /// Keeps a part, or removes it; it reaches the disk with the next commits, before what is remembered after it.
    pub async fn keep_part(&self, check: &CheckId, part: u64, text: Option<String>) -> Result<(), NotKept> {
        if text.as_ref().is_some_and(|t| t.len() > MOST_BYTES) {
            return Err(NotKept::TooLarge);
        }
        let known = match text {
            Some(_) => self.parts().entry(check.clone()).or_default().insert(part, String::new()).is_some(),
            None => self.parts().get_mut(check).is_some_and(|own| own.remove(&part).is_some()),
        };
        if text.is_none() && !known {
            return Ok(());
        }
        self.send(Keep { check: check.clone(), part: Some(part), text, kept: None }).await.or(Ok(()))
    }

    fn texts(&self) -> MutexGuard<'_, HashMap<CheckId, Arc<str>>> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a store: outside the daemon there is none.
    pub fn is_kept(&self) -> bool {
        self.keep.is_some()
    }

    /// What a check remembers.
    pub fn recall(&self, check: &CheckId) -> Option<Arc<str>> {
        self.texts().get(check).cloned()
    }

    /// Remembers a text in place of the one before; it reaches the disk with the next commits. The same text again costs nothing.
    pub async fn remember(&self, check: &CheckId, text: String) -> Result<(), NotKept> {
        if text.len() > MOST_BYTES {
            return Err(NotKept::TooLarge);
        }
        if self.recall(check).is_some_and(|before| *before == *text) {
            return Ok(());
        }
        self.texts().insert(check.clone(), Arc::from(text.as_str()));
        self.send(Keep { check: check.clone(), part: None, text: Some(text), kept: None }).await.or(Ok(()))
    }

    /// The same, and waits until it is on disk. Outside the daemon there is no disk to wait for: an error.
    pub async fn remember_durably(&self, check: &CheckId, text: String) -> Result<(), NotKept> {
        if text.len() > MOST_BYTES {
            return Err(NotKept::TooLarge);
        }
        let (kept, done) = oneshot::channel();
        self.send(Keep { check: check.clone(), part: None, text: Some(text.clone()), kept: Some(kept) }).await?;
        done.await.map_err(|_| NotKept::NoStore)?;
        self.texts().insert(check.clone(), Arc::from(text));
        Ok(())
    }

    fn documents(&self) -> MutexGuard<'_, HashMap<CheckId, Vec<Cached>>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document a check last got from there.
    pub fn cached(&self, check: &CheckId, url: &str) -> Option<Cached> {
        self.documents().get(check)?.iter().find(|c| c.url == url).cloned()
    }

    /// Keeps a document, where it can be asked for conditionally and there is room.
    pub fn cache(&self, check: &CheckId, document: Cached) {
        self.uncache(check, &document.url);
        let mut all = self.documents();
        let held: usize = all.values().flatten().map(|c| c.body.len()).sum();
        let asked = document.etag.is_some() || document.last_modified.is_some();
        if asked && document.body.len() <= MOST_OF_ONE && held + document.body.len() <= MOST_CACHED {
            let own = all.entry(check.clone()).or_default();
            own.truncate(MOST_OF_A_CHECK - 1);
            own.insert(0, document);
        }
    }

    /// Forgets a document: the next one is got whole.
    pub fn uncache(&self, check: &CheckId, url: &str) {
        if let Some(own) = self.documents().get_mut(check) {
            own.retain(|c| c.url != url);
        }
    }

    /// Forgets what a check that left remembered.
    pub async fn forget(&self, check: &CheckId) {
        self.documents().remove(check);
        if self.texts().remove(check).is_some() {
            let _ = self.send(Keep { check: check.clone(), part: None, text: None, kept: None }).await;
        }
        let parts = self.parts().remove(check).unwrap_or_default();
        for part in parts.into_keys() {
            let _ = self.send(Keep { check: check.clone(), part: Some(part), text: None, kept: None }).await;
        }
    }

    async fn send(&self, keep: Keep) -> Result<(), NotKept> {
        let Some(sender) = &self.keep else { return Err(NotKept::NoStore) };
        sender.send(keep).await.map_err(|_| NotKept::NoStore)
    }
}

/// What one check remembers, for its run.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// All of them.
    pub all: &'a Memories,
    /// Whose.
    pub check: &'a CheckId,
}

impl Memory<'_> {
    /// As [`Memories::is_kept`].
    pub fn is_kept(&self) -> bool {
        self.all.is_kept()
    }
    /// As [`Memories::recall`].
    pub fn recall(&self) -> Option<Arc<str>> {
        self.all.recall(self.check)
    }
    /// As [`Memories::cached`].
    pub fn cached(&self, url: &str) -> Option<Cached> {
        self.all.cached(self.check, url)
    }
    /// As [`Memories::cache`].
    pub fn cache(&self, document: Cached) {
        self.all.cache(self.check, document);
    }
    /// As [`Memories::uncache`].
    pub fn uncache(&self, url: &str) {
        self.all.uncache(self.check, url);
    }
    /// As [`Memories::remember`].
    pub async fn remember(&self, text: String) -> Result<(), NotKept> {
        self.all.remember(self.check, text).await
    }
    /// As [`Memories::remember_durably`].
    pub async fn remember_durably(&self, text: String) -> Result<(), NotKept> {
        self.all.remember_durably(self.check, text).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_remembered_is_recalled_and_goes_to_the_store_once() {
        let (sender, mut kept) = mpsc::channel(8);
        let known = BTreeMap::from([("a/b/c/d".to_owned(), "old".to_owned())]);
        let all = Memories::new(sender);
        all.restore(&known);
        let check: CheckId = "a/b/c/d".parse().unwrap();
        let memory = Memory { all: &all, check: &check };
        assert_eq!(memory.recall().as_deref(), Some("old"));
        memory.remember("old".into()).await.unwrap();
        assert!(kept.try_recv().is_err(), "nothing new");
        memory.remember("new".into()).await.unwrap();
        assert_eq!(memory.recall().as_deref(), Some("new"));
        assert_eq!(kept.try_recv().unwrap().text.as_deref(), Some("new"));
        assert_eq!(memory.remember("x".repeat(MOST_BYTES + 1)).await, Err(NotKept::TooLarge));
        all.forget(&check).await;
        assert_eq!((memory.recall(), kept.try_recv().unwrap().text), (None, None));
    }

    #[tokio::test]
    async fn parts_are_taken_once_and_go_with_their_check() {
        let (sender, mut kept) = mpsc::channel(8);
        let all = Memories::new(sender);
        let known = [("a/b/c/d 7", "seven"), ("a/b/c/d 8", "eight"), ("a/b/c/d", "none"), ("no check 1", "none")];
        let checks = all.restore_parts(known.map(|(id, text)| (id.to_owned(), text.to_owned())).into());
        let check: CheckId = "a/b/c/d".parse().unwrap();
        assert_eq!(checks, std::slice::from_ref(&check));
        let taken = all.take_parts(&check);
        assert_eq!(taken, BTreeMap::from([(7, "seven".to_owned()), (8, "eight".to_owned())]));
        all.keep_part(&check, 9, Some("nine".into())).await.unwrap();
        all.keep_part(&check, 7, None).await.unwrap();
        all.keep_part(&check, 1, None).await.unwrap();
        let mut sent = || kept.try_recv().ok().map(|k| (k.part.unwrap(), k.text));
        assert_eq!((sent(), sent(), sent()), (Some((9, Some("nine".into()))), Some((7, None)), None), "what is not there is not removed");
        all.forget(&check).await;
        assert_eq!((sent(), sent(), sent()), (Some((8, None)), Some((9, None)), None));
        assert_eq!(all.keep_part(&check, 1, Some("x".repeat(MOST_BYTES + 1))).await, Err(NotKept::TooLarge));
    }

    #[test]
    fn documents_are_kept_where_they_can_be_asked_for_and_there_is_room() {
        let (all, check) = (Memories::default(), "a/b/c/d".parse::<CheckId>().unwrap());
        let document = |bytes: usize, etag: bool| Cached {
            url: "u".into(),
            etag: etag.then(|| HeaderValue::from_static("\"1\"")),
            last_modified: None,
            headers: HeaderMap::new(),
            body: Arc::from(vec![b'x'; bytes]),
        };
        all.cache(&check, document(10, true));
        assert_eq!(all.cached(&check, "u"), Some(document(10, true)));
        assert_eq!(all.cached(&check, "v"), None, "another place");
        for not in [document(10, false), document(MOST_OF_ONE + 1, true)] {
            all.cache(&check, document(10, true));
            all.cache(&check, not);
            assert_eq!(all.cached(&check, "u"), None, "the old one is gone, too");
        }
        for n in 0..MOST_CACHED / MOST_OF_ONE + 1 {
            all.cache(&format!("a/b/c/d{n}").parse().unwrap(), document(MOST_OF_ONE, true));
        }
        assert_eq!(all.documents().values().flatten().count(), MOST_CACHED / MOST_OF_ONE);
        let (all, of) = (Memories::default(), |url: &str| Cached { url: url.into(), ..document(10, true) });
        ["a", "b", "c", "d", "e", "e"].iter().for_each(|url| all.cache(&check, of(url)));
        all.uncache(&check, "c");
        let there = ["a", "b", "c", "d", "e"].map(|url| all.cached(&check, url).is_some());
        assert_eq!(there, [false, true, false, true, true], "the oldest had to go, and the one that was to");
    }

    #[tokio::test]
    async fn durable_means_that_somebody_said_so() {
        let (sender, mut kept) = mpsc::channel(8);
        let (all, check) = (Memories::new(sender), "a/b/c/d".parse::<CheckId>().unwrap());
        let told = all.remember_durably(&check, "x".into());
        let storing = async { kept.recv().await.unwrap().kept.unwrap().send(()).unwrap() };
        let (told, ()) = tokio::join!(told, storing);
        assert_eq!((told, all.recall(&check).as_deref()), (Ok(()), Some("x")));
        drop(kept);
        assert_eq!(all.remember_durably(&check, "y".into()).await, Err(NotKept::NoStore));
        assert_eq!(all.recall(&check).as_deref(), Some("x"));
        assert_eq!(Memories::default().remember_durably(&check, "y".into()).await, Err(NotKept::NoStore));
    }
}
