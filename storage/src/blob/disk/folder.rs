//! The folder: its layout, its marker, and its temporary files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use proto::limits::UPLOAD_LIFETIME;
use proto::{ClusterId, Mutant, ObjectKey};
use tempfile::NamedTempFile;

use super::error::OpenError;
use super::stale;
use super::threads::Threads;
use crate::blob::BlobsError;
use crate::make_folder;

/// The file that marks a folder as an object store.
const MARKER: &str = "roadstead-blobs";

/// The file that says which cluster the store belongs to.
const OWNER: &str = "cluster";

/// What the marker holds: the version of the layout.
const FORMAT: &str = "1";

/// A folder that is an object store.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Those that work on it.
    pub(super) threads: Threads,
}

impl Folder {
    /// Opens the folder, and makes what is missing in it.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let cannot = |error| OpenError::Io { folder: root.into(), error };
        // Durably: a cluster that has a store takes no empty one in its place.
        make_folder(root, 0o777).map_err(cannot)?;
        let folder = Self { root: root.into(), threads: Threads::new(Threads::MOST) };
        let found = match folder.marker().map_err(cannot)? {
            Some(found) => found,
            None if folder.is_foreign().map_err(cannot)? => {
                return Err(OpenError::Foreign(root.into()));
            }
            None => folder.mark().map_err(cannot)?,
        };
        if found.trim_end() != FORMAT {
            return Err(OpenError::Version { folder: root.into(), found });
        }
        folder.make_folders().map_err(cannot)?;
        stale::remove_abandoned(&folder, UPLOAD_LIFETIME).map_err(cannot)?;
        Ok(folder)
    }

    /// Does `work` in the folder, on a thread that may block.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, BlobsError> + Send + 'static,
    ) -> Result<T, BlobsError> {
        let folder = Arc::clone(self);
        self.threads.run(move || work(&folder)).await
    }

    /// The folder of the parts of `object`.
    pub(super) fn shard(&self, object: ObjectKey) -> PathBuf {
        self.objects().join(object.shard())
    }

    /// The file of the part of `object` that starts at `offset`.
    pub(super) fn part(&self, object: ObjectKey, offset: u64) -> PathBuf {
        self.shard(object).join(format!("{object}.{offset:020}"))
    }

    /// A new file for a part that arrives; it is removed when dropped.
    pub(super) fn temporary(&self) -> io::Result<NamedTempFile> {
        new_file("part-", &self.tmp())
    }

    /// The cluster that the store belongs to.
    pub(super) fn owner(&self) -> io::Result<Option<ClusterId>> {
        match fs::read_to_string(self.root.join(OWNER)) {
            Ok(text) => text.trim_end().parse().map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the store `cluster`'s, unless another was faster.
    pub(super) fn bind(&self, cluster: ClusterId) -> io::Result<()> {
        let mut file = new_file(OWNER, &self.tmp())?;
        writeln!(file, "{cluster}")?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(self.root.join(OWNER)) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => sync_folder(&self.root),
        }
    }

    /// What `look` finds in the folder. That it finds nothing counts only where the folder was the
    /// store that was opened before it looked and after: what is not found in a folder that is not
    /// mounted, or just was or will be, is not gone.
    pub(super) fn surely<T>(
        &self,
        mut look: impl FnMut() -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        for _ in 0..2 {
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            self.check_present()?;
        }
        Ok(None)
    }

    /// Fails when the folder is no longer the store that was opened.
    pub(super) fn check_present(&self) -> io::Result<()> {
        if self.root.join(MARKER).try_exists()? {
            return Ok(());
        }
        Err(io::Error::other("its folder is not there: is it still mounted?"))
    }

    /// What the clock of the file system says, which all nodes share.
    pub(super) fn clock(&self) -> io::Result<SystemTime> {
        self.temporary()?.as_file().metadata()?.modified()
    }

    /// Where parts arrive.
    pub(super) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// All folders of parts.
    pub(super) fn shards(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let objects = self.objects();
        (0..=u8::MAX).map(move |shard| objects.join(format!("{shard:02x}")))
    }

    /// Writes, syncs and removes a little, as an append would.
    pub(super) fn probe(&self) -> io::Result<()> {
        let mut file = self.temporary()?;
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        file.close()
    }

    fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    fn marker(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.root.join(MARKER)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an unmarked folder holds anything but what a new file system has, or another node
    /// that is just making its marker.
    fn is_foreign(&self) -> io::Result<bool> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let is_expected = name == "lost+found" || name.to_string_lossy().starts_with(MARKER);
            if !is_expected {
                // Another node may have marked the folder since, and gone on.
                return Ok(self.marker()?.is_none());
            }
        }
        Ok(false)
    }

    /// Marks the folder; of nodes that do so at once, each writes the same.
    fn mark(&self) -> io::Result<String> {
        let mut file = new_file(MARKER, &self.root)?;
        writeln!(file, "{FORMAT}")?;
        file.as_file().sync_all()?;
        file.persist(self.root.join(MARKER))?;
        sync_folder(&self.root)?;
        Ok(FORMAT.into())
    }

    fn make_folders(&self) -> io::Result<()> {
        fs::create_dir_all(self.tmp())?;
        for shard in self.shards() {
            fs::create_dir_all(shard)?;
        }
        // Also when all were there: whoever made them may not have got this far.
        sync_folder(&self.objects())?;
        sync_folder(&self.root)
    }
}

fn new_file(prefix: &str, dir: &Path) -> io::Result<NamedTempFile> {
    // Readable to nodes that run as other users, unless the process's umask forbids it.
    let readable = fs::Permissions::from_mode(0o644);
    tempfile::Builder::new().prefix(prefix).rand_bytes(16).permissions(readable).tempfile_in(dir)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if Mutant::FolderNotSynced.is_active() {
        return Ok(());
    }
    File::open(path)?.sync_all()
}
