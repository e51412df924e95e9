//! Messages of the estate to our receiver: systems of customers that send by themselves, and what a story sends after its answer (a round trip's message).
//!
//! Real requests over real sockets, signed as each sender signs. As senders do, they try again what was not taken, with the same id. They learn where the
//! receiver listens when a daemon watches the estate; while there is none, and while the network is cut, what they have to say waits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, UnixMs};
use crate::secret::SecretValue;
use crate::webhook::{Outgoing, Scheme, sign};

/// What the shops' stock system signs with.
pub const STOCK_SECRET: &str = "whsec_ZGVtby1zdG9jay1ldmVudHMtZDFjOTQ3YmE=";
/// What the enrolment system signs with.
pub const ENROLMENT_SECRET: &str = "demo-enrolment-0f6be2a4";
/// What the referral system signs with.
pub const REFERRALS_SECRET: &str = "whsec_ZGVtby1yZWZlcnJhbHMtNTc4ZGFjMzE=";
/// What the partner's proof of delivery is signed with.
pub const PROOFS_SECRET: &str = "whsec_ZGVtby1wcm9vZnMtYjIwOTZlNzQ=";

/// A delivery takes no longer.
const DELIVERED_WITHIN: Duration = Duration::from_secs(5);
/// Messages that stories have set off and that are under way.
const UNDER_WAY: usize = 64;
/// So long after its answer a story's message is sent.
const AFTER_ANSWER: Duration = Duration::from_millis(100);

/// A system that sends by itself.
#[derive(Clone, Copy, Debug)]
struct Sender {
    /// The integration it sends to: the path below `/hooks/`.
    to: &'static str,
    scheme: &'static str,
    secret: &'static str,
    every: Duration,
    /// So many messages, and then never one again.
    falls_silent_after: Option<u64>,
}

/// All of them.
const SENDERS: &[Sender] = &[
    // Numbers its messages, and is on time.
    Sender {
        to: "fjord/production/stock-events",
        scheme: "standard-webhooks",
        secret: STOCK_SECRET,
        every: Duration::from_secs(1),
        falls_silent_after: None,
    },
    // Somebody switched its subscription off, and nobody was told.
    Sender {
        to: "elmwood/production/enrolment-events",
        scheme: "github",
        secret: ENROLMENT_SECRET,
        every: Duration::from_secs(1),
        falls_silent_after: Some(6),
    },
];

/// One message.
#[derive(Clone, Debug)]
pub struct Message {
    /// The integration it is for: the path below `/hooks/`.
    pub to: &'static str,
    /// How it is signed.
    pub scheme: &'static str,
    /// With what.
    pub secret: &'static str,
    /// Its id, the same for every attempt.
    pub id: String,
    /// JSON.
    pub body: String,
}

/// The way to the receiver of whichever daemon watches the estate.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    receiver: watch::Receiver<Option<SocketAddr>>,
    clock: Clock,
    room: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Outbox {
    pub(super) fn new(receiver: watch::Receiver<Option<SocketAddr>>, clock: &Clock, stop: &CancellationToken, tasks: &TaskTracker) -> Self {
        Self { receiver, clock: clock.clone(), room: Arc::new(Semaphore::new(UNDER_WAY)), stop: stop.clone(), tasks: tasks.clone() }
    }

    /// Sends messages in their order, a moment after the answer that set them off.
    pub(super) fn send_after_answer(&self, messages: Vec<Message>) {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else { return };
        if messages.is_empty() {
            return;
        }
        let outbox = self.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            let all = async {
                tokio::time::sleep(AFTER_ANSWER).await;
                for message in &messages {
                    outbox.deliver(message).await;
                }
            };
            tokio::select! {
                biased;
                () = outbox.stop.cancelled() => {}
                () = all => {}
            }
        });
    }

    /// Delivers a message once; `true`: it was taken.
    async fn deliver(&self, message: &Message) -> bool {
        let Some(receiver) = *self.receiver.borrow() else { return false };
        let exchange = exchange(receiver, message, self.clock.now());
        matches!(tokio::time::timeout(DELIVERED_WITHIN, exchange).await, Ok(Ok(status)) if status.is_success())
    }
}

/// Every sender that sends by itself, each on its own, until stop. `cut`: whether the network is cut just now.
pub(super) fn start(outbox: &Outbox, cut: impl Fn() -> bool + Clone + Send + 'static) {
    for sender in SENDERS {
        let (outbox, cut) = (outbox.clone(), cut.clone());
        outbox.tasks.clone().spawn(async move {
            let stop = outbox.stop.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = sender.go_on(&outbox, cut) => {}
            }
        });
    }
}

impl Sender {
    async fn go_on(&self, outbox: &Outbox, cut: impl Fn() -> bool) {
        let mut taken = 0;
        let mut waiting = None;
        while self.falls_silent_after.is_none_or(|most| taken < most) {
            tokio::time::sleep(self.every).await;
            let message = waiting.take().unwrap_or_else(|| self.message(taken + 1, outbox.clock.now()));
            if !cut() && outbox.deliver(&message).await {
                taken += 1;
            } else {
                waiting = Some(message);
            }
        }
    }

    fn message(&self, number: u64, now: UnixMs) -> Message {
        let body = json!({ "number": number, "occurred_at": now.to_string(), "type": "demo.changed" }).to_string();
        Message { to: self.to, scheme: self.scheme, secret: self.secret, id: format!("demo-{}-{number}", now.0), body }
    }
}

async fn exchange(receiver: SocketAddr, message: &Message, now: UnixMs) -> anyhow::Result<StatusCode> {
    let url = format!("http://{receiver}/hooks/{}", message.to);
    let scheme = Scheme::named(message.scheme).ok_or_else(|| anyhow::anyhow!("no such scheme"))?;
    let outgoing =
        Outgoing { id: &message.id, method: "POST", url: &url, content_type: Some("application/json"), body: message.body.as_bytes() };
    let signed = sign(scheme, &[SecretValue::new(message.secret)], &outgoing, now).map_err(anyhow::Error::msg)?;
    let mut request = Request::post(format!("/hooks/{}", message.to))
        .header(header::HOST, receiver.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close");
    for (name, value) in &signed.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(message.body.clone())))?;
    let stream = TcpStream::connect(receiver).await?;
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // The connection may be over before its answer was looked at.
    let carried = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        response = send.send_request(request) => Ok(response?.status()),
        () = carried => anyhow::bail!("the connection ended"),
    }
}
