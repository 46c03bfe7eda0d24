//! The system call that shuts a file system down.

use std::fs::File;
use std::io;

use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

use super::Loss;

/// `EXT4_IOC_SHUTDOWN`, which XFS calls `XFS_IOC_GOINGDOWN`.
const SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);

/// Shuts down the file system that `file` is of.
pub(super) fn shut_down(file: &File, loss: Loss) -> io::Result<()> {
    let flags = match loss {
        // `EXT4_GOING_FLAGS_LOGFLUSH`, and `EXT4_GOING_FLAGS_NOLOGFLUSH`.
        Loss::Contents => 1,
        Loss::Everything => 2,
    };
    // SAFETY: a file system that knows this number reads a `u32` there, and writes nothing.
    let shutdown = unsafe { Setter::<SHUTDOWN, u32>::new(flags) };
    // SAFETY: the file is open, and the flags are there, for as long as the call lasts.
    Ok(unsafe { ioctl(file, shutdown) }?)
}
