//! The data folder: whose it is, of which format, and that one process at a time uses it.
//!
//! Its file `roadstead` says what the folder is, and is the first thing written to it; its file
//! `lock` is locked for as long as a process uses the folder. A folder that holds anything else and
//! no such marker is somebody else's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use storage::make_folder;

/// The format of everything in the folder. It goes up when an older version could no longer read
/// it.
const FORMAT: u32 = 1;
const MARKER: &str = "roadstead";
const MARKER_DRAFT: &str = "roadstead.new";
const LOCK: &str = "lock";
/// What file systems put into their top folder by themselves.
const LOST_AND_FOUND: &str = "lost+found";

/// What a data folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A node's own: its log and its catalog.
    Node,
}

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    format: u32,
    kind: Kind,
}

/// A data folder in use by this process, until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens the folder at `path` for this process alone, and makes it if there is none: for its
    /// owner alone, since the catalog in it has the keys that sign tokens.
    ///
    /// # Durability
    /// The folder, where it was made, and its marker are durable when this returns.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let unusable = |reason| FolderError::Unusable { path: path.to_owned(), reason };
        make_folder(path, 0o700).map_err(unusable)?;
        match fs::read_to_string(path.join(MARKER)) {
            Ok(marker) => check(path, &marker)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if has_foreign_content(path).map_err(unusable)? {
                    return Err(FolderError::Foreign { path: path.to_owned() });
                }
            }
            Err(error) => return Err(unusable(error)),
        }
        let lock = take_lock(path)?;
        if !path.join(MARKER).exists() {
            write_marker(path).map_err(unusable)?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where the node's key-value store rests.
    pub fn kv(&self) -> PathBuf {
        self.path.join("kv")
    }

    /// Whether a process uses the folder at `path` now.
    pub(crate) fn is_locked_at(path: &Path) -> bool {
        matches!(take_lock(path), Err(FolderError::InUse { .. }))
    }

    /// Whether a node has used the folder at `path` before.
    pub(crate) fn is_in_use_at(path: &Path) -> bool {
        path.join(MARKER).exists()
    }
}

/// Locks the folder at `path` for as long as the answer lives.
pub(crate) fn take_lock(path: &Path) -> Result<File, FolderError> {
    let unusable = |reason| FolderError::Unusable { path: path.to_owned(), reason };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join(LOCK));
    let lock = lock.map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

fn check(path: &Path, marker: &str) -> Result<(), FolderError> {
    let marker: Marker =
        toml::from_str(marker).map_err(|_| FolderError::Marker { path: path.join(MARKER) })?;
    if marker.format == FORMAT {
        return Ok(());
    }
    let age = if marker.format < FORMAT { "an older" } else { "a newer" };
    Err(FolderError::Format { path: path.to_owned(), age, format: marker.format })
}

fn has_foreign_content(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if ![LOCK, MARKER_DRAFT, LOST_AND_FOUND].iter().any(|own| name == *own) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn write_marker(path: &Path) -> io::Result<()> {
    let marker = Marker { format: FORMAT, kind: Kind::Node };
    let text = toml::to_string(&marker).map_err(io::Error::other)?;
    let draft = path.join(MARKER_DRAFT);
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path.join(MARKER))?;
    File::open(path)?.sync_all()
}

/// Why a folder cannot be used, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be made, read or written.
    #[error("the folder {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// It holds something, and no marker.
    #[error(
        "the folder {} holds files that are not Roadstead's; name an empty folder, or one that \
         a node has used",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Its marker says nothing that this version understands.
    #[error(
        "{} does not say what its folder is; it is damaged, or of another program: name another \
         folder, or empty this one, if it was this node's, and join the cluster again",
        path.display()
    )]
    Marker {
        /// The marker.
        path: PathBuf,
    },
    /// It was written by another version.
    #[error(
        "the folder {} has format {format}, of {age} version of Roadstead; this version \
         uses format {FORMAT}; start the version that wrote it, or name another folder",
        path.display()
    )]
    Format {
        /// The folder.
        path: PathBuf,
        /// How that version relates to this one.
        age: &'static str,
        /// Its format.
        format: u32,
    },
    /// Another process uses it.
    #[error(
        "the folder {} is in use by another process; stop that, or name another folder",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn refusal(path: &Path) -> String {
        DataFolder::open(path).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_made_and_opened_again() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        drop(DataFolder::open(&path).unwrap());
        assert!(DataFolder::is_in_use_at(&path));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "for its owner alone");
        drop(DataFolder::open(&path).unwrap());
    }

    #[test]
    fn a_start_that_was_cut_short_and_a_new_file_system_are_no_strangers() {
        let folder = tempfile::tempdir().unwrap();
        for name in [LOCK, MARKER_DRAFT, LOST_AND_FOUND] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        drop(DataFolder::open(folder.path()).unwrap());
    }

    #[test]
    fn a_foreign_folder_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letters.txt"), "dear").unwrap();
        assert!(refusal(folder.path()).contains("not Roadstead's"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_of_other_versions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (marker, said) in [
            ("format = 0\nkind = \"node\"\n", "format 0, of an older version"),
            ("format = 2\nkind = \"node\"\n", "format 2, of a newer version"),
            ("format = 1\nkind = \"ship\"\n", "does not say what its folder is"),
            ("", "does not say what its folder is"),
        ] {
            fs::write(folder.path().join(MARKER), marker).unwrap();
            assert!(refusal(folder.path()).contains(said), "{}", refusal(folder.path()));
        }
    }

    #[test]
    fn a_folder_is_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::open(folder.path()).unwrap();
        assert!(refusal(folder.path()).contains("in use by another process"));
        drop(first);
        drop(DataFolder::open(folder.path()).unwrap());
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refusal(&file).contains("cannot be used"));
    }
}
