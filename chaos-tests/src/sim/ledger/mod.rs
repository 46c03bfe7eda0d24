//! What clients put into repositories and took out again, by digest: every request with when it was
//! sent and what became of it, and what must be there or must not be because of them.

mod damage;
mod facts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto::Digest;

use self::damage::Damage;
pub(crate) use self::facts::{Change, Deed, Item, Kind, Look, May, Outcome, Source};
use super::chronicle::Chronicle;
use super::invariant::Invariant;
use super::invariants::{is_lost, is_unasked, is_undead};
use super::rot::Rot;
use crate::Image;

/// A request that is under way.
pub(crate) struct Ticket {
    /// What it is about.
    pub(crate) item: Item,
    index: usize,
    /// When it was sent.
    pub(crate) called: u64,
}

/// All changes of all items. Clones are the same ledger.
#[derive(Clone)]
pub(crate) struct Ledger {
    pages: Arc<Mutex<Pages>>,
    chronicle: Chronicle,
}

#[derive(Default)]
struct Pages {
    changes: BTreeMap<Item, Vec<Change>>,
    /// What somebody has seen last, as if they had done it.
    seen: BTreeMap<Item, Vec<Change>>,
    contents: BTreeMap<Digest, Bytes>,
    /// The manifests that name a blob or another manifest, by that.
    needed_by: BTreeMap<Digest, BTreeSet<Digest>>,
    /// The manifests that were to refer to another, by that.
    referrers: BTreeMap<(&'static str, Digest), BTreeSet<Digest>>,
    damaged: BTreeMap<Digest, Damage>,
    /// When everything was mended.
    mended: Option<u64>,
    /// When all was settled that had been asked for before a certain time.
    settled: Option<Settled>,
}

/// That what was asked for early enough has happened, or never will.
#[derive(Clone, Copy)]
struct Settled {
    /// What was asked for before this.
    asked: u64,
    /// Since when that is so.
    since: u64,
}

impl Ledger {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { pages: Arc::default(), chronicle }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a digest stands for.
    pub(crate) fn keep(&self, digest: &Digest, content: &Bytes) {
        self.pages().contents.entry(digest.clone()).or_insert_with(|| content.clone());
    }

    /// The bytes that have this digest.
    pub(crate) fn content(&self, digest: &Digest) -> Option<Bytes> {
        self.pages().contents.get(digest).cloned()
    }

    /// Gets to know `image`: what its digests stand for, and what its manifest names.
    pub(crate) fn know(&self, image: &Image) {
        let manifest = image.digest();
        self.keep(&manifest, image.manifest());
        for (digest, content) in image.blobs() {
            self.keep(digest, content);
            self.need(&manifest, digest);
        }
        for child in image.children() {
            self.know(child);
            self.need(&manifest, &child.digest());
        }
    }

    /// Remembers that `manifest` needs `part`, which it names.
    fn need(&self, manifest: &Digest, part: &Digest) {
        let mut pages = self.pages();
        pages.needed_by.entry(part.clone()).or_default().insert(manifest.clone());
    }

    /// Remembers that somebody will push `manifest`, which refers to `subject`.
    pub(crate) fn refer(&self, repository: &'static str, subject: &Digest, manifest: &Digest) {
        let mut pages = self.pages();
        let referrers = pages.referrers.entry((repository, subject.clone())).or_default();
        referrers.insert(manifest.clone());
    }

    /// What was ever to refer to what, by repository and subject.
    pub(crate) fn referrers(&self) -> BTreeMap<(&'static str, Digest), BTreeSet<Digest>> {
        self.pages().referrers.clone()
    }

    /// All items that anybody ever tried to put somewhere.
    pub(crate) fn items(&self) -> Vec<Item> {
        self.pages().changes.keys().cloned().collect()
    }

    /// Whether something was acknowledged in `repository` before `called`.
    pub(crate) fn has_pushed(&self, repository: &str, called: u64) -> bool {
        let is_put = |change: &Change| {
            change.deed == Deed::Put
                && matches!(change.outcome, Outcome::Done(returned) if returned < called)
        };
        let pages = self.pages();
        let mut items = pages.changes.iter().filter(|(item, _)| item.repository == repository);
        items.any(|(_, changes)| changes.iter().any(is_put))
    }

    /// Whether something may have been put into `repository`.
    pub(crate) fn may_have_pushed(&self, repository: &str) -> bool {
        let is_put =
            |change: &Change| change.deed == Deed::Put && change.outcome != Outcome::Refused;
        let pages = self.pages();
        let mut items = pages.changes.iter().filter(|(item, _)| item.repository == repository);
        items.any(|(_, changes)| changes.iter().any(is_put))
    }

    /// Writes down that the store does not give back what has this digest as it was written.
    pub(crate) fn damaged(&self, digest: &Digest, rot: Rot) {
        let damage = Damage::new(self.chronicle.next(), rot);
        self.pages().damaged.insert(digest.clone(), damage);
    }

    /// Writes down that the store gives everything back as it was written, and that no node
    /// remembers that it did not.
    pub(crate) fn mended(&self) {
        self.pages().mended = Some(self.chronicle.next());
    }

    /// Writes down that what was asked for before `asked`, and not answered, has happened by now,
    /// or never will.
    pub(crate) fn settle(&self, asked: u64) {
        self.pages().settled = Some(Settled { asked, since: self.chronicle.next() });
    }

    /// Whether a request that was sent at `called` may find `item` damaged: then it is absent until
    /// somebody who was told so pushes it again.
    pub(crate) fn may_be_damaged(&self, item: &Item, called: u64) -> bool {
        let shows = |damage: &Damage| damage.may_show(called);
        self.has_rotted(item, called) && self.pages().damaged.get(&item.digest).is_some_and(shows)
    }

    /// Whether the store may still have `item` damaged for a request that was sent at `called`,
    /// though something else may have taken its place: a node that is alone does not know that.
    pub(crate) fn has_rotted(&self, item: &Item, called: u64) -> bool {
        let pages = self.pages();
        let is_mended = pages.mended.is_some_and(|mended| mended <= called);
        item.kind == Kind::Blob && !is_mended && pages.damaged.contains_key(&item.digest)
    }

    /// Writes down that the request of `ticket`, with which all bytes came, is done: if the blob
    /// was found to be damaged, that is over.
    pub(crate) fn pushed(&self, ticket: &Ticket) {
        let had_it = self.may_before(ticket) == May::There;
        self.done(ticket);
        let Item { repository, digest, .. } = &ticket.item;
        if had_it && let Some(damage) = self.pages().damaged.get_mut(digest) {
            damage.renew(repository, ticket.called, self.chronicle.next());
        }
    }

    /// Checks that all of `item` can be there, as `by` was told, having asked at `called`.
    pub(crate) fn look_whole(&self, item: &Item, by: &str, called: u64) {
        if self.is_short(item, called) {
            let evidence = format!("{by}: {item} is there, of which bytes are gone");
            self.chronicle.violated(Invariant::NoWrongByte, evidence);
        }
    }

    /// Whether the store had certainly lost bytes of `item` when a request was sent at `called`:
    /// all that ever pushed it was answered before that, and nobody has begun to push it since.
    fn is_short(&self, item: &Item, called: u64) -> bool {
        if !self.may_be_damaged(item, called) {
            return false;
        }
        let pages = self.pages();
        let Some(since) = pages.damaged.get(&item.digest).and_then(Damage::short_since) else {
            return false;
        };
        let of_digest = pages.changes.iter().filter(|(other, _)| other.digest == item.digest);
        let is_over = |change: &Change| match change.outcome {
            Outcome::Done(returned) => returned < since,
            Outcome::Refused => true,
            Outcome::Unknown | Outcome::Settled(_) => false,
        };
        let mut puts = of_digest.flat_map(|(_, changes)| changes);
        since < called && puts.all(|change| change.deed == Deed::Delete || is_over(change))
    }

    /// Writes down that a request is sent.
    pub(crate) fn begin(&self, item: Item, deed: Deed, by: &str) -> Ticket {
        let called = self.chronicle.next();
        let change = Change { by: by.to_owned(), deed, called, outcome: Outcome::Unknown };
        let mut pages = self.pages();
        let changes = pages.changes.entry(item.clone()).or_default();
        changes.push(change);
        Ticket { index: changes.len() - 1, item, called }
    }

    /// Writes down that the request is done.
    pub(crate) fn done(&self, ticket: &Ticket) {
        self.end(ticket, Outcome::Done(self.chronicle.next()));
    }

    /// Writes down that the request was refused.
    pub(crate) fn refused(&self, ticket: &Ticket) {
        self.end(ticket, Outcome::Refused);
    }

    fn end(&self, ticket: &Ticket, outcome: Outcome) {
        if let Some(changes) = self.pages().changes.get_mut(&ticket.item)
            && let Some(change) = changes.get_mut(ticket.index)
        {
            tracing::debug!(target: "ledger", item = %ticket.item, %change, ?outcome);
            change.outcome = outcome;
        }
    }

    fn changes(&self, item: &Item) -> Vec<Change> {
        let pages = self.pages();
        let mut changes = pages.changes.get(item).cloned().unwrap_or_default();
        if let Some(Settled { asked, since }) = pages.settled {
            let unanswered = changes
                .iter_mut()
                .filter(|change| change.called < asked && change.outcome == Outcome::Unknown);
            unanswered.for_each(|change| change.outcome = Outcome::Settled(since));
        }
        changes
    }

    fn seen(&self, item: &Item) -> Vec<Change> {
        self.pages().seen.get(item).cloned().unwrap_or_default()
    }

    /// Remembers what somebody has seen. What was seen before that says no more than this.
    fn remember(&self, item: &Item, seen: Change) {
        let mut pages = self.pages();
        let looks = pages.seen.entry(item.clone()).or_default();
        looks.retain(|look| {
            let is_over = matches!(look.outcome, Outcome::Done(at) if at < seen.called);
            look.deed != seen.deed || !is_over
        });
        looks.push(seen);
    }

    /// What can have been the case with `item` at some time since `called`, for an answer from
    /// `source`.
    pub(crate) fn may(&self, item: &Item, called: u64, source: Source) -> May {
        self.judge(&self.changes(item), &self.seen(item), called, source)
    }

    /// Whether a manifest that needs `item` can have been there since `called`: when one was all
    /// the time, so was `item`.
    pub(crate) fn may_be_needed(&self, item: &Item, called: u64) -> May {
        let manifests = self.pages().needed_by.get(&item.digest).cloned().unwrap_or_default();
        let may = |manifest: &Digest| {
            self.may(&Item::manifest(item.repository, manifest), called, Source::Confirmed)
        };
        manifests.iter().map(may).max().unwrap_or(May::Absent)
    }

    /// Whether `item`, which was there at `since`, can have been deleted and put again after that.
    pub(crate) fn may_be_put_anew(&self, item: &Item, since: u64) -> bool {
        let changes = self.changes(item);
        let may = |deed| {
            let mut of_deed = changes.iter().filter(|change| change.deed == deed);
            of_deed.any(|change| match change.outcome {
                Outcome::Unknown => true,
                Outcome::Settled(returned) | Outcome::Done(returned) => returned > since,
                Outcome::Refused => false,
            })
        };
        may(Deed::Delete) && may(Deed::Put)
    }

    /// What can have been the case with the item of a request apart from what the request itself
    /// did.
    pub(crate) fn may_before(&self, ticket: &Ticket) -> May {
        let mut changes = self.changes(&ticket.item);
        changes.remove(ticket.index);
        // What others saw may be what it did.
        self.judge(&changes, &[], ticket.called, Source::Confirmed)
    }

    fn judge(&self, changes: &[Change], seen: &[Change], called: u64, source: Source) -> May {
        let look = |is_there| {
            let returned = self.chronicle.next();
            Look { called, returned, is_there }
        };
        let is_known_to_be_absent = {
            let look = look(true);
            let is_undead = source != Source::Alone && is_undead(changes, seen, &look).is_some();
            is_unasked(changes, &look) || is_undead
        };
        match (is_lost(changes, seen, &look(false)).is_some(), is_known_to_be_absent) {
            (true, _) => May::There,
            (false, true) => May::Absent,
            (false, false) => May::Either,
        }
    }

    /// Checks that what `by` was told about `item`, having asked at `called`, can be so.
    pub(crate) fn look(&self, item: &Item, by: &str, called: u64, is_there: bool, source: Source) {
        let (changes, seen) = (self.changes(item), self.seen(item));
        let look = Look { called, returned: self.chronicle.next(), is_there };
        if !is_there && self.may_be_damaged(item, called) {
            if is_lost(&changes, &seen, &look).is_some() {
                self.chronicle.count("damaged blobs that were absent");
                if let Some(damage) = self.pages().damaged.get_mut(&item.digest) {
                    damage.find(item.repository, called, look.returned);
                }
            }
            return;
        }
        let violated = |invariant, cause: &Change| {
            let seen = if is_there { "there" } else { "not there" };
            let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
            let evidence = format!(
                "{by}, asked at {called}: {item} is {seen}, after {cause}; all of it:\n  {}",
                lines.join("\n  ")
            );
            self.chronicle.violated(invariant, evidence);
        };
        if let Some(put) = is_lost(&changes, &seen, &look) {
            let invariant = match item.kind {
                Kind::Blob => Invariant::BlobsKept,
                Kind::Manifest => Invariant::NothingLost,
            };
            violated(invariant, put);
        }
        if !is_there && self.may_be_needed(item, called) == May::There {
            let evidence = format!("{by}: {item} is not there, but a manifest is that names it");
            self.chronicle.violated(Invariant::Complete, evidence);
        }
        if is_unasked(&changes, &look) {
            let evidence = format!("{by}: {item} is there, which nobody has put and been told so");
            self.chronicle.violated(Invariant::RefusedInVain, evidence);
        }
        if source != Source::Alone
            && let Some(delete) = is_undead(&changes, &seen, &look)
        {
            violated(Invariant::DeletesShow, delete);
        }
        if source != Source::Alone {
            let deed = if is_there { Deed::Put } else { Deed::Delete };
            let outcome = Outcome::Done(look.returned);
            self.remember(item, Change { by: format!("seen by {by}"), deed, called, outcome });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::client::APP;

    #[test]
    fn what_a_manifest_needs_that_is_there_is_missed() {
        let chronicle = Chronicle::default();
        let ledger = Ledger::new(chronicle.clone());
        let index = Image::numbered(Image::INDEXES);
        let [whole, part] =
            [&index, &index.children()[0]].map(|image| Item::manifest(APP, &image.digest()));
        ledger.need(&whole.digest, &part.digest);
        let do_now = |item: &Item, deed| {
            let ticket = ledger.begin(item.clone(), deed, "client");
            ledger.done(&ticket);
        };
        let miss = || {
            let called = chronicle.next();
            ledger.look(&part, "client", called, false, Source::Confirmed);
            chronicle.violation().map(|violation| violation.invariant)
        };
        do_now(&part, Deed::Put);
        ledger.begin(part.clone(), Deed::Delete, "client");
        assert_eq!(miss(), None, "it may be deleted, since nothing needs it");

        let put = ledger.begin(whole.clone(), Deed::Put, "client");
        assert_eq!(miss(), None, "nothing that is acknowledged needs it");
        ledger.done(&put);
        let delete = ledger.begin(whole, Deed::Delete, "client");
        assert_eq!(miss(), None, "what needs it may be deleted before it");
        ledger.refused(&delete);
        assert_eq!(miss(), Some(Invariant::Complete));
    }

    #[test]
    fn a_damaged_blob_that_was_found_absent_and_pushed_again_must_stay() {
        let chronicle = Chronicle::default();
        let ledger = Ledger::new(chronicle.clone());
        let blob = Item::blob(APP, &Image::numbered(7).digest());
        let push = || ledger.pushed(&ledger.begin(blob.clone(), Deed::Put, "client"));
        let miss = || {
            let called = chronicle.next();
            ledger.look(&blob, "client", called, false, Source::Confirmed);
            chronicle.violation().map(|violation| violation.invariant)
        };
        push();
        ledger.damaged(&blob.digest, Rot::Changed(0));
        push();
        assert_eq!(miss(), None, "who pushed it did not know");
        let mounted = ledger.begin(blob.clone(), Deed::Put, "client");
        ledger.done(&mounted);
        assert_eq!(miss(), None, "no bytes came");
        push();
        ledger.damaged(&blob.digest, Rot::Changed(0));
        assert_eq!(miss(), None, "it was damaged again");
        push();
        assert_eq!(miss(), Some(Invariant::BlobsKept));
    }

    #[test]
    fn what_was_seen_stays_the_same_unless_it_may_be_deleted_and_put_again() {
        let chronicle = Chronicle::default();
        let ledger = Ledger::new(chronicle.clone());
        let item = Item::manifest(APP, &Image::numbered(7).digest());
        let [first, delete] =
            [Deed::Put, Deed::Delete].map(|deed| ledger.begin(item.clone(), deed, "client"));
        assert!(ledger.may_be_put_anew(&item, 0), "both may still happen");
        ledger.done(&first);
        let seen = chronicle.next();
        assert!(!ledger.may_be_put_anew(&item, seen), "nobody puts it after that");
        let second = ledger.begin(item.clone(), Deed::Put, "client");
        assert!(ledger.may_be_put_anew(&item, seen));
        ledger.refused(&delete);
        assert!(!ledger.may_be_put_anew(&item, seen), "nobody deletes it before that");
        ledger.done(&second);
        assert!(!ledger.may_be_put_anew(&item, seen));
    }
}
