//! Takes what people decided to the evidence log, one after the other, and lets it count once it stands there.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::readiness::Soaks;
use crate::recorder::RecorderHandle;
use crate::server::DecisionRequest;

/// Runs until stop.
pub(super) async fn run(
    mut requests: mpsc::Receiver<DecisionRequest>,
    soaks: Arc<Soaks>,
    recorder: RecorderHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let request = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            request = requests.recv() => request,
        };
        let Some(DecisionRequest { entry, act, answer }) = request else {
            // Nobody can ask any more; stay until stop, as every task does.
            stop.cancelled().await;
            return Ok(());
        };
        let mut done = recorder.evidence_durably(entry.clone()).await;
        if let Ok(link) = &done {
            soaks.recorded(&entry, *link);
        }
        if let (Ok(_), Some((id, act))) = (&done, act)
            && recorder.act(id, act, entry.actor.clone(), entry.at).await.is_none()
        {
            done = Err("it is on record, but the incident could not be changed".to_owned());
        }
        // Who asked may have gone: it is recorded all the same.
        let _ = answer.send(done);
    }
}
