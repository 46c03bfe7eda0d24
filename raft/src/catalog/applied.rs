//! How far the catalog has applied the log: the row that goes with every change of the others.

use bytes::Bytes;
use prost::Message as _;
use proto::limits::ANSWER_AGE_STEP_MAX;
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
    /// The time by which answers age. It takes from the stamps only how much later each is than
    /// the one before it, and never more than [`ANSWER_AGE_STEP_MAX`]: a leader whose clock is
    /// wrong by hours or years moves it no further than one whose clock is right.
    pub(crate) aging: Timestamp,
    /// What the last applied command was stamped with, even if that was earlier than `when`.
    pub(crate) stamped: Timestamp,
}

impl Applied {
    /// Reads what the rows of `view` have applied.
    pub(crate) fn read(view: &View) -> Result<Self, ReadError> {
        let row = view.get(&view.keys().applied())?;
        view.or_damaged(row.map(Self::decode).transpose()).map(Option::unwrap_or_default)
    }

    /// What the row's value says.
    pub(super) fn decode(value: Bytes) -> Result<Self, DecodeError> {
        let row = pb::Applied::decode(value).map_err(|e| DecodeError::new("applied state", e))?;
        let membership = row.membership.ok_or_else(|| DecodeError::missing("membership"))?;
        Ok(Self {
            last: row.last.map(LogId::from_message).transpose()?,
            membership: StoredMembership::from_message(membership)?,
            when: Timestamp::from_millis(row.when_millis),
            // Older rows have only `when`.
            aging: Timestamp::from_millis(row.aging_millis.unwrap_or(row.when_millis)),
            stamped: Timestamp::from_millis(row.stamped_millis.unwrap_or(row.when_millis)),
        })
    }

    /// Notes that a command is applied that a leader stamped with `when`.
    pub(crate) fn pass(&mut self, when: Timestamp) {
        let step = when.since(self.stamped).min(ANSWER_AGE_STEP_MAX);
        self.aging = self.aging.plus(step);
        self.stamped = when;
        self.when = self.when.max(when);
    }

    /// The row's value.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let row = pb::Applied {
            last: self.last.as_ref().map(Wire::to_message),
            membership: Some(self.membership.to_message()),
            when_millis: self.when.as_millis(),
            aging_millis: Some(self.aging.as_millis()),
            stamped_millis: Some(self.stamped.as_millis()),
        };
        row.encode_to_vec()
    }

    /// What openraft must know of a snapshot of these rows.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }
}
