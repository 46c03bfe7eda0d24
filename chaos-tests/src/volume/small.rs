//! A file system that runs full.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{VolumeError, run};

/// What a disk is filled with at a time.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A small file system in memory. Dropping it removes it.
#[derive(Debug)]
pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    /// Makes one of `size`, as `mount` reads it: `24m` are 24 MiB.
    ///
    /// # Errors
    /// See [`VolumeError`].
    pub fn make(size: &str) -> Result<Self, VolumeError> {
        let disk = Self { dir: tempfile::tempdir()? };
        let options = format!("size={size}");
        let kind = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        run(Command::new("mount").args(kind).arg(disk.path()))?;
        Ok(disk)
    }

    /// Its top folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Gives it another size, in the same words.
    ///
    /// # Errors
    /// When it stays as it is.
    pub fn grow(&self, size: &str) -> Result<(), VolumeError> {
        let options = format!("remount,size={size}");
        run(Command::new("mount").args(["-o", &options]).arg(self.path()))
    }

    /// Makes a file that leaves only `left` bytes of its space free, until it is removed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn fill(&self, left: u64) -> io::Result<PathBuf> {
        let path = self.path().join("filler");
        let free = rustix::fs::statvfs(self.path())?;
        let mut rest = (free.f_bavail * free.f_frsize).saturating_sub(left);
        let mut file = File::create(&path)?;
        while rest > 0 {
            let some = usize::try_from(rest).unwrap_or(usize::MAX).min(ZEROS.len());
            file.write_all(&ZEROS[..some])?;
            rest -= some as u64;
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nodes that still write to it are killed by now or soon. There may be nothing to unmount.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}
