//! A simulated client, which works as docker, CI jobs and clean-up scripts do: it pushes in chunks,
//! for several platforms, pulls, moves tags under a condition, signs, mounts, deletes and lists,
//! each request through any node, leaves in the middle, and tries again elsewhere when a node does
//! not help.

mod blobs;
mod indexes;
mod lists;
mod manifests;
mod scratch;
mod statuses;
mod trouble;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use proto::{Algorithm, Digest};

pub(crate) use self::lists::{page_path, read_page};
pub(crate) use self::manifests::{image_number, put_manifest};
pub(crate) use self::statuses::{Ask, Situation, allowed};
pub(crate) use self::upload::{Upload, with_body};
use super::dice::Dice;
use super::history::{Action, Pending, Value};
use super::http::Lost;
use super::ledger::{Item, Kind, Ledger, May, Source, Ticket};
use super::records::Records;
use crate::Image;
use crate::image::layer;

/// The repository in which tags are moved. Only who has pushed something deletes it here.
pub(crate) const APP: &str = "team/app";
/// The repository in which everybody puts the same few images, and deletes them again; now and then
/// some of the first, too.
pub(crate) const SCRATCH: &str = "team/scratch";
/// The repository into which blobs of the first are mounted.
pub(crate) const MIRROR: &str = "team/mirror";
/// The repository in which guests may or may not push and delete.
pub(crate) const GUESTS: &str = "team/guests";
/// All repositories.
pub(crate) const REPOSITORIES: [&str; 4] = [APP, GUESTS, MIRROR, SCRATCH];
/// How often a step of a push is tried, each time through another node.
const TRIES: usize = 4;
/// How many large blobs a client pushes that pushes such: each takes long to simulate.
const LARGE_BLOBS: usize = 2;
/// Images have numbers of this many for each client.
pub(crate) const NUMBERS: u64 = 1_000_000;

/// An answer that says something, and when it was asked for.
struct Answer {
    by: String,
    called: u64,
    response: Response<Bytes>,
}

impl Answer {
    fn status(&self) -> StatusCode {
        self.response.status()
    }
}

/// What a client is told of a change that it has asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Done,
    /// It is refused, and had no effect.
    Refused,
    /// Nothing, or to try again: it may happen or not.
    Nothing,
}

/// A client.
pub(crate) struct Client {
    name: String,
    nodes: Vec<String>,
    tags: usize,
    dice: Dice,
    records: Records,
    next_image: u64,
    /// The images that it has pushed.
    own: Vec<u64>,
    /// Whether it breaks off what it does now and then, and repeats what is done.
    has_whims: bool,
    /// How many large blobs it will push.
    large_left: usize,
}

impl Client {
    /// The client of this `number`, which works through `nodes` on `tags` tags.
    pub(crate) fn new(
        number: usize,
        nodes: Vec<String>,
        tags: usize,
        dice: Dice,
        records: Records,
    ) -> Self {
        let next_image = (number as u64 + 1) * NUMBERS;
        let name = client_name(number);
        Self {
            name,
            nodes,
            tags,
            dice,
            records,
            next_image,
            own: Vec::new(),
            has_whims: true,
            large_left: 0,
        }
    }

    /// A client that does what it is told to, no more and no less.
    pub(crate) fn steady(
        number: usize,
        nodes: Vec<String>,
        tags: usize,
        dice: Dice,
        records: Records,
    ) -> Self {
        Self { has_whims: false, ..Self::new(number, nodes, tags, dice, records) }
    }

    /// The same client, which pushes large blobs too.
    pub(crate) fn with_large_blobs(self) -> Self {
        Self { large_left: LARGE_BLOBS, ..self }
    }

    /// From here on it works through `node` alone.
    pub(crate) fn go_to(&mut self, node: &str) {
        self.nodes = vec![node.to_owned()];
    }

    /// Works for `time`, as soon as it is let in.
    pub(crate) async fn work(mut self, is_closed: bool, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        if is_closed {
            self.records.pass.given().await;
        }
        while tokio::time::Instant::now() < end {
            self.act().await;
            self.pause(0..=100).await;
        }
    }

    /// Pushes a new image and points `tag` to it; answers whether it is acknowledged.
    pub(crate) async fn push_once(&mut self, tag: &str) -> bool {
        let Some(number) = self.push_content().await else { return false };
        self.put_under_tag(tag, number, None).await
    }

    async fn act(&mut self) {
        if self.large_left > 0 && self.dice.one_in(8) {
            self.large_left -= 1;
            return self.push_large().await;
        }
        let tag = self.tag();
        match self.dice.number(0..=99) {
            0..=19 => self.push(&tag).await,
            20..=22 => self.push_index(&tag).await,
            23..=32 => self.move_on_condition(&tag).await,
            33..=52 => self.pull(&tag).await,
            53..=58 => self.list_tags().await,
            59..=61 => self.list_referrers().await,
            62..=63 => self.list_repositories().await,
            64..=68 => self.delete_tag(&tag).await,
            69..=72 => self.delete_some_image().await,
            73..=80 => self.scratch().await,
            81..=82 => self.pass_through_scratch().await,
            83..=84 => self.put_and_delete_at_once().await,
            85..=88 => self.mount().await,
            89 => self.finish_and_cancel_at_once().await,
            90..=93 => self.sign().await,
            94..=95 => self.push_with_two_hands().await,
            96 => self.push_what_lacks_an_image().await,
            97 => self.push_what_lacks_a_blob().await,
            98 => self.push_with_wrong_digest().await,
            _ => self.cancel_upload().await,
        }
    }

    fn tag(&mut self) -> String {
        tag_name(self.dice.index(self.tags) + 1)
    }

    fn node(&mut self) -> String {
        self.dice.pick(&self.nodes).clone()
    }

    /// Whether it is in the mood for something that it does in one of `of` cases.
    fn whim(&mut self, of: u64) -> bool {
        self.has_whims && self.dice.one_in(of)
    }

    async fn pause(&mut self, millis: std::ops::RangeInclusive<u64>) {
        let pause = self.dice.millis(millis);
        tokio::time::sleep(pause).await;
    }

    /// Sends a request through any node.
    async fn send(&mut self, request: Request<Bytes>) -> Result<Answer, Lost> {
        let node = self.node();
        let by = format!("{} through {node}", self.name);
        let called = self.records.history.call();
        match self.records.send(&node, request).await {
            Ok(response) => Ok(Answer { by, called, response }),
            Err(lost) => {
                self.records.chronicle.count("answers: none");
                Err(lost)
            }
        }
    }

    /// Sends a request through any node. `situation` is asked when the answer has come, with the
    /// time at which the request was sent.
    async fn ask(
        &mut self,
        ask: Ask,
        request: Request<Bytes>,
        situation: impl FnOnce(&Ledger, u64) -> Situation,
    ) -> Option<Answer> {
        self.demand(ask, request, situation).await.ok()
    }

    /// The same, for what changes something: where there is no answer that says something, whether
    /// it may have happened.
    async fn demand(
        &mut self,
        ask: Ask,
        request: Request<Bytes>,
        situation: impl FnOnce(&Ledger, u64) -> Situation,
    ) -> Result<Answer, Lost> {
        let answer = self.send(request).await?;
        let situation = situation(&self.records.ledger, answer.called);
        match self.records.check(&answer.by, ask, situation, &answer.response) {
            true => Ok(answer),
            false => Err(Lost::Unheard(answer.status().to_string())),
        }
    }

    /// Writes down that nothing is known of a change, of an item and of tags, but that it never
    /// happens if it was not even sent.
    fn unanswered(&self, lost: &Lost, ticket: &Ticket, changes: &[Pending]) {
        let Records { ledger, history, chronicle, .. } = &self.records;
        match lost {
            Lost::Unsent(_) => {
                chronicle.count("changes that were never sent");
                ledger.refused(ticket);
                changes.iter().for_each(|change| history.refused(change));
            }
            Lost::Unheard(_) => changes.iter().for_each(|change| history.doubt(change)),
        }
    }

    /// Asks for `item`, by its digest, and writes down whether it is there.
    async fn ask_for(&mut self, ask: Ask, item: &Item, request: Request<Bytes>) -> Option<Answer> {
        let answer = self.send(request).await.ok()?;
        let source = self.records.source(&answer.by, answer.called, &answer.response);
        let ledger = &self.records.ledger;
        let situation = Situation::of(ledger, item, answer.called, source);
        if !answer.status().is_server_error() {
            let is_there = answer.status() != StatusCode::NOT_FOUND;
            ledger.look(item, &answer.by, answer.called, is_there, source);
            // A range may be among the bytes that are left.
            if is_there && ask != Ask::GetRange {
                ledger.look_whole(item, &answer.by, answer.called);
            }
        }
        let says = self.records.check(&answer.by, ask, situation, &answer.response);
        says.then_some(answer)
    }

    /// Asks to delete the item of `ticket`, and of the tags that `changes` are about what names it,
    /// and writes down what became of it; answers whether it is gone, when a node says so.
    async fn ask_to_delete(&mut self, ticket: &Ticket, changes: &[Pending]) -> Option<bool> {
        let kind = ticket.item.kind;
        let delete = request(Method::DELETE, &ticket.item.path());
        let before = |ledger: &Ledger, _| Situation::of_deletion(ledger, ticket);
        let answer = self.demand(Ask::delete(kind), delete, before).await;
        let answer = answer.inspect_err(|lost| self.unanswered(lost, ticket, changes)).ok()?;
        let Records { ledger, history, .. } = &self.records;
        let is_done = answer.status() == StatusCode::ACCEPTED;
        if is_done {
            ledger.done(ticket);
            changes.iter().for_each(|change| history.done(change, &answer.by));
        } else {
            ledger.refused(ticket);
            changes.iter().for_each(|change| history.refused(change));
            let is_there = answer.status() != StatusCode::NOT_FOUND;
            let (by, source) = (&answer.by, Source::Confirmed);
            ledger.look(&ticket.item, by, answer.called, is_there, source);
            if is_there {
                self.records.chronicle.count(match kind {
                    Kind::Blob => "blobs that a manifest kept",
                    Kind::Manifest => "manifests that an index kept",
                });
            }
        }
        Some(is_done)
    }

    /// The image of that number, whose contents the ledger gets to know.
    pub(crate) fn image(&self, number: u64) -> Image {
        let image = Image::numbered(number);
        self.records.ledger.know(&image);
        image
    }

    /// Bytes that nobody has pushed, which the ledger gets to know.
    pub(crate) fn fresh_content(&mut self, length: usize) -> Bytes {
        let content = layer(self.fresh_number(), length);
        self.records.ledger.keep(&Digest::of(Algorithm::Sha256, &content), &content);
        content
    }

    fn fresh_number(&mut self) -> u64 {
        self.next_image += 1;
        self.next_image
    }

    /// What is known of all that `image` names together.
    fn completeness(
        repository: &'static str,
        image: &Image,
    ) -> impl FnOnce(&Ledger, u64) -> Situation + use<> {
        let parts = parts(repository, image);
        move |ledger, called| {
            let may = |part| ledger.may(part, called, Source::Confirmed);
            parts.iter().map(may).min().unwrap_or(May::There).into()
        }
    }
}

/// What the manifest of `image` names: blobs, or the images of an index.
fn parts(repository: &'static str, image: &Image) -> Vec<Item> {
    let blobs = image.blobs().iter().map(|(digest, _)| Item::blob(repository, digest));
    let children = image.children().iter();
    blobs.chain(children.map(|child| Item::manifest(repository, &child.digest()))).collect()
}

/// The name of client `number` in the simulated network.
pub(crate) fn client_name(number: usize) -> String {
    format!("client-{}", number + 1)
}

/// The name of tag `number`, counted from 1.
pub(crate) fn tag_name(number: usize) -> String {
    format!("tag-{number}")
}

/// A request without a body.
pub(crate) fn request(method: Method, path: &str) -> Request<Bytes> {
    // A Location may be a URL of the node that gave it; its path counts, on any node.
    let path = path.find("/v2/").map_or(path, |start| &path[start..]);
    let mut request = Request::new(Bytes::new());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request
}

/// Where an upload goes on, as an answer says.
pub(crate) fn location(response: &Response<Bytes>) -> String {
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
