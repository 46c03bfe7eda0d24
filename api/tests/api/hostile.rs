//! Requests in any order, made up to hurt: none is answered by a fault of the server, and every
//! refusal is one that clients can read.

use http::header::{self, HeaderName};
use http::{HeaderValue, Request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Runtime;

use crate::world::{IMAGE, INDEX, Reply, World, image, sha256, sha512};

/// A request as it is drawn. Where it continues an upload, a number says which.
#[derive(Clone, Debug)]
struct Hostile {
    method: String,
    target: Target,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Target {
    /// This path and query.
    Path(String),
    /// What one of the earlier answers said to go on with, and this behind it.
    Location(prop::sample::Index, String),
}

fn methods() -> impl Strategy<Value = String> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = prop::sample::select(known.to_vec()).prop_map(str::to_owned);
    prop_oneof![19 => known, 1 => "[A-Z]{1,8}"]
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "team/app"]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["..", "A", "a//b", "%2e%2e", "a%2fb", "a%00", ""])
            .prop_map(str::to_owned),
        1 => "[a-zA-Z0-9._/%-]{0,12}",
        1 => "[a-z]{250,260}",
    ]
}

fn digests() -> impl Strategy<Value = String> {
    let known = [&b"layer"[..], b"{}", b"other", b""];
    let known: Vec<String> =
        known.iter().flat_map(|c| [sha256(c).to_string(), sha512(c).to_string()]).collect();
    prop_oneof![
        4 => prop::sample::select(known),
        1 => "(sha256|sha512|md5)(:|%3A)[0-9a-fA-F]{0,64}",
        1 => "[A-Za-z0-9._-]{0,130}",
    ]
}

fn queries() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        digests(),
        names(),
        "-?[0-9]{0,25}",
        "[ -~&&[^#<>\"`{}|\\\\^]]{0,12}",
        "(%[0-9a-fA-F]{2}){0,4}",
    ];
    let key = prop::sample::select(vec![
        "n",
        "last",
        "digest",
        "digest-algorithm",
        "mount",
        "from",
        "artifactType",
        "tag",
        "state",
    ]);
    prop::collection::vec((key, value), 0..4).prop_map(|pairs| {
        let pairs = pairs.into_iter().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    })
}

fn targets() -> impl Strategy<Value = Target> {
    let path = prop_oneof![
        (names(), digests(), prop::sample::select(vec!["manifests", "blobs", "referrers"]))
            .prop_map(|(name, digest, kind)| format!("/v2/{name}/{kind}/{digest}")),
        names().prop_map(|name| format!("/v2/{name}/blobs/uploads/")),
        names().prop_map(|name| format!("/v2/{name}/tags/list")),
        (names(), "[0-9a-f]{31,33}")
            .prop_map(|(name, id)| format!("/v2/{name}/blobs/uploads/{id}")),
        Just("/v2/_catalog".to_owned()),
        Just("/v2/".to_owned()),
        "/[a-z0-9/._%-]{0,20}",
    ];
    prop_oneof![
        3 => (path, queries()).prop_map(|(path, query)| Target::Path(format!("{path}?{query}"))),
        2 => (any::<prop::sample::Index>(), queries())
            .prop_map(|(which, query)| Target::Location(which, format!("&{query}"))),
    ]
}

fn headers() -> impl Strategy<Value = (HeaderName, String)> {
    let range = prop_oneof![
        "[0-9]{1,3}-[0-9]{1,3}",
        "(bytes[= ])?[0-9]{0,22}-[0-9]{0,22}(/[0-9*]{0,3})?",
        "bytes=([0-9]{0,3}-[0-9]{0,3},){0,9}",
        "[ -~]{0,12}",
    ];
    let media_type = prop_oneof![
        3 => prop::sample::select(vec![IMAGE, INDEX, "*/*", "text/plain"]).prop_map(str::to_owned),
        1 => "[a-z*/;=.,q0-9 +-]{0,60}",
    ];
    let tag =
        prop_oneof![Just("*".to_owned()), digests().prop_map(|d| format!("\"{d}\"")), "[ -~]{0,9}"];
    prop_oneof![
        (prop::sample::select(vec![header::RANGE, header::CONTENT_RANGE]), range),
        (prop::sample::select(vec![header::CONTENT_TYPE, header::ACCEPT]), media_type),
        (
            prop::sample::select(vec![header::IF_MATCH, header::IF_NONE_MATCH, header::IF_RANGE]),
            tag
        ),
        (Just(header::CONTENT_LENGTH), "[0-9]{0,21}|-1|x"),
        (
            prop::sample::select(vec![header::HOST, header::USER_AGENT, header::AUTHORIZATION]),
            "[ -~]{0,20}"
        ),
        (Just(header::CONTENT_ENCODING), "gzip|zstd|identity"),
    ]
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let manifest = image(&[b"layer"], None).to_string().into_bytes();
    let tampered = manifest.clone();
    prop_oneof![
        2 => Just(Vec::new()),
        2 => prop::sample::select(vec![b"layer".to_vec(), b"{}".to_vec(), b"other".to_vec()]),
        2 => Just(manifest),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut manifest = tampered.clone();
            let at = at.index(manifest.len());
            manifest[at] = byte;
            manifest
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

fn requests() -> impl Strategy<Value = Vec<Hostile>> {
    let request = (methods(), targets(), prop::collection::vec(headers(), 0..3), bodies());
    let request = request.prop_map(|(method, target, headers, body)| Hostile {
        method,
        target,
        headers,
        body,
    });
    prop::collection::vec(request, 1..8)
}

/// Sends `requests` one after the other, each to what the answers before it lead to.
async fn play(world: &World, requests: &[Hostile]) -> Result<(), TestCaseError> {
    let mut locations = vec!["/v2/a/blobs/uploads/".to_owned()];
    for hostile in requests {
        let path = match &hostile.target {
            Target::Path(path) => path.clone(),
            Target::Location(which, more) => format!("{}{more}", which.get(&locations)),
        };
        // Other paths do not come as far as this: hyper takes none of them.
        if Request::get(&path).body(()).is_err() {
            continue;
        }
        let mut call = world.request(&hostile.method, &path);
        for (name, value) in &hostile.headers {
            if HeaderValue::from_str(value).is_ok() {
                call = call.header(name.clone(), value);
            }
        }
        let reply = call.with(hostile.body.clone().into()).send().await;
        check(hostile, &path, &reply)?;
        if reply.headers.contains_key(header::LOCATION) {
            locations.push(reply.location());
        }
    }
    Ok(())
}

fn check(hostile: &Hostile, path: &str, reply: &Reply) -> Result<(), TestCaseError> {
    let status = reply.status;
    prop_assert!(status.as_u16() < 500, "{} {path}: {reply:?}", hostile.method);
    prop_assert_eq!(reply.header("x-content-type-options"), "nosniff");
    if !status.is_client_error() || (hostile.method == "HEAD" && reply.body.is_empty()) {
        return Ok(());
    }
    let json: serde_json::Value = serde_json::from_slice(&reply.body)
        .map_err(|error| TestCaseError::fail(format!("{path}: {error}: {reply:?}")))?;
    let errors = json["errors"].as_array().cloned().unwrap_or_default();
    prop_assert!(!errors.is_empty(), "{path}: {reply:?}");
    for error in errors {
        let code = error["code"].as_str().unwrap_or_default();
        prop_assert!(code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && code.len() > 3);
        let message = error["message"].as_str().unwrap_or_default();
        prop_assert!(
            !message.is_empty() && !message.contains(['\r', '\n', '\u{1b}']),
            "{message:?}"
        );
    }
    Ok(())
}

#[test]
fn no_sequence_of_requests_gets_a_fault_of_the_server_or_an_error_without_words() {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(async {
        let world = World::start().await;
        world.push_image("a", "v1", b"layer").await;
        world.push_blob("team/app", b"other").await;
        world
    });
    let mut runner = TestRunner::new(Config { cases: 300, ..Config::default() });
    runner.run(&requests(), |requests| runtime.block_on(play(&world, &requests))).unwrap();
    runtime.block_on(world.stop());
}
