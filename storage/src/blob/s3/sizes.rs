//! How what arrives is cut into parts.

/// The part that most uploads begin with, in bytes.
const PART_MIN: usize = 8 * 1024 * 1024;
/// The largest part, in bytes: what a transfer holds in memory is at most three of these.
const PART_MAX: usize = 12 * 1024 * 1024;
/// How much of an object has to be there for a part to grow by a byte.
const GROWTH: u64 = 1250;
/// A segment of fewer bytes is written anew together with what follows it: S3's own minimum of a
/// part, so that many small chunks end as few objects.
pub(super) const SEGMENT_MIN: u64 = 5 * 1024 * 1024;

/// Bytes that an upload may have written anew: an adversary's chunks of one byte make no more.
pub(super) const REPLACED_MAX: u64 = 64 * 1024 * 1024;

/// How long the part at `offset` of its object is, in bytes.
///
/// Ten thousand parts are 111 GiB: the first 1,251 hold 10 GiB; then each is 1/1,250 of what is
/// before it, up to 15 GiB, which takes 507; the remaining 8,242 hold 12 MiB each. What is
/// longer goes on in another object.
pub(super) fn part_bytes(offset: u64) -> usize {
    usize::try_from(offset / GROWTH).unwrap_or(PART_MAX).clamp(PART_MIN, PART_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_to_a_bound() {
        let gib = 1024 * 1024 * 1024;
        for (offset, mib) in [(0, 8), (gib, 8), (20 * gib, 12), (1000 * gib, 12), (u64::MAX, 12)] {
            assert_eq!(part_bytes(offset) / (1024 * 1024), mib, "at {offset}");
        }
    }

    #[test]
    fn ten_thousand_parts_hold_111_gib() {
        let total = (0..10_000).fold(0, |offset, _| offset + part_bytes(offset) as u64);
        assert_eq!(total / (1024 * 1024 * 1024), 111);
    }
}
