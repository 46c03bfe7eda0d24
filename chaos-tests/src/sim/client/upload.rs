//! Uploads of blobs: at once, or in chunks through several nodes, resumed where they broke off.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use proto::Digest;
use tokio::time::Instant;

use super::{Answer, Ask, Client, SCRATCH, Situation, TRIES, location, request};
use crate::sim::http::Lost;
use crate::sim::invariant::Invariant;
use crate::sim::invariants::Session;
use crate::sim::ledger::{Deed, Item, Ledger, May};
use crate::sim::sweeping::Sweeping;

/// How often a chunk is sent, or a step repeated, before the upload is given up.
const STEPS_MAX: usize = 12;

/// An upload under way, as its client knows it.
pub(crate) struct Upload {
    pub(super) repository: &'static str,
    /// Where it goes on.
    pub(super) location: String,
    /// How far it can be.
    pub(crate) session: Session,
    /// When the last chunk was sent that was acknowledged, or it began.
    pub(super) written: Instant,
    /// Whether nothing was written to it for long before that: a sweep may have found it then, and
    /// give it up now.
    pub(super) has_lapsed: bool,
    /// Whether a request was sent that ends it, and nobody has answered that: it may have its
    /// effect at any time.
    pub(super) may_end: bool,
    pub(super) sweeping: Sweeping,
}

impl Upload {
    /// What is known of it when an answer has come.
    pub(super) fn situation(&self) -> impl FnOnce(&Ledger, u64) -> Situation + use<> {
        let is_certain = self.session.is_certain();
        self.unless_ended(if is_certain { Situation::There } else { Situation::Unsure })
    }

    /// That it is in `situation` when an answer has come, if it has not been swept, nor ended by an
    /// earlier request.
    pub(super) fn unless_ended(
        &self,
        situation: Situation,
    ) -> impl FnOnce(&Ledger, u64) -> Situation + use<> {
        let (written, sweeping) = (self.written, self.sweeping.clone());
        let may_have_ended = self.has_lapsed || self.may_end;
        move |_, _| match may_have_ended || sweeping.may_reach(written) {
            true => Situation::PerhapsEnded,
            false => situation,
        }
    }

    /// A request was sent that ends it with `length` bytes, and what became of it is not known.
    fn doubt_end(&mut self, length: usize) {
        self.session.doubt(length as u64);
        self.may_end = true;
    }

    /// Whether it may have been swept by now.
    pub(super) fn may_be_swept(&self) -> bool {
        self.has_lapsed || self.sweeping.may_reach(self.written)
    }
}

impl Client {
    /// Pushes a blob, unless it is there; answers whether it is acknowledged.
    pub(super) async fn push_blob(
        &mut self,
        repository: &'static str,
        digest: &Digest,
        content: &Bytes,
    ) -> bool {
        for _ in 0..TRIES {
            if self.has_blob(repository, digest).await {
                return true;
            }
            let is_pushed = match self.dice.number(0..=9) {
                0..=1 => self.post_whole(repository, digest, content).await,
                _ => self.upload(repository, digest, content).await.is_some(),
            };
            if is_pushed {
                self.expect_blob(repository, digest).await;
                return true;
            }
            self.pause(50..=1000).await;
        }
        self.records.chronicle.count("pushes that were given up");
        false
    }

    /// Pushes a blob with one request.
    async fn post_whole(
        &mut self,
        repository: &'static str,
        digest: &Digest,
        content: &Bytes,
    ) -> bool {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let post = with_body(request(Method::POST, &path), content.clone());
        let ticket =
            self.records.ledger.begin(Item::blob(repository, digest), Deed::Put, &self.name);
        let (sent, sweeping) = (Instant::now(), self.records.sweeping.clone());
        // Even what is sent at once can wait for long to be linked.
        let situation = move |_: &Ledger, _| match sweeping.may_reach(sent) {
            true => Situation::PerhapsEnded,
            false => Situation::There,
        };
        let answer = self.demand(Ask::PostWhole, post, situation).await;
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::CREATED) => {
                self.records.ledger.pushed(&ticket);
                return true;
            }
            Ok(_) => self.records.ledger.refused(&ticket),
            Err(lost) => self.unanswered(&lost, &ticket, &[]),
        }
        false
    }

    /// Pushes a blob in chunks.
    async fn upload(
        &mut self,
        repository: &'static str,
        digest: &Digest,
        content: &Bytes,
    ) -> Option<()> {
        let mut upload = self.begin_upload(repository).await?;
        // The last chunk may ride on the request that ends the upload. One byte and none look alike
        // to who asks how far it is.
        let rest = if self.dice.one_in(4) { self.dice.index(content.len()) } else { content.len() };
        let rest = if rest == 1 { 0 } else { rest };
        for _ in 0..STEPS_MAX {
            let at = index(upload.session.acknowledged());
            if at >= rest {
                return self.finish(&mut upload, digest, content).await;
            }
            let left = rest - at;
            let length = if self.dice.one_in(2) { left } else { self.dice.index(left + 1).max(2) };
            let end = at + length.min(left);
            if !self.append(&mut upload, content.slice(at..end)).await {
                self.resume(&mut upload).await?;
            }
        }
        None
    }

    pub(crate) async fn begin_upload(&mut self, repository: &'static str) -> Option<Upload> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let begin = request(Method::POST, &path);
        let begun = self.ask(Ask::Begin, begin, |_, _| Situation::There).await?;
        let location = location(&begun.response);
        self.records.upload.replace(Some(location.clone()));
        let (written, sweeping) = (Instant::now(), self.records.sweeping.clone());
        Some(Upload {
            repository,
            location,
            session: Session::default(),
            written,
            has_lapsed: false,
            may_end: false,
            sweeping,
        })
    }

    /// Sends the next chunk of an upload; answers whether it is acknowledged. Now and then the
    /// connection breaks in the middle.
    pub(crate) async fn append(&mut self, upload: &mut Upload, chunk: Bytes) -> bool {
        let length = chunk.len();
        let end = upload.session.acknowledged() + length as u64;
        let mut append = with_body(request(Method::PATCH, &upload.location), chunk);
        if self.dice.one_in(2) {
            let range = format!("{}-{}", upload.session.acknowledged(), end - 1);
            if let Ok(range) = range.parse() {
                append.headers_mut().insert(header::CONTENT_RANGE, range);
            }
        }
        if self.whim(10) {
            let (node, sent) = (self.node(), self.dice.index(length + 1));
            self.records.chronicle.count("requests: broken off in the middle of a chunk");
            if self.records.leave(&node, append, sent).await && sent == length {
                upload.session.doubt(end);
            }
            return false;
        }
        let (sent, situation) = (Instant::now(), upload.situation());
        let appended = self.demand(Ask::Append, append, situation).await;
        match appended {
            Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                upload.has_lapsed = upload.may_be_swept();
                upload.written = sent;
                upload.location = location(&answer.response);
                let extent = extent(&answer.response);
                let outcome = upload.session.acknowledge(end, extent);
                self.check_session(&answer, outcome);
                true
            }
            // Out of step: nothing of it was kept.
            Ok(_) | Err(Lost::Unsent(_)) => false,
            Err(Lost::Unheard(_)) => {
                upload.session.doubt(end);
                false
            }
        }
    }

    /// Asks how far an upload is, and goes on from there.
    pub(crate) async fn resume(&mut self, upload: &mut Upload) -> Option<()> {
        for _ in 0..TRIES {
            self.pause(20..=500).await;
            let situation = upload.situation();
            let show = request(Method::GET, &upload.location);
            let Some(answer) = self.ask(Ask::Show, show, situation).await else {
                continue;
            };
            if answer.status() != StatusCode::NO_CONTENT {
                return None;
            }
            // What was swept has nothing left.
            let is_gone = extent(&answer.response) == 0 && upload.session.acknowledged() > 0;
            if is_gone && upload.may_be_swept() {
                self.records.chronicle.count("requests: of uploads that were swept");
                return None;
            }
            self.records.chronicle.count("requests: uploads resumed");
            upload.location = location(&answer.response);
            let outcome = upload.session.stand_at(extent(&answer.response));
            self.check_session(&answer, outcome);
            return Some(());
        }
        None
    }

    /// Ends an upload with what is missing of `content`, and now and then ends it again.
    pub(crate) async fn finish(
        &mut self,
        upload: &mut Upload,
        digest: &Digest,
        content: &Bytes,
    ) -> Option<()> {
        let item = Item::blob(upload.repository, digest);
        for _ in 0..TRIES {
            let rest = content.slice(index(upload.session.acknowledged()).min(content.len())..);
            let path = format!("{}&digest={digest}", upload.location);
            let finish = with_body(request(Method::PUT, &path), rest);
            if self.whim(12) {
                let node = self.node();
                self.records.chronicle.count("requests: broken off before the answer");
                let early = self.records.ledger.begin(item.clone(), Deed::Put, &self.name);
                match self.records.leave(&node, finish.clone(), usize::MAX).await {
                    true => upload.doubt_end(content.len()),
                    false => self.records.ledger.refused(&early),
                }
            }
            let ticket = self.records.ledger.begin(item.clone(), Deed::Put, &self.name);
            // A request that ends it may have come before, so that nothing is left of the upload;
            // or somebody deletes the blob as soon as it is there.
            let is_certain = upload.repository != SCRATCH && upload.session.is_certain();
            let situation = if is_certain { Situation::There } else { Situation::Unsure };
            let situation = upload.unless_ended(situation);
            let situation = |ledger: &Ledger, called| match ledger.may_be_damaged(&item, called) {
                true => Situation::Damaged,
                false => situation(ledger, called),
            };
            let answer = self.demand(Ask::Finish, finish.clone(), situation).await;
            match answer.map(|answer| answer.status()) {
                Ok(StatusCode::CREATED) => {
                    // An earlier request may have ended it, before the blob was found damaged.
                    match upload.may_end {
                        true => self.records.ledger.done(&ticket),
                        false => self.records.ledger.pushed(&ticket),
                    }
                    self.records.chronicle.count("blobs acknowledged");
                    if self.whim(6) {
                        self.finish_again(&item, finish).await;
                    }
                    return Some(());
                }
                Ok(StatusCode::RANGE_NOT_SATISFIABLE) => {
                    self.records.ledger.refused(&ticket);
                    self.resume(upload).await?;
                }
                Ok(_) => {
                    self.records.ledger.refused(&ticket);
                    return None;
                }
                // The same request once more, through another node.
                Err(lost) => {
                    self.unanswered(&lost, &ticket, &[]);
                    if matches!(lost, Lost::Unheard(_)) {
                        upload.doubt_end(content.len());
                    }
                }
            }
            self.pause(20..=500).await;
        }
        None
    }

    /// Repeats the request that has ended an upload: the answer is the same, as long as nobody may
    /// have deleted the blob.
    async fn finish_again(&mut self, item: &Item, finish: Request<Bytes>) {
        self.records.chronicle.count("requests: finished twice");
        let ticket = self.records.ledger.begin(item.clone(), Deed::Put, &self.name);
        let before = |ledger: &Ledger, called| match ledger.may_before(&ticket) {
            _ if ledger.may_be_damaged(&ticket.item, called) => Situation::Damaged,
            May::There => Situation::There,
            May::Absent | May::Either => Situation::Unsure,
        };
        let answer = self.demand(Ask::Finish, finish, before).await;
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::CREATED) => self.records.ledger.done(&ticket),
            Ok(_) => self.records.ledger.refused(&ticket),
            Err(lost) => self.unanswered(&lost, &ticket, &[]),
        }
    }

    pub(super) fn check_session(&self, answer: &Answer, outcome: Result<(), String>) {
        if let Err(reason) = outcome {
            let evidence = format!("{}: {reason}", answer.by);
            self.records.chronicle.violated(Invariant::UploadsUnmixed, evidence);
        }
    }
}

/// How many bytes an upload has, from `Range`: for one byte and for none it is the same, so chunks
/// have two at least.
fn extent(response: &Response<Bytes>) -> u64 {
    let range = response.headers().get(header::RANGE).and_then(|range| range.to_str().ok());
    let last = range.and_then(|range| range.strip_prefix("0-")?.parse::<u64>().ok());
    last.filter(|last| *last > 0).map_or(0, |last| last + 1)
}

pub(crate) fn with_body(mut request: Request<Bytes>, body: Bytes) -> Request<Bytes> {
    *request.body_mut() = body;
    request
}

/// An offset in content that is in memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
