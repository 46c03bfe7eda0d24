//! Lists: tags, repositories and referrers, page by page.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{IMAGE, INDEX, Reply, World, descriptor, image, sha256, sha512};

/// The path in the `Link` header, if there is a next page.
fn next(reply: &Reply) -> Option<String> {
    let link = reply.header("link");
    let (path, relation) = link.strip_prefix('<')?.split_once('>').unwrap();
    assert_eq!(relation, "; rel=\"next\"");
    Some(path.to_owned())
}

/// Every entry of the list `field` from `path` on, following links.
async fn all(world: &World, path: &str, field: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut path = path.to_owned();
    loop {
        let reply = world.get(&path).await;
        reply.is(StatusCode::OK);
        entries.extend(reply.json()[field].as_array().unwrap().iter().cloned());
        match next(&reply) {
            Some(next) => path = next,
            None => return entries,
        }
    }
}

#[tokio::test]
async fn tags_are_listed_in_order_page_by_page() {
    let world = World::start().await;
    let manifest = world.push_image("team/app", "b", b"layer").await;
    for tag in ["c", "a", "B", "1.0"] {
        world.put_manifest("team/app", tag, IMAGE, &manifest).await.is(StatusCode::CREATED);
    }
    let path = "/v2/team/app/tags/list";
    let whole = world.get(path).await;
    let expected = json!({ "name": "team/app", "tags": ["1.0", "B", "a", "b", "c"] });
    assert_eq!(whole.json(), expected);
    assert_eq!(next(&whole), None);
    for n in 1..=6 {
        assert_eq!(
            Value::from(all(&world, &format!("{path}?n={n}"), "tags").await),
            expected["tags"],
            "{n} a page"
        );
    }
    let first = world.get(&format!("{path}?n=2")).await;
    assert_eq!(next(&first).as_deref(), Some("/v2/team/app/tags/list?n=2&last=B"));
    let after = world.get(&format!("{path}?last=aa")).await;
    assert_eq!(after.json()["tags"], json!(["b", "c"]), "the last tag need not exist");
    world.stop().await;
}

#[tokio::test]
async fn repositories_are_listed_in_order_page_by_page() {
    let world = World::start().await;
    assert_eq!(world.get("/v2/_catalog").await.json(), json!({ "repositories": [] }));
    for name in ["team/b", "team/a", "other", "team"] {
        world.push_blob(name, b"x").await;
    }
    let expected = json!(["other", "team", "team/a", "team/b"]);
    for n in 1..=5 {
        let found = all(&world, &format!("/v2/_catalog?n={n}"), "repositories").await;
        assert_eq!(Value::from(found), expected, "{n} a page");
    }
    world.stop().await;
}

#[tokio::test]
async fn the_size_of_a_page_is_a_number() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    for path in ["/v2/_catalog", "/v2/a/tags/list"] {
        for n in ["-1", "abc", "", "1.5"] {
            let reply = world.get(&format!("{path}?n={n}")).await;
            reply.fails(400, "PAGINATION_NUMBER_INVALID");
        }
        let none = world.get(&format!("{path}?n=0")).await;
        none.is(StatusCode::OK);
        assert_eq!(next(&none), None);
        let huge = world.get(&format!("{path}?n=999999999999999999999999")).await;
        huge.is(StatusCode::OK);
        let field = if path == "/v2/_catalog" { "repositories" } else { "tags" };
        assert_eq!(none.json()[field], json!([]));
        assert_eq!(huge.json()[field].as_array().map(Vec::len), Some(1));
    }
    world.stop().await;
}

#[tokio::test]
async fn nothing_refers_to_what_never_was_pushed() {
    let world = World::start().await;
    let reply = world.get(&format!("/v2/no/such/referrers/{}", sha256(b"x"))).await;
    reply.is(StatusCode::OK);
    assert_eq!(reply.header("content-type"), INDEX);
    let empty = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] });
    assert_eq!(reply.json(), empty);
    world.stop().await;
}

#[tokio::test]
async fn referrers_are_listed_by_type_and_page_by_page() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let subject = descriptor(IMAGE, b"a subject that need not exist");
    let subject_digest = subject["digest"].as_str().unwrap().to_owned();
    for number in 0..5 {
        let mut referrer = image(&[b"layer"], Some(subject.clone()));
        let kind = if number % 2 == 0 { "application/x.even+json" } else { "application/x.odd" };
        referrer["artifactType"] = json!(kind);
        referrer["annotations"] = json!({ "number": number.to_string() });
        let content = referrer.to_string();
        let digest = sha256(content.as_bytes());
        let pushed = world.put_manifest("a", digest.as_str(), IMAGE, content.as_bytes()).await;
        pushed.is(StatusCode::CREATED);
        assert_eq!(pushed.header("oci-subject"), subject_digest);
    }
    let path = format!("/v2/a/referrers/{subject_digest}");
    let whole = all(&world, &path, "manifests").await;
    assert_eq!(whole.len(), 5);
    assert!(whole[0]["annotations"]["number"].is_string());
    assert!(whole.is_sorted_by_key(|referrer| referrer["digest"].as_str().unwrap().to_owned()));
    assert_eq!(all(&world, &format!("{path}?n=2"), "manifests").await, whole);

    for escaped in ["application%2Fx.even%2Bjson", "application/x.even+json"] {
        let filtered = world.get(&format!("{path}?artifactType={escaped}")).await;
        assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
        let manifests = filtered.json()["manifests"].clone();
        assert_eq!(manifests.as_array().map(Vec::len), Some(3), "{manifests}");
        assert_eq!(manifests[0]["artifactType"], "application/x.even+json");
        let pages = all(&world, &format!("{path}?n=1&artifactType={escaped}"), "manifests").await;
        assert_eq!(Value::from(pages), manifests);
    }
    world.stop().await;
}

/// The tag under which clients keep the referrers of `subject` on registries that do not
/// (distribution-spec, "Referrers Tag Schema").
fn fallback_tag(subject: &str) -> String {
    let (algorithm, hex) = subject.split_once(':').unwrap();
    format!("{algorithm}-{}", &hex[..64])
}

#[tokio::test]
async fn referrers_that_a_mirrored_fallback_tag_names_are_listed() {
    let world = World::start().await;
    let subject = world.push_image("a", "v1", b"layer").await;
    for subject_digest in [sha256(&subject), sha512(&subject)] {
        let mut about = descriptor(IMAGE, &subject);
        about["digest"] = json!(subject_digest.as_str());
        let mut signature = image(&[b"layer"], Some(about));
        signature["artifactType"] = json!("application/x.signature");
        signature["annotations"] = json!({ "of": subject_digest.as_str() });
        let signature = signature.to_string().into_bytes();
        let digest = sha256(&signature);
        // As a mirror does: what the index names, and then the index under its tag.
        world.put_manifest("a", digest.as_str(), IMAGE, &signature).await.is(StatusCode::CREATED);
        let mut entry = descriptor(IMAGE, &signature);
        entry["artifactType"] = json!("application/x.signature");
        let unrelated = descriptor(IMAGE, &subject);
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry.clone(), unrelated],
        });
        let tag = fallback_tag(subject_digest.as_str());
        let pushed = world.put_manifest("a", &tag, INDEX, index.to_string().as_bytes()).await;
        pushed.is(StatusCode::CREATED);

        let referrers = world.get(&format!("/v2/a/referrers/{subject_digest}")).await;
        entry["annotations"] = json!({ "of": subject_digest.as_str() });
        assert_eq!(
            referrers.json()["manifests"],
            json!([entry]),
            "once, and what has no subject not"
        );
        assert_eq!(world.get(&format!("/v2/a/manifests/{tag}")).await.json(), index);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_page_of_referrers_looks_at_a_bounded_number_of_bytes() {
    let world = World::start().await;
    world.push_blob("a", b"{}").await;
    let subject = descriptor(IMAGE, b"a subject that need not exist");
    let push = async |number: usize, kind: &str, padding: usize| {
        let mut referrer = image(&[], Some(subject.clone()));
        referrer["artifactType"] = json!(kind);
        referrer["annotations"] = json!({ number.to_string(): "x".repeat(padding) });
        let content = referrer.to_string().into_bytes();
        let digest = sha256(&content);
        world.put_manifest("a", digest.as_str(), IMAGE, &content).await.is(StatusCode::CREATED);
    };
    for number in 0..6 {
        push(number, "application/x.large", 3_500_000).await;
    }
    for number in 0..3 {
        push(number, "application/x.small", 10).await;
    }
    let path = format!("/v2/a/referrers/{}", subject["digest"].as_str().unwrap());
    let filtered = format!("{path}?artifactType=application/x.none");
    let first = world.get(&filtered).await;
    assert_eq!(first.json()["manifests"], json!([]));
    assert!(next(&first).is_some(), "there is more than one request looks at");
    assert_eq!(all(&world, &filtered, "manifests").await.len(), 0);
    let small = format!("{path}?artifactType=application/x.small");
    assert_eq!(all(&world, &small, "manifests").await.len(), 3);
    assert_eq!(all(&world, &path, "manifests").await.len(), 9);
    let pages = world.get(&path).await;
    assert!(pages.body.len() <= proto::limits::MANIFEST_BYTES_MAX, "a page is a manifest");
    world.stop().await;
}
