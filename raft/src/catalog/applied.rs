//! How far the catalog has applied the log: the row that goes with every change of the others.

use prost::Message as _;
use proto::pb::raft as pb;
use proto::{DecodeError, Timestamp};

use super::View;
use crate::ReadError;
use crate::convert::Wire;
use crate::types::{LogId, SnapshotMeta, StoredMembership};

/// The last applied entry, and what it left that is not in the other rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Applied {
    /// The last applied entry's id; `None` before the first.
    pub(crate) last: Option<LogId>,
    /// The last applied membership.
    pub(crate) membership: StoredMembership,
    /// The latest time of an applied command: time in the catalog never goes back.
    pub(crate) when: Timestamp,
}

impl Applied {
    /// Reads what the rows of `view` have applied.
    pub(crate) fn read(view: &View) -> Result<Self, ReadError> {
        let Some(row) = view.applied()? else { return Ok(Self::default()) };
        let membership = row.membership.ok_or_else(|| DecodeError::missing("membership"))?;
        Ok(Self {
            last: row.last.map(LogId::from_message).transpose()?,
            membership: StoredMembership::from_message(membership)?,
            when: Timestamp::from_millis(row.when_millis),
        })
    }

    /// The row's value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let row = pb::Applied {
            last: self.last.as_ref().map(Wire::to_message),
            membership: Some(self.membership.to_message()),
            when_millis: self.when.as_millis(),
        };
        row.encode_to_vec()
    }

    /// What openraft must know of a snapshot of these rows.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}
