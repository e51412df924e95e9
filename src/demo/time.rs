//! The demo's time server: tells this machine's own time, so the demo's clock is right. Answers SNTP (RFC 5905, section 7.3) and nothing else.

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// Its name.
pub(super) const HOST: &str = "time.soakwatch-product.example";

/// Seconds from 1900, where the protocol begins to count, to 1970.
const ERA: u64 = 2_208_988_800;

/// Answers until stop.
pub(super) async fn serve(socket: UdpSocket, clock: Clock, stop: CancellationToken) {
    let mut asked = [0; 48];
    loop {
        let (length, from) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            received = socket.recv_from(&mut asked) => match received {
                Ok(received) => received,
                Err(_) => continue,
            },
        };
        let ms = u64::try_from(clock.now().0).unwrap_or_default();
        if length == asked.len() {
            // An error says that the asker is gone.
            let _ = socket.send_to(&answer(&asked, ms), from).await;
        }
    }
}

/// The answer to a question, at a time in milliseconds since 1970.
fn answer(asked: &[u8; 48], ms: u64) -> [u8; 48] {
    let mut told = [0; 48];
    // No leap second to come, version 4, server; stratum 1 with a name of its own.
    (told[0], told[1]) = (0b00_100_100, 1);
    told[12..16].copy_from_slice(b"DEMO");
    let seconds = (ms / 1000 + ERA) as u32;
    let fraction = (((ms % 1000) << 32) / 1000) as u32;
    let now = [seconds.to_be_bytes(), fraction.to_be_bytes()].concat();
    // When it was set, what was asked, when that came, when this goes.
    told[16..24].copy_from_slice(&now);
    told[24..32].copy_from_slice(&asked[40..48]);
    told[32..40].copy_from_slice(&now);
    told[40..48].copy_from_slice(&now);
    told
}
