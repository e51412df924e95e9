//! Pure work on large bytes from outside, beside the thread that makes the runs: what takes it milliseconds makes all other runs late.
//!
//! Owns what is large, and the turns. Knows nothing of what is done, and never judges. What is small is done at once: to hand it over would cost more.

use std::mem;

use tokio::sync::Semaphore;

use crate::clock::monotonic;
use crate::observed::{Failure, Observed, Step};
use crate::outcome::Cause;

/// So many bytes are large: to parse them takes some hundred microseconds.
pub const LARGE: usize = 64 << 10;
/// So much of it goes on at once. Each may keep a core busy, and parsed JSON takes ten times its bytes.
const AT_ONCE: usize = 4;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Does work on so many bytes: here where they are few, else [`aside`].
pub async fn of<T: Send + 'static>(bytes: usize, observed: &mut Observed, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    if bytes < LARGE { Ok(work()) } else { Box::pin(aside(observed, work)).await }
}

/// Does work on a thread of its own, in its turn. The wait for that thread is ours: it counts neither as the run's time nor as anybody's failure. The turn
/// ends with the work, also where nobody waits for it any more.
pub async fn aside<T: Send + 'static>(observed: &mut Observed, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let cut_off = || Failure::ours(Cause::Internal, "judging what came was cut off");
    // A deadline that passes from here on is no silence of the target's.
    let step = mem::replace(&mut observed.step, Step::Judge);
    let asked = monotonic();
    let turn = TURNS.acquire().await.map_err(|_| cut_off())?;
    let working = move || {
        let began = monotonic();
        let done = work();
        drop(turn);
        (began, done)
    };
    let (began, done) = tokio::task::spawn_blocking(working).await.map_err(|_| cut_off())?;
    observed.waited += began.saturating_duration_since(asked);
    observed.step = step;
    Ok(done)
}

/// Takes every turn there is, so that a test sees who waits for one.
#[cfg(test)]
pub async fn all_turns() -> tokio::sync::SemaphorePermit<'static> {
    TURNS.acquire_many(4).await.unwrap()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// On one thread: the first is done only if the second goes on meanwhile.
    #[tokio::test]
    async fn what_is_large_holds_up_nobody() {
        let (tell, told) = mpsc::channel();
        let mut observed = Observed { step: Step::Transfer, ..Observed::default() };
        let slow = of(LARGE, &mut observed, move || told.recv_timeout(Duration::from_secs(30)).is_ok());
        let (went_on, ()) = tokio::join!(slow, async move { tell.send(()).unwrap() });
        assert!(went_on.unwrap(), "the other waited for it");
        assert_eq!(observed.step, Step::Transfer);
    }

    #[tokio::test]
    async fn what_is_small_is_done_here() {
        let here = std::thread::current().id();
        let at = |bytes| async move { of(bytes, &mut Observed::default(), || std::thread::current().id()).await.unwrap() };
        assert_eq!(at(LARGE - 1).await, here);
        assert_ne!(at(LARGE).await, here);
    }

    #[tokio::test]
    async fn waiting_for_a_turn_is_told_and_a_panic_is_ours() {
        let mut observed = Observed::default();
        let turns = all_turns().await;
        let begun = monotonic();
        let later = async {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(turns);
        };
        let (done, ()) = tokio::join!(aside(&mut observed, || 7), later);
        assert_eq!(done.unwrap(), 7);
        assert!(observed.waited >= Duration::from_millis(20) && observed.waited <= begun.elapsed(), "{:?}", observed.waited);
        let failure = aside(&mut observed, || std::panic::panic_any("x")).await.unwrap_err();
        assert_eq!((failure.cause, observed.step), (Some(Cause::Internal), Step::Judge));
    }
}
