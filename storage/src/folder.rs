//! Folders that outlive a failure of power from the moment they are made.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes the folder `path`, and those above it that are missing, each with `mode` less the
/// process's umask. Where there is a folder, it does nothing.
///
/// # Durability
/// What it made is durable when it returns, unless the system syncs no folder there, or not for
/// this user.
///
/// # Errors
/// When a folder cannot be made, or the system fails to sync one.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if parent != path {
        make_folder(parent, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => sync(parent),
        // Another process was faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the names in the folder `path` durable, where the system can do that and lets this user.
/// Where not, that is no reason for a node not to start.
fn sync(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(reason) if is_refusal(&reason) => {
            let folder = path.display();
            tracing::warn!(%folder, %reason, "what was made here may be lost if the power fails");
            Ok(())
        }
        outcome => outcome,
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

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
    fn a_parent_that_cannot_be_synced_is_no_error_and_one_that_is_not_there_is() {
        // A file system that syncs no folder.
        let refused = File::open("/proc").unwrap().sync_all().unwrap_err();
        assert!(is_refusal(&refused), "{refused}");
        sync(Path::new("/proc")).unwrap();
        assert!(sync(Path::new("/nowhere")).is_err());
    }
}
