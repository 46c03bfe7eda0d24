//! Changes that depend on what a tag names: settled where the log has them, one after the other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proto::{Answer, Command, Digest, Manifest, Precondition, Reference, Refusal};

use super::{Catalog, image, put_if, repo};

/// The contents of the manifests here; of each, the repository has the blob.
const CONTENTS: [&[u8]; 3] = [b"1", b"2", b"3"];
const TAGS: [&str; 2] = ["t", "u"];

/// A catalog whose repository `a` has all that manifests need.
fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    for (object, content) in (1..).zip(CONTENTS) {
        catalog.link("a", content, object).unwrap();
    }
    catalog
}

fn manifest(content: &[u8]) -> Manifest {
    image(&[content], None)
}

fn any_of(digests: &[&Digest]) -> Precondition {
    Precondition::AnyOf(digests.iter().copied().cloned().collect())
}

fn failed(tag: &str, current: Option<&Digest>) -> Refusal {
    let reference = Reference::Tag(tag.parse().unwrap());
    Refusal::PreconditionFailed { reference, current: current.cloned() }
}

fn delete(tag: &str, preconditions: &[Precondition]) -> Command {
    let preconditions = preconditions.to_vec();
    Command::DeleteTag { repository: repo("a"), tag: tag.parse().unwrap(), preconditions }
}

/// None, one or two preconditions, on digests that manifests of the tests have.
pub(super) fn any_of_few() -> impl Strategy<Value = Vec<Precondition>> {
    let digests = CONTENTS.map(|content| manifest(content).digest().clone());
    let digests = prop::collection::vec(prop::sample::select(digests.to_vec()), 0..3);
    let one = prop_oneof![
        Just(Precondition::Exists),
        Just(Precondition::Absent),
        digests.clone().prop_map(Precondition::AnyOf),
        digests.prop_map(Precondition::NoneOf),
    ];
    prop_oneof![2 => Just(vec![]), 3 => prop::collection::vec(one, 1..3)]
}

#[test]
fn of_two_pushes_that_saw_the_same_tag_only_one_moves_it() {
    let mut catalog = catalog();
    let [old, left, right] = CONTENTS.map(manifest);
    catalog.put("a", &old, &["latest"]).unwrap();
    let seen = [any_of(&[old.digest()])];
    let first = catalog.apply(put_if("a", &left, &["latest"], &seen));
    let second = catalog.apply(put_if("a", &right, &["latest"], &seen));
    assert_eq!(first, Ok(Answer::Done));
    assert_eq!(second, Err(failed("latest", Some(left.digest()))));
    assert_eq!(catalog.tag("latest").as_ref(), Some(left.digest()));
    let right = Reference::Digest(right.digest().clone());
    let stored = catalog.view().manifest(&repo("a"), &right).unwrap();
    assert_eq!(stored, None, "a refused push leaves nothing");
}

#[test]
fn a_tag_that_must_be_new_is_set_once() {
    let mut catalog = catalog();
    let [first, second, _] = CONTENTS.map(manifest);
    let new = [Precondition::Absent];
    catalog.apply(put_if("a", &first, &["1.0"], &new)).unwrap();
    for manifest in [&first, &second] {
        let refused = catalog.apply(put_if("a", manifest, &["1.0"], &new));
        assert_eq!(refused, Err(failed("1.0", Some(first.digest()))));
    }
    catalog.apply(delete("1.0", &[])).unwrap();
    catalog.apply(put_if("a", &second, &["1.0"], &new)).unwrap();
}

#[test]
fn a_push_whose_answer_was_lost_may_be_sent_again() {
    let mut catalog = catalog();
    let [old, new, _] = CONTENTS.map(manifest);
    catalog.put("a", &old, &["t"]).unwrap();
    let push = put_if("a", &new, &["t"], &[any_of(&[old.digest()])]);
    for _ in 0..2 {
        assert_eq!(catalog.apply(push.clone()), Ok(Answer::Done));
    }
}

#[test]
fn what_a_push_of_several_tags_depends_on_holds_of_each() {
    let mut catalog = catalog();
    let [old, new, _] = CONTENTS.map(manifest);
    catalog.put("a", &old, &["t"]).unwrap();
    let push = put_if("a", &new, &["s", "t"], &[Precondition::Absent]);
    assert_eq!(catalog.apply(push), Err(failed("t", Some(old.digest()))));
    assert_eq!(catalog.tags("a"), ["t"], "no tag of a refused push is set");
}

#[test]
fn a_push_without_tags_depends_on_its_own_digest() {
    let mut catalog = catalog();
    let manifest = manifest(b"1");
    let push = put_if("a", &manifest, &[], &[Precondition::Absent]);
    catalog.apply(push.clone()).unwrap();
    let reference = Reference::Digest(manifest.digest().clone());
    let current = Some(manifest.digest().clone());
    let refused = Err(Refusal::PreconditionFailed { reference, current });
    assert_eq!(catalog.apply(push), refused);
}

#[test]
fn a_precondition_comes_before_what_the_manifest_says() {
    let mut catalog = catalog();
    catalog.put("a", &manifest(b"1"), &["t"]).unwrap();
    let incomplete = image(&[b"1", b"nowhere"], None);
    let refused = catalog.apply(put_if("a", &incomplete, &["t"], &[Precondition::Absent]));
    assert_eq!(refused, Err(failed("t", Some(manifest(b"1").digest()))));
}

#[test]
fn a_tag_is_deleted_only_where_it_names_what_was_seen() {
    let mut catalog = catalog();
    let [old, new, _] = CONTENTS.map(manifest);
    let seen = [any_of(&[old.digest()])];
    catalog.put("a", &new, &["t"]).unwrap();
    let refused = catalog.apply(delete("t", &seen));
    assert_eq!(refused, Err(failed("t", Some(new.digest()))));
    catalog.put("a", &old, &["t"]).unwrap();
    catalog.apply(delete("t", &seen)).unwrap();
    let unknown = Refusal::ManifestUnknown(Reference::Tag("t".parse().unwrap()));
    assert_eq!(catalog.apply(delete("t", &seen)), Err(unknown), "absent is not changed");
}

/// A change to the tags of repository `a`.
#[derive(Clone, Debug)]
enum Change {
    Push(&'static [u8], Vec<&'static str>, Vec<Precondition>),
    Delete(&'static str, Vec<Precondition>),
}

fn changes() -> impl Strategy<Value = Change> {
    let content = prop::sample::select(CONTENTS.to_vec());
    let tags = prop::sample::subsequence(TAGS.to_vec(), 1..=TAGS.len());
    let tag = prop::sample::select(TAGS.to_vec());
    prop_oneof![
        3 => (content, tags, any_of_few()).prop_map(|(c, t, p)| Change::Push(c, t, p)),
        1 => (tag, any_of_few()).prop_map(|(t, p)| Change::Delete(t, p)),
    ]
}

/// What RFC 9110 says of `precondition` where a tag names `current`. `wanted` is what a push would
/// have it name.
fn is_met(precondition: &Precondition, current: Option<&Digest>, wanted: Option<&Digest>) -> bool {
    match (precondition, current) {
        (Precondition::Exists, current) => current.is_some(),
        (Precondition::Absent | Precondition::NoneOf(_), None) => true,
        (Precondition::Absent, Some(_)) | (Precondition::AnyOf(_), None) => false,
        (Precondition::AnyOf(listed), Some(current)) => {
            wanted == Some(current) || listed.iter().any(|digest| digest == current)
        }
        (Precondition::NoneOf(listed), Some(current)) => {
            listed.iter().all(|digest| digest != current)
        }
    }
}

proptest! {
    /// A map from tags to digests, to which the same changes are made one by one, always agrees.
    #[test]
    fn tags_move_as_in_a_map_that_one_client_changes_at_a_time(
        changes in prop::collection::vec(changes(), 0..40),
    ) {
        let mut catalog = catalog();
        let mut model: BTreeMap<&str, Digest> = BTreeMap::new();
        for change in changes {
            let (may, applied) = match &change {
                Change::Push(content, tags, preconditions) => {
                    let manifest = manifest(content);
                    let wanted = manifest.digest().clone();
                    let may = tags.iter().all(|tag| {
                        let met = |p| is_met(p, model.get(tag), Some(&wanted));
                        preconditions.iter().all(met)
                    });
                    if may {
                        model.extend(tags.iter().map(|tag| (*tag, wanted.clone())));
                    }
                    (may, catalog.apply(put_if("a", &manifest, tags, preconditions)))
                }
                Change::Delete(tag, preconditions) => {
                    let current = model.get(tag);
                    let met = preconditions.iter().all(|p| is_met(p, current, None));
                    let may = current.is_some() && met;
                    if may {
                        model.remove(tag);
                    }
                    (may, catalog.apply(delete(tag, preconditions)))
                }
            };
            prop_assert_eq!(applied.is_ok(), may, "{:?} came to {:?}", change, applied);
            for tag in TAGS {
                prop_assert_eq!(catalog.tag(tag), model.get(tag).cloned(), "{}", tag);
            }
        }
    }
}
