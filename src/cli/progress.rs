//! A word on standard error while something long goes on, for the person who waits. Never on standard output, never where no person sits, and gone when it
//! is done.

use std::io::{IsTerminal as _, Write};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::clock::monotonic;

/// What is quicker needs no word.
const AFTER: Duration = Duration::from_secs(1);

/// Does something, and says meanwhile what, and for how long already. Nothing else may be written to the terminal until it is done.
pub(super) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let stderr = std::io::stderr();
    if stderr.is_terminal() { told(what, stderr, AFTER, work) } else { work() }
}

fn told<T>(what: &str, mut to: impl Write + Send, every: Duration, work: impl FnOnce() -> T) -> T {
    let (done, working) = sync_channel::<()>(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (began, mut said) = (monotonic(), false);
            // A terminal that does not take it changes nothing.
            while working.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                said = write!(to, "\r{what}, {} s so far ...\x1b[K", began.elapsed().as_secs()).and_then(|()| to.flush()).is_ok();
            }
            if said {
                let _ = write!(to, "\r\x1b[K").and_then(|()| to.flush());
            }
        });
        // Dropped when it is done, also by a panic: the other thread ends with it.
        let _done = done;
        work()
    })
}

/// The size of a file, or of all files in a directory, as people say it. Blocks.
pub(super) fn size_of(path: &std::path::Path) -> String {
    let of = |p: &std::path::Path| std::fs::metadata(p).map_or(0, |m| m.len());
    let bytes = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|e| of(&e.path())).sum(),
        Err(_) => of(path),
    };
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Condvar, Mutex};

    use super::*;

    /// What was written, for whoever waits for it.
    #[derive(Clone, Default)]
    struct Terminal(Arc<(Mutex<Vec<u8>>, Condvar)>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.0.lock().unwrap().extend_from_slice(bytes);
            self.0.1.notify_all();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn it_is_said_while_it_goes_on_and_is_gone_afterwards() {
        let terminal = Terminal::default();
        let seen = terminal.clone();
        let answer = told("copying", terminal.clone(), Duration::from_millis(1), || {
            let (written, more) = &*seen.0;
            let (written, late) =
                more.wait_timeout_while(written.lock().unwrap(), Duration::from_secs(60), |w| !w.ends_with(b"...\x1b[K")).unwrap();
            assert!(!late.timed_out(), "{written:?}");
            7
        });
        let written = String::from_utf8(terminal.0.0.lock().unwrap().clone()).unwrap();
        assert_eq!(answer, 7);
        assert!(written.starts_with("\rcopying, 0 s so far ...") && written.ends_with("\r\x1b[K"), "{written:?}");
    }

    #[test]
    fn what_is_quick_needs_no_word() {
        let terminal = Terminal::default();
        assert_eq!(told("copying", terminal.clone(), Duration::from_secs(600), || 7), 7);
        assert!(terminal.0.0.lock().unwrap().is_empty());
    }
}
