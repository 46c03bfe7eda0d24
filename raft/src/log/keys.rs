//! Every key of [`Space::Log`](storage::Space::Log).
//!
//! | key | value |
//! |---|---|
//! | `e` and the index as 8 bytes, big end first | the entry at that index |
//! | `identity` | which node of which cluster this is, written once, before it takes part |
//! | `credentials` | what it shows other nodes, with its key |
//! | `founding` | the authority that the founder has made, until the catalog has it |
//! | `removed` | nothing: the node was removed from its cluster, and must not start again |
//! | `store` | nothing: the founder has its cluster's object store, and takes no new one |
//! | `vote` | the vote |
//! | `purged` | the position of the last purged entry |
//! | `committed` | the last position known to be committed, a hint |

pub(crate) const IDENTITY: &[u8] = b"identity";
pub(crate) const CREDENTIALS: &[u8] = b"credentials";
pub(crate) const FOUNDING: &[u8] = b"founding";
pub(crate) const REMOVED: &[u8] = b"removed";
pub(crate) const STORE: &[u8] = b"store";

pub(super) const VOTE: &[u8] = b"vote";
pub(super) const PURGED: &[u8] = b"purged";
pub(super) const COMMITTED: &[u8] = b"committed";

/// The key after those of all entries.
pub(super) const ENTRIES_END: &[u8] = b"f";

/// The entry at `index`.
pub(super) fn entry(index: u64) -> [u8; 9] {
    let mut key = [b'e'; 9];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_ordered_by_index_and_apart_from_all_else() {
        assert!(entry(0xff) < entry(0x100));
        assert!(entry(u64::MAX).as_slice() < ENTRIES_END);
        for key in [IDENTITY, CREDENTIALS, FOUNDING, REMOVED, STORE, VOTE, PURGED, COMMITTED] {
            assert!(key < entry(0).as_slice() || key >= ENTRIES_END);
        }
    }
}
