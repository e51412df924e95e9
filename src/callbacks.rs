//! Runs that wait for a message from outside: each names the message by a correlation id, and whoever receives messages hands it over.
//!
//! Owns who waits and the way to them, bounded. Never judges whether a message is authentic: who hands it over says so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::fields::CheckId;

/// So many messages of one run wait to be looked at; of more the run learns nothing.
const MOST_OF_ONE: usize = 64;

/// Whether a message that names a correlation id is from whom it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Authentic and of now.
    Authentic,
    /// Authentic, but stamped too long ago or too far in the future.
    Stale,
    /// Nobody who knows the secret made it.
    Forged,
}

/// A message that names a run's correlation id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Callback {
    /// When it was received.
    pub at: Instant,
    /// Whether it counts.
    pub proof: Proof,
    /// Whether its id was processed before.
    pub duplicate: bool,
    /// The number a JSON path found in it.
    pub number: Option<i64>,
}

type Waiters = HashMap<(CheckId, String), mpsc::Sender<Callback>>;

/// Who waits, over all checks.
#[derive(Clone, Debug, Default)]
pub struct Callbacks {
    waiting: Arc<Mutex<Waiters>>,
    listening: Arc<AtomicBool>,
}

impl Callbacks {
    /// From now on messages are received; before, waiting makes no sense.
    pub fn listen(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    /// Whether messages are received in this process.
    pub fn listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the messages that name this id, until the result is dropped.
    pub fn wait(&self, check: &CheckId, id: &str) -> Waiting {
        let (sender, came) = mpsc::channel(MOST_OF_ONE);
        let key = (check.clone(), id.to_owned());
        self.waiters().insert(key.clone(), sender);
        Waiting { callbacks: self.clone(), key, came }
    }

    /// Whether any run of a check waits: then its messages are worth reading.
    pub fn awaited(&self, check: &CheckId) -> bool {
        self.waiters().keys().any(|(c, _)| c == check)
    }

    /// Whether a run of a check waits for this id.
    pub fn awaits(&self, check: &CheckId, id: &str) -> bool {
        self.waiters().contains_key(&(check.clone(), id.to_owned()))
    }

    /// Hands a message to the run that waits for it; `false`: none does, or it has enough of them.
    pub fn hand(&self, check: &CheckId, id: &str, callback: Callback) -> bool {
        let waiter = self.waiters().get(&(check.clone(), id.to_owned())).cloned();
        waiter.is_some_and(|w| w.try_send(callback).is_ok())
    }
}

/// A run that waits.
#[derive(Debug)]
pub struct Waiting {
    callbacks: Callbacks,
    key: (CheckId, String),
    came: mpsc::Receiver<Callback>,
}

impl Waiting {
    /// The next message.
    pub async fn next(&mut self) -> Option<Callback> {
        self.came.recv().await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.callbacks.waiters().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[tokio::test]
    async fn only_who_waits_gets_it_and_nobody_is_kept() {
        let (all, check) = (Callbacks::default(), "a/b/c/d".parse::<CheckId>().unwrap());
        let callback = Callback { at: monotonic(), proof: Proof::Forged, duplicate: false, number: None };
        assert!(!all.hand(&check, "x", callback) && !all.awaited(&check));
        let mut waiting = all.wait(&check, "x");
        assert!(all.hand(&check, "x", callback) && !all.hand(&check, "y", callback) && all.awaited(&check));
        assert_eq!(waiting.next().await, Some(callback));
        let taken = (0..MOST_OF_ONE + 5).filter(|_| all.hand(&check, "x", callback)).count();
        assert_eq!(taken, MOST_OF_ONE);
        drop(waiting);
        assert!(!all.awaited(&check));
    }
}
