//! Remembers which messages were processed: a bounded number, for a bounded time. What is forgotten is known to be forgotten.
//!
//! It is kept in parts of some KiB each: only the newest one grows, so that keeping up costs the same however many ids there are.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::sha256;
use super::message::MessageId;
use crate::clock::UnixMs;

/// What stands for an id: so much of its SHA-256 that of 20,000 ids one is taken for another once in 10^11 times.
type Short = [u8; 8];
/// Ids in a part: 8 KiB as text.
const OF_A_PART: usize = 512;
/// Bytes of an id in a part: what stands for it, and the second it was first seen in.
const OF_AN_ID: usize = 12;

/// The ids of one sender. Each costs some fifty bytes, however long it is.
#[derive(Debug)]
pub struct ReplayMemory {
    most: usize,
    keep: Duration,
    /// When each was first seen.
    seen: HashMap<Short, UnixMs>,
    /// In the order in which they came.
    parts: VecDeque<Part>,
    /// The number of the next part.
    next: u64,
    /// Parts that were handed out and are empty now.
    gone: Vec<u64>,
    forgotten: u64,
}

#[derive(Debug)]
struct Part {
    number: u64,
    ids: Vec<Short>,
    /// So many of them, the oldest, are forgotten.
    over: usize,
    changed: bool,
}

impl ReplayMemory {
    /// Remembers at most so many ids, each so long. Senders retry for up to a day, so a day is a good time.
    pub fn new(most: usize, keep: Duration) -> Self {
        let (seen, parts, gone) = Default::default();
        Self { most: most.max(1), keep, seen, parts, next: 0, gone, forgotten: 0 }
    }

    /// With the parts that [`ReplayMemory::changed`] handed out, by their numbers. What is damaged is left out.
    pub fn restored(most: usize, keep: Duration, parts: &BTreeMap<u64, String>) -> Self {
        let mut memory = Self::new(most, keep);
        for (number, text) in parts {
            memory.next = number.saturating_add(1);
            let bytes = STANDARD.decode(text).unwrap_or_default();
            let (ids, _) = bytes.as_chunks::<OF_AN_ID>();
            let read = |id: &[u8; OF_AN_ID]| {
                let (short, at) = id.split_at(size_of::<Short>());
                Some((Short::try_from(short).ok()?, UnixMs(i64::from(u32::from_be_bytes(at.try_into().ok()?)) * 1000)))
            };
            let fresh = ids.iter().take(OF_A_PART).filter_map(read).filter(|(short, at)| memory.seen.insert(*short, *at).is_none());
            let ids: Vec<Short> = fresh.map(|(short, _)| short).collect();
            memory.parts.push_back(Part { number: *number, ids, over: 0, changed: false });
            memory.drop_empty();
        }
        while memory.len() > memory.most {
            memory.drop_oldest();
        }
        memory
    }

    /// What is to be kept since this was last asked: the parts that changed, by number, as text of at most 8 KiB; `None` for one that is over.
    pub fn changed(&mut self) -> Vec<(u64, Option<String>)> {
        let seen = &self.seen;
        let second = |short: &Short| seen.get(short).map_or(0, |at| u32::try_from(at.0.div_euclid(1000)).unwrap_or(0));
        let text = |part: &Part| {
            let all = part.ids.iter().skip(part.over);
            let bytes: Vec<u8> = all.flat_map(|short| short.iter().copied().chain(second(short).to_be_bytes())).collect();
            STANDARD.encode(bytes)
        };
        let changed = self.parts.iter_mut().filter_map(|p| std::mem::take(&mut p.changed).then(|| (p.number, Some(text(p)))));
        self.gone.drain(..).map(|number| (number, None)).chain(changed).collect()
    }

    /// Whether the id was remembered within the time.
    pub fn knows(&self, id: &MessageId, now: UnixMs) -> bool {
        self.seen.get(&short(id)).is_some_and(|at| now.since(*at) <= self.keep)
    }

    /// Remembers an id from now on; true if it was not known. An id that is known keeps its first time, so that retries do not keep it alive.
    pub fn remember(&mut self, id: &MessageId, now: UnixMs) -> bool {
        while let Some(at) = self.oldest() {
            if now.since(at) <= self.keep {
                break;
            }
            self.drop_oldest();
        }
        let short = short(id);
        if self.seen.contains_key(&short) {
            return false;
        }
        if self.len() >= self.most {
            self.drop_oldest();
            self.forgotten += 1;
        }
        self.seen.insert(short, now);
        match self.parts.back_mut().filter(|p| p.ids.len() < OF_A_PART) {
            Some(part) => {
                part.ids.push(short);
                part.changed = true;
            }
            None => {
                self.parts.push_back(Part { number: self.next, ids: vec![short], over: 0, changed: true });
                self.next = self.next.saturating_add(1);
            }
        }
        true
    }

    /// So many ids were forgotten before their time, because there were too many: a replay of one of them would be taken for new.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// So many are remembered.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    fn oldest(&self) -> Option<UnixMs> {
        let part = self.parts.front()?;
        self.seen.get(part.ids.get(part.over)?).copied()
    }

    fn drop_oldest(&mut self) {
        if let Some(part) = self.parts.front_mut() {
            if let Some(short) = part.ids.get(part.over) {
                self.seen.remove(short);
            }
            part.over += 1;
        }
        self.drop_empty();
    }

    /// The oldest parts go when nothing of them is left.
    fn drop_empty(&mut self) {
        while let Some(part) = self.parts.front().filter(|p| p.over >= p.ids.len()) {
            self.gone.push(part.number);
            self.parts.pop_front();
        }
    }
}

/// Of source and id with their lengths, so that no two pairs run together.
fn short(id: &MessageId) -> Short {
    let source = id.source.as_deref().unwrap_or_default();
    let text = format!("{} {source} {}", source.len(), id.id);
    sha256(text.as_bytes()).first_chunk().copied().unwrap_or_default()
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
        assert_eq!((m.len(), m.parts.len(), m.forgotten(), m.is_empty()), (3, 1, 997, false));
        assert!(m.knows(&id("", &format!("997{}", "x".repeat(1000))), UnixMs(1000)));
    }

    /// Applies what is handed out to what was kept before.
    fn kept(m: &mut ReplayMemory, parts: &mut BTreeMap<u64, String>) -> usize {
        let changed = m.changed();
        let n = changed.len();
        for (number, text) in changed {
            match text {
                Some(text) => drop(parts.insert(number, text)),
                None => drop(parts.remove(&number)),
            }
        }
        n
    }

    #[test]
    fn what_was_kept_in_parts_is_known_again() {
        let (most, keep) = (2000, Duration::from_secs(86_400));
        let (mut m, mut parts) = (ReplayMemory::new(most, keep), BTreeMap::new());
        let at = |n: usize| UnixMs(1_796_000_000_000 + n as i64 * 1000);
        let name = |n: usize| id("s", &n.to_string());
        for n in 0..7000 {
            assert!(m.remember(&name(n), at(n)));
            if n % 100 == 0 {
                // The growing part, maybe the one before it, and those that are over.
                assert!(kept(&mut m, &mut parts) <= 3, "{n}");
            }
            if n % 1111 == 0 {
                kept(&mut m, &mut parts);
                m = ReplayMemory::restored(most, keep, &parts);
            }
        }
        kept(&mut m, &mut parts);
        assert!(parts.len() <= most / OF_A_PART + 8 && parts.values().all(|p| p.len() <= 8 << 10), "{}", parts.len());
        let mut again = ReplayMemory::restored(most, keep, &parts);
        assert_eq!(again.len(), most);
        for n in 0..7000 {
            assert_eq!((m.knows(&name(n), at(7000)), again.knows(&name(n), at(7000))), (n >= 5000, n >= 5000), "{n}");
        }
        assert_eq!(again.changed(), [], "nothing changed by that");
        assert!(again.remember(&name(7000), at(7000 + 86_400 * 2)), "a day later all are over");
        assert_eq!((again.len(), kept(&mut again, &mut parts) > 0, parts.len()), (1, true, 1));
    }

    #[test]
    fn what_is_damaged_costs_no_more_than_itself() {
        let keep = Duration::from_secs(60);
        let (mut m, mut parts) = (ReplayMemory::new(10, keep), BTreeMap::new());
        m.remember(&id("", "a"), UnixMs(1000));
        kept(&mut m, &mut parts);
        let good = parts[&0].clone();
        let bad = ["", "?", "AAAA", &good[..good.len() - 4], &"A".repeat(1 << 20)];
        parts.extend(bad.iter().zip(1..).map(|(text, n)| (n, (*text).to_owned())));
        parts.insert(u64::MAX, good.clone());
        let mut again = ReplayMemory::restored(10, keep, &parts);
        assert!(again.knows(&id("", "a"), UnixMs(1000)) && again.len() <= 2, "{}", again.len());
        assert!(again.remember(&id("", "b"), UnixMs(1000)));
    }
}
