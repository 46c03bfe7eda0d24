//! File systems whose power can fail: small ones of the tests' own, each an ext4 in a file.
//!
//! A process that is killed has left to the kernel what it has written, synced or not. A machine
//! whose power fails loses what was not synced; here that is one file system, which is shut down as
//! `godown` of xfstests does it. From then on it neither takes nor gives anything; when it is
//! mounted again it has what its journal and its blocks had.

#[allow(unsafe_code, reason = "the system has no other way to shut a file system down")]
mod shutdown;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use self::shutdown::shut_down;
use crate::eventually;

/// Bytes of a file system, more than a long run fills. Only those that are written take space.
const BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes for each file that there can be: parts of blobs are small here.
const BYTES_PER_FILE: &str = "8192";
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
    /// When this machine lacks something for it, or does not allow it, or not this user.
    pub fn make(nodes: usize) -> Result<Self> {
        let nodes = (0..nodes).map(|_| Volume::make()).collect::<Result<_>>()?;
        Ok(Self { nodes, store: Volume::make()? })
    }

    /// Has the power of all machines fail.
    ///
    /// # Errors
    /// When a file system is not shut down.
    pub fn cut(&self, loss: Loss) -> Result<()> {
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
    fn make() -> Result<Self> {
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
        volume.unmount()?;
        volume.mount()?;
        Ok(volume)
    }

    /// Its top folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    /// Shuts it down.
    pub(crate) fn cut(&self, loss: Loss) -> Result<()> {
        let top = File::open(self.path())?;
        shut_down(&top, loss).context("the file system is not shut down")
    }

    /// Mounts it again, once nobody has a file open.
    pub(crate) async fn recover(&self) -> Result<()> {
        eventually("the file system is left", PATIENCE, async || self.unmount()).await?;
        self.mount()
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount(&self) -> Result<()> {
        let (image, path) = (self.image(), self.path());
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([image, path]))
    }

    fn unmount(&self) -> Result<()> {
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
fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{command:?}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", complaint.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]
    #![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_synced_outlives_the_power_and_nothing_else_does() {
        let volume = match Volume::make() {
            Ok(volume) => volume,
            Err(reason) => {
                println!("SKIPPED: no file system whose power can fail: {reason:#}");
                return;
            }
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
