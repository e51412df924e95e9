//! `runs.csv`: every run behind the verdicts, a line each (a span of slots nobody ran is one line), as text both ways. What is read must be written
//! exactly as it is written here, so that a changed byte can't mean the same.
//!
//! Made for hundreds of thousands of lines: no line is formatted by the general means, and the hour of a slot is worked out once an hour.

use std::io::{self, BufRead, Write};

use crate::clock::{HOUR_MS, UnixMs};
use crate::evidence::{time_of, time_text};
use crate::fields::CheckId;
use crate::outcome::{Attribution, Cause, Class, Outcome};
use crate::record::{DurationCode, Run};

/// The first line.
pub(super) const HEADER: &str =
    "check,slot,interval_ms,count,outcome,class,cause,attribution,duration_code,duration_s,attempts,first_attempt_passed";
/// A line may have this many bytes.
const MAX_LINE: usize = 600;
/// Runs of one check: 90 days at one a second.
const MAX_RUNS: usize = 90 * 86_400 + 1;

/// The text of every duration code, in seconds to four digits; rounded once, for people. The code is exact.
fn duration_texts() -> Vec<String> {
    (0..=DurationCode::MAX.0).map(|code| format!("{:.4}", DurationCode(code).seconds())).collect()
}

/// Writes lines.
pub(super) struct Lines<W: Write> {
    out: W,
    line: Vec<u8>,
    durations: Vec<String>,
    hour: (i64, String),
    /// Lines written, and slots they stand for.
    pub(super) lines: u64,
    /// Slots they stand for.
    pub(super) slots: u64,
}

impl<W: Write> Lines<W> {
    /// Writes the header.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "{HEADER}")?;
        Ok(Self {
            out,
            line: Vec::with_capacity(MAX_LINE),
            durations: duration_texts(),
            hour: (i64::MIN, String::new()),
            lines: 0,
            slots: 0,
        })
    }

    /// Writes the runs of a check.
    pub(super) fn write(&mut self, check: &CheckId, runs: &[Run]) -> io::Result<()> {
        for run in runs {
            self.line.clear();
            self.format(check, run);
            self.out.write_all(&self.line)?;
            self.lines += 1;
            self.slots += u64::from(run.count);
        }
        Ok(())
    }

    fn format(&mut self, check: &CheckId, run: &Run) {
        let line = &mut self.line;
        line.extend_from_slice(check.as_str().as_bytes());
        line.push(b',');
        let hour = run.slot.hour();
        if self.hour.0 != hour {
            // 2026-11-30T08:
            let text = time_text(UnixMs(hour.saturating_mul(HOUR_MS)));
            self.hour = (hour, text.strip_suffix("00:00.000Z").unwrap_or_default().to_owned());
        }
        line.extend_from_slice(self.hour.1.as_bytes());
        let ms = run.slot.0.rem_euclid(HOUR_MS);
        let two = |line: &mut Vec<u8>, n: i64| line.extend([b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]);
        two(line, ms / 60_000);
        line.push(b':');
        two(line, ms / 1_000 % 60);
        line.push(b'.');
        line.push(b'0' + (ms / 100 % 10) as u8);
        two(line, ms % 100);
        line.extend_from_slice(b"Z,");
        number(line, run.interval_ms.into());
        line.push(b',');
        number(line, run.count.into());
        for word in [
            run.outcome.as_str(),
            run.class.map_or("", Class::as_str),
            run.cause.map_or("", Cause::as_str),
            run.attribution.map_or("", Attribution::as_str),
        ] {
            line.push(b',');
            line.extend_from_slice(word.as_bytes());
        }
        line.push(b',');
        number(line, run.duration.0.into());
        line.push(b',');
        if run.attempts > 0 {
            line.extend_from_slice(self.durations.get(usize::from(run.duration.0)).map_or("", String::as_str).as_bytes());
        }
        line.push(b',');
        number(line, run.attempts.into());
        line.extend_from_slice(if run.first_attempt_passed { b",true\n" } else { b",false\n" });
    }

    /// Hands the writer back.
    pub(super) fn into_inner(self) -> W {
        self.out
    }
}

fn number(line: &mut Vec<u8>, mut n: u64) {
    let from = line.len();
    loop {
        line.push(b'0' + (n % 10) as u8);
        n /= 10;
        if n == 0 {
            break;
        }
    }
    line[from..].reverse();
}

/// Why a line is not one.
#[derive(Debug)]
pub(super) enum Unread {
    /// The stream ended badly.
    Io(io::Error),
    /// This line is not as it would have been written.
    Line(u64, &'static str),
}

/// Reads lines, check by check.
pub(super) struct Reading<R: BufRead> {
    from: R,
    line: Vec<u8>,
    durations: Vec<String>,
    hour: (Vec<u8>, UnixMs),
    /// The line that was read and not handed out, without its line break.
    ahead: bool,
    /// Lines read, the header not counted, and slots they stand for.
    pub(super) lines: u64,
    /// Slots they stand for.
    pub(super) slots: u64,
}

impl<R: BufRead> Reading<R> {
    /// Reads the header.
    pub(super) fn new(from: R) -> Result<Self, Unread> {
        let hour = (Vec::new(), UnixMs(0));
        let mut this = Self { from, line: Vec::new(), durations: duration_texts(), hour, ahead: false, lines: 0, slots: 0 };
        match this.next_line()? {
            true if this.line == HEADER.as_bytes() => Ok(this),
            _ => Err(Unread::Line(0, "the first line does not name the columns")),
        }
    }

    /// The runs of the next lines, as far as they are this check's.
    pub(super) fn runs_of(&mut self, check: &CheckId) -> Result<Vec<Run>, Unread> {
        let mut runs: Vec<Run> = Vec::new();
        while self.peek()? {
            let Some(rest) = self.line.strip_prefix(check.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(b",")) else { break };
            let run = parse(rest, &self.durations, &mut self.hour).map_err(|why| Unread::Line(self.lines + 1, why))?;
            if runs.last().is_some_and(|last| run.slot <= last.last_slot()) {
                return Err(Unread::Line(self.lines + 1, "its slot does not come after the one before"));
            }
            self.ahead = false;
            self.lines += 1;
            self.slots += u64::from(run.count);
            if runs.len() >= MAX_RUNS {
                return Err(Unread::Line(self.lines, "there are too many runs of one check"));
            }
            runs.push(run);
        }
        Ok(runs)
    }

    /// Whether every line was handed out.
    pub(super) fn at_end(&mut self) -> Result<bool, Unread> {
        Ok(!self.peek()?)
    }

    fn peek(&mut self) -> Result<bool, Unread> {
        if !self.ahead {
            self.ahead = self.next_line()?;
        }
        Ok(self.ahead)
    }

    /// `false`: the end.
    fn next_line(&mut self) -> Result<bool, Unread> {
        self.line.clear();
        loop {
            let part = self.from.fill_buf().map_err(Unread::Io)?;
            let end = part.iter().position(|b| *b == b'\n');
            let taken = end.unwrap_or(part.len());
            if part.is_empty() && self.line.is_empty() {
                return Ok(false);
            }
            if part.is_empty() || self.line.len() + taken > MAX_LINE {
                return Err(Unread::Line(self.lines + 1, "it does not end"));
            }
            self.line.extend_from_slice(part.get(..taken).unwrap_or_default());
            self.from.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

/// The columns behind the check.
fn parse(rest: &[u8], durations: &[String], hour: &mut (Vec<u8>, UnixMs)) -> Result<Run, &'static str> {
    let mut cells = rest.split(|b| *b == b',');
    let mut cell = || cells.next().ok_or("it has too few columns");
    let slot = slot(cell()?, hour).ok_or("its slot is not a time")?;
    let interval_ms = whole(cell()?).ok_or("interval_ms is not a number")?;
    let count = whole(cell()?).filter(|n| *n > 0).ok_or("count is not a number above 0")?;
    let outcome = Outcome::parse(word(cell()?)).ok_or("its outcome is unknown")?;
    let class = maybe(cell()?, Class::parse).ok_or("its class is unknown")?;
    let cause = maybe(cell()?, Cause::parse).ok_or("its cause is unknown")?;
    let attribution = maybe(cell()?, Attribution::parse).ok_or("its attribution is unknown")?;
    let code =
        whole(cell()?).and_then(|n| u16::try_from(n).ok()).filter(|n| *n <= DurationCode::MAX.0).ok_or("duration_code is not one")?;
    let seconds = word(cell()?);
    let attempts = whole(cell()?).and_then(|n| u8::try_from(n).ok()).ok_or("attempts is not a number")?;
    let first_attempt_passed = match cell()? {
        b"true" => true,
        b"false" => false,
        _ => return Err("first_attempt_passed is not true or false"),
    };
    if cells.next().is_some() {
        return Err("it has too many columns");
    }
    let said = if attempts > 0 { durations.get(usize::from(code)).map_or("", String::as_str) } else { "" };
    if seconds != said {
        return Err("duration_s is not what duration_code stands for");
    }
    let duration = DurationCode(code);
    Ok(Run { slot, interval_ms, count, outcome, class, cause, attribution, duration, attempts, first_attempt_passed })
}

fn word(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or("?")
}

/// A whole number in its one spelling.
fn whole(cell: &[u8]) -> Option<u32> {
    if cell.is_empty() || cell.len() > 10 || (cell.len() > 1 && cell.starts_with(b"0")) {
        return None;
    }
    let digit = |n: u64, b: &u8| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'));
    cell.iter().try_fold(0, digit).and_then(|n| u32::try_from(n).ok())
}

/// `Some(None)`: the cell is empty.
#[expect(clippy::option_option, reason = "outside: readable; inside: there")]
fn maybe<T>(cell: &[u8], parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if cell.is_empty() { Some(None) } else { parse(word(cell)).map(Some) }
}

/// A slot; the hour it lies in is remembered.
fn slot(cell: &[u8], hour: &mut (Vec<u8>, UnixMs)) -> Option<UnixMs> {
    // 2026-11-30T08:00:30.000Z
    let (date, rest) = cell.split_at_checked(14)?;
    if hour.0 != date {
        *hour = (date.to_vec(), time_of(&format!("{}00:00.000Z", std::str::from_utf8(date).ok()?))?);
    }
    let &[m1, m2, b':', s1, s2, b'.', f1, f2, f3, b'Z'] = rest else { return None };
    let digits = |all: &[u8]| all.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')));
    let (minutes, seconds, ms) = (digits(&[m1, m2])?, digits(&[s1, s2])?, digits(&[f1, f2, f3])?);
    (minutes < 60 && seconds < 60).then(|| UnixMs(hour.1.0 + minutes * 60_000 + seconds * 1_000 + ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;
    use proptest::prelude::*;

    fn check(name: &str) -> CheckId {
        format!("acme/production/crm/{name}").parse().unwrap()
    }

    fn any_run() -> impl Strategy<Value = Run> {
        let member = |n: usize| any::<prop::sample::Index>().prop_map(move |i| i.index(n));
        (
            1..5_000_000u32,
            1..300u32,
            member(6),
            member(Class::ALL.len() + 1),
            member(Cause::ALL.len() + 1),
            (0..=400u16, any::<u8>(), any::<bool>()),
        )
            .prop_map(|(interval_ms, count, outcome, class, cause, (code, attempts, first))| Run {
                slot: UnixMs(0),
                interval_ms,
                count,
                outcome: Outcome::ALL[outcome],
                class: Class::ALL.get(class).copied(),
                cause: Cause::ALL.get(cause).copied(),
                attribution: Attribution::ALL.get(class).copied(),
                duration: DurationCode(code),
                attempts,
                first_attempt_passed: first,
            })
    }

    /// One after the other from a time on.
    fn placed(mut runs: Vec<Run>, mut at: i64) -> Vec<Run> {
        for run in &mut runs {
            run.slot = UnixMs(at);
            at = run.last_slot().0 + i64::from(run.interval_ms);
        }
        runs
    }

    fn written(all: &[(CheckId, Vec<Run>)]) -> Vec<u8> {
        let mut lines = Lines::new(Vec::new()).unwrap();
        all.iter().for_each(|(check, runs)| lines.write(check, runs).unwrap());
        lines.into_inner()
    }

    proptest! {
        #[test]
        fn runs_come_back(a in proptest::collection::vec(any_run(), 0..40), b in proptest::collection::vec(any_run(), 0..40), at in -4_000_000_000i64..1_900_000_000_000) {
            let all = [(check("a"), placed(a, at)), (check("ab"), placed(b, at))];
            let text = written(&all);
            let mut reading = Reading::new(text.as_slice()).unwrap();
            for (check, runs) in &all {
                prop_assert_eq!(&reading.runs_of(check).unwrap(), runs);
            }
            prop_assert!(reading.at_end().unwrap());
            prop_assert_eq!(reading.lines as usize, all[0].1.len() + all[1].1.len());
        }

    }

    /// Committed seeds: lines with a byte changed, and bytes that are no lines.
    #[test]
    fn what_is_read_is_written_exactly_so() {
        let changed = (proptest::collection::vec(any_run(), 1..10), any::<prop::sample::Index>(), any::<u8>());
        seeds::tried(16, &changed, |(runs, at, byte)| {
            let mut text = written(&[(check("a"), placed(runs, 1_796_025_600_000))]);
            let at = at.index(text.len());
            text[at] = byte;
            exactly_so(&text)
        });
        let rubbish = "([a-z0-9,.:TZ\"-]{0,120}\n|[^\n]{0,60}\n){0,6}";
        seeds::tried(16, &rubbish, |lines| exactly_so(format!("{HEADER}\n{lines}").as_bytes()));
        seeds::tried(16, &proptest::collection::vec(any::<u8>(), 0..200), |bytes| exactly_so(&bytes));
    }

    fn exactly_so(text: &[u8]) -> Result<(), TestCaseError> {
        if let Ok(mut reading) = Reading::new(text)
            && let Ok(runs) = reading.runs_of(&check("a"))
            && reading.at_end().is_ok_and(|end| end)
        {
            prop_assert_eq!(written(&[(check("a"), runs)]), text);
        }
        Ok(())
    }

    #[test]
    fn a_line_is_what_docs_evidence_shows() {
        let run = Run {
            slot: UnixMs(1_796_025_630_250),
            interval_ms: 30_000,
            count: 1,
            outcome: Outcome::Fail,
            class: Some(Class::ServerError),
            cause: None,
            attribution: Some(Attribution::ThirdParty),
            duration: DurationCode(150),
            attempts: 2,
            first_attempt_passed: false,
        };
        let text = written(&[(check("list"), vec![run])]);
        let line = "acme/production/crm/list,2026-11-30T08:00:30.250Z,30000,1,fail,server_error,,third_party,150,0.1508,2,false\n";
        assert_eq!(String::from_utf8(text).unwrap(), format!("{HEADER}\n{line}"));
    }

    #[test]
    fn bad_lines_are_told_by_number() {
        let good = "acme/production/crm/a,2026-11-30T08:00:30.250Z,30000,1,pass,,,,150,0.1508,1,true";
        let said = |lines: &str| match Reading::new(format!("{HEADER}\n{lines}").as_bytes()).unwrap().runs_of(&check("a")) {
            Err(Unread::Line(n, why)) => format!("{n}: {why}"),
            other => format!("{other:?}"),
        };
        for (lines, want) in [
            (format!("{good}\n{good}\n"), "2: its slot does not come after"),
            (good.to_owned(), "1: it does not end"),
            ("x".repeat(1_000_000), "1: it does not end"),
            (format!("{}\n", good.replace(",30000,", ",030000,")), "1: interval_ms"),
            (format!("{}\n", good.replace(",1,pass", ",0,pass")), "1: count"),
            (format!("{}\n", good.replace("0.1508", "0.1509")), "1: duration_s"),
            (format!("{}\n", good.replace("pass", "good")), "1: its outcome"),
            (format!("{},\n", good), "1: it has too many"),
            (format!("{}\n", good.replace("T08:", "T8:")), "1: its slot is not"),
        ] {
            assert!(said(&lines).starts_with(want), "{want}: {}", said(&lines));
        }
        assert!(matches!(Reading::new(b"nothing\n".as_slice()), Err(Unread::Line(0, _))));
    }
}
