//! Remembers which messages were processed: a bounded number, for a bounded time. What is forgotten is known to be forgotten.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::key::sha256;
use super::message::MessageId;
use crate::clock::UnixMs;

/// The ids of one sender. Each costs about a hundred bytes, however long it is.
#[derive(Debug)]
pub struct ReplayMemory {
    most: usize,
    keep: Duration,
    /// When each was first seen, by its hash.
    seen: HashMap<[u8; 32], UnixMs>,
    /// In the order in which they came.
    order: VecDeque<[u8; 32]>,
    forgotten: u64,
}

impl ReplayMemory {
    /// Remembers at most so many ids, each so long. Senders retry for up to a day, so a day is a good time.
    pub fn new(most: usize, keep: Duration) -> Self {
        Self { most: most.max(1), keep, seen: HashMap::new(), order: VecDeque::new(), forgotten: 0 }
    }

    /// Whether the id was remembered within the time.
    pub fn knows(&self, id: &MessageId, now: UnixMs) -> bool {
        self.seen.get(&hash(id)).is_some_and(|at| now.since(*at) <= self.keep)
    }

    /// Remembers an id from now on; true if it was not known. An id that is known keeps its first time, so that retries do not keep it alive.
    pub fn remember(&mut self, id: &MessageId, now: UnixMs) -> bool {
        while let Some(at) = self.order.front().and_then(|h| self.seen.get(h)).copied() {
            if now.since(at) <= self.keep {
                break;
            }
            self.drop_oldest();
        }
        let hash = hash(id);
        if self.seen.contains_key(&hash) {
            return false;
        }
        if self.order.len() >= self.most {
            self.drop_oldest();
            self.forgotten += 1;
        }
        self.seen.insert(hash, now);
        self.order.push_back(hash);
        true
    }

    /// So many ids were forgotten before their time, because there were too many: a replay of one of them would be taken for new.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// So many are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.seen.remove(&oldest);
        }
    }
}

/// Of source and id with their lengths, so that no two pairs run together.
fn hash(id: &MessageId) -> [u8; 32] {
    let source = id.source.as_deref().unwrap_or_default();
    let text = format!("{} {source} {}", source.len(), id.id);
    sha256(text.as_bytes()).try_into().unwrap_or([0; 32])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(source: &str, id: &str) -> MessageId {
        MessageId { source: (!source.is_empty()).then(|| source.to_owned()), id: id.to_owned() }
    }

    #[test]
    fn known_for_a_time_and_no_longer() {
        let mut m = ReplayMemory::new(10, Duration::from_secs(60));
        let at = |s: i64| UnixMs(s * 1000);
        assert!(m.remember(&id("", "a"), at(0)) && !m.remember(&id("", "a"), at(50)));
        assert!(m.knows(&id("", "a"), at(60)) && !m.knows(&id("", "a"), at(61)) && !m.knows(&id("", "b"), at(0)));
        // The retry at 50 s did not keep it alive; the clock set back does not lose it.
        assert!(m.knows(&id("", "a"), at(-100)) && m.remember(&id("", "a"), at(61)) && m.len() == 1 && m.forgotten() == 0);
    }

    #[test]
    fn sources_are_told_apart() {
        let mut m = ReplayMemory::new(10, Duration::from_secs(60));
        for (source, name) in [("a", "b c"), ("a b", "c"), ("", "a b c"), ("b", "c")] {
            assert!(m.remember(&id(source, name), UnixMs(0)), "{source} {name}");
        }
    }

    #[test]
    fn bounded_and_honest_about_it() {
        let mut m = ReplayMemory::new(3, Duration::from_secs(60));
        assert!((0..1000).all(|n| m.remember(&id("", &format!("{n}{}", "x".repeat(1000))), UnixMs(n))));
        assert_eq!((m.len(), m.seen.len(), m.forgotten(), m.is_empty()), (3, 3, 997, false));
        assert!(m.knows(&id("", &format!("997{}", "x".repeat(1000))), UnixMs(1000)));
    }
}
