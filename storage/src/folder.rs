//! Folders that outlive a failure of power from the moment they are made.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the folder `path`, and those above it that are missing, each with `mode` less the
/// process's umask. What is there stays as it is.
///
/// # Durability
/// The folder is durable when this returns, unless the system syncs no folder there, or not for
/// this user. It is synced even if it was there, since the process that made it may have died
/// before syncing it. Missing folders above it are made durable one by one, each before the next is
/// made in it, and so is the lowest that was there. What lies above that was durable already, or is
/// not ours.
///
/// # Errors
/// When a folder cannot be made, or the system fails to sync one.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    make(path, mode, &mut |folder| File::open(folder)?.sync_all())
}

/// Does what [`make_folder`] does, with `sync` to make the names in a folder durable.
fn make(path: &Path, mode: u32, sync: &mut impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        // The root, or no path at all.
        None => path,
    };
    if parent != path && !path.is_dir() {
        make(parent, mode, sync)?;
    }
    let is_made = match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => true,
        // It was there, or another process was faster.
        Err(_) if path.is_dir() => false,
        Err(error) => return Err(error),
    };
    match sync(parent) {
        // That is no reason for a node not to start.
        Err(reason) if is_refusal(&reason) => {
            if is_made {
                let folder = parent.display();
                let what = "what was made here may be lost if the power fails";
                tracing::warn!(%folder, %reason, "{what}");
            }
            Ok(())
        }
        // The system tells of that once: the next sync would seem to succeed.
        Err(error) if is_made => {
            let _ = fs::remove_dir(path);
            Err(error)
        }
        outcome => outcome,
    }
}

/// Whether the system cannot sync a folder, or does not let this user.
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn all_that_is_missing_is_made_and_what_is_there_is_left() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b/c");
        make_folder(&path, 0o700).unwrap();
        for made in ["a", "a/b", "a/b/c"] {
            let metadata = fs::metadata(top.path().join(made)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{made}");
        }
        fs::write(path.join("file"), "content").unwrap();
        make_folder(&path, 0o755).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "content");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_relative_path_is_one_of_the_working_folder() {
        let top = tempfile::tempdir_in(".").unwrap();
        let name = Path::new(top.path().file_name().unwrap());
        fs::remove_dir(top.path()).unwrap();
        make_folder(name, 0o700).unwrap();
        make_folder(&name.join("a/../b/"), 0o700).unwrap();
        assert!(top.path().join("a").is_dir() && top.path().join("b").is_dir());
        make_folder(Path::new("."), 0o700).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_in_the_way() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("file");
        fs::write(&file, "content").unwrap();
        for path in [file.clone(), file.join("a"), "".into()] {
            assert!(make_folder(&path, 0o700).is_err(), "{}", path.display());
        }
        assert_eq!(fs::read_to_string(file).unwrap(), "content");
    }

    #[test]
    fn a_folder_that_was_there_is_synced_as_one_that_is_made() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a/b/c");
        let synced = || {
            let mut synced = Vec::new();
            let mut sync = |folder: &Path| {
                synced.push(folder.to_owned());
                Ok(())
            };
            make(&path, 0o700, &mut sync).unwrap();
            synced
        };
        let mut above: Vec<PathBuf> =
            path.ancestors().skip(1).take(4).map(Path::to_owned).collect();
        above.reverse();
        assert_eq!(synced(), above, "of what was there, the lowest, and what was made");
        assert_eq!(synced(), above[3..]);
    }

    #[test]
    fn what_cannot_be_made_durable_is_not_left() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("a");
        let mut fail = |folder: &Path| {
            if folder == top.path() { Err(io::Error::other("broken")) } else { Ok(()) }
        };
        make(&path, 0o700, &mut fail).unwrap_err();
        assert!(!path.exists());
        fs::create_dir(&path).unwrap();
        make(&path, 0o700, &mut fail).unwrap_err();
        assert!(path.exists(), "it was there");
    }

    #[test]
    fn a_parent_that_cannot_be_synced_is_no_error_and_one_that_fails_to_be_is() {
        // A file system that syncs no folder.
        let refused = File::open("/proc").unwrap().sync_all().unwrap_err();
        assert!(is_refusal(&refused), "{refused}");
        make_folder(Path::new("/proc/self"), 0o700).unwrap();
        let broken = io::ErrorKind::StorageFull;
        make(Path::new("/proc/self"), 0o700, &mut |_| Err(broken.into())).unwrap_err();
    }
}
