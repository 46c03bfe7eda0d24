//! What clients do while a cluster is troubled, and what they remember of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use proto::Digest;
use reqwest::StatusCode;

use super::{Counts, PATIENCE};
use crate::sim::{Action, Dice, History};
use crate::{Image, Outcome, RegistryClient, Unavailable, eventually};

/// Where all of it goes.
const REPOSITORY: &str = "team/app";
/// Tags that all clients work on.
const TAGS: usize = 3;

/// What is known of an image by its digest.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Its manifest was acknowledged.
    put: bool,
    /// Somebody has tried to delete it. Whether that came before or after, nobody knows.
    deleted: bool,
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
    images: Arc<Mutex<BTreeMap<u64, Known>>>,
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
        Self { round, nodes, layers, history, counts, next, images: Arc::default() }
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
            let is_there = node.has_blob(REPOSITORY, digest).await;
            let pushed = match is_there {
                Ok(true) => Ok(()),
                _ => node.push_blob(REPOSITORY, digest, content).await,
            };
            // As a push that the client gives up.
            if pushed.is_err() {
                return Ok(());
            }
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
        let called = self.history.call();
        let pending = self.history.begin(tag, by, called, Action::Set(Some(number)));
        let outcome = node.try_put(REPOSITORY, tag, &Image::numbered(number)).await;
        if self.count(&outcome)? {
            self.history.done(&pending, by);
            self.know(number, |known| known.put = true);
        } else if let Outcome::Refused(status) = outcome {
            bail!("{by}: {status} for an image whose blobs are all there");
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
        } else {
            not_there(by, &outcome)?;
            self.history.refused(&pending);
            self.history.answered(tag, by, called, Action::Saw(None));
        }
        Ok(())
    }

    async fn delete_image(&self, node: &RegistryClient, by: &str, dice: &mut Dice) -> Result<()> {
        let Some(number) = self.some_image(dice) else { return Ok(()) };
        self.know(number, |known| known.deleted = true);
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
                _ => {
                    not_there(by, &outcome)?;
                    self.history.refused(pending);
                }
            }
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
        let Ok(seen) = node.image_at(REPOSITORY, tag).await else { return Ok(()) };
        self.history.answered(tag, by, called, Action::Saw(seen));
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        let image = seen.map(Image::numbered);
        let blobs = image.iter().flat_map(Image::blobs).map(|(digest, _)| digest);
        // Nobody deletes blobs: they stay when images go.
        let blobs: Vec<&Digest> = blobs.chain(&*self.layers).collect();
        if !blobs.is_empty() {
            let blob = dice.pick(&blobs);
            let pulled = node.try_pull_blob(REPOSITORY, blob).await;
            let pulls = u64::from(pulled.with_context(|| by.to_owned())?);
            self.counts.pulls.fetch_add(pulls, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Counts a change; whether it was acknowledged.
    fn count(&self, outcome: &Outcome) -> Result<bool> {
        match outcome {
            Outcome::Done => self.counts.acknowledged.fetch_add(1, Ordering::Relaxed),
            Outcome::Unknown => self.counts.unknown.fetch_add(1, Ordering::Relaxed),
            Outcome::Refused(_) => 0,
            Outcome::Wrong(status) => bail!("an answer of {status}"),
        };
        Ok(*outcome == Outcome::Done)
    }

    fn know(&self, number: u64, change: impl FnOnce(&mut Known)) {
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        change(images.entry(number).or_default());
    }

    /// An image whose manifest was acknowledged once.
    fn some_image(&self, dice: &mut Dice) -> Option<u64> {
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        let put: Vec<u64> =
            images.iter().filter(|(_, known)| known.put).map(|(number, _)| *number).collect();
        (!put.is_empty()).then(|| *dice.pick(&put))
    }

    /// Looks at every tag, layer and image through every node, when nobody changes anything.
    ///
    /// # Errors
    /// When something that was acknowledged is not there, or not whole.
    pub(crate) async fn audit(&self) -> Result<()> {
        let images: Vec<(u64, Known)> = {
            let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            images.iter().map(|(number, known)| (*number, *known)).collect()
        };
        for (position, node) in self.nodes.iter().enumerate() {
            let by = format!("audit through node {}", position + 1);
            for tag in (0..TAGS).map(|tag| self.tag(tag)) {
                let called = self.history.call();
                let seen = answered(&by, async || node.image_at(REPOSITORY, &tag).await).await?;
                self.history.answered(&tag, &by, called, Action::Saw(seen));
            }
            for layer in &*self.layers {
                answered(&by, async || node.pull_blob(REPOSITORY, layer).await).await?;
            }
            for (number, known) in &images {
                if known.put && !known.deleted {
                    let expected = Image::numbered(*number).digest();
                    let pull = async || node.pull(REPOSITORY, expected.as_str()).await;
                    let found = answered(&by, pull).await?;
                    ensure!(found == expected, "{by}: image {number} is another");
                }
            }
        }
        Ok(())
    }
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
