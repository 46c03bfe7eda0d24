//! The object store on S3, when what is between it and us does not behave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

#[path = "support/fake_s3.rs"]
mod fake_s3;
#[path = "s3_faults/full.rs"]
mod full;
#[path = "s3_faults/lies.rs"]
mod lies;
#[path = "support/shelf.rs"]
mod shelf;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future, stream};
use proto::{ClusterId, ObjectKey};
use storage::blob::{ClaimError, Position, S3Blobs, S3Settings, Unclaimed};
use storage::{Blobs, BlobsError};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use fake_s3::{EMPTY_LIST, FakeS3, Request};

const OBJECT: ObjectKey = ObjectKey::from_random(7);

/// A proxy that does not find the store answers as if everything were gone, but for the code.
#[tokio::test]
async fn a_404_that_is_not_the_stores_is_an_outage_and_says_of_nothing_that_it_is_gone() {
    for page in ["<html><body>no such route</body></html>", ""] {
        let server = FakeS3::start(move |request, _| {
            if request.is_list() {
                return EMPTY_LIST.into();
            }
            let head = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n", page.len());
            let body = if request.method == "HEAD" { "" } else { page };
            [head.as_bytes(), body.as_bytes()].concat()
        })
        .await;
        let blobs = S3Blobs::open(&server.settings()).await.unwrap();
        let outcomes = [
            blobs.extent(OBJECT).await.map(|_| ()),
            blobs.read(OBJECT, 0..1).await.map(drop),
            blobs.position(OBJECT).await.map(|_| ()),
            blobs.presign(OBJECT, 1).await.map(|_| ()),
            blobs.delete(OBJECT).await,
            blobs.abandon(OBJECT).await,
        ];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(BlobsError::Unavailable(_))), "{outcome:?}");
        }
    }
}

/// A node that starts now is needed for its vote; what is in front of the store is mended later.
#[tokio::test]
async fn a_node_starts_unless_the_store_itself_says_what_is_to_be_mended() {
    let html = "<html><body>sign in</body></html>";
    for (status, body, code) in [
        ("404 Not Found", String::new(), None),
        ("404 Not Found", html.to_owned(), None),
        ("403 Forbidden", html.to_owned(), None),
        ("401 Unauthorized", String::new(), None),
        ("400 Bad Request", error("ExpiredToken"), None),
        ("403 Forbidden", error("RequestTimeTooSkewed"), None),
        ("403 Forbidden", error("InvalidAccessKeyId"), Some("InvalidAccessKeyId (403)")),
        ("400 Bad Request", error("InvalidBucketName"), Some("InvalidBucketName (400)")),
        ("404 Not Found", error("NoSuchBucket"), Some("does not exist")),
    ] {
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        let said = answer.clone();
        let server = FakeS3::start(move |_, _| answer.clone().into()).await;
        match (S3Blobs::open(&server.settings()).await, code) {
            (Ok(_), None) => {}
            (Err(refused), Some(code)) => {
                assert!(refused.to_string().contains(code), "{said}: {refused}");
            }
            (outcome, _) => panic!("{said}: {outcome:?}"),
        }
    }
}

/// A proxy may drop a length that it does not know, or answer with more than was asked for.
#[tokio::test]
async fn an_answer_without_a_usable_length_says_of_nothing_that_it_is_gone() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
    for (head, get, lacks) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 206 Partial Content\r\n\r\nx", "HEAD"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", whole, "GET of one byte"),
    ] {
        let server = FakeS3::start(move |request, _| match &*request.method {
            "HEAD" => head.into(),
            _ if request.is_list() => EMPTY_LIST.into(),
            _ if request.target.contains("/indexes/") => no_such_key(),
            _ => get.into(),
        })
        .await;
        let blobs = S3Blobs::open(&server.settings()).await.unwrap();
        let outcomes = [
            (lacks, blobs.extent(OBJECT).await.map(|_| ())),
            (lacks, blobs.presign(OBJECT, 1).await.map(|_| ())),
            ("GET", blobs.read(OBJECT, 0..1).await.map(drop)),
        ];
        for (request, outcome) in outcomes {
            let Err(BlobsError::Unavailable(reason)) = outcome else { panic!("{outcome:?}") };
            let reason = reason.to_string();
            assert!(reason.contains(&format!("to a {request} has no usable Content-")), "{reason}");
        }
    }
}

/// Whether an object is there, the answer to a HEAD alone does not tell.
#[tokio::test]
async fn what_a_store_itself_does_not_find_is_gone() {
    let server = FakeS3::start(|request, _| match &*request.method {
        "HEAD" => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into(),
        _ if request.is_list() => EMPTY_LIST.into(),
        _ => no_such_key(),
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    assert_eq!(blobs.extent(OBJECT).await.unwrap(), 0);
    let missing = blobs.presign(OBJECT, 1).await;
    assert!(matches!(missing, Err(BlobsError::Missing(OBJECT))), "{missing:?}");
}

/// A long read over a line that breaks now and then is not lost, as long as something comes.
#[tokio::test]
async fn a_read_goes_on_however_often_it_breaks_and_over_a_short_outage() {
    const LENGTH: usize = 20_000;
    const PIECE: usize = 1000;
    let content: Vec<u8> = (0..=250).cycle().take(LENGTH).collect();
    let whole = content.clone();
    let server = FakeS3::start(move |request, before| {
        if request.is_list() {
            return EMPTY_LIST.into();
        }
        // More failures in a row than a request is repeated.
        if (5..12).contains(&before) {
            return UNAVAILABLE.into();
        }
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let (start, end) = range.and_then(|range| range.split_once('-')).unwrap();
        let [start, end] = [start, end].map(|at| at.parse::<usize>().unwrap());
        assert!(start == 0 || request.header("if-match") == Some("\"tag\""));
        let length = end + 1 - start;
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\netag: \"tag\"\r\n\
             content-range: bytes {start}-{end}/{LENGTH}\r\n\r\n"
        );
        [head.as_bytes(), &content[start..start + length.min(PIECE)]].concat()
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let read = blobs.read(OBJECT, 0..LENGTH as u64).await.unwrap();
    let read = read.try_collect::<Vec<Bytes>>().await.expect("goes on").concat();
    assert!(read == whole);
}

/// An outage's worth of failures leaves each later request as many attempts as the first.
#[tokio::test]
async fn what_has_failed_uses_up_no_attempts_of_what_comes_later() {
    let server = FakeS3::start(|_, _| UNAVAILABLE.into()).await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let asked = (0..60).map(|key| blobs.position(ObjectKey::from_random(key)));
    assert!(future::join_all(asked).await.iter().all(Result::is_err));
    let before = server.requests().len();
    blobs.position(OBJECT).await.unwrap_err();
    assert_eq!(server.requests().len() - before, 5);
}

/// A client that leaves while the end of a body is written takes the object with it: nobody else
/// knows of it.
#[tokio::test]
async fn an_object_whose_caller_is_gone_is_removed() {
    let server = FakeS3::start(|request, _| match &*request.method {
        "PUT" => b"HTTP/1.1 200 OK\r\netag: \"tag\"\r\ncontent-length: 0\r\n\r\n".into(),
        "DELETE" => b"HTTP/1.1 204 No Content\r\n\r\n".into(),
        _ if request.is_list() => EMPTY_LIST.into(),
        _ => no_such_key(),
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let (ends, has_ended) = oneshot::channel();
    let frames = [Bytes::from_static(b"some bytes"), Bytes::new()];
    let mut ends = Some(ends);
    let body = stream::iter(frames).inspect(move |frame| {
        if frame.is_empty() {
            ends.take().unwrap().send(()).unwrap();
        }
    });
    let put = blobs.put(OBJECT, body.map(Ok).boxed());
    let outcome = future::select(put, has_ended).await;
    assert!(matches!(outcome, future::Either::Right(_)), "the end is still to be written");
    drop(outcome);
    let removed = async {
        loop {
            let requests = server.requests();
            let written = requests.iter().find(|request| request.method == "PUT");
            let is_removed = |put: &Request| {
                let path = |request: &Request| request.target.split('?').next().map(str::to_owned);
                let mut deleted = requests.iter().filter(|request| request.method == "DELETE");
                deleted.any(|delete| path(delete) == path(put))
            };
            if written.is_some_and(is_removed) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), removed).await.expect("it is removed");
}

/// A counter that is held by a body is held until the body is written.
#[tokio::test]
async fn a_body_is_held_until_it_is_written_also_when_its_caller_is_gone() {
    let (held, seen) = (Arc::new(()), Arc::new(Mutex::new(Vec::new())));
    let (counted, found) = (Arc::downgrade(&held), Arc::clone(&seen));
    let server = FakeS3::start(move |request, _| match &*request.method {
        "PUT" => {
            if request.name().starts_with("objects/") {
                found.lock().unwrap().push(counted.strong_count());
            }
            b"HTTP/1.1 200 OK\r\netag: \"tag\"\r\ncontent-length: 0\r\n\r\n".into()
        }
        "DELETE" => b"HTTP/1.1 204 No Content\r\n\r\n".into(),
        _ if request.is_list() => EMPTY_LIST.into(),
        _ => no_such_key(),
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    for is_whole in [true, false] {
        let (ends, has_ended) = oneshot::channel();
        let (mut ends, share) = (Some(ends), Arc::clone(&held));
        let frames = [Bytes::from_static(b"some bytes"), Bytes::new()];
        let body = stream::iter(frames).inspect(move |frame| {
            let _share = &share;
            if frame.is_empty() {
                ends.take().unwrap().send(()).unwrap();
            }
        });
        let body = body.map(Ok).boxed();
        let storing = match is_whole {
            true => blobs.put(OBJECT, body).map(drop).boxed(),
            false => blobs.append(OBJECT, Position::START, body).map(drop).boxed(),
        };
        let outcome = future::select(storing, has_ended).await;
        assert!(matches!(outcome, future::Either::Right(_)), "the end is still to be written");
        drop(outcome);
        let freed = async {
            while Arc::strong_count(&held) > 1 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), freed).await.expect("it is let go");
    }
    assert_eq!(*seen.lock().unwrap(), [2, 2]);
}

#[tokio::test]
async fn a_store_that_refuses_conditions_is_claimed_without() {
    let cluster = ClusterId::from_bytes([1; 16]);
    let is_written = AtomicBool::new(false);
    let server = FakeS3::start(move |request, _| match &*request.method {
        "PUT" if request.header("if-none-match").is_some() => {
            b"HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\n\r\n".into()
        }
        "PUT" => {
            is_written.store(true, Ordering::SeqCst);
            b"HTTP/1.1 200 OK\r\netag: \"tag\"\r\ncontent-length: 0\r\n\r\n".into()
        }
        _ if request.is_list() => EMPTY_LIST.into(),
        _ if is_written.load(Ordering::SeqCst) => ok(&format!("{cluster}\n")),
        _ => no_such_key(),
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    blobs.claim(cluster, Unclaimed::Bind).await.unwrap();
}

/// Each looks before the other has written, and the second one writes when the first has read its
/// own claim, or would have.
#[tokio::test]
async fn of_two_clusters_that_take_a_store_which_ignores_conditions_one_is_told() {
    let clusters = [1, 2].map(|id| ClusterId::from_bytes([id; 16]));
    let have_looked = [false, false].map(AtomicBool::new);
    let owner = AtomicUsize::new(0);
    let server = FakeS3::start(move |request, _| {
        let credential = request.header("authorization").unwrap_or_default();
        let who = usize::from(credential.contains("Credential=second/"));
        match &*request.method {
            "PUT" => {
                if is_of_claim(request) {
                    owner.store(who, Ordering::SeqCst);
                }
                b"HTTP/1.1 200 OK\r\netag: \"tag\"\r\ncontent-length: 0\r\n\r\n".into()
            }
            "DELETE" => b"HTTP/1.1 204 No Content\r\n\r\n".into(),
            _ if request.is_list() => EMPTY_LIST.into(),
            _ if !have_looked[who].swap(true, Ordering::SeqCst) => no_such_key(),
            _ => ok(&format!("{}\n", clusters[owner.load(Ordering::SeqCst)])),
        }
    })
    .await;
    let [first, second] = ["first", "second"].map(|access_key| {
        let mut settings = server.settings();
        settings.credentials.as_mut().unwrap().access_key = access_key.to_owned();
        settings
    });
    let first = S3Blobs::open(&first).await.unwrap();
    let second = S3Blobs::open(&second).await.unwrap();
    let late = async {
        let is_write = |request: &Request| request.method == "PUT" && is_of_claim(request);
        while server.requests().iter().skip_while(|request| !is_write(request)).count() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
        second.claim(clusters[1], Unclaimed::Bind).await
    };
    let (first, second) = future::join(first.claim(clusters[0], Unclaimed::Bind), late).await;
    second.unwrap();
    assert!(matches!(first, Err(ClaimError::Taken(owner)) if owner == clusters[1]), "{first:?}");
}

fn is_of_claim(request: &Request) -> bool {
    request.target.starts_with("/bucket/cluster")
}

/// What is not understood of a list may be what the rest of the bucket is needed for.
#[tokio::test]
async fn nothing_is_found_stale_where_a_list_says_too_little() {
    let (key, time) =
        ("<Key>uploads/9c/1</Key>", "<LastModified>2026-01-01T00:00:00Z</LastModified>");
    for (uploads, lacks) in [(key, "LastModified"), (time, "Key")] {
        let server = FakeS3::start(move |request, _| match &*request.method {
            "PUT" => b"HTTP/1.1 200 OK\r\netag: \"tag\"\r\ncontent-length: 0\r\n\r\n".into(),
            "DELETE" => b"HTTP/1.1 204 No Content\r\n\r\n".into(),
            _ if request.target.contains("prefix=uploads") => ok(&list(uploads)),
            _ if request.target.contains("prefix=probes") => ok(&list(&[key, time].concat())),
            _ if request.is_list() => EMPTY_LIST.into(),
            _ => ok("<ListMultipartUploadsResult/>"),
        })
        .await;
        let blobs = S3Blobs::open(&server.settings()).await.unwrap();
        let found = blobs.sweep(Duration::ZERO).try_collect::<Vec<_>>().await;
        let Err(BlobsError::Unavailable(reason)) = found else { panic!("{found:?}") };
        assert!(reason.to_string().ends_with(lacks), "{reason}");
    }
}

fn list(entry: &str) -> String {
    format!("<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>")
}

/// Where credentials come from that nobody sets: each case in a process with its own environment.
#[tokio::test]
async fn credentials_come_from_the_environment_or_a_profile() {
    let server = FakeS3::start(|request, _| match &*request.method {
        "HEAD" => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".into(),
        _ => EMPTY_LIST.into(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let profiles = dir.path().join("credentials");
    let profile = "[default]\naws_access_key_id = profiled\naws_secret_access_key = secret\n";
    fs::write(&profiles, profile).unwrap();
    let profiles = profiles.to_str().unwrap();
    let variables = [("AWS_ACCESS_KEY_ID", "variable"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let said = open_in_a_process(&server, &variables).await;
    assert!(said.contains("X-Amz-Credential=variable%2F"), "{said}");
    let said = open_in_a_process(&server, &[("AWS_SHARED_CREDENTIALS_FILE", profiles)]).await;
    assert!(said.contains("X-Amz-Credential=profiled%2F"), "{said}");
    let said = open_in_a_process(&server, &[]).await;
    assert!(said.contains("there are no credentials for the bucket bucket"), "{said}");
}

#[tokio::test]
async fn credentials_that_cannot_be_fetched_now_do_not_end_a_node() {
    let server = FakeS3::start(|_, _| UNAVAILABLE.into()).await;
    let role = format!("{}/role", server.endpoint);
    let said = open_in_a_process(&server, &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &role)]).await;
    assert!(said.contains("opened"), "{said}");
    assert!(server.requests().iter().any(|request| request.target == "/role"));
}

/// What [`opens_with_what_the_environment_says`] says in a process with these variables.
async fn open_in_a_process(server: &FakeS3, variables: &[(&str, &str)]) -> String {
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "opens_with_what_the_environment_says", "--ignored", "--nocapture"]);
    child.env_clear().env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    child.env(ENDPOINT, &server.endpoint).envs(variables.iter().copied());
    let output = child.output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Tells a process that [`open_in_a_process`] started where the store is.
const ENDPOINT: &str = "ROADSTEAD_TEST_ENDPOINT";

#[tokio::test]
#[ignore = "is run by others, in an environment of their own"]
#[expect(clippy::print_stdout, reason = "that is how it tells")]
async fn opens_with_what_the_environment_says() {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return };
    let settings = S3Settings {
        endpoint: Some(endpoint),
        region: Some("test".to_owned()),
        path_style: true,
        ..S3Settings::new("bucket")
    };
    match S3Blobs::open(&settings).await {
        Err(refused) => println!("{refused}"),
        Ok(blobs) => println!("opened, {:?}", blobs.presign(OBJECT, 10).await),
    }
}

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

/// An error as S3 writes it.
fn error(code: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>it says why</Message></Error>")
}

fn no_such_key() -> Vec<u8> {
    let body = error("NoSuchKey");
    let length = body.len();
    format!("HTTP/1.1 404 Not Found\r\ncontent-length: {length}\r\n\r\n{body}").into()
}
