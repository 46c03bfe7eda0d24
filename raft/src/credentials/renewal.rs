//! The renewal of a node's certificate, before it expires, or when the clock by which it was signed
//! turns out to have been wrong. Each node signs its own, as it has the authority's key from the
//! catalog.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Credentials, Papers};
use crate::participant::Participant;
use crate::{Dial, StartError};

/// How often a node looks whether it is time.
const INTERVAL: Duration = Duration::from_secs(5);

/// Renews `credentials`, whenever they are due, for ever, and has `dial` show the new ones, to
/// nodes that it dials and to nodes that dial it.
pub(crate) async fn run(
    inner: Arc<Participant>,
    dial: Arc<dyn Dial>,
    mut credentials: Credentials,
) {
    loop {
        // At once when it starts: it may have been off until its certificate expired.
        if credentials.validity().is_due(inner.clock.now()) {
            match renew(&inner, &*dial, &credentials).await {
                Ok(Some(renewed)) => {
                    tracing::info!(node = %renewed.name, "certificate renewed");
                    credentials = renewed;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the node's certificate is not renewed"),
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn renew(
    inner: &Participant,
    dial: &dyn Dial,
    credentials: &Credentials,
) -> Result<Option<Credentials>, StartError> {
    let authority = inner.view().and_then(|view| view.authority());
    let Ok(Some(authority)) = authority else { return Ok(None) };
    let renewed = credentials.renewed(&authority, inner.clock.now())?;
    renewed.save(&inner.kv).await?;
    dial.show(Papers::Credentials(renewed.clone()))?;
    // A node that did not take the former certificate serves nothing on connections that showed it.
    inner.neighbours.lanes().keep(&BTreeSet::new());
    Ok(Some(renewed))
}
