//! `soakwatch top`: what fails, as `soakwatch status` tells it, again every few seconds on a terminal of its own, until `q`. Where there is no terminal it is told
//! once. Changes nothing.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::status::{Answer, Asked, coloured, exit, text};
use super::{CliResult, Exit, block_on, say};
use crate::fields::Span;

/// Watch what fails, as `soakwatch status` tells it, again and again; q ends it. Without a terminal it is told once, with the same exit code as `soakwatch
/// status`; else 0
#[derive(Debug, clap::Args)]
pub(super) struct Top {
    #[command(flatten)]
    asked: Asked,
    /// How often the daemon is asked, 1s to 1h
    #[arg(long, value_name = "SPAN", default_value = "3s")]
    every: String,
}

/// What a terminal is assumed to have that does not say.
const SIZE: (u16, u16) = (24, 80);

pub(super) fn run(args: &Top) -> CliResult {
    let every = args.every.parse::<Span>().ok().filter(|s| (1..=3600).contains(&s.0.as_secs()));
    let Some(Span(every)) = every else {
        return Err(Exit::Usage.with(anyhow::anyhow!("--every \"{}\" is not right; expected 1s to 1h", args.every.escape_debug())));
    };
    block_on(async {
        let (_, mut answer) = args.asked.ask().await?;
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            say(text(&answer, false, false, usize::MAX).trim_end());
            return Ok(exit(&answer));
        }
        let trouble = |e: std::io::Error| Exit::Io.with(e);
        let screen = Screen::take().map_err(trouble)?;
        let mut resized = signal(SignalKind::window_change()).map_err(trouble)?;
        let (mut ended, mut hung) = (signal(SignalKind::terminate()).map_err(trouble)?, signal(SignalKind::hangup()).map_err(trouble)?);
        let (mut keys, mut answers) = (keys(), answers(args.asked.clone(), every));
        let mut problem = None;
        loop {
            screen.show(&frame(&text(&answer, false, coloured(), usize::MAX), problem.as_deref(), size()));
            tokio::select! {
                key = keys.recv() => match key {
                    Some(b'q' | b'Q' | 3 | 4) | None => break,
                    Some(_) => {}
                },
                _ = ended.recv() => break,
                _ = hung.recv() => break,
                _ = resized.recv() => {}
                Some(new) = answers.recv() => match new {
                    Ok(new) => (answer, problem) = (new, None),
                    Err(why) => problem = Some(why),
                },
            }
        }
        drop(screen);
        Ok(Exit::Yes)
    })
}

/// What the daemon says, again and again; or why it says nothing. Apart, so that keys are heard meanwhile.
fn answers(asked: Asked, every: Duration) -> mpsc::Receiver<Result<Answer, String>> {
    let (sender, answers) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            let answer = asked.ask().await.map(|(_, answer)| answer).map_err(|e| e.to_string());
            if sender.send(answer).await.is_err() {
                return;
            }
        }
    });
    answers
}

/// Keys as they come. The thread that waits for them ends with the program.
fn keys() -> mpsc::Receiver<u8> {
    let (sender, keys) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut key = [0];
        while std::io::stdin().read_exact(&mut key).is_ok() && sender.blocking_send(key[0]).is_ok() {}
    });
    keys
}

/// Rows and columns there are.
fn size() -> (usize, usize) {
    let (rows, columns) = tcgetwinsize(std::io::stdout()).map_or(SIZE, |s| (s.ws_row, s.ws_col));
    let or = |n: u16, assumed: u16| usize::from(if n == 0 { assumed } else { n });
    (or(rows, SIZE.0), or(columns, SIZE.1))
}

/// The terminal, without echo and lines, on its other screen; as it was when this is dropped.
struct Screen(Termios);

impl Screen {
    fn take() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        // Signals of keys too: whoever presses ^C wants his terminal back as it was.
        raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        let screen = Self(before);
        screen.show("\u{1b}[?1049h\u{1b}[?25l");
        Ok(screen)
    }

    /// Writes as it is. A terminal that is gone is no error: its end is told otherwise.
    fn show(&self, frame: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.show("\u{1b}[?25h\u{1b}[?1049l");
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// A screen of so many rows and columns: as much of the text as fits above a last line that says how to leave, or what is wrong.
fn frame(text: &str, problem: Option<&str>, (rows, columns): (usize, usize)) -> String {
    let mut out = "\u{1b}[H".to_owned();
    let lines: Vec<&str> = text.lines().collect();
    let room = rows.saturating_sub(1);
    let hidden = lines.len().saturating_sub(room);
    for n in 0..room {
        out.push_str(&cut(lines.get(n).copied().unwrap_or_default(), columns));
        out.push_str("\u{1b}[K\r\n");
    }
    let more = if hidden > 0 { format!("{hidden} more lines; ") } else { String::new() };
    let last =
        problem.map_or_else(|| format!("{more}q ends"), |p| format!("shown is what was before: {}; q ends", crate::explain::plain(p)));
    out.push_str(&cut(&last, columns));
    out.push_str("\u{1b}[K");
    out
}

/// A line's first columns; colours take none, and are ended.
fn cut(line: &str, columns: usize) -> String {
    let (mut out, mut width, mut escape) = (String::new(), 0, false);
    for c in line.chars() {
        if c == '\u{1b}' {
            escape = true;
        } else if !escape {
            if width == columns {
                out.push_str("\u{1b}[0m");
                break;
            }
            width += 1;
        } else if c == 'm' {
            escape = false;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_its_terminal() {
        let text = "one\n\u{1b}[1;31m✕ failing\u{1b}[0m  acme\nthree\nfour\n";
        let shown = frame(text, None, (3, 5));
        assert_eq!(shown, "\u{1b}[Hone\u{1b}[K\r\n\u{1b}[1;31m✕ fai\u{1b}[0m\u{1b}[K\r\n2 mor\u{1b}[0m\u{1b}[K");
        let shown = frame("one\n", Some("no answer\u{1b}[2J"), (3, 80));
        assert!(shown.ends_with("shown is what was before: no answer [2J; q ends\u{1b}[K"), "{shown:?}");
        assert_eq!(frame("one\n", None, (0, 0)), "\u{1b}[H\u{1b}[0m\u{1b}[K");
    }
}
