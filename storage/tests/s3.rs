//! The object store on S3, held to its promises by real servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

#[path = "support/s3_server.rs"]
mod s3_server;

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use storage::blob::{
    ClaimError, Encryption, Position, S3Blobs, S3OpenError, S3Settings, Stale, Unclaimed,
};
use storage::conformance::blobs::{self, Races};
use storage::{Blobs, BlobsError, ByteStream};
use tokio::time::timeout;

use s3_server::S3Server;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn minio_does_all_that_an_object_store_must() {
    suite("minio", Races::OneWins).await;
}

#[tokio::test]
async fn garage_does_all_that_an_object_store_must() {
    suite("garage", Races::LastCounts).await;
}

#[tokio::test]
async fn everything_is_encrypted_as_the_operator_says() {
    let server = S3Server::start("minio").await;
    let settings = S3Settings { encryption: Encryption::Aes256, ..server.settings("encrypted") };
    let blobs = S3Blobs::open(&settings).await.unwrap();
    let upload = ObjectKey::from_random(1);
    let at = blobs.append(upload, Position::START, zeros(20)).await.unwrap();
    let at = blobs.append(upload, at, zeros(1)).await.unwrap();
    let object = blobs.seal(upload, at).await.unwrap();
    let client = client(&settings);
    let names = left(&settings).await;
    // Two segments, an index and a cursor.
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let head = client.head_object().bucket(&settings.bucket).key(&name).send().await.unwrap();
        assert_eq!(head.server_side_encryption(), Some(&ServerSideEncryption::Aes256), "{name}");
    }
    let read = blobs.read(object, 0..at.extent).await.unwrap();
    let read = read.try_collect::<Vec<Bytes>>().await.unwrap().concat();
    assert!(read.len() as u64 == at.extent && read.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn a_store_with_a_certificate_of_a_private_authority_is_used_by_whom_trusts_it() {
    let certs = tempfile::tempdir().unwrap();
    certify(certs.path());
    let server = S3Server::start_with_certificate(certs.path()).await;
    let settings = server.settings("encrypted-on-its-way");
    assert!(settings.endpoint.as_ref().unwrap().starts_with("https://"));
    let blobs = S3Blobs::open(&settings).await.unwrap();
    let (object, length) = blobs.put(ObjectKey::from_random(1), zeros(20)).await.unwrap();
    let read = blobs.read(object, 0..length).await.unwrap();
    let read = read.try_collect::<Vec<Bytes>>().await.unwrap().concat();
    assert!(read.len() as u64 == length && read.iter().all(|byte| *byte == 0));

    // A node that does not know the authority sends it nothing, not even a question.
    let blobs = S3Blobs::open(&S3Settings { ca: None, ..settings }).await.unwrap();
    match blobs.probe().await {
        Err(BlobsError::Unavailable(error)) => {
            let reason = error.to_string();
            assert!(reason.contains("certificate"), "{reason}");
        }
        outcome => panic!("{outcome:?}"),
    }
}

/// Makes an authority, and a certificate of it for this machine.
fn certify(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    fs::write(folder.join("public.crt"), server.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    fs::write(folder.join("private.key"), key.serialize_pem()).unwrap();
}

async fn suite(kind: &'static str, races: Races) {
    let mut server = S3Server::start(kind).await;
    let settings = server.settings("team/suite");
    let one = S3Blobs::open(&settings).await.unwrap();
    let other = S3Blobs::open(&settings).await.unwrap();
    assert_eq!(one.is_conditional().await.unwrap(), races == Races::OneWins);
    blobs::all(&one).await;
    blobs::shared(&one, &other, races).await;
    let settings = S3Settings { upload_parts_max: 12, ..server.settings("bounded") };
    blobs::bounded(&S3Blobs::open(&settings).await.unwrap(), 12).await;

    nothing_is_left_behind(&server.settings("left")).await;
    what_a_dead_node_left_is_removed_once_it_is_old(&server.settings("dead")).await;
    an_object_of_many_parts_goes_on_in_another(&server.settings("many")).await;
    a_piece_that_was_given_up_is_missed_at_the_end(&server.settings("given-up")).await;
    the_only_piece_of_an_upload_is_missed_at_the_end(&server.settings("only")).await;
    a_presigned_url_gives_the_bytes(&server.settings("presigned")).await;
    a_mistake_of_the_operator_is_named(&server.settings("mistakes")).await;
    a_store_that_holds_other_things_is_not_taken(&server.settings("")).await;
    an_outage_passes(&mut server).await;
}

/// Whatever ends without an object leaves nothing in the bucket, not even parts.
async fn nothing_is_left_behind(settings: &S3Settings) {
    let blobs = S3Blobs::open(settings).await.unwrap();
    let upload = ObjectKey::from_random(7);
    let at = blobs.append(upload, Position::START, zeros(3)).await.unwrap();
    let at = blobs.append(upload, at, zeros(20)).await.unwrap();
    let at = blobs.append(upload, at, zeros(2)).await.unwrap();
    blobs.seal(upload, at).await.unwrap();
    for frames in [1, 30] {
        let broken = stream::iter([Err(io::Error::other("broke off"))]);
        blobs.append(upload, at, zeros(frames).chain(broken).boxed()).await.unwrap_err();
        let broken = stream::iter([Err(io::Error::other("broke off"))]);
        let whole = zeros(frames).chain(broken).boxed();
        blobs.put(ObjectKey::from_random(8), whole).await.unwrap_err();
        let stalled = zeros(frames).chain(stream::pending()).boxed();
        let append = blobs.append(upload, at, stalled);
        timeout(Duration::from_secs(1), append).await.unwrap_err();
    }
    blobs.abandon(upload).await.unwrap();
    let (object, _) = blobs.put(upload, zeros(40)).await.unwrap();
    blobs.delete(object).await.unwrap();
    until_empty(settings).await;
}

async fn an_object_of_many_parts_goes_on_in_another(settings: &S3Settings) {
    let settings = S3Settings { parts_max: 2, ..settings.clone() };
    let blobs = S3Blobs::open(&settings).await.unwrap();
    let content: Vec<u8> = (0..=250).cycle().take(60 * MIB).collect();
    let length = content.len() as u64;
    let frames: Vec<_> = content.chunks(100_000).map(Bytes::copy_from_slice).map(Ok).collect();
    let upload = ObjectKey::from_random(9);
    let (object, stored) = blobs.put(upload, stream::iter(frames).boxed()).await.unwrap();
    assert_eq!((stored, blobs.extent(object).await.unwrap()), (length, length));
    for range in [0..length, 16 * MIB as u64 - 1..32 * MIB as u64 + 1] {
        let read = blobs.read(object, range.clone()).await.unwrap();
        let read = read.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        assert!(read == content[start..end]);
    }
    assert_eq!(blobs.presign(object, length).await.unwrap(), None);
    assert_eq!(stale(&blobs, Duration::ZERO).await, [Stale::Object(object)]);
    blobs.delete(object).await.unwrap();
    sweep(&blobs).await;
    until_empty(&settings).await;
}

/// A sweep that takes what still arrives for old, as after a node stood still for days, may give up
/// its first pieces: the catalog knows of none. What is left must not become an object.
async fn a_piece_that_was_given_up_is_missed_at_the_end(settings: &S3Settings) {
    let settings = S3Settings { parts_max: 1, ..settings.clone() };
    let blobs = S3Blobs::open(&settings).await.unwrap();
    let (mut sender, body) = mpsc::channel(1);
    let sending = async {
        // When this many are taken, the first eight are a piece.
        for _ in 0..12 {
            sender.send(Ok(Bytes::from(vec![1; MIB]))).await.unwrap();
        }
        let found = stale(&blobs, Duration::ZERO).await;
        assert!(matches!(found[..], [Stale::Object(_)]), "{found:?}");
        sweep(&blobs).await;
        drop(sender);
    };
    let (put, ()) = futures::join!(blobs.put(ObjectKey::from_random(12), body.boxed()), sending);
    assert!(matches!(put, Err(BlobsError::Missing(_))), "{put:?}");
    until_empty(&settings).await;
}

/// The client still has the bytes, and can send them again.
async fn the_only_piece_of_an_upload_is_missed_at_the_end(settings: &S3Settings) {
    let blobs = S3Blobs::open(settings).await.unwrap();
    let upload = ObjectKey::from_random(14);
    let at = blobs.append(upload, Position::START, zeros(1)).await.unwrap();
    let object = blobs.seal(upload, at).await.unwrap();
    blobs.delete(object).await.unwrap();
    let sealed = blobs.seal(upload, at).await;
    assert!(matches!(sealed, Err(BlobsError::Missing(_))), "{sealed:?}");
    blobs.abandon(upload).await.unwrap();
    until_empty(settings).await;
}

/// Parts of an object that was not completed, and a probe, are nothing that anybody could ask for.
async fn what_a_dead_node_left_is_removed_once_it_is_old(settings: &S3Settings) {
    let blobs = S3Blobs::open(settings).await.unwrap();
    let client = client(settings);
    let name = |folder| format!("{}/{folder}/{}", settings.prefix, ObjectKey::from_random(5));
    let begun = client.create_multipart_upload().bucket(&settings.bucket).key(name("objects/00"));
    begun.send().await.unwrap();
    let probe = client.put_object().bucket(&settings.bucket).key(name("probes"));
    probe.send().await.unwrap();
    let before = left(settings).await;
    assert_eq!(stale(&blobs, Duration::from_secs(60 * 60)).await, []);
    assert_eq!(left(settings).await, before);
    assert_eq!(stale(&blobs, Duration::ZERO).await, []);
    assert_eq!(left(settings).await, [""; 0]);
}

async fn a_presigned_url_gives_the_bytes(settings: &S3Settings) {
    let blobs = S3Blobs::open(settings).await.unwrap();
    let body = stream::iter([Ok(Bytes::from_static(b"some bytes"))]).boxed();
    let (object, _) = blobs.put(ObjectKey::from_random(1), body).await.unwrap();
    let url = blobs.presign(object, 10).await.unwrap().expect("an object of one piece has one");
    assert!(url.contains("X-Amz-Expires=300"), "{url}");
    let refused = blobs.presign(object, 11).await;
    assert!(matches!(refused, Err(BlobsError::Missing(_))), "{refused:?}");
    let answer = http_get(&url).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("some bytes"), "{answer}");
}

async fn a_mistake_of_the_operator_is_named(settings: &S3Settings) {
    let mistaken = S3Settings { bucket: "no-such-bucket".to_owned(), ..settings.clone() };
    let refused = S3Blobs::open(&mistaken).await.unwrap_err();
    let is_named = matches!(refused, S3OpenError::NoBucket { .. } | S3OpenError::Denied { .. });
    assert!(is_named, "{refused}");
    let mut mistaken = settings.clone();
    mistaken.credentials.as_mut().unwrap().secret_key.push('1');
    let refused = S3Blobs::open(&mistaken).await.unwrap_err();
    assert!(matches!(refused, S3OpenError::Denied { .. }), "{refused}");
}

async fn a_store_that_holds_other_things_is_not_taken(settings: &S3Settings) {
    let blobs = S3Blobs::open(settings).await.unwrap();
    let refused = blobs.claim(ClusterId::from_bytes([1; 16]), Unclaimed::Bind).await;
    assert!(matches!(refused, Err(ClaimError::Foreign)), "{refused:?}");
}

/// While the server is away everything says so, and nothing is lost; then work goes on.
async fn an_outage_passes(server: &mut S3Server) {
    let settings = server.settings("outage");
    let cluster = ClusterId::from_bytes([1; 16]);
    let blobs = S3Blobs::open(&settings).await.unwrap();
    blobs.claim(cluster, Unclaimed::Bind).await.unwrap();
    let upload = ObjectKey::from_random(11);
    let at = blobs.append(upload, Position::START, zeros(12)).await.unwrap();
    let object = blobs.seal(upload, at).await.unwrap();
    let mut read = blobs.read(object, 0..at.extent).await.unwrap();
    let first = read.next().await.unwrap().unwrap();

    let (mut sender, body) = mpsc::channel(1);
    let sending = async {
        for _ in 0..20 {
            sender.send(Ok(Bytes::from(vec![1; MIB]))).await.unwrap();
        }
        server.stop();
        let rest = async { while sender.send(Ok(Bytes::from(vec![1; MIB]))).await.is_ok() {} };
        // The append has given up when nobody takes its body any more.
        timeout(Duration::from_secs(200), rest).await.unwrap();
    };
    let (appended, ()) = futures::join!(blobs.append(upload, at, body.boxed()), sending);
    assert!(matches!(appended, Err(BlobsError::Unavailable(_))), "{appended:?}");
    let refused = blobs.position(upload).await;
    assert!(matches!(refused, Err(BlobsError::Unavailable(_))), "{refused:?}");
    let refused = blobs.extent(object).await;
    assert!(matches!(refused, Err(BlobsError::Unavailable(_))), "{refused:?}");

    // A node that starts now goes on without the store, unless it would have to take a new one.
    let late = S3Blobs::open(&settings).await.unwrap();
    let refused = late.claim(cluster, Unclaimed::Bind).await;
    assert!(matches!(refused, Err(ClaimError::Store(_))), "{refused:?}");
    late.claim(cluster, Unclaimed::Refuse).await.unwrap();
    assert!(matches!(late.extent(object).await, Err(BlobsError::Unavailable(_))));
    let stranger = S3Blobs::open(&settings).await.unwrap();
    stranger.claim(ClusterId::from_bytes([2; 16]), Unclaimed::Refuse).await.unwrap();

    server.resume().await;
    let mut length = first.len();
    while let Some(frame) = read.next().await {
        length += frame.expect("the read goes on").len();
    }
    assert_eq!(length as u64, at.extent);
    assert_eq!(late.extent(object).await.unwrap(), at.extent);
    let refused = stranger.extent(object).await;
    assert!(matches!(refused, Err(BlobsError::Unavailable(_))), "{refused:?}");
    assert_eq!(blobs.position(upload).await.unwrap(), at);
    let end = blobs.append(upload, at, zeros(1)).await.unwrap();
    assert_eq!(end.extent, 13 * MIB as u64);
}

fn zeros(mebibytes: usize) -> ByteStream {
    stream::iter((0..mebibytes).map(|_| Ok(Bytes::from(vec![0; MIB])))).boxed()
}

async fn stale(blobs: &S3Blobs, age: Duration) -> Vec<Stale> {
    blobs.sweep(age).try_collect().await.unwrap()
}

/// Removes everything, as if nobody needed it.
async fn sweep(blobs: &S3Blobs) {
    for found in stale(blobs, Duration::ZERO).await {
        match found {
            Stale::Upload(upload) => blobs.abandon(upload).await.unwrap(),
            Stale::Object(object) => blobs.delete(object).await.unwrap(),
        }
    }
}

/// Waits until nothing is under the prefix: what was dropped is removed a little later.
async fn until_empty(settings: &S3Settings) {
    let empty = async {
        while !left(settings).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(Duration::from_secs(60), empty).await.is_err() {
        panic!("left behind: {:?}", left(settings).await);
    }
}

/// The names of all that is under the prefix.
async fn left(settings: &S3Settings) -> Vec<String> {
    let client = client(settings);
    let prefix = format!("{}/", settings.prefix);
    let objects = client.list_objects_v2().bucket(&settings.bucket).prefix(&prefix);
    let objects = objects.send().await.unwrap();
    let parts = client.list_multipart_uploads().bucket(&settings.bucket).prefix(&prefix);
    let parts = parts.send().await.unwrap();
    let keys = objects.contents().iter().filter_map(|object| object.key());
    let keys = keys.chain(parts.uploads().iter().filter_map(|upload| upload.key()));
    keys.filter(|key| !key.ends_with("/cluster")).map(str::to_owned).collect()
}

/// A client that knows nothing of how the store is used.
fn client(settings: &S3Settings) -> aws_sdk_s3::Client {
    let key = settings.credentials.as_ref().unwrap();
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .credentials_provider(Credentials::new(&key.access_key, &key.secret_key, None, None, "t"))
        .region(Region::new(settings.region.clone().unwrap()))
        .endpoint_url(settings.endpoint.clone().unwrap())
        .force_path_style(true)
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// The answer to a GET of `url`, which is plain HTTP.
#[expect(clippy::disallowed_methods, reason = "a test of a real server")]
async fn http_get(url: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
