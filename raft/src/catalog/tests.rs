//! The catalog as a whole: rules, journal, repeated requests and snapshots, on a store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use openraft::storage::RaftStateMachine as _;
use openraft::{EntryPayload, RaftSnapshotBuilder as _};
use proptest::prelude::*;
use prost::Message as _;
use proto::limits::{ANSWER_LIFETIME, SNAPSHOTS_DEFERRED_MAX, TAGS_PER_DELETION_MAX};
use proto::pb::catalog as pb;
use proto::{
    Algorithm, Answer, Checksum, ClusterId, Command, Descriptor, Digest, Event, Manifest,
    MediaType, ObjectKey, Outcome, Precondition, Reference, Refusal, RepoName, RequestId, Stamped,
    Tag, Tagging, Timestamp, UploadKey,
};
use storage::kv::MemoryKv;
use storage::{Batch, Kv, Space};

mod access;
mod golden;
mod preconditions;
mod sparse;
mod tokens;

use super::keys::{self, Table};
use super::project::project;
use super::snapshot::CatalogSnapshot;
use super::{StateMachine, View, access as access_rows, has_left};
use crate::convert::samples;
use crate::types::{Entry, log_id};

/// A catalog to which commands are applied one after another.
struct Catalog {
    kv: Arc<dyn Kv>,
    machine: StateMachine,
    index: u64,
    millis: u64,
}

impl Catalog {
    fn new() -> Self {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let machine = StateMachine::open(Arc::clone(&kv)).unwrap();
        let mut catalog = Self { kv, machine, index: 0, millis: 1_000_000 };
        let (cluster, upload_key) =
            (ClusterId::from_bytes([7; 16]), UploadKey::from_bytes([8; 32]));
        catalog.apply(Command::FoundCluster { cluster, upload_key }).unwrap();
        catalog
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let request = RequestId::from_bytes(u128::from(self.index).to_be_bytes());
        self.apply_as(request, command)
    }

    fn apply_as(&mut self, request: RequestId, command: Command) -> Outcome {
        self.index += 1;
        self.millis += 1;
        let when = Timestamp::from_millis(self.millis);
        let stamped = Stamped { request, actor: "tester".parse().unwrap(), when, command };
        let entry = Entry { log_id: log_id(1, self.index), payload: EntryPayload::Normal(stamped) };
        self.machine.apply_entry(&entry).unwrap().outcome.unwrap()
    }

    /// The ages of the answers that it keeps, and their requests.
    fn answers(&self) -> Vec<Vec<u8>> {
        let (view, mut ages) = (self.view(), Vec::new());
        let all = view.keys().table(Table::AnswerAge);
        view.visit(&all, None, usize::MAX, |age, _| ages.push(age.to_vec())).unwrap();
        ages
    }

    fn view(&self) -> View {
        View::current(self.kv.freeze()).unwrap()
    }

    fn link(&mut self, repository: &str, content: &[u8], object: u128) -> Outcome {
        self.apply(link(repository, content, object))
    }

    /// Applies a membership.
    fn enter(&mut self, voters: &[u64], learners: &[u64]) {
        self.index += 1;
        let membership = samples::membership(&[voters], learners);
        let payload = EntryPayload::Membership(membership);
        self.machine.apply_entry(&Entry { log_id: log_id(1, self.index), payload }).unwrap();
    }

    /// Applies a command that changes nothing.
    fn touch(&mut self) {
        let cluster = ClusterId::from_bytes([7; 16]);
        let upload_key = UploadKey::from_bytes([8; 32]);
        self.apply(Command::FoundCluster { cluster, upload_key }).unwrap();
    }

    /// Applies a command in each of as many seconds.
    fn pass_seconds(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.millis += 999;
            self.touch();
        }
    }

    fn put(&mut self, repository: &str, manifest: &Manifest, tags: &[&str]) -> Outcome {
        self.apply(put(repository, manifest, tags))
    }

    /// What `tag` names in repository `a`.
    fn tag(&self, tag: &str) -> Option<Digest> {
        self.view().tag(&repo("a"), &tag.parse().unwrap()).unwrap()
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self.view().tags(&repo(repository), None, 100).unwrap();
        tags.iter().map(Tag::to_string).collect()
    }

    /// The rows of the current generation that derive from events, without the generation in their
    /// keys.
    fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let bookkeeping = [Table::Applied, Table::Journal, Table::Answer, Table::AnswerAge];
        let prefix = keys::prefix(self.view().keys().generation());
        let mut rows = BTreeMap::new();
        self.kv
            .scan(Space::Catalog, &prefix, &keys::after(&prefix), &mut |key, value| {
                let key = &key[prefix.len()..];
                if !bookkeeping.iter().any(|table| key.starts_with(&[*table as u8])) {
                    rows.insert(key.to_vec(), value.to_vec());
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        rows
    }

    /// Every event of the journal with its time, in order.
    fn journal(&self) -> Vec<(Timestamp, Event)> {
        let prefix = self.view().keys().table(Table::Journal);
        let mut events = Vec::new();
        self.view()
            .visit(&prefix, None, usize::MAX, |_, row| {
                let row = pb::JournalRow::decode(row).unwrap();
                let when = Timestamp::from_millis(row.when_millis);
                events.push((when, row.event.unwrap().try_into().unwrap()));
            })
            .unwrap();
        events
    }
}

fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

fn link(repository: &str, content: &[u8], object: u128) -> Command {
    Command::LinkBlob {
        repository: repo(repository),
        digest: digest(content),
        size: content.len() as u64,
        checksum: None,
        object: ObjectKey::from_random(object),
        replaces: None,
        upload: None,
    }
}

/// A [`link`] by a node that knows checksums.
fn summed(repository: &str, content: &[u8], object: u128, sum: Option<Checksum>) -> Command {
    let mut command = link(repository, content, object);
    if let Command::LinkBlob { checksum, .. } = &mut command {
        *checksum = sum;
    }
    command
}

fn put(repository: &str, manifest: &Manifest, tags: &[&str]) -> Command {
    put_if(repository, manifest, tags, &[])
}

fn put_if(
    repository: &str,
    manifest: &Manifest,
    tags: &[&str],
    preconditions: &[Precondition],
) -> Command {
    Command::PutManifest {
        repository: repo(repository),
        manifest: manifest.clone(),
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
        preconditions: preconditions.to_vec(),
        sparse: false,
        tagging: Tagging::ANY,
    }
}

/// Up to `limit` referrers of `subject` in repository `a`, after `after`.
fn referrers(
    view: &View,
    subject: &Digest,
    after: Option<&Digest>,
    limit: usize,
) -> Vec<Descriptor> {
    let mut found = Vec::new();
    view.visit_referrers(&repo("a"), subject, after, |referrer, bytes| {
        assert!(bytes > 0);
        found.push(referrer);
        if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    found
}

/// An image of these blobs, the first of which is its config.
fn image(blobs: &[&[u8]], subject: Option<&Digest>) -> Manifest {
    let descriptor = |content: &&[u8]| {
        format!(r#"{{"mediaType":"a/b","digest":"{}","size":{}}}"#, digest(content), content.len())
    };
    let layers: Vec<String> = blobs[1..].iter().map(descriptor).collect();
    let subject = subject.map_or(String::new(), |digest| {
        format!(r#","subject":{{"mediaType":"a/b","digest":"{digest}","size":3}}"#)
    });
    let json = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{}]{subject}}}"#,
        descriptor(&blobs[0]),
        layers.join(",")
    );
    let media_type = MediaType::OCI_MANIFEST.parse().unwrap();
    Manifest::parse(media_type, Algorithm::Sha256, Bytes::from(json)).unwrap()
}

fn index_of(child: &Manifest) -> Manifest {
    let json = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
        child.media_type(),
        child.digest(),
        child.size()
    );
    let media_type = MediaType::OCI_INDEX.parse().unwrap();
    Manifest::parse(media_type, Algorithm::Sha256, Bytes::from(json)).unwrap()
}

#[test]
fn a_manifest_needs_all_that_it_names_in_its_own_repository() {
    let mut catalog = Catalog::new();
    catalog.link("other", b"config", 1).unwrap();
    catalog.link("team/app", b"layer", 2).unwrap();
    let manifest = image(&[b"config", b"layer"], None);
    let refused = catalog.put("team/app", &manifest, &["1"]);
    assert_eq!(refused, Err(Refusal::ReferencesUnknown(vec![digest(b"config")])));
    assert!(catalog.tags("team/app").is_empty(), "a refused command has no effect");

    let mount = Command::MountBlob {
        repository: repo("team/app"),
        from: repo("other"),
        digest: digest(b"config"),
    };
    let object = ObjectKey::from_random(1);
    assert_eq!(catalog.apply(mount), Ok(Answer::Linked { object }));
    assert_eq!(catalog.put("team/app", &manifest, &["1", "latest"]), Ok(Answer::Done));
    assert_eq!(catalog.tags("team/app"), ["1", "latest"]);
    let by_tag = Reference::Tag("latest".parse().unwrap());
    let stored = catalog.view().manifest(&repo("team/app"), &by_tag).unwrap().unwrap();
    assert_eq!(stored, manifest);
}

#[test]
fn a_descriptor_with_a_wrong_size_is_refused() {
    let mut catalog = Catalog::new();
    let mut wrong = link("a", b"config", 1);
    if let Command::LinkBlob { size, .. } = &mut wrong {
        *size += 1;
    }
    catalog.apply(wrong).unwrap();
    let refused = catalog.put("a", &image(&[b"config"], None), &[]);
    assert!(
        matches!(refused, Err(Refusal::SizeMismatch { declared: 6, actual: 7, .. })),
        "{refused:?}"
    );
}

#[test]
fn the_first_object_of_a_digest_stays_and_a_replacement_heals_it() {
    let mut catalog = Catalog::new();
    let (first, second) = (ObjectKey::from_random(1), ObjectKey::from_random(3));
    let sum = Some(Checksum::from_crc(7));
    let sum_of = |catalog: &Catalog| {
        catalog.view().blob(&repo("a"), &digest(b"x")).unwrap().unwrap().checksum
    };
    assert_eq!(catalog.link("a", b"x", 1), Ok(Answer::Linked { object: first }));
    assert_eq!(catalog.link("b", b"x", 2), Ok(Answer::Linked { object: first }));
    assert_eq!(catalog.view().blob(&repo("b"), &digest(b"x")).unwrap().unwrap().object, first);

    assert_eq!(sum_of(&catalog), None);
    catalog.apply(summed("c", b"x", 4, sum)).unwrap();
    assert_eq!(sum_of(&catalog), sum, "who pushes it again knows its checksum");
    catalog.link("d", b"x", 5).unwrap();
    assert_eq!(sum_of(&catalog), sum, "and nobody takes it away");

    let mut heal = summed("a", b"x", 3, sum);
    if let Command::LinkBlob { replaces, .. } = &mut heal {
        *replaces = Some(first);
    }
    assert_eq!(catalog.apply(heal), Ok(Answer::Linked { object: second }));
    for repository in ["a", "b"] {
        let blob = catalog.view().blob(&repo(repository), &digest(b"x")).unwrap().unwrap();
        assert_eq!((blob.object, blob.checksum), (second, sum), "in {repository}");
    }
}

#[test]
fn the_repositories_that_have_a_blob_are_listed_in_order() {
    let mut catalog = Catalog::new();
    for repository in ["b", "a/b", "a"] {
        catalog.link(repository, b"x", 1).unwrap();
    }
    catalog.link("c", b"y", 2).unwrap();
    let holders = |catalog: &Catalog, after: Option<&str>, limit| {
        let after = after.map(repo);
        let found = catalog.view().holders(&digest(b"x"), after.as_ref(), limit).unwrap();
        found.iter().map(RepoName::to_string).collect::<Vec<_>>()
    };
    assert_eq!(holders(&catalog, None, 9), ["a", "a/b", "b"]);
    assert_eq!(holders(&catalog, Some("a"), 1), ["a/b"]);
    let unlink = Command::UnlinkBlob { repository: repo("a"), digest: digest(b"x") };
    catalog.apply(unlink).unwrap();
    assert_eq!(holders(&catalog, None, 9), ["a/b", "b"]);
}

#[test]
fn an_object_that_was_given_up_is_never_linked_and_one_that_is_linked_never_given_up() {
    let mut catalog = Catalog::new();
    let discard = |object| Command::DiscardObject { object: ObjectKey::from_random(object) };
    let ended = |object| Err(Refusal::UploadEnded(ObjectKey::from_random(object)));
    assert_eq!(catalog.apply(discard(1)), Ok(Answer::Done));
    assert_eq!(catalog.apply(discard(1)), Ok(Answer::Done));
    assert_eq!(catalog.link("a", b"x", 1), ended(1));

    catalog.link("a", b"x", 2).unwrap();
    assert_eq!(catalog.apply(discard(2)), ended(2));
    assert_eq!(catalog.link("a", b"x and more", 2), ended(2), "it holds another blob");

    catalog.link("b", b"x", 3).unwrap();
    assert_eq!(catalog.link("b", b"y", 3), ended(3), "it lost to another object of the digest");
}

#[test]
fn an_upload_ends_with_its_object() {
    let mut catalog = Catalog::new();
    let key = |key| ObjectKey::from_random(key);
    let link = |content, object, upload| {
        let mut command = link("a", content, object);
        if let Command::LinkBlob { upload: field, .. } = &mut command {
            *field = Some(key(upload));
        }
        command
    };
    let discard = |object| Command::DiscardObject { object: key(object) };
    let ended = |object| Err(Refusal::UploadEnded(key(object)));

    for _ in 0..2 {
        let linked = catalog.apply(link(b"x", 1, 10));
        assert_eq!(linked, Ok(Answer::Linked { object: key(1) }));
    }
    assert!(catalog.view().has_ended(key(10)).unwrap());
    assert_eq!(catalog.apply(discard(10)), ended(10), "its bytes are needed");
    assert_eq!(catalog.apply(link(b"y", 2, 10)), ended(10), "it was another blob");

    catalog.apply(discard(11)).unwrap();
    assert_eq!(catalog.apply(link(b"y", 3, 11)), ended(11));
    assert!(!catalog.view().has_ended(key(3)).unwrap(), "a refused command has no effect");

    let again = catalog.apply(link(b"x", 4, 12));
    assert_eq!(again, Ok(Answer::Linked { object: key(1) }), "the first object stays");
    assert_eq!(catalog.apply(link(b"x", 5, 12)), Ok(Answer::Linked { object: key(1) }));
    assert_eq!(catalog.apply(discard(12)), ended(12));
}

#[test]
fn nothing_is_taken_away_that_a_manifest_needs() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"config", 1).unwrap();
    let child = image(&[b"config"], None);
    let parent = index_of(&child);
    catalog.put("a", &child, &[]).unwrap();
    catalog.put("a", &parent, &["multi"]).unwrap();

    let unlink = Command::UnlinkBlob { repository: repo("a"), digest: digest(b"config") };
    let by = child.digest().clone();
    let in_use = Refusal::InUse { digest: digest(b"config"), by };
    assert_eq!(catalog.apply(unlink.clone()), Err(in_use));
    let delete = |manifest: &Manifest| Command::DeleteManifest {
        repository: repo("a"),
        digest: manifest.digest().clone(),
    };
    assert!(matches!(catalog.apply(delete(&child)), Err(Refusal::InUse { .. })));

    catalog.apply(delete(&parent)).unwrap();
    assert!(catalog.tags("a").is_empty(), "deleting a manifest deletes its tags");
    catalog.apply(delete(&child)).unwrap();
    catalog.apply(unlink.clone()).unwrap();
    assert_eq!(catalog.apply(unlink), Err(Refusal::BlobUnknown(digest(b"config"))));
}

#[test]
fn a_manifest_goes_with_a_bounded_number_of_tags() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"config", 1).unwrap();
    let image = image(&[b"config"], None);
    let tags: Vec<String> = (0..=TAGS_PER_DELETION_MAX).map(|tag| tag.to_string()).collect();
    for tags in tags.chunks(64) {
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        catalog.put("a", &image, &tags).unwrap();
    }
    let digest = image.digest().clone();
    let delete = || Command::DeleteManifest { repository: repo("a"), digest: digest.clone() };
    assert_eq!(catalog.apply(delete()), Err(Refusal::TooManyTags(digest.clone())));
    assert_eq!(catalog.tag("0").as_ref(), Some(&digest), "a refused command has no effect");

    let tag = "0".parse().unwrap();
    let untag = Command::DeleteTag { repository: repo("a"), tag, preconditions: vec![] };
    catalog.apply(untag).unwrap();
    assert_eq!(catalog.apply(delete()), Ok(Answer::Done));
    assert!(catalog.tags("a").is_empty());
}

#[test]
fn referrers_are_listed_under_their_subject_page_by_page() {
    let mut catalog = Catalog::new();
    let subject = digest(b"not pushed yet");
    let mut pushed = Vec::new();
    for number in 0..5u8 {
        catalog.link("a", &[number], u128::from(number)).unwrap();
        let referrer = image(&[&[number]], Some(&subject));
        catalog.put("a", &referrer, &[]).unwrap();
        pushed.push(referrer.descriptor());
    }
    pushed.sort_by(|a, b| a.digest.cmp(&b.digest));
    let view = catalog.view();
    let first = referrers(&view, &subject, None, 2);
    let rest = referrers(&view, &subject, Some(&first[1].digest), 10);
    assert_eq!([first, rest].concat(), pushed);
}

#[test]
fn a_repeated_request_gets_the_first_answer_and_has_no_second_effect() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"1", 1).unwrap();
    let (old, new) = (image(&[b"1"], None), image(&[b"1", b"1"], None));
    let request = RequestId::from_bytes([9; 16]);
    assert_eq!(catalog.apply_as(request, put("a", &old, &["t"])), Ok(Answer::Done));
    catalog.put("a", &new, &["t"]).unwrap();
    assert_eq!(catalog.apply_as(request, put("a", &old, &["t"])), Ok(Answer::Done));
    assert_eq!(catalog.tag("t").as_ref(), Some(new.digest()), "a retry overwrites nothing newer");
}

#[test]
fn answers_are_forgotten_after_their_lifetime() {
    let mut catalog = Catalog::new();
    let request = RequestId::from_bytes([9; 16]);
    catalog.apply_as(request, link("a", b"1", 1)).unwrap();
    let knows = |catalog: &Catalog| catalog.view().answer(&request).unwrap().is_some();
    let seconds = u32::try_from(ANSWER_LIFETIME.as_secs()).unwrap();
    catalog.pass_seconds(seconds - 1);
    assert!(knows(&catalog));
    catalog.pass_seconds(2);
    assert!(!knows(&catalog));
}

#[test]
fn expired_answers_go_faster_than_new_ones_come() {
    let mut catalog = Catalog::new();
    for number in 0..50 {
        catalog.link("a", &[number], u128::from(number)).unwrap();
    }
    let seconds = u32::try_from(ANSWER_LIFETIME.as_secs()).unwrap();
    catalog.pass_seconds(seconds + 10);
    let view = catalog.view();
    let mut kept = 0;
    view.visit(&view.keys().table(Table::Answer), None, usize::MAX, |_, _| kept += 1).unwrap();
    assert_eq!(kept, u32::try_from(catalog.answers().len()).unwrap());
    assert!(kept <= seconds + 1, "{kept} answers of {seconds} seconds with one a second");
}

#[test]
fn which_answers_are_forgotten_follows_from_the_rows_alone() {
    let (mut runs, mut restarts) = (Catalog::new(), Catalog::new());
    let mut forgotten = 0;
    for number in 1..=6 * ANSWER_LIFETIME.as_secs() {
        // Four come at one moment, in any order of their ids, and the fifth a second later.
        let request = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let request = RequestId::from_bytes(request.to_be_bytes());
        let pause = if number % 5 == 0 { 1000 } else { 0 };
        for catalog in [&mut runs, &mut restarts] {
            catalog.millis += pause;
            catalog.millis -= 1;
            catalog.apply_as(request, link("a", b"1", 1)).unwrap();
        }
        restarts.machine = StateMachine::open(Arc::clone(&restarts.kv)).unwrap();
        let (left, right) = (runs.answers(), restarts.answers());
        assert_eq!(left, right, "after {number} changes");
        forgotten = number + 1 - u64::try_from(left.len()).unwrap();
    }
    assert!(forgotten > 100, "{forgotten} answers were forgotten");
}

#[test]
fn a_leader_whose_clock_is_far_off_forgets_no_answer_early() {
    const HOUR: u64 = 60 * 60 * 1000;
    for wrong in [HOUR, 1_000_000 * HOUR] {
        let mut catalog = Catalog::new();
        let request = RequestId::from_bytes([9; 16]);
        let first = catalog.apply_as(request, link("a", b"1", 1)).unwrap();
        // Leadership goes to and fro between a node whose clock is right and one whose is not.
        for _ in 0..100 {
            catalog.millis += wrong;
            catalog.touch();
            catalog.millis -= wrong;
            catalog.touch();
        }
        assert_eq!(catalog.view().answer(&request).unwrap(), Some(Ok(first)), "{wrong} ms ahead");
        // Nor are answers kept until the right clock has caught up with the wrong one.
        catalog.pass_seconds(u32::try_from(ANSWER_LIFETIME.as_secs()).unwrap() + 1);
        assert_eq!(catalog.view().answer(&request).unwrap(), None, "{wrong} ms ahead");
    }
}

#[test]
fn a_node_is_removed_once_and_only_while_another_votes() {
    let mut catalog = Catalog::new();
    let remove = |node| Command::RemoveNode { node };
    catalog.enter(&[1, 2], &[3]);
    assert_eq!(catalog.apply(remove(9)), Err(Refusal::NodeUnknown(9)));
    assert_eq!(catalog.apply(remove(2)), Ok(Answer::Done));
    assert_eq!(catalog.apply(remove(2)), Ok(Answer::Done), "it is so already");
    assert_eq!(catalog.apply(remove(1)), Err(Refusal::LastVoter(1)), "the other is to go");
    assert!(!has_left(&catalog.view(), 2).unwrap(), "it has a vote still");
    catalog.enter(&[1], &[2, 3]);
    assert!(has_left(&catalog.view(), 2).unwrap());
    assert!(!has_left(&catalog.view(), 3).unwrap());
    assert_eq!(catalog.apply(remove(3)), Ok(Answer::Done));
    assert!(has_left(&catalog.view(), 3).unwrap());

    // One that was admitted and never came.
    let admitted =
        catalog.apply(Command::AdmitNode { peer_address: "n:1".parse().unwrap(), token: None });
    let Ok(Answer::Admitted { node, .. }) = admitted else { panic!("{admitted:?}") };
    assert_eq!(catalog.apply(remove(node)), Ok(Answer::Done));
    assert!(!catalog.view().has_node(node).unwrap());
}

#[test]
fn time_in_the_catalog_never_goes_back() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"1", 1).unwrap();
    catalog.millis -= 500;
    catalog.link("a", b"2", 2).unwrap();
    let journal = catalog.journal();
    assert!(journal.is_sorted_by_key(|(when, _)| *when), "{journal:?}");
}

#[test]
fn a_node_is_admitted_under_the_index_of_its_entry() {
    let mut catalog = Catalog::new();
    let admit = Command::AdmitNode { peer_address: "host:1".parse().unwrap(), token: None };
    let admitted = catalog.apply(admit);
    let cluster = ClusterId::from_bytes([7; 16]);
    assert_eq!(admitted, Ok(Answer::Admitted { node: catalog.index, cluster }));
}

#[tokio::test]
async fn a_snapshot_carries_everything_and_replaces_what_was_there() {
    let mut source = Catalog::new();
    for number in 0..50u8 {
        source.link("a", &[number], u128::from(number)).unwrap();
    }
    source.put("a", &image(&[&[1]], None), &["t"]).unwrap();
    let mut builder = source.machine.try_create_snapshot_builder(true).await.unwrap();
    source.link("a", b"after the snapshot", 99).unwrap();
    let built = builder.build_snapshot().await.unwrap();

    let mut target = Catalog::new();
    target.link("gone", b"x", 1).unwrap();
    let CatalogSnapshot::Frozen(mut frozen) = built.snapshot else { panic!("built is frozen") };
    let mut staged = target.machine.staging().begin();
    loop {
        let rows = frozen.next_rows(100).unwrap();
        if rows.is_empty() {
            break;
        }
        staged.write_rows(rows).unwrap();
    }
    let before = target.rows();
    let view = target.view();
    target.machine.install_snapshot(&built.meta, CatalogSnapshot::Staged(staged)).await.unwrap();
    assert!(view.has_repository(&repo("gone")).unwrap(), "a frozen view outlives the installation");
    assert_ne!(target.rows(), before);
    assert!(!target.view().has_repository(&repo("gone")).unwrap());
    let late = digest(b"after the snapshot");
    assert!(target.view().blob(&repo("a"), &late).unwrap().is_none());

    source.index = 52;
    assert_eq!(target.machine.applied_state().await.unwrap().0, built.meta.last_log_id);
    target.index = built.meta.last_log_id.unwrap().index;
    target.link("a", b"after the snapshot", 99).unwrap();
    assert_eq!(target.rows(), source.rows());
}

#[tokio::test]
async fn rows_of_an_abandoned_snapshot_are_removed() {
    let catalog = Catalog::new();
    let mut staged = catalog.machine.staging().begin();
    staged.write_rows(vec![(Bytes::from_static(b"x"), Bytes::from_static(b"y"))]).unwrap();
    drop(staged);
    let beyond = keys::prefix(1);
    let left = catalog.kv.last(Space::Catalog, &beyond, &keys::after(&[1])).unwrap();
    assert_eq!(left, None);
}

#[tokio::test]
async fn no_snapshot_is_built_while_one_is_sent() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"1", 1).unwrap();
    let CatalogSnapshot::Frozen(mut frozen) =
        catalog.machine.get_current_snapshot().await.unwrap().unwrap().snapshot
    else {
        panic!("it is frozen")
    };
    // Nobody takes any of it yet: the other node may be down for days.
    frozen.next_rows(1).unwrap();
    assert!(catalog.machine.try_create_snapshot_builder(false).await.is_some());
    frozen.next_rows(1).unwrap();
    assert!(catalog.machine.try_create_snapshot_builder(false).await.is_none());
    assert!(catalog.machine.try_create_snapshot_builder(true).await.is_some());
    let mut deferred = 0;
    while catalog.machine.try_create_snapshot_builder(false).await.is_none() {
        deferred += 1;
    }
    assert_eq!(deferred, SNAPSHOTS_DEFERRED_MAX, "one that never ends counts no more then");
    drop(frozen);
    assert!(catalog.machine.try_create_snapshot_builder(false).await.is_some());
}

/// Commands over so few names that they meet each other; manifests are pushed sparse or not as
/// `sparse` says.
fn commands(sparse: impl Strategy<Value = bool>) -> impl Strategy<Value = Command> {
    let repository = prop::sample::select(vec!["a", "a/b", "c"]).prop_map(repo);
    let content = prop::sample::select(vec![&b"1"[..], b"2", b"3"]);
    let tag = prop::sample::select(vec!["t", "u"]).prop_map(|tag| tag.parse::<Tag>().unwrap());
    let manifest = prop::sample::select(vec![
        image(&[b"1"], None),
        image(&[b"1", b"2"], None),
        image(&[b"3"], Some(&digest(b"2"))),
        index_of(&image(&[b"1"], None)),
    ]);
    let object = any::<u8>().prop_map(|object| ObjectKey::from_random(u128::from(object)));
    let tagging = prop_oneof![
        4 => Just(Tagging::ANY),
        1 => Just(Tagging { may_create: true, may_move: false }),
    ];
    let push = (manifest, tag, preconditions::any_of_few(), sparse, tagging);
    let access = prop::sample::select(access_rows::samples::commands());
    let objects = (object.clone(), prop::option::of(object));
    (0..9, (repository.clone(), repository), content, push, objects, access).prop_map(
        |(kind, (repository, from), content, push, (object, upload), access)| {
            let (manifest, tag, preconditions, sparse, tagging) = push;
            let (digest, size) = (digest(content), content.len() as u64);
            match kind {
                0 | 1 => {
                    let replaces = (kind == 1).then_some(object);
                    let checksum = upload.map(|_| {
                        let mut checksum = Checksum::EMPTY;
                        checksum.extend(content);
                        checksum
                    });
                    Command::LinkBlob {
                        repository,
                        digest,
                        size,
                        checksum,
                        object,
                        replaces,
                        upload,
                    }
                }
                2 => Command::MountBlob { repository, from, digest },
                3 => Command::UnlinkBlob { repository, digest },
                4 => {
                    let tags = vec![tag];
                    Command::PutManifest {
                        repository,
                        manifest,
                        tags,
                        preconditions,
                        sparse,
                        tagging,
                    }
                }
                5 => Command::DiscardObject { object },
                6 => Command::Access(access),
                7 => Command::DeleteManifest { repository, digest: manifest.digest().clone() },
                _ => Command::DeleteTag { repository, tag, preconditions },
            }
        },
    )
}

fn histories(sparse: impl Strategy<Value = bool>) -> impl Strategy<Value = Vec<Command>> {
    prop::collection::vec(commands(sparse), 0..60)
}

proptest! {
    /// The journal alone makes the rows: replayed into an empty store, they are the same byte for
    /// byte.
    #[test]
    fn replaying_the_journal_rebuilds_the_rows(commands in histories(any::<bool>())) {
        let mut catalog = Catalog::new();
        for command in commands {
            let _ = catalog.apply(command);
        }
        let replayed = Catalog { kv: Arc::new(MemoryKv::new()), ..Catalog::new() };
        for (when, event) in catalog.journal() {
            let view = View::of(Arc::<dyn Kv>::clone(&replayed.kv), 0);
            let mut batch = Batch::new();
            project(&view, when, &event, &mut batch).unwrap();
            replayed.kv.write(Space::Catalog, batch).unwrap();
        }
        prop_assert_eq!(replayed.rows(), catalog.rows());
    }

    /// Whatever is asked for in whatever order, every manifest that is there has all that it names,
    /// unless it was pushed sparse.
    #[test]
    fn every_manifest_is_complete_at_all_times(commands in histories(Just(false))) {
        let mut catalog = Catalog::new();
        for command in commands {
            let _ = catalog.apply(command);
            let view = catalog.view();
            for repository in view.repositories(None, 100).unwrap() {
                for tag in view.tags(&repository, None, 100).unwrap() {
                    let manifest = view.manifest(&repository, &Reference::Tag(tag)).unwrap();
                    let manifest = manifest.expect("a tag names a manifest that is there");
                    for link in manifest.blobs() {
                        let blob = view.blob(&repository, &link.digest).unwrap();
                        let blob = blob.expect("a blob that the manifest names is there");
                        prop_assert!(!view.is_orphan(blob.object).unwrap());
                    }
                    for child in manifest.children() {
                        let child = Reference::Digest(child.digest.clone());
                        prop_assert!(view.manifest(&repository, &child).unwrap().is_some());
                    }
                }
            }
        }
    }
}
