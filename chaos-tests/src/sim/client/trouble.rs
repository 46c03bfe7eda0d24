//! What clients should not do, and do: two of them in one upload, wrong digests, manifests before
//! their blobs, uploads that nobody wants any more.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use proto::{Algorithm, Digest};
use tokio::time::Instant;

use super::manifests::put_manifest;
use super::upload::{Upload, with_body};
use super::{APP, Ask, Client, Image, SCRATCH, Situation, location, parts, request};
use crate::image::layer;
use crate::sim::http::Lost;
use crate::sim::invariant::Invariant;
use crate::sim::ledger::{Deed, Item, Kind, Ticket};

/// Bytes of what two hands push.
const LENGTH: usize = 3000;

/// How long a node tries to have the cluster decide a change (`api/src/registry.rs`).
const PROPOSE_PATIENCE: Duration = Duration::from_secs(5);

impl Client {
    /// Two hands send different bytes to the same place of one upload, through different nodes. Not
    /// more than one is told that they are kept, and what the upload becomes has its bytes.
    pub(super) async fn push_with_two_hands(&mut self) {
        let Some(upload) = self.begin_upload(APP).await else { return };
        let contents = [layer(self.fresh_number(), LENGTH), layer(self.fresh_number(), LENGTH)];
        let nodes = [self.node(), self.node()];
        let [one, other] = [0, 1].map(|hand| {
            let append = request(Method::PATCH, &upload.location);
            self.records.send(&nodes[hand], with_body(append, contents[hand].clone()))
        });
        let answers: [_; 2] = futures::future::join(one, other).await.into();
        let mut kept = Vec::new();
        for (hand, answer) in answers.into_iter().enumerate() {
            let Ok(response) = answer else { continue };
            let by = format!("{} through {}", self.name, nodes[hand]);
            let situation = upload.unless_ended(Situation::Unsure);
            let situation = situation(&self.records.ledger, 0);
            if self.records.check(&by, Ask::Append, situation, &response)
                && response.status() == StatusCode::ACCEPTED
            {
                kept.push((hand, location(&response)));
            }
        }
        self.records.chronicle.count("requests: two hands in one upload");
        match kept.as_slice() {
            [(hand, location)] => {
                let content = &contents[*hand];
                let digest = Digest::of(Algorithm::Sha256, content);
                self.records.ledger.keep(&digest, content);
                let upload = Upload { location: location.clone(), ..upload };
                self.finish_as(&upload, &digest).await;
            }
            [] => {}
            // What the first had sent was swept, and the other began anew.
            _ if upload.may_be_swept() => {}
            both => {
                let evidence = format!("{}: {} hands were told so", self.name, both.len());
                self.records.chronicle.violated(Invariant::UploadsUnmixed, evidence);
            }
        }
    }

    /// Ends an upload that is complete.
    async fn finish_as(&mut self, upload: &Upload, digest: &Digest) {
        let item = Item::blob(upload.repository, digest);
        let ticket = self.records.ledger.begin(item, Deed::Put, &self.name);
        let finish = request(Method::PUT, &format!("{}&digest={digest}", upload.location));
        let situation = upload.unless_ended(Situation::There);
        let answer = self.demand(Ask::Finish, finish, situation).await;
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::CREATED) => {
                self.records.ledger.done(&ticket);
                self.pull_blob(upload.repository, digest).await;
            }
            Ok(_) => self.records.ledger.refused(&ticket),
            Err(lost) => self.unanswered(&lost, &ticket, &[]),
        }
    }

    /// Ends an upload with the digest of something else, which must not appear.
    pub(super) async fn push_with_wrong_digest(&mut self) {
        let Some(mut upload) = self.begin_upload(APP).await else { return };
        let (content, other) = (layer(self.fresh_number(), 64), layer(self.fresh_number(), 64));
        if !self.append(&mut upload, content).await {
            return;
        }
        let digest = Digest::of(Algorithm::Sha256, &other);
        let item = Item::blob(APP, &digest);
        let ticket = self.records.ledger.begin(item, Deed::Put, &self.name);
        let finish = request(Method::PUT, &format!("{}&digest={digest}", upload.location));
        let situation = upload.unless_ended(Situation::There);
        let asked = Instant::now();
        let answer = self.ask(Ask::FinishWrongly, finish, situation).await;
        // The digest is wrong without a majority, too; but then the upload may be there still.
        let is_decided = asked.elapsed() < PROPOSE_PATIENCE;
        // Whatever became of it, these bytes never came.
        self.records.ledger.refused(&ticket);
        self.has_blob(APP, &digest).await;
        if answer.is_some() {
            let show = request(Method::GET, &upload.location);
            let after = if is_decided { Situation::Absent } else { Situation::PerhapsEnded };
            self.ask(Ask::Show, show, |_, _| after).await;
        }
    }

    /// Puts a manifest of which a blob was never pushed: it is refused, and its tag does not move.
    pub(super) async fn push_what_lacks_a_blob(&mut self) {
        let image = Image::numbered(self.fresh_number());
        let (digest, content) = image.blobs()[1].clone();
        self.records.ledger.keep(&digest, &content);
        if self.push_blob(APP, &digest, &content).await {
            self.put_in_vain(&image).await;
        }
    }

    /// Puts the manifest of `image`, of which a part was never pushed.
    pub(super) async fn put_in_vain(&mut self, image: &Image) {
        let item = Item::manifest(APP, &image.digest());
        let ticket = self.records.ledger.begin(item.clone(), Deed::Put, &self.name);
        let put = put_manifest(&format!("/v2/{APP}/manifests/{}", self.tag()), image);
        let is_complete = Self::completeness(APP, image);
        self.ask(Ask::PutManifest, put, is_complete).await;
        // Whatever became of it, it cannot be done.
        self.records.ledger.refused(&ticket);
        let get = request(Method::GET, &item.path());
        self.ask_for(Ask::GetManifest, &item, get).await;
    }

    /// Ends an upload with one hand and gives it up with the other: one of them comes too late.
    pub(super) async fn finish_and_cancel_at_once(&mut self) {
        let Some(mut upload) = self.begin_upload(APP).await else { return };
        let content = layer(self.fresh_number(), 256);
        let digest = Digest::of(Algorithm::Sha256, &content);
        self.records.ledger.keep(&digest, &content);
        if !self.append(&mut upload, content).await {
            return;
        }
        let item = Item::blob(APP, &digest);
        let ticket = self.records.ledger.begin(item, Deed::Put, &self.name);
        let finish = request(Method::PUT, &format!("{}&digest={digest}", upload.location));
        let cancel = request(Method::DELETE, &upload.location);
        let nodes = [self.node(), self.node()];
        let records = &self.records;
        let (finished, cancelled) =
            futures::future::join(records.send(&nodes[0], finish), records.send(&nodes[1], cancel))
                .await;
        self.records.chronicle.count("requests: finished and cancelled at once");
        let is_finished = self.settle(&ticket, Ask::Finish, &nodes[0], finished);
        let by = format!("{} through {}", self.name, nodes[1]);
        let is_cancelled = cancelled.is_ok_and(|answer| {
            self.records.check(&by, Ask::Cancel, Situation::PerhapsEnded, &answer)
                && answer.status() == StatusCode::NO_CONTENT
        });
        if is_finished && is_cancelled {
            let evidence = format!("{}: {digest} was finished and cancelled", self.name);
            self.records.chronicle.violated(Invariant::UploadsEndOnce, evidence);
        }
        if is_cancelled {
            // Nor does it become a blob later, whether the other hand was answered or not.
            self.records.ledger.refused(&ticket);
        }
        self.pull_blob(APP, &digest).await;
    }

    /// Puts a manifest with one hand, and with the other deletes what it names, a blob of an image
    /// or an image of an index: one of them comes too late.
    pub(super) async fn put_and_delete_at_once(&mut self) {
        let image = match self.dice.one_in(2) {
            true => self.fresh_index(),
            false => self.image_of_scratch(),
        };
        if !self.push_parts(SCRATCH, &image).await {
            return;
        }
        let manifest = Item::manifest(SCRATCH, &image.digest());
        let Some(part) = parts(SCRATCH, &image).pop() else { return };
        let ledger = self.records.ledger.clone();
        let put = ledger.begin(manifest.clone(), Deed::Put, &self.name);
        let delete = ledger.begin(part.clone(), Deed::Delete, &self.name);
        let nodes = [self.node(), self.node()];
        let records = &self.records;
        let (put_answer, delete_answer) = futures::future::join(
            records.send(&nodes[0], put_manifest(&manifest.path(), &image)),
            records.send(&nodes[1], request(Method::DELETE, &part.path())),
        )
        .await;
        self.records.chronicle.count(match part.kind {
            Kind::Blob => "requests: put and deleted at once",
            Kind::Manifest => "requests: index put and image deleted at once",
        });
        let is_put = self.settle(&put, Ask::PutManifest, &nodes[0], put_answer);
        let is_deleted = self.settle(&delete, Ask::delete(part.kind), &nodes[1], delete_answer);
        if is_put && is_deleted {
            let evidence = format!("{manifest} was put, and {part} deleted, which it names");
            self.records.chronicle.violated(Invariant::Complete, evidence);
        }
    }

    /// An image that nobody else pushes, so that what is done to it stays.
    fn image_of_scratch(&mut self) -> Image {
        let number = self.fresh_number();
        self.image(number)
    }

    /// Writes down what became of a request that was sent beside another; answers whether it is
    /// done.
    fn settle(
        &self,
        ticket: &Ticket,
        ask: Ask,
        node: &str,
        answer: Result<Response<Bytes>, Lost>,
    ) -> bool {
        let by = format!("{} through {node}", self.name);
        let answer = answer.inspect_err(|lost| self.unanswered(lost, ticket, &[]));
        let Ok(response) = answer else { return false };
        if !self.records.check(&by, ask, Situation::PerhapsNeeded, &response) {
            return false;
        }
        let is_done = response.status().is_success();
        if is_done {
            self.records.ledger.done(ticket);
        } else {
            self.records.ledger.refused(ticket);
        }
        is_done
    }

    /// Begins an upload and gives it up: it takes nothing more, and becomes nothing.
    pub(super) async fn cancel_upload(&mut self) {
        let Some(mut upload) = self.begin_upload(APP).await else { return };
        let content = layer(self.fresh_number(), 256);
        self.append(&mut upload, content.clone()).await;
        let situation = upload.situation();
        let cancel = request(Method::DELETE, &upload.location);
        let Some(_) = self.ask(Ask::Cancel, cancel, situation).await else { return };
        let append = with_body(request(Method::PATCH, &upload.location), content.clone());
        self.ask(Ask::Append, append, |_, _| Situation::Absent).await;
        let show = request(Method::GET, &upload.location);
        self.ask(Ask::Show, show, |_, _| Situation::Absent).await;
    }
}
