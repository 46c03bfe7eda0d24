//! What guests try: each asks for something that needs the right in question. What they push and
//! delete is in the ledger, as that of all clients is: what was refused must have done nothing, and
//! what is done must be there.

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use super::Guest;
use crate::Image;
use crate::sim::access::subject::{By, Subject, Varying};
use crate::sim::client::{APP, GUESTS, put_manifest, request, tag_name, with_body};
use crate::sim::http::send;
use crate::sim::invariant::Invariant;
use crate::sim::ledger::{Deed, Item, May, Source, Ticket};
use crate::sim::records::Records;

/// The images of guests have higher numbers than those of all clients, and lower ones than indexes.
const IMAGES: u64 = Image::INDEXES / 10;

/// Something to ask for.
pub(super) struct Trial {
    pub(super) asked: Request<Bytes>,
    /// What it changes, if the right is there.
    pub(super) change: Option<(Item, Deed)>,
}

/// The number of an image that nobody has pushed.
pub(super) fn fresh_image(records: &Records) -> u64 {
    IMAGES + records.history.call()
}

impl Guest {
    /// Something that needs what `varying` is, and no more, if a token is shown.
    pub(super) fn trial(&mut self, varying: Varying, by: By) -> Trial {
        match varying {
            Varying::Pull | Varying::Account | Varying::Key => self.read(),
            Varying::Push => self.push(by),
            Varying::Delete => self.delete(),
        }
    }

    fn read(&mut self) -> Trial {
        let tag = tag_name(1);
        let asked = match self.dice.number(0..=4) {
            0 => request(Method::GET, &format!("/v2/{APP}/manifests/{tag}")),
            1 => request(Method::HEAD, &format!("/v2/{APP}/manifests/{tag}")),
            2 => request(Method::GET, &format!("/v2/{APP}/tags/list?n=1")),
            _ => return self.read_by_digest(),
        };
        Trial { asked, change: None }
    }

    /// What a node that is cut off serves by the rights that it knew.
    fn read_by_digest(&mut self) -> Trial {
        let mut items = self.records.ledger.items();
        items.retain(|item| item.repository == APP);
        if items.is_empty() {
            items.push(Item::manifest(APP, &Image::numbered(1).digest()));
        }
        let method = self.dice.pick(&[Method::GET, Method::HEAD]).clone();
        let asked = request(method, &self.dice.pick(&items).path());
        Trial { asked, change: None }
    }

    /// Begins an upload, or pushes a part of an image; or tries an upload that somebody else has
    /// begun, which is there for nobody but them, and in a repository that tokens are not for.
    fn push(&mut self, by: By) -> Trial {
        let of_others = self.records.upload.borrow().clone();
        let asked = match (self.dice.number(0..=7), of_others) {
            (0, Some(upload)) if by == By::Key => {
                self.records.chronicle.count("rights: uploads of others tried");
                request(self.dice.pick(&[Method::GET, Method::DELETE]).clone(), &upload)
            }
            (0..=2, _) => request(Method::POST, &format!("/v2/{GUESTS}/blobs/uploads/")),
            _ => return self.push_part(),
        };
        Trial { asked, change: None }
    }

    /// Pushes a blob that the image lacks, at once or into the upload that was begun; or the
    /// manifest, when it lacks none.
    fn push_part(&mut self) -> Trial {
        let ledger = self.records.ledger.clone();
        let called = self.records.history.call();
        let is_missing = |item: &Item| ledger.may(item, called, Source::Confirmed) != May::There;
        let manifest = |number| Item::manifest(GUESTS, &Image::numbered(number).digest());
        if !is_missing(&manifest(self.image)) {
            self.image = fresh_image(&self.records);
        }
        let image = Image::numbered(self.image);
        ledger.know(&image);
        let mut blobs = image.blobs().iter();
        let missing = blobs.find(|(digest, _)| is_missing(&Item::blob(GUESTS, digest)));
        let Some((digest, content)) = missing else {
            let item = manifest(self.image);
            let asked = put_manifest(&item.path(), &image);
            return Trial { asked, change: Some((item, Deed::Put)) };
        };
        let put = match self.upload.take() {
            Some(upload) => request(Method::PUT, &format!("{upload}&digest={digest}")),
            None => request(Method::POST, &format!("/v2/{GUESTS}/blobs/uploads/?digest={digest}")),
        };
        let asked = with_body(put, content.clone());
        Trial { asked, change: Some((Item::blob(GUESTS, digest), Deed::Put)) }
    }

    /// Deletes something that guests have tried to push.
    fn delete(&mut self) -> Trial {
        let mut items = self.records.ledger.items();
        items.retain(|item| item.repository == GUESTS);
        if items.is_empty() {
            items.push(Item::manifest(GUESTS, &Image::numbered(self.image).digest()));
        }
        let item = self.dice.pick(&items).clone();
        let asked = request(Method::DELETE, &item.path());
        Trial { asked, change: Some((item, Deed::Delete)) }
    }

    /// Writes down what has become of a change, if `status` says it.
    pub(super) fn settle(&self, ticket: &Ticket, deed: Deed, status: StatusCode, by: &str) {
        let Records { ledger, chronicle, .. } = &self.records;
        match (deed, status) {
            (Deed::Put, StatusCode::CREATED) => {
                chronicle.count("rights: pushed");
                ledger.done(ticket);
            }
            (Deed::Delete, StatusCode::ACCEPTED) => {
                chronicle.count("rights: deleted");
                ledger.done(ticket);
            }
            (_, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                chronicle.count(match deed {
                    Deed::Put => "rights: pushes refused",
                    Deed::Delete => "rights: deletions refused",
                });
                ledger.refused(ticket);
            }
            (Deed::Delete, StatusCode::NOT_FOUND | StatusCode::CONFLICT) => {
                ledger.refused(ticket);
                let is_there = status == StatusCode::CONFLICT;
                ledger.look(&ticket.item, by, ticket.called, is_there, Source::Confirmed);
            }
            // Its upload is gone, or a part of the manifest: that says nothing of what is put.
            (Deed::Put, StatusCode::NOT_FOUND) => ledger.refused(ticket),
            _ => {}
        }
    }

    /// Looks through any node whether `item` is there: who may push or delete may always do that.
    pub(super) async fn look_for(&mut self, subject: &Subject, item: &Item) {
        let node = self.dice.pick(&self.nodes).clone();
        let by = format!("guest through {node}");
        let called = self.records.history.call();
        let head = subject.pass.shown(request(Method::HEAD, &item.path()));
        let Ok(response) = send(&node, head).await else { return };
        let is_there = match response.status() {
            StatusCode::OK => true,
            StatusCode::NOT_FOUND => false,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => return,
            status => {
                let evidence = format!("{by}: HEAD {item}: {status}");
                return self.records.chronicle.violated(Invariant::RightsAsTold, evidence);
            }
        };
        let source = self.records.source(&by, called, &response);
        self.records.ledger.look(item, &by, called, is_there, source);
    }
}
