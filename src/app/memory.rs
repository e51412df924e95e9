//! Takes what checks remember to the store, in order with the outcomes.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::memory::{Keep, MEMORY_NOTE, PART_NOTE};
use crate::recorder::RecorderHandle;
use crate::store::Note;

/// Runs until the last run has ended: also what is remembered while the daemon stops is kept.
pub(super) async fn run(mut kept: mpsc::Receiver<Keep>, recorder: RecorderHandle, stop: CancellationToken) -> anyhow::Result<()> {
    while let Some(Keep { check, part, text, kept }) = kept.recv().await {
        let note = match part {
            None => Note { kind: MEMORY_NOTE, id: check.to_string(), text },
            Some(part) => Note { kind: PART_NOTE, id: format!("{check} {part}"), text },
        };
        match kept {
            Some(kept) => recorder.note_durably(note, kept).await,
            None => recorder.note(note).await,
        }
    }
    // Nobody can ask any more; stay until stop, as every task does.
    stop.cancelled().await;
    Ok(())
}
