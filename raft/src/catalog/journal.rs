//! The journal: every event, with who asked for it and when, in the order of the log.

use prost::Message as _;
use proto::pb::catalog as pb;
use proto::{Event, Stamped, Timestamp};
use storage::Batch;

use super::keys::Keys;

/// Adds the events that the entry at `index` came to.
pub(crate) fn record(
    keys: Keys,
    index: u64,
    when: Timestamp,
    entry: &Stamped,
    events: &[Event],
    batch: &mut Batch,
) {
    for (position, event) in (0u32..).zip(events) {
        let row = pb::JournalRow {
            request_id: entry.request.as_bytes().to_vec().into(),
            actor: entry.actor.to_string(),
            when_millis: when.as_millis(),
            event: Some(event.into()),
        };
        batch.put(keys.journal(index, position), row.encode_to_vec());
    }
}
