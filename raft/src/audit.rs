//! What the audit log has of nodes that ask to join.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::limits::REFUSALS_RECORDED_PER_MINUTE;
use proto::{NodeId, PeerAddress, Refusal};
use tokio::time::Instant;
use tracing::field::display;

/// The time that refusals are counted in.
const MINUTE: Duration = Duration::from_secs(60);

/// Records who is admitted and who is refused. Clones count together.
#[derive(Clone, Default)]
pub(crate) struct Audit {
    /// When the first refusal of this minute was, and how many there were.
    refusals: Arc<Mutex<Option<(Instant, u32)>>>,
}

impl Audit {
    /// A node that came from `client` is now `node`, and says that it is reached at `peer_address`.
    pub(crate) fn admitted(
        &self,
        client: Option<SocketAddr>,
        peer_address: &PeerAddress,
        node: NodeId,
    ) {
        let client = client.map(|client| display(client.ip().to_canonical()));
        tracing::info!(target: "audit", client, %peer_address, node, "node admitted");
    }

    /// A node that came from `client` may not join.
    pub(crate) fn refused(
        &self,
        client: Option<SocketAddr>,
        peer_address: &PeerAddress,
        refusal: &Refusal,
    ) {
        if self.has_room() {
            let client = client.map(|client| display(client.ip().to_canonical()));
            tracing::info!(target: "audit", client, %peer_address, %refusal, "node refused");
        }
    }

    /// Whether one more refusal may be recorded: strangers must not fill a disk.
    fn has_room(&self) -> bool {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = refusals.filter(|(first, _)| first.elapsed() < MINUTE);
        let (first, count) = begun.unwrap_or_else(|| (Instant::now(), 0));
        *refusals = Some((first, count.saturating_add(1)));
        count < REFUSALS_RECORDED_PER_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_so_many_refusals_are_recorded_in_a_minute() {
        let audit = Audit::default();
        for _ in 0..2 {
            for _ in 0..REFUSALS_RECORDED_PER_MINUTE {
                assert!(audit.has_room());
            }
            assert!(!audit.has_room());
            tokio::time::advance(MINUTE).await;
        }
    }
}
