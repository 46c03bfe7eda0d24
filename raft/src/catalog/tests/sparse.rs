//! Manifests that a repository takes although it lacks something that they name.

use proto::{Answer, Command, Manifest, Reference, Refusal, Tagging};

use super::{Catalog, digest, image, index_of, put, repo};

fn put_sparse(manifest: &Manifest, tag: &str) -> Command {
    match put("a", manifest, &[tag]) {
        Command::PutManifest { repository, manifest, tags, preconditions, .. } => {
            Command::PutManifest {
                repository,
                manifest,
                tags,
                preconditions,
                sparse: true,
                tagging: Tagging::ANY,
            }
        }
        other => other,
    }
}

#[test]
fn a_sparse_push_may_lack_what_it_names_and_is_told_so() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"config", 1).unwrap();
    let image = image(&[b"config", b"layer"], None);
    assert!(matches!(catalog.put("a", &image, &["t"]), Err(Refusal::ReferencesUnknown(_))));
    let answer = Answer::Sparse { missing: 1, example: digest(b"layer") };
    assert_eq!(catalog.apply(put_sparse(&image, "t")), Ok(answer));
    assert_eq!(catalog.tag("t").as_ref(), Some(image.digest()));

    let index = index_of(&super::image(&[b"elsewhere"], None));
    let missing = index.children()[0].digest.clone();
    let answer = Answer::Sparse { missing: 1, example: missing };
    assert_eq!(catalog.apply(put_sparse(&index, "i")), Ok(answer));
}

#[test]
fn a_sparse_push_that_lacks_nothing_is_as_any_other() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"config", 1).unwrap();
    let image = image(&[b"config"], None);
    assert_eq!(catalog.apply(put_sparse(&image, "t")), Ok(Answer::Done));
}

#[test]
fn what_a_sparse_manifest_lacked_is_kept_once_it_comes() {
    let mut catalog = Catalog::new();
    catalog.link("a", b"config", 1).unwrap();
    let image = image(&[b"config", b"layer"], None);
    catalog.apply(put_sparse(&image, "t")).unwrap();
    catalog.link("a", b"layer", 2).unwrap();
    let unlink = Command::UnlinkBlob { repository: repo("a"), digest: digest(b"layer") };
    let in_use = Refusal::InUse { digest: digest(b"layer"), by: image.digest().clone() };
    assert_eq!(catalog.apply(unlink), Err(in_use));
}

#[test]
fn a_sparse_manifest_gives_right_sizes_for_what_is_there() {
    let mut catalog = Catalog::new();
    let mut wrong = super::link("a", b"config", 1);
    if let Command::LinkBlob { size, .. } = &mut wrong {
        *size += 1;
    }
    catalog.apply(wrong).unwrap();
    let image = image(&[b"config", b"layer"], None);
    let refused = catalog.apply(put_sparse(&image, "t"));
    assert!(matches!(refused, Err(Refusal::SizeMismatch { .. })), "{refused:?}");
    let reference = Reference::Digest(image.digest().clone());
    assert_eq!(catalog.view().manifest(&repo("a"), &reference).unwrap(), None);
}
