//! File systems of the tests' own: [`SmallDisk`], which runs full, and [`Volumes`], whose power
//! can fail, each an ext4 in a file.
//!
//! A process that is killed has left to the kernel what it has written, synced or not. A machine
//! whose power fails loses what was not synced; here that is one file system, which is shut down as
//! `godown` of xfstests does it. From then on it neither takes nor gives anything; when it is
//! mounted again it has what its journal and its blocks had.

#[allow(unsafe_code, reason = "the system has no other way to shut a file system down")]
mod shutdown;
mod small;

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use self::shutdown::shut_down;
use crate::eventually;

pub use self::small::SmallDisk;

/// Bytes of a file system, more than a long run fills. Only those that are written take space.
const BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes for each file that there can be: parts of blobs are small here.
const BYTES_PER_FILE: &str = "8192";
/// What `mount` says where it may not, and where it finds no loop device.
const REFUSALS: [&str; 4] =
    ["must be superuser", "permission denied", "not permitted", "loop device"];
/// How long those who have files open may take to be told that these are lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is lost when the power fails.
#[derive(Clone, Copy, Debug)]
pub enum Loss {
    /// All that was not synced.
    Everything,
    /// What files hold, where that was not synced: their names were just written out.
    Contents,
}

/// Why there are no such file systems.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// This machine lacks what they need, or does not allow it, or not this user.
    #[error("{0}")]
    Denied(String),
    /// It should, and something else is wrong.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl VolumeError {
    /// What `error` means when it came of `what`.
    fn of(what: &str, error: &io::Error) -> Self {
        let reason = format!("{what}: {error}");
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Self::Denied(reason),
            kind => Self::Failed(io::Error::new(kind, reason)),
        }
    }
}

/// What a cluster rests on: a file system for each node, and one for the blobs.
///
/// They are not one, since a journal is written out in order: syncing one file makes durable the
/// names of all others that were changed before.
#[derive(Debug)]
pub struct Volumes {
    pub(crate) nodes: Vec<Volume>,
    pub(crate) store: Volume,
}

impl Volumes {
    /// Makes them, for so many nodes.
    ///
    /// # Errors
    /// See [`VolumeError`].
    pub async fn make(nodes: usize) -> Result<Self, VolumeError> {
        let mut volumes = Self { nodes: Vec::new(), store: Volume::make().await? };
        for _ in 0..nodes {
            volumes.nodes.push(Volume::make().await?);
        }
        Ok(volumes)
    }

    /// Has the power of all machines fail.
    ///
    /// # Errors
    /// When a file system is not shut down.
    pub fn cut(&self, loss: Loss) -> Result<(), VolumeError> {
        self.all().try_for_each(|volume| volume.cut(loss))
    }

    /// Brings all of them back, once nobody has a file open.
    ///
    /// # Errors
    /// When one does not come back.
    pub async fn recover(&self) -> Result<()> {
        for volume in self.all() {
            volume.recover().await?;
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = &Volume> {
        self.nodes.iter().chain([&self.store])
    }
}

/// A file system, and the file that it is in. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Volume {
    dir: TempDir,
}

impl Volume {
    async fn make() -> Result<Self, VolumeError> {
        let volume = Self { dir: tempfile::tempdir()? };
        fs::create_dir(volume.path())?;
        File::create(volume.image())?.set_len(BYTES)?;
        let options = ["-q", "-F", "-b", "4096", "-i", BYTES_PER_FILE];
        run(Command::new("mkfs.ext4").args(options).arg(volume.image()))?;
        // What is unmounted here is unmounted in other namespaces too, such as those of nodes in
        // networks of their own. Otherwise they keep it, shut down as it is.
        let dir = volume.dir.path();
        run(Command::new("mount").args(["--bind", "--make-shared"]).args([dir, dir]))?;
        volume.mount()?;
        volume.cut(Loss::Everything)?;
        volume.recover().await.map_err(io::Error::other)?;
        Ok(volume)
    }

    /// Its top folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    /// Shuts it down.
    pub(crate) fn cut(&self, loss: Loss) -> Result<(), VolumeError> {
        let top = File::open(self.path())?;
        let refused = |error| VolumeError::of("the file system is not shut down", &error);
        shut_down(&top, loss).map_err(refused)
    }

    /// Mounts it again, once nobody has a file open. Not even who uses none of them may have let go
    /// of it yet: a process that is just being started has all that its parent has, and the system
    /// may still look at the loop device.
    pub(crate) async fn recover(&self) -> Result<()> {
        eventually("the file system is left", PATIENCE, async || Ok(self.unmount()?)).await?;
        eventually("the file system is back", PATIENCE, async || Ok(self.mount()?)).await
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount(&self) -> Result<(), VolumeError> {
        let (image, path) = (self.image(), self.path());
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([image, path]))
    }

    fn unmount(&self) -> Result<(), VolumeError> {
        run(Command::new("umount").arg(self.path()))
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Nodes that still use it are killed by now or soon. There may be nothing to unmount.
        let _ = run(Command::new("umount").args(["--recursive", "--lazy"]).arg(self.dir.path()));
    }
}

/// Runs a command of the system, which says what is wrong.
fn run(command: &mut Command) -> Result<(), VolumeError> {
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|error| VolumeError::of(&format!("{command:?}"), &error))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let reason = format!("{command:?}: {}", complaint.trim());
    let complaint = complaint.to_lowercase();
    if REFUSALS.iter().any(|refusal| complaint.contains(refusal)) {
        return Err(VolumeError::Denied(reason));
    }
    Err(io::Error::other(reason).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use super::*;
    use crate::skip;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_synced_outlives_the_power_and_nothing_else_does() {
        let volume = match Volume::make().await {
            Ok(volume) => volume,
            Err(VolumeError::Denied(reason)) => return skip("volumes", reason).unwrap(),
            Err(error) => panic!("{error}"),
        };
        for (loss, length) in [(Loss::Everything, None), (Loss::Contents, Some(0))] {
            let [synced, unsynced] = ["synced", "unsynced"].map(|name| volume.path().join(name));
            fs::write(&synced, "content").unwrap();
            for path in [&synced, &volume.path()] {
                File::open(path).unwrap().sync_all().unwrap();
            }
            fs::write(&unsynced, "content").unwrap();
            volume.cut(loss).unwrap();
            assert!(fs::read(&synced).is_err() && fs::write(&synced, "other").is_err());

            volume.recover().await.unwrap();
            assert_eq!(fs::read_to_string(synced).unwrap(), "content");
            let left = fs::metadata(unsynced).ok().map(|metadata| metadata.len());
            assert_eq!(left, length, "{loss:?}");
        }
    }
}
