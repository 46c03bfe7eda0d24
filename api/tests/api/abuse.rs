//! What clients do to take a registry down or to get what is not theirs; `docs/abuse-cases.md` says
//! where each case is tested.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::Options;
use axum::body::Body;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use http::{HeaderName, StatusCode, header};
use http_body_util::BodyExt as _;
use proto::limits::{MANIFEST_BYTES_MAX, MANIFEST_LINKS_MAX, PAGE_ENTRIES_MAX};
use proto::{Algorithm, Command, Digest, Manifest, Tagging};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::world::{Call, IMAGE, INDEX, World, descriptor, eventually, image, sha256};

/// A body that says `first`, and ends when what comes with it is sent or dropped.
pub(crate) fn held_body(first: &'static str) -> (oneshot::Sender<()>, Body) {
    let (end, ended) = oneshot::channel();
    let first =
        stream::once(async move { std::io::Result::Ok(Bytes::from_static(first.as_bytes())) });
    let rest = stream::once(ended.map(|_| Ok(Bytes::new())));
    (end, Body::from_stream(first.chain(rest)))
}

/// Begins to send `call`, and waits until it is under way.
pub(crate) async fn begin(
    call: Call,
    body: &'static str,
) -> (oneshot::Sender<()>, tokio::task::JoinHandle<u16>) {
    let (end, body) = held_body(body);
    let (seen, was_seen) = oneshot::channel();
    let mut seen = Some(seen);
    let body = body.into_data_stream().inspect(move |_| {
        let _ = seen.take().map(|seen| seen.send(()));
    });
    let call = call.with(Body::from_stream(body));
    let sent = tokio::spawn(async move { call.send().await.status.as_u16() });
    was_seen.await.unwrap();
    (end, sent)
}

#[tokio::test]
async fn transfers_beyond_the_limit_are_told_to_come_back() {
    let options = Options { transfers: 3, transfers_per_client: 2, ..Options::default() };
    let world = World::start_with(options).await;
    let digest = world.push_blob("a", b"content").await;
    let blob = format!("/v2/a/blobs/{digest}");
    let mut locations = Vec::new();
    for _ in 0..3 {
        locations.push(world.begin("a").await);
    }
    let patch = |n: usize, from: &str| world.request("PATCH", &locations[n]).from(from);
    let first = begin(patch(0, "10.0.0.1"), "x").await;
    let second = begin(patch(1, "10.0.0.1"), "x").await;

    let refused = patch(2, "10.0.0.1").body(b"x").send().await;
    refused.fails(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "2");
    let pull = || world.request("GET", &blob);
    pull().from("10.0.0.1").send().await.fails(429, "TOOMANYREQUESTS");
    let look = |path: &str| world.request("HEAD", path).from("10.0.0.1").send();
    look(&blob).await.is(StatusCode::TOO_MANY_REQUESTS);
    look("/v2/a/manifests/none").await.is(StatusCode::NOT_FOUND);
    world.request("GET", "/v2/").from("10.0.0.1").send().await.is(StatusCode::OK);

    // Another client has its own part, until all of it is taken: here by an answer that is not
    // read.
    let unread = pull().from("10.0.0.2").open().await;
    assert_eq!(unread.status(), StatusCode::OK);
    pull().from("10.0.0.3").send().await.fails(429, "TOOMANYREQUESTS");
    drop(unread);
    pull().from("10.0.0.3").send().await.is(StatusCode::OK);

    for (end, sent) in [first, second] {
        end.send(()).unwrap();
        assert_eq!(sent.await.unwrap(), 202);
    }
    pull().from("10.0.0.1").send().await.is(StatusCode::OK);
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &world.metrics).unwrap();
    assert!(metrics.contains(r#"status="429"} 1"#), "{metrics}");
    world.stop().await;
}

#[tokio::test]
async fn a_transfer_that_is_broken_off_gives_its_part_back() {
    let options = Options { transfers: 1, transfers_per_client: 1, ..Options::default() };
    let world = World::start_with(options).await;
    let digest = world.push_blob("a", b"content").await;
    let path = format!("/v2/a/blobs/{digest}");
    for _ in 0..3 {
        let location = world.begin("a").await;
        let (_end, sent) = begin(world.request("PATCH", &location), "x").await;
        world.get(&path).await.fails(429, "TOOMANYREQUESTS");
        sent.abort();
        assert!(sent.await.unwrap_err().is_cancelled());
        world.get(&path).await.is(StatusCode::OK);
        world.request("PATCH", &location).broken(b"x").send().await.fails(400, "SIZE_INVALID");
        world.get("/v2/a/manifests/none").await.fails(404, "MANIFEST_UNKNOWN");
    }
    world.stop().await;
}

#[tokio::test]
async fn who_hangs_up_keeps_their_part_until_what_they_sent_is_decided() {
    let options = Options { transfers: 1, transfers_per_client: 1, ..Options::default() };
    let world = World::start_with(options).await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    // Nobody decides any more: a proposal is repeated for seconds.
    world.cease().await;
    let mut put = Box::pin(world.put_manifest("a", "v2", IMAGE, &manifest));
    // All of it is there, so that it is proposed at once.
    assert!(futures::poll!(put.as_mut()).is_pending());
    drop(put);
    let malformed = || world.get("/v2/a/tags/list?n=abc");
    malformed().await.fails(429, "TOOMANYREQUESTS");
    eventually(async || malformed().await.status == StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn who_hangs_up_keeps_their_part_until_what_they_sent_is_stored() {
    let options = Options { transfers: 1, transfers_per_client: 1, ..Options::default() };
    let world = World::start_with(options).await;
    let malformed = || world.get("/v2/a/tags/list?n=abc");
    let digest = sha256(b"content");
    for path in ["".to_owned(), format!("?digest={digest}")] {
        world.blobs.hold_writes(true);
        let (method, path) = match &*path {
            "" => ("PATCH", world.begin("a").await),
            query => ("POST", format!("/v2/a/blobs/uploads/{query}")),
        };
        let (end, sent) = begin(world.request(method, &path), "content").await;
        end.send(()).unwrap();
        eventually(async || world.blobs.writes_held() == 1).await;
        sent.abort();
        assert!(sent.await.unwrap_err().is_cancelled());
        malformed().await.fails(429, "TOOMANYREQUESTS");
        world.blobs.hold_writes(false);
        eventually(async || malformed().await.status == StatusCode::BAD_REQUEST).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn of_a_manifest_without_end_no_more_is_read_than_it_may_have() {
    let world = World::start().await;
    let frame = Bytes::from(vec![b' '; 64 * 1024]);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let endless = stream::repeat(frame.clone()).map(move |frame| {
        count.fetch_add(frame.len(), Ordering::Relaxed);
        std::io::Result::Ok(frame)
    });
    let call = world.request("PUT", "/v2/a/manifests/v1").header(header::CONTENT_TYPE, IMAGE);
    let reply = call.with(Body::from_stream(endless)).send().await;
    reply.fails(413, "MANIFEST_INVALID");
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken <= MANIFEST_BYTES_MAX + 2 * frame.len(), "{taken} bytes were read");
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_with_as_many_layers_as_may_be_is_decided_without_an_election() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let term = async || world.get("/roadstead/v1/cluster").await.json()["term"].clone();
    let before = term().await;
    let mut large = image(&[], None);
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", b"layer");
    large["layers"] = vec![layer.clone(); MANIFEST_LINKS_MAX].into();
    let reply = world.put_manifest("a", "large", IMAGE, large.to_string().as_bytes()).await;
    reply.is(StatusCode::CREATED);
    // As many again, all of which are missing: every one of them is listed.
    let missing = (0..MANIFEST_LINKS_MAX).map(|n| descriptor(IMAGE, n.to_string().as_bytes()));
    let index = json!({ "schemaVersion": 2, "manifests": missing.collect::<Vec<_>>() });
    let reply = world.put_manifest("a", "index", INDEX, index.to_string().as_bytes()).await;
    reply.fails(404, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(reply.json()["errors"].as_array().map(Vec::len), Some(MANIFEST_LINKS_MAX));
    // Or the same, with megabytes of its own, as often.
    let mut child = image(&[], None);
    child["annotations"] = json!({ "large": "x".repeat(3_000_000) });
    let child = child.to_string();
    world.put_manifest("a", "child", IMAGE, child.as_bytes()).await.is(StatusCode::CREATED);
    let listed = vec![descriptor(IMAGE, child.as_bytes()); MANIFEST_LINKS_MAX];
    let index = json!({ "schemaVersion": 2, "manifests": listed }).to_string();
    world.put_manifest("a", "index", INDEX, index.as_bytes()).await.is(StatusCode::CREATED);
    assert_eq!(term().await, before, "the leader was not lost");
    world.stop().await;
}

#[tokio::test]
async fn a_compressed_manifest_is_not_expanded() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let put = |content: &[u8]| {
        let call = world.request("PUT", "/v2/a/manifests/v2").header(header::CONTENT_TYPE, IMAGE);
        call.header(header::CONTENT_ENCODING, "gzip").body(content).send()
    };
    // What gzip begins with, as a bomb would.
    put(b"\x1f\x8b\x08\x00\x00\x00\x00\x00").await.fails(400, "MANIFEST_INVALID");
    put(&manifest).await.is(StatusCode::CREATED);
    let pull = world.request("GET", "/v2/a/manifests/v2").header(header::ACCEPT_ENCODING, "gzip");
    assert_eq!(pull.send().await.body, manifest);
    world.stop().await;
}

#[tokio::test]
async fn a_subject_with_a_hundred_thousand_referrers_is_listed_page_by_page() {
    const COUNT: usize = 100_000;
    /// Every so many are of another type, fewer than there are pages.
    const RARE: usize = 9_973;
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let subject = descriptor(IMAGE, b"a subject");
    let mut template = image(&[b"layer"], Some(subject.clone()));
    template["annotations"] = json!({ "number": "NUMBER" });
    template["artifactType"] = "application/TYPE".into();
    let template = template.to_string();
    let referrer = move |number: usize| {
        let kind = if number.is_multiple_of(RARE) { "rare" } else { "common" };
        template.replace("NUMBER", &number.to_string()).replace("TYPE", kind).into_bytes()
    };
    let pushed = world.put_manifest("a", "v2", IMAGE, &referrer(0)).await;
    assert_eq!(pushed.is(StatusCode::CREATED).header("oci-subject"), subject["digest"]);
    let mut expected: Vec<_> = (0..COUNT).map(|number| sha256(&referrer(number))).collect();
    let mut rare: Vec<_> = expected.iter().step_by(RARE).cloned().collect();
    expected.sort();
    rare.sort();
    world.decide((1..COUNT).map(move |number| put_manifest("a", referrer(number)))).await;

    let path = format!("/v2/a/referrers/{}", subject["digest"].as_str().unwrap());
    let pages = all_pages(&world, path.clone()).await;
    assert!(pages.len() >= COUNT / PAGE_ENTRIES_MAX);
    assert!(pages.iter().all(|page| page.len() <= PAGE_ENTRIES_MAX));
    assert!(pages.concat() == expected, "each is listed once, in order");
    let pages = all_pages(&world, format!("{path}?artifactType=application/rare")).await;
    assert_eq!(pages.concat(), rare);
    world.stop().await;
}

#[tokio::test]
async fn no_page_of_referrers_is_larger_than_a_manifest() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let about = |subject: &[u8]| {
        let digest = sha256(subject);
        json!({ "mediaType": "a/b", "digest": digest.as_str(), "size": 0 })
    };
    // As large as a page without its commas, which are a thousand.
    let referrer = |number: usize, padding: usize| {
        let mut referrer = image(&[], Some(about(b"many")));
        referrer["annotations"] = json!({ format!("{number:04}"): "x".repeat(padding) });
        referrer.to_string().into_bytes()
    };
    let listed = |content: Vec<u8>| {
        let manifest =
            Manifest::parse(IMAGE.parse().unwrap(), Algorithm::Sha256, content.into()).unwrap();
        json!(manifest.descriptor()).to_string().len()
    };
    let (all, overhead) = (MANIFEST_BYTES_MAX - 1024, listed(referrer(0, 3_000)) - 3_000);
    let sizes = (0..PAGE_ENTRIES_MAX)
        .map(|number| all / PAGE_ENTRIES_MAX + usize::from(number < all % PAGE_ENTRIES_MAX));
    let many: Vec<_> =
        sizes.enumerate().map(|(number, size)| referrer(number, size - overhead)).collect();
    assert_eq!(many.iter().cloned().map(listed).sum::<usize>(), all);
    world.decide(many.into_iter().map(|content| put_manifest("a", content))).await;
    let path = format!("/v2/a/referrers/{}", sha256(b"many"));
    let pages = all_pages(&world, path).await;
    assert_eq!(pages.concat().len(), PAGE_ENTRIES_MAX);

    // One that has more room as a manifest than in the list, for its annotations or for its type.
    for field in ["annotations", "artifactType"] {
        let large = |padding: usize| {
            let mut large =
                json!({ "schemaVersion": 2, "manifests": [], "subject": about(b"one") });
            let text = Value::from("x".repeat(padding));
            large[field] = if field == "annotations" { json!({ "a": text }) } else { text };
            large.to_string().into_bytes()
        };
        let content = large(MANIFEST_BYTES_MAX - large(0).len());
        let digest = sha256(&content);
        let pushed = world.put_manifest("a", digest.as_str(), INDEX, &content).await;
        pushed.is(StatusCode::CREATED);
        let pages = all_pages(&world, format!("/v2/a/referrers/{}", sha256(b"one"))).await;
        assert!(pages.concat().contains(&digest), "it is listed");
    }
    world.stop().await;
}

/// The command that puts an image without tags.
fn put_manifest(name: &str, content: Vec<u8>) -> Command {
    let media_type = IMAGE.parse().unwrap();
    Command::PutManifest {
        repository: name.parse().unwrap(),
        manifest: Manifest::parse(media_type, Algorithm::Sha256, content.into()).unwrap(),
        tags: vec![],
        preconditions: vec![],
        sparse: false,
        tagging: Tagging::ANY,
    }
}

/// The digests on each page of the list at `path`.
async fn all_pages(world: &World, path: String) -> Vec<Vec<Digest>> {
    let (mut pages, mut next) = (Vec::new(), Some(path));
    while let Some(path) = next {
        let reply = world.get(&path).await;
        assert!(reply.is(StatusCode::OK).body.len() <= MANIFEST_BYTES_MAX);
        let json = reply.json();
        let entries = json["manifests"].as_array().unwrap().iter();
        let digests = entries.map(|entry| entry["digest"].as_str().unwrap().parse().unwrap());
        pages.push(digests.collect());
        let link = reply.header("link").strip_prefix('<').and_then(|link| link.split_once('>'));
        next = link.map(|(path, _)| path.to_owned());
    }
    pages
}

#[tokio::test]
async fn an_open_session_is_nothing_but_its_location() {
    let world = World::start_with(Options { uploads_per_minute: 0, ..Options::default() }).await;
    let mut last = String::new();
    for _ in 0..10_000 {
        last = world.begin("a").await;
    }
    let sent = world.request("PATCH", &last).body(b"content").send().await;
    sent.is(StatusCode::ACCEPTED);
    let applied = async || world.get("/roadstead/v1/cluster").await.json()["applied"].clone();
    let before = applied().await;
    for _ in 0..100 {
        world.begin("a").await;
    }
    assert_eq!(applied().await, before, "no fact was made of any of them");
    let wrong = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"other"));
    world.request("POST", &wrong).body(b"x").send().await.fails(400, "DIGEST_INVALID");
    assert_eq!(applied().await, before, "nor of what is refused at once");
    world.stop().await;
}

#[tokio::test]
async fn uploads_that_one_client_begins_beyond_its_rate_are_told_to_come_back() {
    let options = Options { uploads_per_minute: 2, uploads_at_once: 3, ..Options::default() };
    let world = World::start_with(options).await;
    let begin = |from: &'static str| {
        world.request("POST", "/v2/a/blobs/uploads/").from(from).body(b"").send()
    };
    let mut locations = Vec::new();
    for _ in 0..3 {
        let begun = begin("10.0.0.1").await;
        locations.push(begun.is(StatusCode::ACCEPTED).location());
    }
    let refused = begin("10.0.0.1").await;
    refused.fails(429, "TOOMANYREQUESTS");
    let seconds = refused.header("retry-after").parse::<u64>().unwrap();
    assert!((20..=30).contains(&seconds), "one more comes every 30 s: {seconds}");
    begin("10.0.0.2").await.is(StatusCode::ACCEPTED);

    // What it has begun it can end; and what is a blob at once was never open.
    let digest = sha256(b"content");
    let end = format!("{}&digest={digest}", locations[0]);
    world
        .request("PUT", &end)
        .from("10.0.0.1")
        .body(b"content")
        .send()
        .await
        .is(StatusCode::CREATED);
    let at_once = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"more"));
    let sent = world.request("POST", &at_once).from("10.0.0.1").body(b"more").send().await;
    sent.is(StatusCode::CREATED);
    let astray = world.request("POST", &at_once).from("10.0.0.1").body(b"more");
    let astray = astray.header(header::CONTENT_RANGE, "1-4").send().await;
    astray.fails(400, "BLOB_UPLOAD_INVALID");
    assert!(!astray.headers.contains_key(header::LOCATION), "that would be another upload");
    let mount = format!("/v2/b/blobs/uploads/?from=a&mount={digest}");
    world.request("POST", &mount).from("10.0.0.1").body(b"").send().await.is(StatusCode::CREATED);
    let mount = mount.replace("from=a", "from=c");
    let mount = world.request("POST", &mount).from("10.0.0.1").body(b"").send().await;
    mount.fails(429, "TOOMANYREQUESTS");
    world.stop().await;
}

#[tokio::test]
async fn whatever_a_client_asks_for_counts() {
    let options = Options { requests_per_minute: 3, ..Options::default() };
    let world = World::start_with(options).await;
    let ask = |path: &'static str| world.request("GET", path).from("10.0.0.1").send();
    ask("/v2/").await.is(StatusCode::OK);
    ask("/nowhere").await.fails(404, "UNSUPPORTED");
    ask("/v2/A/tags/list").await.fails(400, "NAME_INVALID");
    for path in ["/nowhere", "/v2/A/tags/list", "/v2/"] {
        ask(path).await.fails(429, "TOOMANYREQUESTS");
    }
    world.stop().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_limits() {
    let options = Options {
        uploads_per_minute: 1,
        uploads_at_once: 1,
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..Options::default()
    };
    let world = World::start_with(options).await;
    let begin = |from: &'static str, forwarded: &'static str| {
        let call = world.request("POST", "/v2/a/blobs/uploads/").from(from).body(b"");
        call.header(HeaderName::from_static("x-forwarded-for"), forwarded).send()
    };
    begin("10.0.0.1", "192.0.2.1").await.is(StatusCode::ACCEPTED);
    begin("10.0.0.2", "192.0.2.2").await.is(StatusCode::ACCEPTED);
    begin("10.0.0.2", "192.0.2.1").await.fails(429, "TOOMANYREQUESTS");
    // Nobody becomes another by saying so.
    begin("10.0.0.2", "192.0.2.3, 192.0.2.1").await.fails(429, "TOOMANYREQUESTS");
    begin("198.51.100.1", "192.0.2.4").await.is(StatusCode::ACCEPTED);
    begin("198.51.100.1", "192.0.2.5").await.fails(429, "TOOMANYREQUESTS");
    world.stop().await;
}

#[tokio::test]
async fn no_answer_names_a_host_or_lets_other_sites_read() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    let digest = sha256(b"more");
    let mount = format!("/v2/b/blobs/uploads/?mount={}&from=a", sha256(b"layer"));
    let push = format!("/v2/a/blobs/uploads/?digest={digest}");
    for (method, path, body) in [
        ("GET", "/v2/", &b""[..]),
        ("OPTIONS", "/v2/", b""),
        ("GET", "/v2/_catalog?n=1", b""),
        ("GET", "/v2/a/tags/list?n=1", b""),
        ("GET", "/v2/a/manifests/v1", b""),
        ("GET", &blob, b""),
        ("OPTIONS", &blob, b""),
        ("POST", "/v2/a/blobs/uploads/", b""),
        ("POST", &mount, b""),
        ("POST", &push, b"more"),
        ("GET", "/elsewhere", b""),
    ] {
        let call = world
            .request(method, path)
            .header(header::HOST, "evil.example")
            .header(header::ORIGIN, "https://evil.example")
            .header(header::COOKIE, "session=1")
            .header(HeaderName::from_static("x-forwarded-host"), "evil.example")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "GET");
        let reply = call.body(body).send().await;
        assert!(!reply.status.is_server_error(), "{method} {path}: {reply:?}");
        let shared = reply.headers.keys().find(|name| name.as_str().starts_with("access-control"));
        assert_eq!(shared, None, "{method} {path}");
        assert!(!format!("{reply:?}").contains("evil"), "{method} {path}: {reply:?}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{method} {path}");
        for name in ["location", "link"] {
            let place = reply.header(name).trim_start_matches('<');
            assert!(place.is_empty() || place.starts_with("/v2/"), "{method} {path}: {place}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing_in_an_open_registry() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let layer = sha256(b"layer");
    let mount = format!("/v2/b/blobs/uploads/?mount={layer}&from=a");
    let push = format!("/v2/b/blobs/uploads/?digest={}", sha256(b"more"));
    let send = async |method: &str, path: &str, origin: &str| {
        let call = world.request(method, path).header(header::HOST, "registry.example");
        call.header(header::ORIGIN, origin).body(b"more").send().await
    };
    for origin in ["https://evil.example", "null"] {
        for (method, path) in [
            ("POST", "/v2/b/blobs/uploads/"),
            ("POST", &mount),
            ("POST", &push),
            ("PUT", "/v2/a/manifests/v2"),
            ("DELETE", "/v2/a/manifests/v1"),
            ("DELETE", "/roadstead/v1/cluster/nodes/7"),
        ] {
            let refused = send(method, path, origin).await;
            let message = refused.fails(403, "DENIED").json()["errors"][0]["message"].to_string();
            assert!(message.contains("another site"), "{message}");
        }
        send("GET", "/v2/a/tags/list", origin).await.is(StatusCode::OK);
    }
    world.get(&format!("/v2/b/blobs/{layer}")).await.is(StatusCode::NOT_FOUND);
    world.get("/v2/a/manifests/v1").await.is(StatusCode::OK);
    send("POST", &mount, "http://registry.example").await.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn ranges_without_number_cost_no_more_than_the_blob() {
    let world = World::start().await;
    let content = vec![7; 1 << 20];
    let digest = world.push_blob("a", &content).await;
    let path = format!("/v2/a/blobs/{digest}");
    let ranges = (0..2000).map(|n| format!("{}-", n % 7)).collect::<Vec<_>>().join(",");
    for range in [format!("bytes={ranges}"), "bytes=0-,0-,0-".to_owned(), "bytes=,,,,,".to_owned()]
    {
        let call = world.request("GET", &path).header(header::RANGE, &range);
        let response = call.open().await;
        let status = response.status();
        assert!([200, 416].contains(&status.as_u16()), "{range:.20}: {status}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() <= content.len(), "{range:.20}: {} bytes", body.len());
    }
    world.stop().await;
}

#[tokio::test]
async fn the_series_of_metrics_do_not_grow_with_what_clients_make_up() {
    let world = World::start().await;
    let series = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &world.metrics).unwrap();
        text.lines().count()
    };
    let ask = async |round: usize| {
        for n in 0..50 {
            let made_up = format!("m{round}x{n}");
            world.request(&made_up.to_uppercase(), "/v2/").send().await;
            world.get(&format!("/v2/{made_up}/tags/list")).await;
            world.get(&format!("/{made_up}")).await;
            world.get(&format!("/v2/{made_up}/manifests/{made_up}")).await;
            world.get(&format!("/v2/%{made_up}/blobs/{made_up}")).await;
        }
    };
    ask(0).await;
    let before = series();
    ask(1).await;
    assert_eq!(series(), before);
    let _: Value = world.get("/v2/").await.json();
    world.stop().await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_come_back() {
    let options = Options { requests_per_minute: 10, ..Options::default() };
    let world = World::start_with(options).await;
    let ask = async |from: &str| world.request("GET", "/v2/").from(from).send().await;
    for _ in 0..10 {
        ask("10.0.0.1").await.is(StatusCode::OK);
    }
    let refused = ask("10.0.0.1").await;
    refused.fails(429, "TOOMANYREQUESTS");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
    ask("10.0.0.2").await.is(StatusCode::OK);
}
