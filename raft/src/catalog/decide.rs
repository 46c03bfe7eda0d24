//! The rules: what a command changes, or why it may not.

use std::collections::{BTreeSet, HashSet};

use proto::limits::TAGS_PER_DELETION_MAX;
use proto::{
    Answer, ClusterId, Command, Digest, Event, Link, Manifest, Mutant, ObjectKey, Precondition,
    Reference, Refusal, RepoName, Tag, Tagging, Timestamp,
};

use super::view::Blob;
use super::{View, access, nodes, tokens};
use crate::ReadError;

/// What an accepted command comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// What happened, in order. None when it was so already.
    pub(crate) events: Vec<Event>,
    /// What the one who asked is told.
    pub(crate) answer: Answer,
}

/// Why there is no decision to apply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotDecided {
    /// The rules are against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rows cannot be read, so nothing can be decided on this node.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl Decision {
    const fn done(events: Vec<Event>) -> Self {
        Self { events, answer: Answer::Done }
    }
}

/// Decides what `command` changes, at the log index `index` and the time `when`. Reads the view,
/// touches nothing.
///
/// `when` is the time by the clock of the leader that proposed the entry, so it can go back when
/// the leader changes: a token that one leader has refused as expired can be good again under the
/// next, until the clock of that one has come as far. This is deliberate. The catalog's own time
/// never goes back: if tokens ended by that, one leader whose clock ran a year ahead for a moment
/// would stop it for a year, and no token would end meanwhile.
///
/// It re-checks everything and trusts no handler: of two requests that raced, the one that comes
/// second in the log is decided on what the first one left. Equal views and equal entries give
/// equal decisions, on every node and at every time: there is no clock here, no randomness and no
/// order but that of the rows.
pub(crate) fn decide(
    view: &View,
    index: u64,
    when: Timestamp,
    command: &Command,
) -> Result<Decision, NotDecided> {
    match command {
        Command::FoundCluster { cluster, upload_key } => match view.cluster()? {
            None => {
                let event =
                    Event::ClusterFounded { cluster: *cluster, upload_key: upload_key.clone() };
                Ok(Decision::done(vec![event]))
            }
            Some(founded) if founded == *cluster => Ok(Decision::done(vec![])),
            Some(founded) => Err(Refusal::AlreadyFounded(founded).into()),
        },
        Command::AdmitNode { peer_address, token } => {
            let cluster = founded(view)?;
            tokens::check(view, when, token.as_ref())?;
            Ok(nodes::admit(cluster, index, peer_address))
        }
        Command::EstablishAuthority { authority } => {
            founded(view)?;
            // The first one stays: certificates by it are about.
            let is_new = view.authority()?.is_none();
            let event = || Event::AuthorityEstablished { authority: authority.clone() };
            Ok(Decision::done(is_new.then(event).into_iter().collect()))
        }
        Command::IssueToken { token, lifetime, alone } => {
            founded(view)?;
            let end = when.plus(*lifetime);
            Ok(Decision::done(tokens::issue(view, when, *token, end, *alone)?))
        }
        Command::RemoveNode { node } => nodes::remove(view, *node),
        Command::LinkBlob { repository, digest, size, checksum, object, replaces, upload } => {
            let mut ended = Vec::new();
            if let Some(upload) = upload.filter(|upload| upload != object) {
                ended.extend(end_upload(view, upload, digest)?);
            }
            let blob = Blob { size: *size, checksum: *checksum, object: *object };
            let mut decision = link_blob(view, repository, digest, blob, *replaces)?;
            decision.events.extend(ended);
            Ok(decision)
        }
        Command::MountBlob { repository, from, digest } => {
            let found = match Mutant::MountUnchecked.is_active() {
                true => view.blob_anywhere(digest)?,
                false => view.blob(from, digest)?,
            };
            let blob = found.ok_or_else(|| Refusal::BlobUnknown(digest.clone()))?;
            link_blob(view, repository, digest, blob, None)
        }
        Command::UnlinkBlob { repository, digest } => unlink_blob(view, repository, digest),
        Command::PutManifest { repository, manifest, tags, preconditions, sparse, tagging } => {
            check_push(view, repository, manifest.digest(), tags, preconditions)?;
            put_manifest(view, repository, manifest, tags, *tagging, *sparse)
        }
        Command::DeleteManifest { repository, digest } => delete_manifest(view, repository, digest),
        Command::DeleteTag { repository, tag, preconditions } => {
            delete_tag(view, repository, tag, preconditions)
        }
        Command::Access(command) => access::decide(view, index, when, command),
        Command::DiscardObject { object } => discard_object(view, *object),
    }
}

fn founded(view: &View) -> Result<ClusterId, NotDecided> {
    Ok(view.cluster()?.ok_or(Refusal::NotFounded)?)
}

/// The first object that is linked to a digest stays; a later one holds no blob, unless it replaces
/// an object that was found damaged. An object holds one blob in its life: an object that was given
/// up, or holds another blob, is not linked. So removing the bytes of an orphan removes nothing
/// else.
fn link_blob(
    view: &View,
    repository: &RepoName,
    digest: &Digest,
    given: Blob,
    replaces: Option<ObjectKey>,
) -> Result<Decision, NotDecided> {
    check_free(view, given.object, digest)?;
    let mut events = Vec::new();
    let linked = match view.blob_anywhere(digest)? {
        None => given,
        Some(blob) if blob.object == given.object => blob,
        Some(blob) if Some(blob.object) == replaces => {
            let Blob { size, checksum, object: to } = given;
            let (digest, from) = (digest.clone(), blob.object);
            events.push(Event::ObjectReplaced { digest, size, checksum, from, to });
            events.push(Event::ObjectOrphaned { object: from });
            given
        }
        Some(blob) => {
            events.push(Event::ObjectOrphaned { object: given.object });
            blob
        }
    };
    let Blob { size, object, .. } = linked;
    if view.blob(repository, digest)?.is_none() {
        let (repository, digest) = (repository.clone(), digest.clone());
        // A blob that was pushed before there were checksums gets one when it is pushed again.
        let checksum = linked.checksum.or(given.checksum);
        events.push(Event::BlobLinked { repository, digest, size, checksum, object });
    }
    Ok(Decision { events, answer: Answer::Linked { object } })
}

/// An upload whose object has a key of its own ends like an object: it becomes one blob, once, and
/// cannot be given up after.
fn end_upload(
    view: &View,
    upload: ObjectKey,
    digest: &Digest,
) -> Result<Option<Event>, NotDecided> {
    check_free(view, upload, digest)?;
    if view.blob_of(upload)?.is_some() {
        return Ok(None);
    }
    Ok(Some(Event::UploadLinked { upload, digest: digest.clone() }))
}

/// Refuses an object that was given up, or is another blob than `digest`.
fn check_free(view: &View, object: ObjectKey, digest: &Digest) -> Result<(), NotDecided> {
    if Mutant::EndedUploadLinked.is_active() {
        return Ok(());
    }
    if view.is_orphan(object)? || view.blob_of(object)?.is_some_and(|held| held != *digest) {
        return Err(Refusal::UploadEnded(object).into());
    }
    Ok(())
}

fn discard_object(view: &View, object: ObjectKey) -> Result<Decision, NotDecided> {
    if view.blob_of(object)?.is_some() {
        return Err(Refusal::UploadEnded(object).into());
    }
    if view.is_orphan(object)? {
        return Ok(Decision::done(vec![]));
    }
    Ok(Decision::done(vec![Event::ObjectOrphaned { object }]))
}

fn unlink_blob(
    view: &View,
    repository: &RepoName,
    digest: &Digest,
) -> Result<Decision, NotDecided> {
    known(view, repository)?;
    if view.blob(repository, digest)?.is_none() {
        return Err(Refusal::BlobUnknown(digest.clone()).into());
    }
    unneeded(view, repository, digest)?;
    let (repository, digest) = (repository.clone(), digest.clone());
    Ok(Decision::done(vec![Event::BlobUnlinked { repository, digest }]))
}

/// Checks the preconditions of a push, which must hold of each tag that it would move; without
/// tags, of the manifest's own digest. They come before all that the manifest says (RFC 9110,
/// section 13.2.1).
fn check_push(
    view: &View,
    repository: &RepoName,
    digest: &Digest,
    tags: &[Tag],
    preconditions: &[Precondition],
) -> Result<(), NotDecided> {
    if preconditions.is_empty() {
        return Ok(());
    }
    let by_digest = [Reference::Digest(digest.clone())];
    let by_tag: Vec<Reference> = tags.iter().cloned().map(Reference::Tag).collect();
    for reference in if tags.is_empty() { &by_digest[..] } else { &by_tag } {
        let current = match reference {
            Reference::Tag(tag) => view.tag(repository, tag)?,
            Reference::Digest(_) => {
                view.manifest(repository, reference)?.map(|found| found.digest().clone())
            }
        };
        if !preconditions.iter().all(|wanted| wanted.allows(current.as_ref(), digest)) {
            let reference = reference.clone();
            return Err(Refusal::PreconditionFailed { reference, current }.into());
        }
    }
    Ok(())
}

/// A manifest is taken when the repository has everything that it names, with the sizes that it
/// gives; a sparse one also when something is missing.
fn put_manifest(
    view: &View,
    repository: &RepoName,
    manifest: &Manifest,
    tags: &[Tag],
    tagging: Tagging,
    sparse: bool,
) -> Result<Decision, NotDecided> {
    let digest = manifest.digest();
    let mut events = Vec::new();
    let mut answer = Answer::Done;
    match view.manifest(repository, &Reference::Digest(digest.clone()))? {
        Some(stored) if stored.media_type() != manifest.media_type() => {
            let stored = stored.media_type().clone();
            return Err(Refusal::TypeConflict { digest: digest.clone(), stored }.into());
        }
        Some(_) => {}
        None => {
            let mut missing = missing_links(view, repository, manifest)?;
            if Mutant::ReferencesCheckedEarly.is_active() {
                missing.clear();
            }
            if let Some(example) = missing.first() {
                if !sparse {
                    let missing = missing.into_iter().collect();
                    return Err(Refusal::ReferencesUnknown(missing).into());
                }
                let example = example.clone();
                answer = Answer::Sparse { missing: missing.len() as u64, example };
            }
            let (repository, manifest) = (repository.clone(), manifest.clone());
            events.push(Event::ManifestPut { repository, manifest });
        }
    }
    let mut ordered: Vec<_> = tags.iter().collect::<BTreeSet<_>>().into_iter().collect();
    if Mutant::MapOrderInDecide.is_active() {
        ordered = tags.iter().collect::<HashSet<_>>().into_iter().collect();
    }
    for tag in ordered {
        let from = view.tag(repository, tag)?;
        if from.as_ref() != Some(digest) {
            access::check_tags(tagging, tag, from.as_ref())?;
            let (repository, tag, to) = (repository.clone(), tag.clone(), digest.clone());
            events.push(Event::TagMoved { repository, tag, from, to });
        }
    }
    Ok(Decision { events, answer })
}

/// What the manifest names and the repository lacks. What it has must have the sizes given.
fn missing_links(
    view: &View,
    repository: &RepoName,
    manifest: &Manifest,
) -> Result<BTreeSet<Digest>, NotDecided> {
    let mut missing = BTreeSet::new();
    let mut check = |link: &Link, found: Option<u64>| match found {
        None => {
            missing.insert(link.digest.clone());
            Ok(())
        }
        Some(actual) if actual != link.size => {
            Err(Refusal::SizeMismatch { digest: link.digest.clone(), declared: link.size, actual })
        }
        Some(_) => Ok(()),
    };
    for link in distinct(manifest.blobs()) {
        check(link, view.blob(repository, &link.digest)?.map(|blob| blob.size))?;
    }
    let children: &[Link] = match Mutant::ChildrenUnchecked.is_active() {
        true => &[],
        false => manifest.children(),
    };
    for link in distinct(children) {
        let child = view.manifest(repository, &Reference::Digest(link.digest.clone()))?;
        check(link, child.map(|child| child.size()))?;
    }
    Ok(missing)
}

/// Each of `links` once: a manifest may name the same many times, and the row of a child has
/// megabytes.
fn distinct(links: &[Link]) -> BTreeSet<&Link> {
    links.iter().collect()
}

fn delete_manifest(
    view: &View,
    repository: &RepoName,
    digest: &Digest,
) -> Result<Decision, NotDecided> {
    known(view, repository)?;
    let reference = Reference::Digest(digest.clone());
    if view.manifest(repository, &reference)?.is_none() {
        return Err(Refusal::ManifestUnknown(reference).into());
    }
    unneeded(view, repository, digest)?;
    let tags = view.tags_of(repository, digest, TAGS_PER_DELETION_MAX + 1)?;
    if tags.len() > TAGS_PER_DELETION_MAX {
        return Err(Refusal::TooManyTags(digest.clone()).into());
    }
    let mut events: Vec<Event> = tags
        .into_iter()
        .map(|tag| Event::TagDeleted {
            repository: repository.clone(),
            tag,
            digest: digest.clone(),
        })
        .collect();
    events.push(Event::ManifestDeleted { repository: repository.clone(), digest: digest.clone() });
    Ok(Decision::done(events))
}

fn delete_tag(
    view: &View,
    repository: &RepoName,
    tag: &Tag,
    preconditions: &[Precondition],
) -> Result<Decision, NotDecided> {
    known(view, repository)?;
    let reference = Reference::Tag(tag.clone());
    let Some(digest) = view.tag(repository, tag)? else {
        return Err(Refusal::ManifestUnknown(reference).into());
    };
    if !preconditions.iter().all(|wanted| wanted.holds(Some(&digest))) {
        return Err(Refusal::PreconditionFailed { reference, current: Some(digest) }.into());
    }
    let (repository, tag) = (repository.clone(), tag.clone());
    Ok(Decision::done(vec![Event::TagDeleted { repository, tag, digest }]))
}

fn known(view: &View, repository: &RepoName) -> Result<(), NotDecided> {
    if view.has_repository(repository)? {
        return Ok(());
    }
    Err(Refusal::NameUnknown(repository.clone()).into())
}

/// Nothing is taken away that a manifest of the repository needs: every manifest served is
/// complete.
fn unneeded(view: &View, repository: &RepoName, digest: &Digest) -> Result<(), NotDecided> {
    match view.needed_by(repository, digest)? {
        None => Ok(()),
        Some(by) => Err(Refusal::InUse { digest: digest.clone(), by }.into()),
    }
}
