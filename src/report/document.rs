//! `evidence.json`: everything the answer was made from, the answer, and the evidence log. docs/evidence.md documents every key; a change of their
//! meaning needs another [`SCHEMA`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::{Checked, Hash, Recorded, canonical, chain};
use crate::readiness::{Answered, Situation};
use crate::soak::gate::Gate;
use crate::store::Logged;

/// The form of the document.
pub const SCHEMA: &str = "soakwatch-evidence/1";

/// What wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// `soakwatch`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Program {
    /// This program.
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// What wrote it.
    pub program: Program,
    /// What was judged, and by what.
    pub given: Situation,
    /// The answer: the gate, and the verdict of each integration, as `soakwatch gate --json` shows it.
    pub gate: Value,
    /// The evidence log.
    pub log: LogPart,
    /// The runs behind it.
    pub runs: RunsPart,
}

/// The evidence log: records of this environment and of the daemon whole, those of others as hashes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPart {
    /// The chain's hash before the first record.
    pub genesis: Hash,
    /// The chain's hash after the last one.
    pub head: Hash,
    /// Every record in order.
    pub records: Vec<LogItem>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogItem {
    /// Its number.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// What it says; absent: it is somebody else's. Boxed: most of them are, and take no room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<Recorded>>,
}

/// The file of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunsPart {
    /// Its name.
    pub file: String,
    /// Lines, the first one not counted.
    pub lines: u64,
    /// Slots they stand for.
    pub slots: u64,
    /// SHA-256 over the text, before it was compressed.
    pub sha256: Hash,
}

impl LogPart {
    /// From the store.
    pub fn of(log: Vec<Logged>) -> Self {
        let item = |l: Logged| LogItem { seq: l.link.seq, hash: l.link.record, record: l.record };
        let head = log.last().map_or_else(chain::genesis, |l| l.link.chain);
        Self { genesis: chain::genesis(), head, records: log.into_iter().map(item).collect() }
    }

    /// Checks the chain from its beginning to its head.
    pub fn check(&self) -> Checked {
        let mut checked = Checked::default();
        for item in &self.records {
            // The chain's hashes are not carried: each follows from the one before.
            let chain = chain::follow(checked.head, item.hash);
            checked.next(chain::Link { seq: item.seq, record: item.hash, chain }, item.record.as_deref());
        }
        checked
    }

    /// The records that are whole.
    pub fn own(&self) -> impl Iterator<Item = &Recorded> {
        self.records.iter().filter_map(|i| i.record.as_deref())
    }
}

impl Document {
    /// The document for a situation and its answer.
    pub fn new(given: Situation, gate: &Gate, log: LogPart, runs: RunsPart) -> Result<Self, serde_json::Error> {
        let gate = answer(&given, gate)?;
        Ok(Self { schema: SCHEMA.to_owned(), program: Program::this(), given, gate, log, runs })
    }

    /// Hands out its canonical JSON piece by piece: whole it is several times as large as it is here.
    pub fn write<E: From<serde_json::Error>>(&self, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Self { schema, program, given, gate, log: LogPart { genesis, head, records }, runs } = self;
        let mut next = |before: &str, value: Result<Vec<u8>, serde_json::Error>| {
            put(before.as_bytes())?;
            put(&value?)
        };
        // In order of the keys.
        next("{\"gate\":", canonical(gate))?;
        next(",\"given\":", canonical(given))?;
        next(",\"log\":{\"genesis\":", canonical(genesis))?;
        next(",\"head\":", canonical(head))?;
        next(",\"records\":", Ok(b"[".to_vec()))?;
        for (n, item) in records.iter().enumerate() {
            next(if n == 0 { "" } else { "," }, canonical(item))?;
        }
        next("]},\"program\":", canonical(program))?;
        next(",\"runs\":", canonical(runs))?;
        next(",\"schema\":", canonical(schema))?;
        put(b"}")
    }
}

/// The answer as every output shows it, as it is after it was written as canonical JSON and read again.
pub fn answer(given: &Situation, gate: &Gate) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&canonical(&Answered::of(given, gate.clone()))?)
}
