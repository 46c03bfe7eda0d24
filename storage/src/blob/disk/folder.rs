//! The folder: its layout, whose it is, and its temporary files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use proto::limits::UPLOAD_LIFETIME;
use proto::{ClusterId, Mutant, ObjectKey};
use tempfile::NamedTempFile;

use super::error::OpenError;
use super::stale;
use crate::blob::reserve::check_room;
use crate::blob::threads::Threads;
use crate::blob::{BlobsError, Unclaimed};
use crate::make_folder;

/// The file that marks a folder as an object store.
const MARKER: &str = "roadstead-blobs";

/// The file that says which cluster the store belongs to.
const OWNER: &str = "cluster";

/// What the marker holds: the version of the layout.
const FORMAT: &str = "1";

/// A folder that is an object store, or becomes one.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// The cluster that has found it to be its own.
    claimed: OnceLock<ClusterId>,
    /// Those that work on it.
    pub(super) threads: Threads,
}

impl Folder {
    /// Opens the folder. Where it is no store yet it stays empty until one may be founded: where a
    /// file system is still to be mounted, what is left beneath could be taken for it later.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let cannot = |error| OpenError::Io { folder: root.into(), error };
        // Durably: a cluster that has a store takes no empty one in its place.
        make_folder(root, 0o777).map_err(cannot)?;
        let threads = Threads::new(Threads::MOST);
        let folder = Self { root: root.into(), claimed: OnceLock::new(), threads };
        if folder.is_store()? {
            folder.tidy().map_err(cannot)?;
        }
        Ok(folder)
    }

    /// Finds out whose the store is; if it is nobody's, it may become `cluster`'s.
    pub(super) fn claim(
        &self,
        cluster: ClusterId,
        unclaimed: Unclaimed,
    ) -> io::Result<Option<ClusterId>> {
        if unclaimed == Unclaimed::Bind && self.owner()?.is_none() {
            self.found(cluster)?;
        }
        let owner = self.owner()?;
        if owner == Some(cluster) {
            self.claimed.get_or_init(|| cluster);
        }
        Ok(owner)
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

    /// A new file for a part that arrives; it is removed when dropped. That it is in the store is
    /// looked at once it is made: from anywhere else it cannot be renamed to its place there.
    pub(super) fn temporary(&self) -> io::Result<NamedTempFile> {
        let file = new_file("part-", &self.tmp())?;
        self.check_present()?;
        Ok(file)
    }

    /// What `look` finds in the folder of the parts of `object`. That it finds nothing counts only
    /// where the folder was the store that was claimed before it looked and after: what is not
    /// found in a folder that is not mounted, or just was or will be, is not gone.
    pub(super) fn surely<T>(
        &self,
        object: ObjectKey,
        mut look: impl FnMut() -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        self.check_present()?;
        self.again(object, look)
    }

    /// What `look` finds that has just found nothing, where the folder was the store.
    ///
    /// On NFS the system says from memory what is not there, for up to a minute by default, also
    /// when another node has published it meanwhile. To open the folder has it ask the server
    /// whether the folder has changed (close-to-open consistency), unless mounted with `nocto`.
    pub(super) fn again<T>(
        &self,
        object: ObjectKey,
        mut look: impl FnMut() -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        File::open(self.shard(object))?;
        let found = look()?;
        if found.is_none() {
            self.check_present()?;
        }
        Ok(found)
    }

    /// Fails when the folder is not the store that was claimed. Whose it is tells: another store
    /// may lie where the file system is not mounted.
    fn check_present(&self) -> io::Result<()> {
        let Some(claimed) = self.claimed.get() else { return Ok(()) };
        if self.owner()? == Some(*claimed) {
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
        check_room(file.as_file())?;
        file.write_all(&[0; 4096])?;
        file.as_file().sync_data()?;
        file.close()
    }

    fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// Whether the folder is a store, of this version; if it is none it must be empty.
    fn is_store(&self) -> Result<bool, OpenError> {
        let cannot = |error| OpenError::Io { folder: self.root.clone(), error };
        match self.marker().map_err(cannot)? {
            Some(found) if found.trim_end() == FORMAT => Ok(true),
            Some(found) => Err(OpenError::Version { folder: self.root.clone(), found }),
            None if self.is_foreign().map_err(cannot)? => {
                Err(OpenError::Foreign(self.root.clone()))
            }
            None => Ok(false),
        }
    }

    fn marker(&self) -> io::Result<Option<String>> {
        self.note(MARKER)
    }

    /// The cluster that the store belongs to.
    fn owner(&self) -> io::Result<Option<ClusterId>> {
        let owner = self.note(OWNER)?.map(|text| text.trim_end().parse());
        owner.transpose().map_err(io::Error::other)
    }

    /// What the file `name` in the folder says, if it is there.
    fn note(&self, name: &str) -> io::Result<Option<String>> {
        match fs::read_to_string(self.root.join(name)) {
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

    /// Makes the folder a store, `cluster`'s unless another was faster.
    fn found(&self, cluster: ClusterId) -> io::Result<()> {
        // Again: since it was opened something else may have been mounted there.
        if !self.is_store().map_err(io::Error::other)? {
            self.mark()?;
        }
        self.make_folders()?;
        self.bind(cluster)
    }

    /// Marks the folder; of nodes that do so at once, each writes the same.
    fn mark(&self) -> io::Result<()> {
        let mut file = new_file(MARKER, &self.root)?;
        writeln!(file, "{FORMAT}")?;
        file.as_file().sync_all()?;
        file.persist(self.root.join(MARKER))?;
        sync_folder(&self.root)
    }

    fn bind(&self, cluster: ClusterId) -> io::Result<()> {
        let mut file = new_file(OWNER, &self.tmp())?;
        writeln!(file, "{cluster}")?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(self.root.join(OWNER)) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => sync_folder(&self.root),
        }
    }

    /// Makes folders that are missing, and removes what appends of long ago left. A store that
    /// takes nothing now gives what it has all the same.
    fn tidy(&self) -> io::Result<()> {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let made = self.make_folders();
        match made.and_then(|()| stale::remove_abandoned(self, UPLOAD_LIFETIME)) {
            Ok(_) => Ok(()),
            Err(reason)
                if matches!(reason.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull) =>
            {
                let folder = self.root.display();
                tracing::warn!(%folder, %reason, "the object store takes nothing now");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn make_folders(&self) -> io::Result<()> {
        fs::create_dir_all(self.tmp())?;
        for shard in self.shards() {
            fs::create_dir_all(shard)?;
        }
        // Also when all were there: the node that made them may not have got this far.
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
