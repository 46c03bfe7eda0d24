//! What blobs leave free of a disk.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::StatVfs;
use rustix::io::Errno;

use crate::kv::FREE_BYTES_MIN;

/// Bytes of a disk that neither a store nor a cache takes. A node whose log is on the same disk
/// ends when less than [`FREE_BYTES_MIN`] is free, and cannot start again where nothing is; where
/// nodes share the disk, all of them at once. The rest is for what transfers write between two
/// looks: [`LOOK_BYTES`] for each of 28.
const RESERVE_BYTES: u64 = 512 * 1024 * 1024;

/// Of a disk of less than 5 GiB it is this part of it: from 640 MiB on, as much as the log needs.
const RESERVE_PART: u64 = 10;

/// Bytes after which it is looked again whether there is room for a part that goes on arriving: one
/// body may be larger than the disk. So many that a look costs little beside them on a network,
/// too, where it takes a round trip.
pub(super) const LOOK_BYTES: u64 = 16 * 1024 * 1024;

const _: () = assert!(RESERVE_BYTES >= FREE_BYTES_MIN + 28 * LOOK_BYTES);

/// Fails as a full disk does when no more than the reserve is free of the one that `file` is on.
pub(super) fn check_room(file: impl AsFd) -> io::Result<()> {
    check(rustix::fs::fstatvfs(file))
}

fn check(disk: rustix::io::Result<StatVfs>) -> io::Result<()> {
    let disk = match disk {
        Ok(disk) => disk,
        // Not every file system on a network or of FUSE tells. That it is full, it says when it is
        // written to.
        Err(Errno::NOSYS | Errno::OPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let reserve = reserve(disk.f_blocks.saturating_mul(disk.f_frsize));
    if free < reserve {
        let text = format!("{free} bytes of its disk are free, and {reserve} are to be");
        return Err(io::Error::new(io::ErrorKind::StorageFull, text));
    }
    Ok(())
}

/// Bytes that are left free of a disk of `bytes`: none where the system does not know how many.
pub(super) fn reserve(bytes: u64) -> u64 {
    RESERVE_BYTES.min(bytes / RESERVE_PART)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_disk_that_does_not_tell_how_full_it_is_has_room() {
        assert!(check(Err(Errno::NOSYS)).is_ok());
        assert!(check(Err(Errno::OPNOTSUPP)).is_ok());
        assert!(check(Err(Errno::IO)).is_err());
        let checked = |free| {
            let mut disk = rustix::fs::fstatvfs(tempfile::tempfile().unwrap()).unwrap();
            (disk.f_frsize, disk.f_blocks, disk.f_bavail) = (4096, 100, free);
            check(Ok(disk)).map_err(|error| error.kind())
        };
        assert_eq!(checked(10), Ok(()));
        assert_eq!(checked(9), Err(io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_disk_has_a_reserve_that_a_log_can_live_on_unless_it_is_tiny() {
        const MIB: u64 = 1024 * 1024;
        for (disk, expected) in [
            (0, 0),
            (640 * MIB, 64 * MIB),
            (5 * 1024 * MIB, 512 * MIB),
            (1024 * 1024 * MIB, 512 * MIB),
        ] {
            assert_eq!(reserve(disk), expected, "of {disk}");
        }
    }
}
