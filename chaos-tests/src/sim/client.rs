//! A client that works as docker and CI jobs do: it pushes, pulls, moves tags under a condition,
//! deletes and lists, through any node, and tries again elsewhere when a node does not help.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use proto::{Algorithm, Digest, MediaType};

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::history::{Action, History, Value};
use super::http::{Lost, send};
use crate::Image;

/// The repository that all clients use.
const REPOSITORY: &str = "team/app";
/// How often a step of a push is tried, each time through another node.
const TRIES: usize = 4;
/// Images have numbers of this many for each client.
const NUMBERS: u64 = 1_000_000;

/// A client.
pub(crate) struct Client {
    name: String,
    nodes: Vec<String>,
    tags: usize,
    dice: Dice,
    history: History,
    chronicle: Chronicle,
    next_image: u64,
}

impl Client {
    /// Client `number`, which works through `nodes` on `tags` tags.
    pub(crate) fn new(
        number: usize,
        nodes: Vec<String>,
        tags: usize,
        dice: Dice,
        history: History,
        chronicle: Chronicle,
    ) -> Self {
        let next_image = (number as u64 + 1) * NUMBERS;
        let name = client_name(number);
        Self { name, nodes, tags, dice, history, chronicle, next_image }
    }

    /// Works for `time`.
    pub(crate) async fn work(mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            let tag = self.tag();
            match self.dice.number(0..=99) {
                0..=34 => self.push(&tag).await,
                35..=49 => self.move_on_condition(&tag).await,
                50..=84 => self.pull(&tag).await,
                85..=92 => self.list().await,
                _ => self.delete(&tag).await,
            }
            let pause = self.dice.millis(0..=200);
            tokio::time::sleep(pause).await;
        }
    }

    fn tag(&mut self) -> String {
        format!("tag-{}", self.dice.number(1..=self.tags as u64))
    }

    fn node(&mut self) -> String {
        self.dice.pick(&self.nodes).clone()
    }

    fn by(&self, node: &str) -> String {
        format!("{} through {node}", self.name)
    }

    /// Pushes a new image and points `tag` to it.
    async fn push(&mut self, tag: &str) {
        let Some(number) = self.push_content().await else { return };
        self.put(tag, number, None).await;
    }

    /// Looks where `tag` points, and points it to a new image if it still does then.
    async fn move_on_condition(&mut self, tag: &str) {
        let Some(before) = self.look(tag).await else { return };
        let Some(number) = self.push_content().await else { return };
        self.put(tag, number, Some(before)).await;
    }

    /// Pushes the blobs of a new image, whose number this answers.
    async fn push_content(&mut self) -> Option<u64> {
        self.next_image += 1;
        let image = Image::numbered(self.next_image);
        for (digest, content) in image.blobs() {
            if !self.push_blob(digest, content).await {
                self.chronicle.count("pushes that were given up");
                return None;
            }
        }
        Some(self.next_image)
    }

    async fn push_blob(&mut self, digest: &Digest, content: &Bytes) -> bool {
        for _ in 0..TRIES {
            if matches!(self.try_push_blob(digest, content).await, Ok(true)) {
                return true;
            }
            let pause = self.dice.millis(50..=1000);
            tokio::time::sleep(pause).await;
        }
        false
    }

    /// One try, of which each request may go through another node.
    async fn try_push_blob(&mut self, digest: &Digest, content: &Bytes) -> Result<bool, Lost> {
        let node = self.node();
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let head = send(&node, request(Method::HEAD, &path)).await?;
        if head.status() == StatusCode::OK {
            return Ok(true);
        }
        let node = self.node();
        let path = format!("/v2/{REPOSITORY}/blobs/uploads/");
        let begun = send(&node, request(Method::POST, &path)).await?;
        if begun.status() != StatusCode::ACCEPTED {
            self.check_refusal(&begun, "an upload is begun");
            return Ok(false);
        }
        let cut = self.dice.index(content.len() + 1);
        let mut session = location(&begun);
        for chunk in [content.slice(..cut), content.slice(cut..)] {
            let node = self.node();
            let mut append = request(Method::PATCH, &session);
            *append.body_mut() = chunk;
            let appended = send(&node, append).await?;
            if appended.status() != StatusCode::ACCEPTED {
                self.check_refusal(&appended, "a chunk is appended");
                return Ok(false);
            }
            session = location(&appended);
        }
        let node = self.node();
        let finish = request(Method::PUT, &format!("{session}&digest={digest}"));
        let finished = send(&node, finish).await?;
        if finished.status() != StatusCode::CREATED {
            self.check_refusal(&finished, "an upload is finished");
            return Ok(false);
        }
        self.chronicle.count("blobs acknowledged");
        self.expect_blob(digest).await;
        Ok(true)
    }

    /// A blob that was acknowledged is there through every node, unless the node cannot say.
    async fn expect_blob(&mut self, digest: &Digest) {
        let node = self.node();
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let Ok(head) = send(&node, request(Method::HEAD, &path)).await else { return };
        if head.status() == StatusCode::NOT_FOUND {
            let evidence = format!("{node} does not have {digest}, which was acknowledged");
            self.chronicle.violated("I8 acknowledged blobs are everywhere", evidence);
        }
        self.check_refusal(&head, "a blob is asked for");
    }

    /// Checks an answer that is none of those that were hoped for: a node may be unable to help
    /// (503), and a request that is right is never refused for good.
    fn check_refusal(&self, response: &Response<Bytes>, during: &str) {
        let status = response.status();
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            let text = String::from_utf8_lossy(response.body());
            let evidence = format!("{}: {status} while {during}: {text}", self.name);
            self.chronicle.violated("I16 no 5xx but 503", evidence);
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            self.chronicle.count("answers 503");
            if !response.headers().contains_key(header::RETRY_AFTER) {
                let evidence = format!("{}: 503 without Retry-After, {during}", self.name);
                self.chronicle.violated("I16 no 5xx but 503", evidence);
            }
        }
    }

    /// Points `tag` to the image `number`, whose blobs are there, on the condition that it names
    /// `before`, if that is given.
    async fn put(&mut self, tag: &str, number: u64, before: Option<Value>) {
        let image = Image::numbered(number);
        let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let to = Some(number);
        let action = before.map_or(Action::Set(to), |from| Action::Swap { from, to });
        for _ in 0..TRIES {
            let mut put = request(Method::PUT, &path);
            let media_type = header::HeaderValue::from_static(MediaType::OCI_MANIFEST);
            put.headers_mut().insert(header::CONTENT_TYPE, media_type);
            if let Some(before) = before {
                let (name, value) = condition(before);
                put.headers_mut().insert(name, value);
            }
            *put.body_mut() = image.manifest().clone();
            let node = self.node();
            let (by, called) = (self.by(&node), self.history.call());
            let Ok(answer) = send(&node, put).await else {
                self.history.unknown(tag, &by, called, action);
                continue;
            };
            match answer.status() {
                StatusCode::CREATED => {
                    self.chronicle.count("manifests acknowledged");
                    return self.history.answered(tag, &by, called, action);
                }
                StatusCode::PRECONDITION_FAILED if before.is_some() => {
                    // Unless an earlier try, of which the answer was lost, is what changed it.
                    let differed = Action::Differed(before.unwrap_or_default());
                    return self.history.answered(tag, &by, called, differed);
                }
                StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                    let text = String::from_utf8_lossy(answer.body());
                    let evidence = format!("{by}: the manifest of image {number}: {text}");
                    self.chronicle.violated("I8 acknowledged blobs are everywhere", evidence);
                }
                _ => {
                    self.check_refusal(&answer, "a manifest is put");
                    self.history.unknown(tag, &by, called, action);
                }
            }
            let pause = self.dice.millis(50..=1000);
            tokio::time::sleep(pause).await;
        }
    }

    /// What `tag` names, when a node says it.
    async fn look(&mut self, tag: &str) -> Option<Value> {
        let node = self.node();
        let (by, called) = (self.by(&node), self.history.call());
        let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let answer = send(&node, request(Method::GET, &path)).await.ok()?;
        match answer.status() {
            StatusCode::OK => {
                let number = self.image_number(&node, &answer)?;
                self.history.answered(tag, &by, called, Action::Saw(Some(number)));
                self.chronicle.count("tags read");
                Some(Some(number))
            }
            StatusCode::NOT_FOUND => {
                self.history.answered(tag, &by, called, Action::Saw(None));
                Some(None)
            }
            _ => {
                self.check_refusal(&answer, "a tag is read");
                None
            }
        }
    }

    /// The number of the image whose manifest was answered, of which all bytes must be right.
    fn image_number(&self, node: &str, answer: &Response<Bytes>) -> Option<u64> {
        let number = Image::number_of(answer.body());
        let image = number.map(Image::numbered);
        let is_right = image.as_ref().is_some_and(|image| image.manifest() == answer.body());
        if !is_right {
            let text = String::from_utf8_lossy(answer.body());
            let evidence = format!("{node} served as a manifest: {text}");
            self.chronicle.violated("I5 no wrong byte", evidence);
            return None;
        }
        number
    }

    /// Pulls what `tag` names, with all blobs, each through any node.
    async fn pull(&mut self, tag: &str) {
        let Some(Some(number)) = self.look(tag).await else { return };
        for (digest, content) in Image::numbered(number).blobs() {
            let node = self.node();
            let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
            let Ok(answer) = send(&node, request(Method::GET, &path)).await else { continue };
            match answer.status() {
                StatusCode::OK if answer.body() == content => self.chronicle.count("blobs pulled"),
                StatusCode::OK => {
                    let found = Digest::of(Algorithm::Sha256, answer.body());
                    let evidence = format!("{node} served {found} as {digest}");
                    self.chronicle.violated("I5 no wrong byte", evidence);
                }
                StatusCode::NOT_FOUND => {
                    let evidence = format!("{node} does not have {digest} of image {number}");
                    self.chronicle.violated("I4 manifests are complete", evidence);
                }
                _ => self.check_refusal(&answer, "a blob is pulled"),
            }
        }
    }

    /// Removes `tag`.
    async fn delete(&mut self, tag: &str) {
        let node = self.node();
        let (by, called) = (self.by(&node), self.history.call());
        let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
        let action = Action::Set(None);
        let Ok(answer) = send(&node, request(Method::DELETE, &path)).await else {
            return self.history.unknown(tag, &by, called, action);
        };
        match answer.status() {
            StatusCode::ACCEPTED => {
                self.chronicle.count("tags deleted");
                self.history.answered(tag, &by, called, action);
            }
            StatusCode::NOT_FOUND => {
                self.history.answered(tag, &by, called, Action::Listed(false));
            }
            _ => {
                self.check_refusal(&answer, "a tag is deleted");
                self.history.unknown(tag, &by, called, action);
            }
        }
    }

    /// Lists all tags: each is in the list or not at one moment, which is the same for all.
    async fn list(&mut self) {
        let node = self.node();
        let (by, called) = (self.by(&node), self.history.call());
        let path = format!("/v2/{REPOSITORY}/tags/list");
        let Ok(answer) = send(&node, request(Method::GET, &path)).await else { return };
        let listed: Vec<String> = match answer.status() {
            StatusCode::OK => {
                let list: serde_json::Value =
                    serde_json::from_slice(answer.body()).unwrap_or_default();
                let tags = list["tags"].as_array().cloned().unwrap_or_default();
                tags.iter().filter_map(|tag| tag.as_str().map(str::to_owned)).collect()
            }
            StatusCode::NOT_FOUND => Vec::new(),
            _ => return self.check_refusal(&answer, "tags are listed"),
        };
        if !listed.is_sorted() {
            let evidence = format!("{node} listed {listed:?}");
            self.chronicle.violated("I14 lists are ordered", evidence);
        }
        self.chronicle.count("lists read");
        for number in 1..=self.tags {
            let tag = format!("tag-{number}");
            let action = Action::Listed(listed.contains(&tag));
            self.history.answered(&tag, &by, called, action);
        }
    }
}

/// What `node` says that `tag` names, in an audit: the reason, when it does not say.
pub(crate) async fn read_tag(node: &str, tag: &str) -> Result<Value, String> {
    let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
    let answer = send(node, request(Method::GET, &path)).await.map_err(|e| e.to_string())?;
    match answer.status() {
        StatusCode::OK => match Image::number_of(answer.body()) {
            Some(number) => Ok(Some(number)),
            None => Err("a manifest that nobody pushed".to_owned()),
        },
        StatusCode::NOT_FOUND => Ok(None),
        status => Err(format!("{status} {}", String::from_utf8_lossy(answer.body()))),
    }
}

/// Whether `node` serves every byte of image `number`, in an audit: the reason, when it does not.
pub(crate) async fn read_image(node: &str, number: u64) -> Result<(), String> {
    for (digest, content) in Image::numbered(number).blobs() {
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        let answer = send(node, request(Method::GET, &path)).await.map_err(|e| e.to_string())?;
        if answer.status() != StatusCode::OK || answer.body() != content {
            return Err(format!("{digest}: {}", answer.status()));
        }
    }
    Ok(())
}

/// The name of client `number` in the simulated network.
pub(crate) fn client_name(number: usize) -> String {
    format!("client-{}", number + 1)
}

fn request(method: Method, path: &str) -> Request<Bytes> {
    // A Location may be a URL of the node that gave it; its path counts, on any node.
    let path = path.find("/v2/").map_or(path, |start| &path[start..]);
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}

fn location(response: &Response<Bytes>) -> String {
    let location = response.headers().get(header::LOCATION);
    location.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// The header that makes a change conditional on what a tag names.
fn condition(before: Value) -> (header::HeaderName, header::HeaderValue) {
    let Some(number) = before else {
        return (header::IF_NONE_MATCH, header::HeaderValue::from_static("*"));
    };
    let entity_tag = format!("\"{}\"", Image::numbered(number).digest());
    let value = header::HeaderValue::try_from(entity_tag);
    (header::IF_MATCH, value.unwrap_or(header::HeaderValue::from_static("\"\"")))
}
