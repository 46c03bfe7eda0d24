//! How what arrives is cut into parts, and how much of it is in memory.

use proto::limits::TRANSFERS_PER_CLIENT_DEFAULT;

/// Every part of a multipart upload but its last, in bytes. How many an object has at most is set:
/// what is longer goes on in another object.
pub(super) const PART_BYTES: usize = 8 * 1024 * 1024;

/// Parts of one body that are on their way at once; one more is being filled meanwhile. So a
/// transfer holds at most 32 MiB.
pub(super) const PARTS_IN_FLIGHT: usize = 3;

/// Parts that a node holds in memory at once, 1.25 GiB, for all clients: one for each transfer that
/// one client may have, so that no slow client alone takes them all, and 32 for the others,
/// which is more than any line keeps busy. Transfers that find none wait.
pub(super) const PARTS_IN_MEMORY: usize = TRANSFERS_PER_CLIENT_DEFAULT + 32;

/// Bytes that each transfer may hold beside that: most bodies need no more, and wait for nobody.
pub(super) const FREE_BYTES: usize = 1024 * 1024;

/// A segment of fewer bytes is written anew together with what follows it: S3's own minimum of a
/// part, so that many small chunks end as few objects.
pub(super) const SEGMENT_MIN: u64 = 5 * 1024 * 1024;

/// Bytes that an upload may have written anew: an adversary's chunks of one byte make no more.
pub(super) const REPLACED_MAX: u64 = 64 * 1024 * 1024;
