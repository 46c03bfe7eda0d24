//! Blobs that are there: asked for, pulled in whole and in part, mounted and deleted.

use http::{HeaderValue, Method, StatusCode, header};
use proto::{Algorithm, Digest};

use super::{APP, Ask, Client, MIRROR, REPOSITORIES, SCRATCH, Situation, request};
use crate::sim::invariant::Invariant;
use crate::sim::ledger::{Deed, Item, Ledger, May, Source, Ticket};
use crate::sim::s3::RANGE_CHANGED;

/// How long a large blob is at least, in bytes: longer than a part of an upload to S3.
const LARGE_MIN: usize = 8 * 1024 * 1024 + 1;
/// By how many bytes it may be longer.
const LARGE_MORE: usize = 1024 * 1024;

impl Client {
    /// Pushes a blob that is sent to S3 in parts, pulls it, and most often deletes it.
    pub(super) async fn push_large(&mut self) {
        let length = LARGE_MIN + self.dice.index(LARGE_MORE);
        let content = self.fresh_content(length);
        let digest = Digest::of(Algorithm::Sha256, &content);
        if !self.push_blob(APP, &digest, &content).await {
            return;
        }
        self.records.chronicle.count("large blobs acknowledged");
        self.pull_blob(APP, &digest).await;
        if !self.dice.one_in(4) {
            self.delete_blob(APP, &digest).await;
        }
    }

    /// Whether the repository has a blob, when a node says so.
    pub(super) async fn has_blob(&mut self, repository: &'static str, digest: &Digest) -> bool {
        self.is_there(repository, digest).await == Some(true)
    }

    /// Whether the repository has a blob; `None` when the node does not say it.
    pub(crate) async fn is_there(
        &mut self,
        repository: &'static str,
        digest: &Digest,
    ) -> Option<bool> {
        let item = Item::blob(repository, digest);
        let head = request(Method::HEAD, &item.path());
        let answer = self.ask_for(Ask::HeadBlob, &item, head).await?;
        Some(answer.status() == StatusCode::OK)
    }

    /// A blob that was acknowledged is there through every node: the ledger knows.
    pub(super) async fn expect_blob(&mut self, repository: &'static str, digest: &Digest) {
        self.has_blob(repository, digest).await;
    }

    /// Pulls a blob, or a part of it, and compares all bytes.
    pub(crate) async fn pull_blob(&mut self, repository: &'static str, digest: &Digest) {
        let Some(content) = self.records.ledger.content(digest) else { return };
        let item = Item::blob(repository, digest);
        let mut get = request(Method::GET, &item.path());
        let mut expected = content.clone();
        let mut ask = Ask::GetBlob;
        if self.dice.one_in(3) {
            let from = self.dice.index(content.len());
            let to = from + self.dice.index(content.len() - from);
            if let Ok(range) = HeaderValue::try_from(format!("bytes={from}-{to}")) {
                get.headers_mut().insert(header::RANGE, range);
                expected = content.slice(from..=to);
                ask = Ask::GetRange;
            }
        }
        let changed = self.records.chronicle.times(RANGE_CHANGED);
        let Some(answer) = self.ask_for(ask, &item, get).await else { return };
        if answer.status().is_success() {
            self.records.chronicle.count("blobs pulled");
            // Of a part nobody but its client can tell that the store has changed it, for good or
            // this once (ADR 15).
            let may_be_changed = self.records.ledger.has_rotted(&item, answer.called)
                || self.records.chronicle.times(RANGE_CHANGED) > changed;
            let is_exempt = ask == Ask::GetRange
                && may_be_changed
                && has_rotted_little(answer.response.body(), &expected);
            if *answer.response.body() != expected && !is_exempt {
                let found = answer.response.body().len();
                let evidence = format!(
                    "{}: {item}: {found} bytes of {ask:?} are not the {} that were pushed",
                    answer.by,
                    expected.len()
                );
                self.records.chronicle.violated(Invariant::NoWrongByte, evidence);
            }
        }
    }

    /// Mounts a blob into a repository, which has it then: from one that it names, if that one has
    /// it, or else from whichever has it.
    pub(super) async fn mount(&mut self) {
        let Some(number) = self.some_image() else { return };
        // Now and then one that nobody has pushed.
        let number = if self.dice.one_in(6) { self.fresh_number() } else { number };
        let image = self.image(number);
        let image = self.dice.pick(image.images());
        let (digest, _) = self.dice.pick(image.blobs()).clone();
        // Also from one that has only what was put there for a while, or not at all.
        let from = *self.dice.pick(&[Some(APP), Some(APP), Some(SCRATCH), None, None]);
        let named = from.map(|from| format!("&from={from}")).unwrap_or_default();
        let path = format!("/v2/{MIRROR}/blobs/uploads/?mount={digest}{named}");
        let target = Item::blob(MIRROR, &digest);
        let ticket = self.records.ledger.begin(target, Deed::Put, &self.name);
        let post = request(Method::POST, &path);
        let situation = |ledger: &Ledger, called| match from {
            Some(from) => {
                Situation::of(ledger, &Item::blob(from, &digest), called, Source::Confirmed)
            }
            None => anywhere(ledger, &ticket, called),
        };
        let answer = self.demand(Ask::Mount, post, situation).await;
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::CREATED) => {
                self.records.ledger.done(&ticket);
                self.records.chronicle.count(match from {
                    Some(_) => "blobs mounted",
                    None => "blobs mounted from where they were found",
                });
                self.pull_blob(MIRROR, &digest).await;
            }
            Ok(_) => {
                self.records.ledger.refused(&ticket);
                if from.is_none() {
                    self.records.chronicle.count("blobs to mount that were found nowhere");
                }
            }
            Err(lost) => self.unanswered(&lost, &ticket, &[]),
        }
    }

    /// Deletes a blob.
    pub(super) async fn delete_blob(&mut self, repository: &'static str, digest: &Digest) {
        let item = Item::blob(repository, digest);
        let ticket = self.records.ledger.begin(item, Deed::Delete, &self.name);
        if self.ask_to_delete(&ticket, &[]).await == Some(true) {
            self.records.chronicle.count("blobs deleted");
            self.has_blob(repository, digest).await;
        }
    }

    /// An image or index that this client has pushed.
    pub(super) fn some_image(&mut self) -> Option<u64> {
        (!self.own.is_empty()).then(|| *self.dice.pick(&self.own))
    }
}

/// Whether `found` is what a store may make of `expected`: a byte is another for good, and one this
/// once.
fn has_rotted_little(found: &[u8], expected: &[u8]) -> bool {
    let changed = || found.iter().zip(expected).filter(|(found, expected)| found != expected);
    found.len() == expected.len()
        && changed().count() <= 2
        && changed().all(|(found, expected)| found ^ expected == 1)
}

/// What is known of whether any repository has the blob that the request of `ticket` mounts. The
/// registry may find it where somebody deletes it before it is mounted, and looks no further then.
fn anywhere(ledger: &Ledger, ticket: &Ticket, called: u64) -> Situation {
    let digest = &ticket.item.digest;
    let others = REPOSITORIES.into_iter().filter(|name| *name != ticket.item.repository);
    let others =
        others.map(|name| ledger.may(&Item::blob(name, digest), called, Source::Confirmed));
    let all: Vec<May> = others.chain([ledger.may_before(ticket)]).collect();
    match all.iter().all(|may| *may == May::Absent) {
        true => Situation::Absent,
        false if ledger.may_be_damaged(&ticket.item, called) => Situation::Damaged,
        false if all.contains(&May::Either) => Situation::Unsure,
        false => Situation::There,
    }
}
