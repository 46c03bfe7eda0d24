//! The parts of an object: finding, publishing and deleting them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use proto::ObjectKey;
use tempfile::NamedTempFile;

use super::end::End;
use super::folder::{Folder, remove, sync_folder};
use crate::blob::files::Part;

/// The parts of `object` from the one that starts at `start`, in order, until one is missing.
pub(super) fn parts(
    folder: &Folder,
    object: ObjectKey,
    start: u64,
) -> impl Iterator<Item = io::Result<Part>> {
    let mut next = Some(start);
    let mut is_seen = false;
    std::iter::from_fn(move || {
        let start = next.take()?;
        let part = if is_seen {
            following(folder, object, start)
        } else {
            folder.surely(object, || part(folder, object, start))
        };
        let part = part.transpose()?;
        is_seen = true;
        next = part.as_ref().ok().map(|part| part.end);
        Some(part)
    })
}

/// The part of `object` that starts at `start`, if there is one, when the one before it was just
/// seen: that the folder was the store then needs no look. It is paid for each time that the length
/// of an object is asked for.
fn following(folder: &Folder, object: ObjectKey, start: u64) -> io::Result<Option<Part>> {
    match part(folder, object, start)? {
        None => folder.again(object, || part(folder, object, start)),
        found => Ok(found),
    }
}

/// Makes a synced `file` of `length` bytes the part of `object` that follows `end`. Answers the new
/// end; `None` when the place was taken, or when the object was deleted meanwhile.
pub(super) fn publish(
    folder: &Folder,
    object: ObjectKey,
    end: End,
    file: NamedTempFile,
    length: u64,
) -> io::Result<Option<End>> {
    let start = end.position().extent;
    let path = folder.part(object, start);
    match file.persist_noclobber(&path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            if !replace_empty(folder, &path, error.file)? {
                return Ok(None);
            }
        }
        Err(error) => return Err(error.error),
    }
    if let Some(previous) = end.last
        && !previous.path.try_exists()?
    {
        // A delete has looked behind the previous part before this one was there: see `delete`.
        remove(&path)?;
        return Ok(None);
    }
    sync_folder(&folder.shard(object))?;
    let last = Part { path, start, end: start + length };
    Ok(Some(End { last: Some(last), count: end.count + 1 }))
}

/// Puts `file` in the place of an empty file at `path`, which a broken file system left of a part:
/// it is none, and nothing else could ever be published there. Answers whether it did.
///
/// The place is never free meanwhile, and one writer at a time has the lock that looking and
/// replacing takes; so a part that was published there stays. A lock that a crash leaves goes with
/// other temporary files.
fn replace_empty(folder: &Folder, path: &Path, file: NamedTempFile) -> io::Result<bool> {
    let is_empty = || match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    };
    let Some(name) = path.file_name().filter(|_| matches!(is_empty(), Ok(true))) else {
        return Ok(false);
    };
    let lock = folder.tmp().join(name);
    match File::options().write(true).create_new(true).open(&lock) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    }
    let replaced = match is_empty() {
        Ok(true) => file.persist(path).map(|_| true).map_err(|error| error.error),
        outcome => outcome,
    };
    remove(&lock)?;
    replaced
}

/// Removes all parts of `object`.
pub(super) fn delete(folder: &Folder, object: ObjectKey) -> io::Result<()> {
    let doomed = parts(folder, object, 0).collect::<io::Result<Vec<_>>>()?;
    match doomed.is_empty() {
        true => delete_strays(folder, object),
        false => delete_parts(folder, object, doomed),
    }
}

/// Removes the parts of `object` from byte `size` on. One that is not seen for a moment is found
/// the next time: nobody needs it.
pub(super) fn trim(folder: &Folder, object: ObjectKey, size: u64) -> io::Result<()> {
    let Some(first) = part(folder, object, size)? else { return Ok(()) };
    let rest = parts(folder, object, first.end);
    let doomed = std::iter::once(Ok(first)).chain(rest).collect::<io::Result<Vec<_>>>()?;
    delete_parts(folder, object, doomed)
}

/// Removes the last parts of `object`, which are `doomed`.
///
/// An append that is under way may publish a part behind one that is removed here. It looks
/// afterwards whether the previous part is still there, and here the place behind each removed part
/// is looked at after the removal: whichever comes second finds the part and removes it.
fn delete_parts(folder: &Folder, object: ObjectKey, mut doomed: Vec<Part>) -> io::Result<()> {
    let end = doomed.last().map(|part| part.end);
    while let Some(part) = doomed.pop() {
        remove(&part.path)?;
        for late in parts(folder, object, part.end) {
            doomed.push(late?);
        }
    }
    // An empty file is no part, and would be in the way.
    if let Some(end) = end {
        remove(&folder.part(object, end))?;
    }
    sync_folder(&folder.shard(object))
}

/// The object that a file of this name in a folder of parts belongs to.
pub(super) fn owner(file: &OsStr) -> Option<ObjectKey> {
    let (object, _) = file.to_str()?.split_once('.')?;
    object.parse().ok()
}

/// Removes the parts of `object`, which has none that starts at byte 0: a power failure brought
/// them back.
fn delete_strays(folder: &Folder, object: ObjectKey) -> io::Result<()> {
    let shard = folder.shard(object);
    let mut is_changed = false;
    for entry in fs::read_dir(&shard)? {
        let entry = entry?;
        if owner(&entry.file_name()) == Some(object) {
            remove(&entry.path())?;
            is_changed = true;
        }
    }
    if is_changed { sync_folder(&shard) } else { Ok(()) }
}

/// The part of `object` that starts at `start`, if one is seen there: see [`Folder::surely`].
pub(super) fn part(folder: &Folder, object: ObjectKey, start: u64) -> io::Result<Option<Part>> {
    let path = folder.part(object, start);
    match fs::metadata(&path) {
        // An empty file is what a broken file system leaves of a part.
        Ok(metadata) if metadata.len() == 0 => Ok(None),
        Ok(metadata) => Ok(Some(Part { path, start, end: start + metadata.len() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
