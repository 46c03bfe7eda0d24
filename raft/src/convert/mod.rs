//! Between openraft's types and their protobuf messages, in which they rest on disk and travel
//! between nodes.
//!
//! Both sides belong to other crates, so [`Wire`] stands where `From` and `TryFrom` would. Nothing
//! that a peer sends or that a damaged disk holds gets past [`Wire::from_message`] if openraft
//! would panic over it.

mod entry;
#[cfg(test)]
pub(crate) mod golden;
mod membership;
mod peer;
#[cfg(test)]
pub(crate) mod samples;

use bytes::Bytes;
use prost::Message;
use proto::DecodeError;
use proto::pb::raft as pb;

pub(crate) use peer::SnapshotHeader;

use crate::types::{LogId, Vote, log_id};

/// A type with an encoding at rest and between nodes.
pub(crate) trait Wire: Sized {
    /// The protobuf message that carries it.
    type Message: Message + Default;

    /// Writes it as a message.
    fn to_message(&self) -> Self::Message;

    /// Reads and checks a message.
    ///
    /// # Errors
    /// When the message is not one that [`Wire::to_message`] writes.
    fn from_message(message: Self::Message) -> Result<Self, DecodeError>;

    /// Writes it as bytes.
    fn encode(&self) -> Vec<u8> {
        self.to_message().encode_to_vec()
    }

    /// Reads and checks bytes.
    ///
    /// # Errors
    /// When `bytes` are not a whole and valid encoding.
    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let message = Self::Message::decode(bytes).map_err(|e| DecodeError::new("message", e))?;
        Self::from_message(message)
    }
}

impl Wire for LogId {
    type Message = pb::LogId;

    fn to_message(&self) -> pb::LogId {
        pb::LogId { term: self.leader_id.term, index: self.index }
    }

    fn from_message(message: pb::LogId) -> Result<Self, DecodeError> {
        // Openraft adds one to an index without looking.
        if message.index == u64::MAX {
            return Err(DecodeError::new("log id", "its index is too large"));
        }
        Ok(log_id(message.term, message.index))
    }
}

impl Wire for Vote {
    type Message = pb::Vote;

    fn to_message(&self) -> pb::Vote {
        let leader = self.leader_id();
        pb::Vote { term: leader.term, node_id: leader.voted_for, committed: self.committed }
    }

    fn from_message(message: pb::Vote) -> Result<Self, DecodeError> {
        // A candidate adds one to the term without looking.
        if message.term == u64::MAX {
            return Err(DecodeError::new("vote", "its term is too large"));
        }
        Ok(Self { committed: message.committed, ..Self::new(message.term, message.node_id) })
    }
}

/// Reads a field that must be there.
fn required<T: Wire>(field: &'static str, message: Option<T::Message>) -> Result<T, DecodeError> {
    T::from_message(message.ok_or_else(|| DecodeError::missing(field))?)
}

/// Reads a field that may be absent.
fn optional<T: Wire>(message: Option<T::Message>) -> Result<Option<T>, DecodeError> {
    message.map(T::from_message).transpose()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test panics")]

    use proptest::prelude::*;

    use super::samples;
    use super::*;
    use crate::types::{Entry, StoredMembership};

    proptest! {
        #[test]
        fn a_log_id_reads_back_as_written(id in samples::log_ids()) {
            prop_assert_eq!(LogId::decode(id.encode().into()).unwrap(), id);
        }

        #[test]
        fn a_vote_reads_back_as_written(vote in samples::votes()) {
            prop_assert_eq!(Vote::decode(vote.encode().into()).unwrap(), vote);
        }

        #[test]
        fn an_entry_reads_back_as_written(entry in samples::entries()) {
            prop_assert_eq!(Entry::decode(entry.encode().into()).unwrap(), entry);
        }

        #[test]
        fn a_stored_membership_reads_back_as_written(stored in samples::stored_memberships()) {
            prop_assert_eq!(StoredMembership::decode(stored.encode().into()).unwrap(), stored);
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = LogId::decode(bytes.clone());
            let _ = Vote::decode(bytes.clone());
            let _ = Entry::decode(bytes.clone());
            let _ = StoredMembership::decode(bytes);
        }

        #[test]
        fn a_damaged_entry_is_read_or_refused(
            entry in samples::entries(),
            at: prop::sample::Index,
            with: u8,
        ) {
            let mut bytes = entry.encode();
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            let _ = Entry::decode(bytes.into());
        }
    }

    #[test]
    fn numbers_that_openraft_would_overflow_are_refused() {
        assert!(LogId::from_message(pb::LogId { term: 1, index: u64::MAX }).is_err());
        assert!(
            Vote::from_message(pb::Vote { term: u64::MAX, node_id: 1, committed: false }).is_err()
        );
    }
}
