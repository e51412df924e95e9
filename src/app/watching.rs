//! Watches the configuration's files, and those that it names, where `[reload] watch` asks for it: when they changed and then stay as they are for a moment, a reload is asked for.
//!
//! Looks every two seconds instead of being told by the kernel: network file systems and Kubernetes' volumes tell nothing. Never reads a file: the reload does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::config::model::Config;
use crate::config::stamp::Stamp;
use crate::server::ReloadRequest;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Runs until `stop`. `read`: how the files looked that were read last, whatever became of them. Holds no strong way to the reload's queue: the daemon's end must not wait for it.
pub(super) async fn run(
    config: watch::Receiver<Arc<Config>>,
    read: watch::Receiver<Stamp>,
    reload: mpsc::WeakSender<ReloadRequest>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut tries = Tries::default();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let config = Arc::clone(&config.borrow());
        let (watch, dir) = (config.settings.reload.watch, config.dir.clone());
        // Who does not watch does not look either.
        let last = read.borrow().clone();
        let now = if watch {
            let last = last.clone();
            Some(tokio::task::spawn_blocking(move || last.again(&dir)).await?)
        } else {
            None
        };
        if !tries.wants_reload(&last, now) {
            continue;
        }
        let Some(reload) = reload.upgrade() else { continue };
        let (answer, done) = oneshot::channel();
        // Full: reloads are waiting already, and read the same files.
        if reload.try_send(ReloadRequest { actor: "watch".into(), answer }).is_ok() {
            drop(reload);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                // What became of it is logged where it is done.
                _ = done => {}
            }
        }
    }
}

/// What was seen and tried before.
#[derive(Debug, Default)]
struct Tries {
    last: Option<Stamp>,
    tried: Option<Stamp>,
}

impl Tries {
    /// Whether what is seen now is to be read: it is not what was read last, it is no longer being written, and it was not tried before. `None`: nobody
    /// watches, and what was seen before says nothing any more.
    fn wants_reload(&mut self, read: &Stamp, now: Option<Stamp>) -> bool {
        let Some(now) = now else {
            *self = Self::default();
            return false;
        };
        let at_rest = self.last.as_ref() == Some(&now);
        let wanted = at_rest && now != *read && self.tried.as_ref() != Some(&now);
        if wanted {
            self.tried = Some(now.clone());
        }
        self.last = Some(now);
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_once_they_are_at_rest_and_only_once() {
        let stamps: Vec<Stamp> = (0..3u8)
            .map(|n| {
                let dir = tempfile::tempdir().unwrap();
                std::fs::write(dir.path().join("soakwatch.toml"), vec![b'#'; usize::from(n) + 1]).unwrap();
                Stamp::of(dir.path())
            })
            .collect();
        let [old, half, new] = &stamps[..] else { unreachable!() };
        let mut tries = Tries::default();
        assert!(!tries.wants_reload(old, Some(old.clone())));
        assert!(!tries.wants_reload(old, Some(half.clone())), "just changed");
        assert!(!tries.wants_reload(old, Some(new.clone())), "and again");
        assert!(tries.wants_reload(old, Some(new.clone())));
        assert!(!tries.wants_reload(old, Some(new.clone())), "it was refused: nothing is tried twice");
        assert!(!tries.wants_reload(old, Some(old.clone())), "it is what was read last");
        assert!(!tries.wants_reload(old, Some(new.clone())));
        assert!(!tries.wants_reload(new, Some(new.clone())));
        // Switched off, files may change as they like; switched on again, they have to rest anew.
        assert!(!tries.wants_reload(new, None));
        assert!(!tries.wants_reload(new, Some(half.clone())));
        assert!(tries.wants_reload(new, Some(half.clone())));
    }
}
