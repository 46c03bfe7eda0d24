//! The parts of an object: finding, publishing and deleting them.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;

use proto::ObjectKey;
use tempfile::NamedTempFile;

use super::folder::{Folder, remove, sync_folder};

/// A durable part, of at least one byte.
#[derive(Debug)]
pub(super) struct Part {
    /// The file that holds it.
    pub(super) path: PathBuf,
    /// Where in the object it starts, in bytes.
    pub(super) start: u64,
    /// Where the next part starts.
    pub(super) end: u64,
}

/// The parts of `object` from the one that starts at `start`, in order, until one is missing.
pub(super) fn parts(
    folder: &Folder,
    object: ObjectKey,
    start: u64,
) -> impl Iterator<Item = io::Result<Part>> {
    let mut next = Some(start);
    std::iter::from_fn(move || {
        let start = next.take()?;
        let part = part(folder, object, start).transpose()?;
        next = part.as_ref().ok().map(|part| part.end);
        Some(part)
    })
}

/// The last part of `object`, if there is an object, and how many there are.
pub(super) fn last(folder: &Folder, object: ObjectKey) -> io::Result<(Option<Part>, usize)> {
    parts(folder, object, 0).try_fold((None, 0), |(_, count), part| Ok((Some(part?), count + 1)))
}

/// Where `object` ends, in bytes, durably; 0 when there is none.
pub(super) fn extent(folder: &Folder, object: ObjectKey) -> io::Result<u64> {
    let (Some(last), _) = last(folder, object)? else { return Ok(0) };
    // Whoever renamed the last part to its place may have died before it synced the folder.
    sync_folder(&folder.shard(object))?;
    Ok(last.end)
}

/// Makes a synced `file` the part of `object` that follows `previous`, or the first. Answers
/// whether it is: not when the place was taken, or when the object was deleted meanwhile.
pub(super) fn publish(
    folder: &Folder,
    object: ObjectKey,
    previous: Option<&Part>,
    file: NamedTempFile,
) -> io::Result<bool> {
    let path = folder.part(object, previous.map_or(0, |part| part.end));
    match file.persist_noclobber(&path) {
        Ok(_) => {}
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error.error),
    }
    if let Some(previous) = previous
        && !previous.path.try_exists()?
    {
        // A delete has looked behind the previous part before this one was there: see `delete`.
        remove(&path)?;
        return Ok(false);
    }
    sync_folder(&folder.shard(object))?;
    Ok(true)
}

/// Removes all parts of `object`.
///
/// An append that is under way may publish a part behind one that is removed here. It looks
/// afterwards whether the previous part is still there, and here the place behind each removed part
/// is looked at after the removal: whichever comes second finds the part and removes it.
pub(super) fn delete(folder: &Folder, object: ObjectKey) -> io::Result<()> {
    let mut doomed = parts(folder, object, 0).collect::<io::Result<Vec<_>>>()?;
    if doomed.is_empty() {
        return delete_strays(folder, object);
    }
    while let Some(part) = doomed.pop() {
        remove(&part.path)?;
        for late in parts(folder, object, part.end) {
            doomed.push(late?);
        }
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

fn part(folder: &Folder, object: ObjectKey, start: u64) -> io::Result<Option<Part>> {
    let path = folder.part(object, start);
    match fs::metadata(&path) {
        // An empty file is what a broken file system leaves of a part.
        Ok(metadata) if metadata.len() == 0 => Ok(None),
        Ok(metadata) => Ok(Some(Part { path, start, end: start + metadata.len() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if start == 0 {
                folder.check_present()?;
            }
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
