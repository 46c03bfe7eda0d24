//! What the catalog writes, held against files in `tests/golden` like the entries of the log: a
//! store, or a snapshot, that any version wrote is read by all later ones.

use std::time::Duration;

use bytes::Bytes;
use proto::access::AccessCommand;
use proto::pb::catalog::Outcome as PbOutcome;
use proto::{Authority, Thumbprint};

use super::access_rows::samples::{
    change_file, changes, commands, refusal_file as access_refusal_file, refusals,
};
use super::*;
use crate::convert::golden::check_bytes;

/// A catalog with a row of every kind. It never changes: a new kind of row, or a new way to write
/// one, gets a history of its own.
fn history() -> Catalog {
    let mut catalog = Catalog::new();
    catalog.enter(&[1, 2], &[3]);
    catalog
        .apply(Command::AdmitNode { peer_address: "node-2:5001".parse().unwrap(), token: None })
        .unwrap();
    catalog.apply(Command::RemoveNode { node: 2 }).unwrap();
    catalog.link("team/app", b"config", 1).unwrap();
    catalog.link("team/app", b"layer", 2).unwrap();
    catalog.apply(Command::DiscardObject { object: ObjectKey::from_random(3) }).unwrap();
    let image = image(&[b"config", b"layer"], Some(&digest(b"subject")));
    catalog.put("team/app", &image, &["1"]).unwrap();
    catalog
}

/// A catalog with a row of every kind that is about access.
fn access_history() -> Catalog {
    let mut catalog = Catalog::new();
    for command in commands() {
        match command {
            AccessCommand::CreateAccount { .. }
            | AccessCommand::CreateKey(_)
            | AccessCommand::PutRole(_)
            | AccessCommand::Grant(_)
            | AccessCommand::AddTokenKey { .. } => catalog.apply(Command::Access(command)).unwrap(),
            _ => continue,
        };
    }
    catalog
}

/// What came later: a cluster with an authority, and a token.
fn secure_history() -> Catalog {
    let mut catalog = Catalog::new();
    catalog.apply(Command::EstablishAuthority { authority: authority() }).unwrap();
    let lifetime = Duration::from_secs(60);
    let token = Thumbprint::of(b"token");
    catalog.apply(Command::IssueToken { token, lifetime, alone: false }).unwrap();
    catalog
}

/// What came later still: a key that was used.
fn used_history() -> Catalog {
    let mut catalog = access_history();
    let key = access_rows::samples::key().id;
    catalog.apply(Command::Access(AccessCommand::NoteKeyUse(key))).unwrap();
    catalog
}

/// What came later still: a blob with a checksum.
fn summed_history() -> Catalog {
    let mut catalog = Catalog::new();
    let sum = Some(Checksum::from_crc(0xe306_9283));
    catalog.apply(summed("team/app", b"layer", 2, sum)).unwrap();
    catalog
}

fn authority() -> Authority {
    Authority { certificate: Bytes::from_static(b"certificate"), key: [9; 32] }
}

/// The file that holds the first row of a kind.
const fn file(table: Table) -> &'static str {
    match table {
        Table::Applied => "row-applied.hex",
        Table::Cluster => "row-cluster.hex",
        Table::Node => "row-node.hex",
        Table::RemovedNode => "row-removed-node.hex",
        Table::Authority => "row-authority.hex",
        Table::Token => "row-token.hex",
        Table::Repository => "row-repository.hex",
        Table::Blob => "row-blob.hex",
        Table::Link => "row-link.hex",
        Table::Holder => "row-holder.hex",
        Table::Manifest => "row-manifest.hex",
        Table::Tag => "row-tag.hex",
        Table::TagOf => "row-tag-of.hex",
        Table::NeededBy => "row-needed-by.hex",
        Table::Referrer => "row-referrer.hex",
        Table::Object => "row-object.hex",
        Table::Orphan => "row-orphan.hex",
        Table::Journal => "row-journal.hex",
        Table::AccessVersion => "row-access-version.hex",
        Table::Account => "row-account.hex",
        Table::AccessKey => "row-access-key.hex",
        Table::KeyOf => "row-key-of.hex",
        Table::KeyUse => "row-key-use.hex",
        Table::Role => "row-role.hex",
        Table::Grant => "row-grant.hex",
        Table::TokenKey => "row-token-key.hex",
        Table::Answer => "row-answer.hex",
        Table::AnswerAge => "row-answer-age.hex",
    }
}

/// The tables about access.
const ACCESS: [Table; 7] = [
    Table::AccessVersion,
    Table::Account,
    Table::AccessKey,
    Table::KeyOf,
    Table::Role,
    Table::Grant,
    Table::TokenKey,
];

/// The tables of [`secure_history`].
const SECURE: [Table; 2] = [Table::Authority, Table::Token];

const TABLES: [Table; 18] = [
    Table::Applied,
    Table::Cluster,
    Table::Node,
    Table::RemovedNode,
    Table::Repository,
    Table::Blob,
    Table::Link,
    Table::Holder,
    Table::Manifest,
    Table::Tag,
    Table::TagOf,
    Table::NeededBy,
    Table::Referrer,
    Table::Object,
    Table::Orphan,
    Table::Journal,
    Table::Answer,
    Table::AnswerAge,
];

#[test]
fn every_kind_of_row_is_encoded_as_ever() {
    check_rows(&history(), &TABLES);
    check_rows(&secure_history(), &SECURE);
    check_rows(&access_history(), &ACCESS);
    check_rows(&used_history(), &[Table::KeyUse]);
    check_bytes("row-blob-summed.hex", &first_row(&summed_history(), Table::Blob));
    let catalog = history();
    let beyond = [keys::prefix(0), vec![0xff]].concat();
    catalog
        .kv
        .scan(Space::Catalog, &keys::prefix(0), &beyond, &mut |key, _| {
            let table = keys::split(key).unwrap().1[0];
            let mut known = TABLES.iter().chain(&ACCESS);
            assert!(known.any(|known| *known as u8 == table), "{table} has no golden file");
            ControlFlow::Continue(())
        })
        .unwrap();
}

/// Holds the first row of each of `tables` against its file.
fn check_rows(catalog: &Catalog, tables: &[Table]) {
    for &table in tables {
        check_bytes(file(table), &first_row(catalog, table));
    }
}

/// The first key of `table`, after its length, which keeps it apart from the value that follows.
fn first_row(catalog: &Catalog, table: Table) -> Vec<u8> {
    let view = catalog.view();
    let mut first = None;
    view.visit(&view.keys().table(table), None, 1, |key, value| {
        let length = u32::try_from(key.len()).unwrap().to_be_bytes();
        first = Some([&length, key, value].concat());
    })
    .unwrap();
    first.unwrap_or_else(|| panic!("{table:?} has no row"))
}

#[test]
fn every_kind_of_event_is_encoded_as_ever() {
    for event in events() {
        let file = match &event {
            Event::ClusterFounded { .. } => "event-cluster-founded.hex",
            Event::NodeAdmitted { .. } => "event-node-admitted.hex",
            Event::NodeRemoved { .. } => "event-node-removed.hex",
            Event::AuthorityEstablished { .. } => "event-authority-established.hex",
            Event::TokenIssued { .. } => "event-token-issued.hex",
            Event::TokenRevoked { .. } => "event-token-revoked.hex",
            Event::BlobLinked { checksum: Some(_), .. } => "event-blob-linked-summed.hex",
            Event::BlobLinked { .. } => "event-blob-linked.hex",
            Event::UploadLinked { .. } => "event-upload-linked.hex",
            Event::ObjectReplaced { checksum: Some(_), .. } => "event-object-replaced-summed.hex",
            Event::ObjectReplaced { .. } => "event-object-replaced.hex",
            Event::ObjectOrphaned { .. } => "event-object-orphaned.hex",
            Event::BlobUnlinked { .. } => "event-blob-unlinked.hex",
            Event::ManifestPut { .. } => "event-manifest-put.hex",
            Event::ManifestDeleted { .. } => "event-manifest-deleted.hex",
            Event::TagMoved { .. } => "event-tag-moved.hex",
            Event::TagDeleted { .. } => "event-tag-deleted.hex",
            Event::AccessChanged { change, .. } => change_file(change),
        };
        let golden = check_bytes(file, &event.encode());
        assert_eq!(Event::decode(golden.into()), Ok(event), "{file}");
    }
}

fn events() -> Vec<Event> {
    let repository = || repo("team/app");
    let object = ObjectKey::from_random;
    let tag: Tag = "1".parse().unwrap();
    let manifest = image(&[b"config", b"layer"], None);
    let (of, size) = (digest(b"layer"), 5);
    let access = |change| Event::AccessChanged { version: 9, change };
    let sum = Some(Checksum::from_crc(0xe306_9283));
    let linked = |checksum| {
        let (repository, digest) = (repository(), of.clone());
        Event::BlobLinked { repository, digest, size, checksum, object: object(1) }
    };
    let replaced = |checksum| {
        let (digest, from, to) = (of.clone(), object(1), object(3));
        Event::ObjectReplaced { digest, size, checksum, from, to }
    };
    let mut events = vec![
        Event::ClusterFounded {
            cluster: ClusterId::from_bytes([7; 16]),
            upload_key: UploadKey::from_bytes([8; 32]),
        },
        Event::NodeAdmitted { node: 17, peer_address: "node-2:5001".parse().unwrap() },
        Event::NodeRemoved { node: 17 },
        linked(None),
        linked(sum),
        Event::UploadLinked { upload: object(2), digest: of.clone() },
        replaced(None),
        replaced(sum),
        Event::ObjectOrphaned { object: object(1) },
        Event::BlobUnlinked { repository: repository(), digest: of.clone() },
        Event::ManifestPut { repository: repository(), manifest: manifest.clone() },
        Event::ManifestDeleted { repository: repository(), digest: of.clone() },
        Event::TagMoved {
            repository: repository(),
            tag: tag.clone(),
            from: Some(of.clone()),
            to: manifest.digest().clone(),
        },
        Event::TagDeleted { repository: repository(), tag, digest: of },
        Event::AuthorityEstablished { authority: authority() },
        Event::TokenIssued {
            token: Thumbprint::of(b"token"),
            end: Timestamp::from_millis(1_700_000_000_123),
        },
        Event::TokenRevoked { token: Thumbprint::of(b"token") },
    ];
    events.extend(changes().into_iter().map(access));
    events
}

#[test]
fn every_kind_of_answer_is_encoded_as_ever() {
    for outcome in outcomes() {
        let file = match &outcome {
            Ok(answer) => answer_file(answer),
            Err(refusal) => refusal_file(refusal),
        };
        let golden = check_bytes(file, &PbOutcome::from(&outcome).encode_to_vec());
        let golden = PbOutcome::decode(golden.as_slice()).unwrap();
        assert_eq!(Outcome::try_from(golden), Ok(outcome), "{file}");
    }
}

const fn answer_file(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done => "answer-done.hex",
        Answer::Linked { .. } => "answer-linked.hex",
        Answer::Sparse { .. } => "answer-sparse.hex",
        Answer::Admitted { .. } => "answer-admitted.hex",
    }
}

const fn refusal_file(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NameUnknown(_) => "refusal-name-unknown.hex",
        Refusal::BlobUnknown(_) => "refusal-blob-unknown.hex",
        Refusal::ManifestUnknown(_) => "refusal-manifest-unknown.hex",
        Refusal::ReferencesUnknown(_) => "refusal-references-unknown.hex",
        Refusal::SizeMismatch { .. } => "refusal-size-mismatch.hex",
        Refusal::InUse { .. } => "refusal-in-use.hex",
        Refusal::TooManyTags(_) => "refusal-too-many-tags.hex",
        Refusal::TypeConflict { .. } => "refusal-type-conflict.hex",
        Refusal::PreconditionFailed { .. } => "refusal-precondition-failed.hex",
        Refusal::UploadEnded(_) => "refusal-upload-ended.hex",
        Refusal::AlreadyFounded(_) => "refusal-already-founded.hex",
        Refusal::Access(refusal) => access_refusal_file(refusal),
        Refusal::NotFounded => "refusal-not-founded.hex",
        Refusal::NodeUnknown(_) => "refusal-node-unknown.hex",
        Refusal::LastVoter(_) => "refusal-last-voter.hex",
        Refusal::TokenUnknown => "refusal-token-unknown.hex",
        Refusal::TokenExpired(_) => "refusal-token-expired.hex",
    }
}

fn outcomes() -> Vec<Outcome> {
    let of = digest(b"layer");
    let cluster = ClusterId::from_bytes([7; 16]);
    let object = ObjectKey::from_random(1);
    let mut outcomes = vec![
        Ok(Answer::Done),
        Ok(Answer::Linked { object }),
        Ok(Answer::Sparse { missing: 2, example: of.clone() }),
        Ok(Answer::Admitted { node: 17, cluster }),
        Err(Refusal::NameUnknown(repo("team/app"))),
        Err(Refusal::BlobUnknown(of.clone())),
        Err(Refusal::ManifestUnknown(Reference::Tag("1".parse().unwrap()))),
        Err(Refusal::ReferencesUnknown(vec![of.clone(), digest(b"config")])),
        Err(Refusal::SizeMismatch { digest: of.clone(), declared: 6, actual: 5 }),
        Err(Refusal::InUse { digest: of.clone(), by: digest(b"manifest") }),
        Err(Refusal::TooManyTags(of.clone())),
        Err(Refusal::TypeConflict {
            digest: of.clone(),
            stored: MediaType::OCI_MANIFEST.parse().unwrap(),
        }),
        Err(Refusal::PreconditionFailed {
            reference: Reference::Tag("1".parse().unwrap()),
            current: Some(of),
        }),
        Err(Refusal::UploadEnded(object)),
        Err(Refusal::AlreadyFounded(cluster)),
        Err(Refusal::NotFounded),
        Err(Refusal::NodeUnknown(17)),
        Err(Refusal::LastVoter(17)),
        Err(Refusal::TokenUnknown),
        Err(Refusal::TokenExpired(Timestamp::from_millis(1_700_000_000_123))),
    ];
    outcomes.extend(refusals().into_iter().map(|refusal| Err(Refusal::Access(refusal))));
    outcomes
}
