//! What clients do while a cluster is troubled, and what they remember of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use proto::Digest;
use reqwest::StatusCode;

use super::{Counts, PATIENCE};
use crate::sim::{Action, Dice, History};
use crate::{Image, Lost, Outcome, RegistryClient, Unavailable, eventually, if_answered};

/// Where all of it goes.
const REPOSITORY: &str = "team/app";
/// Tags that all clients work on.
const TAGS: usize = 3;

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    /// The images whose manifest was acknowledged once.
    images: BTreeMap<u64, Known>,
    /// The blobs that were acknowledged, or seen. They stay when images go, and nobody deletes any.
    blobs: BTreeSet<Digest>,
}

/// What is known of an image by its digest.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// It was acknowledged, and no deletion of it can have come after that, or come yet.
    is_there: bool,
    /// Deletions of it that were sent.
    deletions: u64,
    /// Those of them that were answered. Any other may still happen.
    answered: u64,
}

impl Known {
    /// It was acknowledged. When it was put, `answered` deletions had been answered: if these are
    /// all, none came after it.
    fn put(&mut self, answered: u64) {
        self.is_there |= self.deletions == answered;
    }

    /// A deletion is sent. What was known before.
    fn delete(&mut self) -> Self {
        let before = *self;
        *self = Self { is_there: false, deletions: before.deletions + 1, ..before };
        before
    }

    /// A deletion was answered, before which this was known. Whether there must have been something
    /// to delete: nobody else can have done it.
    fn deleted(&mut self, before: Self) -> bool {
        self.answered += 1;
        before.is_there && self.deletions == before.deletions + 1
    }

    /// A deletion was never sent, before which this was known.
    fn unsent(&mut self, before: Self) {
        self.deletions -= 1;
        self.is_there |= before.is_there && self.deletions == before.deletions;
    }
}

/// A round of work. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Work {
    round: usize,
    nodes: Vec<RegistryClient>,
    layers: Arc<[Digest]>,
    history: History,
    counts: Arc<Counts>,
    next: Arc<AtomicU64>,
    told: Arc<Mutex<Told>>,
}

/// Checks that a deletion was refused because there was nothing to delete, and not otherwise.
fn not_there(by: &str, outcome: &Outcome) -> Result<()> {
    ensure!(*outcome == Outcome::Refused(StatusCode::NOT_FOUND), "{by}: {outcome:?}");
    Ok(())
}

impl Work {
    pub(crate) fn new(
        round: usize,
        nodes: Vec<RegistryClient>,
        layers: Arc<[Digest]>,
        history: History,
        counts: Arc<Counts>,
    ) -> Self {
        let next = Arc::new(AtomicU64::new(round as u64 * 1_000_000));
        let blobs = layers.iter().cloned().collect();
        let told = Arc::new(Mutex::new(Told { blobs, ..Told::default() }));
        Self { round, nodes, layers, history, counts, next, told }
    }

    /// Works as client `number` until it is to stop.
    ///
    /// # Errors
    /// When an answer is one that must not be given.
    pub(crate) async fn go_on(
        self,
        number: usize,
        mut dice: Dice,
        stop: Arc<AtomicBool>,
    ) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            let position = dice.index(self.nodes.len());
            let node = &self.nodes[position];
            let by = format!("client {number} through node {}", position + 1);
            let tag = self.tag(dice.index(TAGS));
            match dice.number(0..=9) {
                0..=3 => self.push(node, &by, &tag).await?,
                4..=5 => self.move_to_known(node, &by, &tag, &mut dice).await?,
                6 => self.delete_tag(node, &by, &tag).await?,
                7 if dice.one_in(3) => self.delete_image(node, &by, &mut dice).await?,
                _ => self.look(node, &by, &tag, &mut dice).await?,
            }
        }
        Ok(())
    }

    fn tag(&self, number: usize) -> String {
        format!("round-{}-tag-{number}", self.round)
    }

    async fn push(&self, node: &RegistryClient, by: &str, tag: &str) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let image = Image::numbered(number);
        for (digest, content) in image.blobs() {
            let was_known = self.told().blobs.contains(digest);
            let provided = if_answered(node.provide_blob(REPOSITORY, digest, content).await);
            // As a push that the client gives up.
            let Some(was_there) = provided.with_context(|| by.to_owned())? else { return Ok(()) };
            ensure!(was_there || !was_known, Lost(format!("{by}: blob {digest} was gone")));
            self.told().blobs.insert(digest.clone());
        }
        self.put(node, by, tag, number).await
    }

    async fn move_to_known(
        &self,
        node: &RegistryClient,
        by: &str,
        tag: &str,
        dice: &mut Dice,
    ) -> Result<()> {
        match self.some_image(dice) {
            Some(number) => self.put(node, by, tag, number).await,
            None => Ok(()),
        }
    }

    async fn put(&self, node: &RegistryClient, by: &str, tag: &str, number: u64) -> Result<()> {
        let answered = self.told().images.get(&number).map_or(0, |known| known.answered);
        let called = self.history.call();
        let pending = self.history.begin(tag, by, called, Action::Set(Some(number)));
        let outcome = node.try_put(REPOSITORY, tag, &Image::numbered(number)).await;
        if self.count(&outcome)? {
            self.history.done(&pending, by);
            self.know(number, |known| known.put(answered));
        } else if let Outcome::Refused(status) = outcome {
            bail!("{by}: {status} for an image whose blobs are all there");
        } else if outcome == Outcome::Unsent {
            self.history.refused(&pending);
        } else {
            self.history.doubt(&pending);
        }
        Ok(())
    }

    async fn delete_tag(&self, node: &RegistryClient, by: &str, tag: &str) -> Result<()> {
        let called = self.history.call();
        let pending = self.history.begin(tag, by, called, Action::Set(None));
        let outcome = node.delete(REPOSITORY, tag).await;
        if self.count(&outcome)? {
            self.history.done(&pending, by);
        } else if outcome == Outcome::Unknown {
            self.history.doubt(&pending);
        } else if outcome == Outcome::Unsent {
            self.history.refused(&pending);
        } else {
            not_there(by, &outcome)?;
            self.history.refused(&pending);
            self.history.answered(tag, by, called, Action::Saw(None));
        }
        Ok(())
    }

    async fn delete_image(&self, node: &RegistryClient, by: &str, dice: &mut Dice) -> Result<()> {
        let Some(number) = self.some_image(dice) else { return Ok(()) };
        let before = self.know(number, Known::delete);
        let called = self.history.call();
        let removed = Action::Removed(number);
        let tags = (0..TAGS).map(|tag| self.tag(tag));
        let pending: Vec<_> =
            tags.map(|tag| self.history.begin(&tag, by, called, removed)).collect();
        let outcome = node.delete(REPOSITORY, Image::numbered(number).digest().as_str()).await;
        let is_done = self.count(&outcome)?;
        for pending in &pending {
            match outcome {
                _ if is_done => self.history.done(pending, by),
                Outcome::Unknown => self.history.doubt(pending),
                Outcome::Unsent => self.history.refused(pending),
                _ => {
                    not_there(by, &outcome)?;
                    self.history.refused(pending);
                }
            }
        }
        if outcome == Outcome::Unsent {
            self.know(number, |known| known.unsent(before));
        } else if outcome != Outcome::Unknown {
            let was_there = self.know(number, |known| known.deleted(before));
            ensure!(is_done || !was_there, Lost(format!("{by}: image {number} was gone")));
        }
        Ok(())
    }

    /// Looks at what `tag` names, and pulls a blob of that or one of the layers.
    async fn look(
        &self,
        node: &RegistryClient,
        by: &str,
        tag: &str,
        dice: &mut Dice,
    ) -> Result<()> {
        let called = self.history.call();
        let seen = if_answered(node.image_at(REPOSITORY, tag).await);
        let Some(seen) = seen.with_context(|| by.to_owned())? else { return Ok(()) };
        self.history.answered(tag, by, called, Action::Saw(seen));
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        let image = seen.map(Image::numbered);
        let blobs = image.iter().flat_map(Image::blobs).map(|(digest, _)| digest);
        // Nobody deletes blobs: they stay when images go.
        let blobs: Vec<&Digest> = blobs.chain(&*self.layers).collect();
        if !blobs.is_empty() {
            let blob = dice.pick(&blobs);
            let pulled = if_answered(node.pull_blob(REPOSITORY, blob).await);
            let is_pulled = pulled.with_context(|| by.to_owned())?.is_some();
            self.counts.pulls.fetch_add(u64::from(is_pulled), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts a change; whether it was acknowledged.
    fn count(&self, outcome: &Outcome) -> Result<bool> {
        match outcome {
            Outcome::Done => self.counts.acknowledged.fetch_add(1, Ordering::Relaxed),
            Outcome::Unknown => self.counts.unknown.fetch_add(1, Ordering::Relaxed),
            Outcome::Refused(_) | Outcome::Unsent => 0,
            Outcome::Wrong(status) => bail!("an answer of {status}"),
        };
        Ok(*outcome == Outcome::Done)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn know<T>(&self, number: u64, change: impl FnOnce(&mut Known) -> T) -> T {
        change(self.told().images.entry(number).or_default())
    }

    /// An image whose manifest was acknowledged once.
    fn some_image(&self, dice: &mut Dice) -> Option<u64> {
        let images: Vec<u64> = self.told().images.keys().copied().collect();
        (!images.is_empty()).then(|| *dice.pick(&images))
    }

    /// Looks at every blob and image, and at all that a tag names, through every node, when nobody
    /// changes anything. Answers which images must be there from now on.
    ///
    /// # Errors
    /// When something that was acknowledged is not there, or what is there is not whole.
    pub(crate) async fn audit(&self) -> Result<BTreeSet<u64>> {
        let (images, blobs) = {
            let told = self.told();
            let images = told.images.iter().filter(|(_, known)| known.is_there);
            (images.map(|(number, _)| *number).collect(), told.blobs.clone())
        };
        for (position, node) in (1..).zip(&self.nodes) {
            let by = format!("audit through node {position}");
            let mut blobs = blobs.clone();
            for tag in (0..TAGS).map(|tag| self.tag(tag)) {
                let called = self.history.call();
                let seen = answered(&by, async || node.image_at(REPOSITORY, &tag).await).await?;
                self.history.answered(&tag, &by, called, Action::Saw(seen));
                // Its manifest may never have been acknowledged.
                blobs.extend(seen.into_iter().flat_map(blobs_of));
            }
            pull(node, &by, &images, &blobs).await?;
        }
        Ok(images)
    }
}

/// Looks at `images`, which must be there, and at all of each, through each of `nodes`.
///
/// # Errors
/// When one of them is not there, or not whole.
pub(crate) async fn audit_images(nodes: &[RegistryClient], images: &BTreeSet<u64>) -> Result<()> {
    let blobs = images.iter().copied().flat_map(blobs_of).collect();
    for (position, node) in (1..).zip(nodes) {
        pull(node, &format!("last audit through node {position}"), images, &blobs).await?;
    }
    Ok(())
}

fn blobs_of(image: u64) -> Vec<Digest> {
    Image::numbered(image).blobs().iter().map(|(digest, _)| digest.clone()).collect()
}

/// Pulls the manifests of `images`, and `blobs`, and compares each byte.
async fn pull(
    node: &RegistryClient,
    by: &str,
    images: &BTreeSet<u64>,
    blobs: &BTreeSet<Digest>,
) -> Result<()> {
    for number in images {
        let digest = Image::numbered(*number).digest();
        let image_at = async || node.image_at(REPOSITORY, digest.as_str()).await;
        let found = answered(by, image_at).await?;
        ensure!(found == Some(*number), Lost(format!("{by}: {found:?} and not image {number}")));
    }
    for blob in blobs {
        answered(by, async || node.pull_blob(REPOSITORY, blob).await).await?;
    }
    Ok(())
}

/// Asks again for as long as the node says that it cannot answer now: one that was ready may have
/// to elect a leader. Any other answer is the last one.
async fn answered<T>(by: &str, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let answer = eventually("the node answers", PATIENCE, async || match ask().await {
        Err(error) if error.is::<Unavailable>() => Err(error),
        answer => Ok(answer),
    });
    answer.await.flatten().with_context(|| by.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_must_be_there_that_no_deletion_can_have_come_after() {
        let mut image = Known::default();
        image.put(0);
        assert!(image.is_there);

        let before = image.delete();
        assert!(!image.is_there);
        // Another one was put meanwhile: which came first, nobody knows.
        image.put(0);
        assert!(!image.is_there);
        assert!(image.deleted(before), "nobody else has deleted it");
        image.put(image.answered);
        assert!(image.is_there, "it was put again");

        let both = [image.delete(), image.delete()];
        assert_eq!(both.map(|before| image.deleted(before)), [false; 2], "one may be too late");
        let before = image.delete();
        assert!(!image.deleted(before), "it was deleted already");
        image.put(image.answered);
        let before = image.delete();
        image.unsent(before);
        assert!(image.is_there, "none was sent");
        let before = image.delete();
        image.delete();
        image.unsent(before);
        assert!(!image.is_there, "the other one may have been sent");
        // What becomes of this one is never known.
        image.delete();
        image.put(image.answered);
        assert!(!image.is_there);
    }
}
