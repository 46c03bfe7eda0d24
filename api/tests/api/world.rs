//! A registry on a cluster of one node with its stores in memory, and a client for it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{Options, Registry, router};
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use proto::{Actor, Algorithm, Command, Digest, ObjectKey, PeerAddress, RequestId, Timestamp};
use raft::{Clock, Cluster, Config, Dial, DialError, Tuning};
use serde_json::{Value, json};
use storage::Blobs as _;
use storage::kv::MemoryKv;
use tokio::sync::Barrier;
use tonic::transport::Channel;
use tower::ServiceExt as _;

use crate::fickle::FickleBlobs;

/// The media type of the images that tests push.
pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of the indexes that tests push.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Waits until `claim` holds.
pub(crate) async fn eventually(claim: impl AsyncFn() -> bool) {
    let attempts = async {
        while !claim().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), attempts).await.expect("it comes true");
}

/// The same where the clock is paused, and goes on when everybody waits.
pub(crate) async fn in_time(claim: impl AsyncFn() -> bool) {
    let attempts = async {
        while !claim().await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), attempts).await.expect("it comes true");
}

/// A registry, the store behind it and the clock it looks at.
pub(crate) struct World {
    /// The objects.
    pub(crate) blobs: FickleBlobs,
    /// The counts of requests.
    pub(crate) metrics: prometheus_client::registry::Registry,
    /// What does the work behind the API.
    pub(crate) registry: Registry,
    millis: Arc<AtomicU64>,
    router: axum::Router,
    cluster: Cluster,
}

/// No node to dial.
struct Alone;

impl Dial for Alone {
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
        Err(DialError(address.clone()))
    }
}

impl World {
    /// A registry in which content can be deleted.
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// A registry as `options` say.
    pub(crate) async fn start_with(options: Options) -> Self {
        let millis = Arc::new(AtomicU64::new(1_700_000_000_000));
        let clock = clock(&millis);
        let tuning = Tuning {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(100),
            election_max: Duration::from_millis(200),
            ..Tuning::default()
        };
        let config = Config {
            peer_address: "127.0.0.1:1".parse().unwrap(),
            join: vec![],
            authority: None,
            token: None,
            voters: 1,
            tuning,
        };
        let kv = Arc::new(MemoryKv::new());
        let cluster = Cluster::start(config, kv, Arc::new(Alone), clock).await.unwrap();
        Self::over(cluster, FickleBlobs::default(), millis, options)
    }

    /// Another node over the same facts and the same store: what it finds out by itself is its own.
    pub(crate) fn beside(&self) -> Self {
        let millis = Arc::clone(&self.millis);
        Self::over(self.cluster.clone(), self.blobs.clone(), millis, Options::default())
    }

    fn over(
        cluster: Cluster,
        blobs: FickleBlobs,
        millis: Arc<AtomicU64>,
        options: Options,
    ) -> Self {
        let clock = clock(&millis);
        let mut metrics = prometheus_client::registry::Registry::default();
        let store = Arc::new(blobs.clone());
        let registry = Registry::new(cluster.clone(), store, clock, options, &mut metrics).unwrap();
        Self {
            blobs,
            metrics,
            registry: registry.clone(),
            millis,
            router: router(registry),
            cluster,
        }
    }

    /// Lets `time` pass.
    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Ends the node.
    pub(crate) async fn stop(self) {
        self.cluster.stop().await;
    }

    /// Ends the node's part in the cluster, and goes on asking its API.
    pub(crate) async fn cease(&self) {
        self.cluster.stop().await;
    }

    /// The API, to be served.
    pub(crate) fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// Has the cluster decide `commands`, many of them at once.
    pub(crate) async fn decide(&self, commands: impl Iterator<Item = Command> + Send + 'static) {
        let numbered = Arc::new(Mutex::new((0_u128..).zip(commands)));
        let decide = |_| {
            let (cluster, numbered) = (self.cluster.clone(), Arc::clone(&numbered));
            tokio::spawn(async move {
                loop {
                    let next = numbered.lock().unwrap().next();
                    let Some((number, command)) = next else { return };
                    let request = RequestId::from_bytes(number.to_be_bytes());
                    cluster.propose(request, &Actor::ANONYMOUS, command).await.unwrap();
                }
            })
        };
        let deciding: Vec<_> = (0..256).map(decide).collect();
        for task in deciding {
            task.await.unwrap();
        }
    }

    /// Begins a request.
    pub(crate) fn request(&self, method: &str, path: &str) -> Call {
        Call {
            router: self.router.clone(),
            builder: Request::builder().method(method).uri(path),
            body: Body::empty(),
        }
    }

    /// GETs `path`.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send().await
    }

    /// HEADs `path`.
    pub(crate) async fn head(&self, path: &str) -> Reply {
        self.request("HEAD", path).send().await
    }

    /// DELETEs `path`.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send().await
    }

    /// Begins an upload into `name` and answers its location.
    pub(crate) async fn begin(&self, name: &str) -> String {
        let begun = self.request("POST", &format!("/v2/{name}/blobs/uploads/")).send().await;
        begun.is(StatusCode::ACCEPTED);
        begun.location()
    }

    /// How many bytes the store holds for the upload at `location`.
    pub(crate) async fn extent(&self, location: &str) -> u64 {
        let id = location.split(['/', '?']).nth(5).unwrap();
        self.blobs.position(id.parse::<ObjectKey>().unwrap()).await.unwrap().extent
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = sha256(content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        self.request("POST", &path).body(content).send().await.is(StatusCode::CREATED);
        digest
    }

    /// Pushes a blob in one request, by its digest of SHA-512.
    pub(crate) async fn push_sha512(&self, name: &str, content: &[u8]) -> Digest {
        let digest = sha512(content);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        self.request("POST", &path).body(content).send().await.is(StatusCode::CREATED);
        digest
    }

    /// Pushes an image with one layer of `content`, under `reference`, and answers the manifest.
    pub(crate) async fn push_image(&self, name: &str, reference: &str, content: &[u8]) -> Vec<u8> {
        self.push_blob(name, b"{}").await;
        self.push_blob(name, content).await;
        let manifest = image(&[content], None).to_string().into_bytes();
        self.put_manifest(name, reference, IMAGE, &manifest).await.is(StatusCode::CREATED);
        manifest
    }

    /// Pushes a manifest.
    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        content: &[u8],
    ) -> Reply {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.request("PUT", &path)
            .header(header::CONTENT_TYPE, media_type)
            .body(content)
            .send()
            .await
    }
}

/// The clock that shows `millis`.
fn clock(millis: &Arc<AtomicU64>) -> Clock {
    let millis = Arc::clone(millis);
    Clock::new(move || Timestamp::from_millis(millis.load(Ordering::Relaxed)))
}

/// A request that is being made.
pub(crate) struct Call {
    router: axum::Router,
    builder: http::request::Builder,
    body: Body,
}

impl Call {
    /// Adds a header.
    pub(crate) fn header(mut self, name: header::HeaderName, value: impl ToString) -> Self {
        self.builder = self.builder.header(name, value.to_string());
        self
    }

    /// Says who asks.
    pub(crate) fn from(mut self, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        self.builder = self.builder.extension(ConnectInfo(SocketAddr::new(address, 4711)));
        self
    }

    /// Adds what the listener knows of the connection.
    pub(crate) fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.builder = self.builder.extension(value);
        self
    }

    /// Sets the body, with its length.
    pub(crate) fn body(mut self, content: &[u8]) -> Self {
        self.builder = self.builder.header(header::CONTENT_LENGTH, content.len());
        self.body = Body::from(content.to_vec());
        self
    }

    /// Sets a body that comes in frames, without a length.
    pub(crate) fn stream(mut self, frames: &[&[u8]]) -> Self {
        let frames: Vec<std::io::Result<Bytes>> =
            frames.iter().map(|frame| Ok(Bytes::copy_from_slice(frame))).collect();
        self.body = Body::from_stream(stream::iter(frames));
        self
    }

    /// Sets a body that breaks off after `content`.
    pub(crate) fn broken(mut self, content: &[u8]) -> Self {
        let frames =
            vec![Ok(Bytes::copy_from_slice(content)), Err(std::io::Error::other("cut short"))];
        self.body = Body::from_stream(stream::iter(frames));
        self
    }

    /// Sets a body that sends half of `content` and the rest once everybody waits at `halfway`.
    pub(crate) fn halting(mut self, content: &'static [u8], halfway: &Arc<Barrier>) -> Self {
        let (first, rest) = content.split_at(content.len() / 2);
        let halfway = Arc::clone(halfway);
        let first = futures::future::ready(std::io::Result::Ok(Bytes::from_static(first)));
        let rest = async move {
            halfway.wait().await;
            Ok(Bytes::from_static(rest))
        };
        self.body = Body::from_stream(stream::once(first).chain(stream::once(rest)));
        self
    }

    /// Sets any body.
    pub(crate) fn with(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sends the request and answers the head of the answer, with its body to be read.
    pub(crate) async fn open(self) -> axum::response::Response {
        let request = self.builder.body(self.body).unwrap();
        self.router.oneshot(request).await.unwrap()
    }

    /// Sends the request and reads the whole answer.
    pub(crate) async fn send(self) -> Reply {
        let response = self.open().await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Reply {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn is(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks that it is an error of `status` and `code` with a message.
    #[track_caller]
    pub(crate) fn fails(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let error = &self.json()["errors"][0];
        assert_eq!(error["code"], code, "{self:?}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The header `name`, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Where to go next.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        let location = self.header("location");
        assert!(!location.is_empty(), "{self:?}");
        location.to_owned()
    }
}

/// The SHA-256 digest of `content`.
pub(crate) fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// The SHA-512 digest of `content`.
pub(crate) fn sha512(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha512, content)
}

/// A descriptor of `content`.
pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content).as_str(), "size": content.len() })
}

/// An image with config `{}` and these layers.
pub(crate) fn image(layers: &[&[u8]], subject: Option<Value>) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer))
        .collect();
    let mut image = json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": layers,
    });
    if let Some(subject) = subject {
        image["subject"] = subject;
    }
    image
}
