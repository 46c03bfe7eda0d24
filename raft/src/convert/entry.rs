//! Entries of the log.

use openraft::EntryPayload;
use proto::pb::raft as pb;
use proto::{DecodeError, Stamped};

use super::{Wire, required};
use crate::types::{Entry, Membership};

impl Wire for Entry {
    type Message = pb::Entry;

    fn to_message(&self) -> pb::Entry {
        use pb::entry::Payload as Pb;
        let payload = match &self.payload {
            EntryPayload::Blank => Pb::Blank(pb::Blank {}),
            EntryPayload::Normal(stamped) => Pb::Normal(stamped.into()),
            EntryPayload::Membership(membership) => Pb::Membership(membership.to_message()),
        };
        pb::Entry { log_id: Some(self.log_id.to_message()), payload: Some(payload) }
    }

    fn from_message(message: pb::Entry) -> Result<Self, DecodeError> {
        use pb::entry::Payload as Pb;
        let payload = match message.payload.ok_or_else(|| DecodeError::unknown("payload"))? {
            Pb::Blank(_) => EntryPayload::Blank,
            Pb::Normal(stamped) => EntryPayload::Normal(Stamped::try_from(stamped)?),
            Pb::Membership(membership) => EntryPayload::Membership(with_quorum(membership)?),
        };
        Ok(Self { log_id: required("log id", message.log_id)?, payload })
    }
}

/// A membership without voters would make of any set of nodes a quorum; only what no entry has set
/// yet may be empty.
fn with_quorum(message: pb::Membership) -> Result<Membership, DecodeError> {
    let membership = Membership::from_message(message)?;
    if membership.get_joint_config().is_empty() {
        return Err(DecodeError::new("membership", "it has no voters"));
    }
    Ok(membership)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_id;

    #[test]
    fn an_entry_that_leaves_no_voters_is_refused() {
        let payload = pb::entry::Payload::Membership(pb::Membership::default());
        let log_id = Some(log_id(1, 1).to_message());
        assert!(Entry::from_message(pb::Entry { log_id, payload: Some(payload) }).is_err());
    }

    #[test]
    fn an_entry_of_an_unknown_kind_is_refused() {
        let log_id = Some(log_id(1, 1).to_message());
        let read = Entry::from_message(pb::Entry { log_id, payload: None });
        assert!(read.is_err_and(|error| error.is_newer()));
    }
}
