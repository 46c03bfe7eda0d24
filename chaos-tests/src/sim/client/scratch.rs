//! The repository in which everybody puts the same few images, and deletes them again; and images
//! of another one, which has to keep its own.

use super::{APP, Client, Image, SCRATCH, parts};
use crate::sim::ledger::{Item, Kind};

/// The images that everybody puts and deletes, and indexes of them, which share one.
const SCRATCH_IMAGES: [u64; 5] = [1, 2, 3, Image::INDEXES + 1, Image::INDEXES + 2];

impl Client {
    /// Puts one of the images that everybody has into the repository where everybody deletes them
    /// again, or deletes a part of one.
    pub(super) async fn scratch(&mut self) {
        let number = *self.dice.pick(&SCRATCH_IMAGES);
        let image = self.image(number);
        match self.dice.number(0..=9) {
            0..=3 => {
                if self.push_parts(SCRATCH, &image).await {
                    self.put_by_digest(SCRATCH, &image, &[]).await;
                }
            }
            // Perhaps what somebody else has pushed is still there.
            4..=5 => {
                self.put_by_digest(SCRATCH, &image, &[]).await;
            }
            6..=7 => {
                self.delete_manifest(SCRATCH, &image.digest(), None).await;
            }
            _ => {
                let Item { kind, digest, .. } = self.dice.pick(&parts(SCRATCH, &image)).clone();
                match kind {
                    Kind::Blob => self.delete_blob(SCRATCH, &digest).await,
                    Kind::Manifest => {
                        self.delete_manifest(SCRATCH, &digest, None).await;
                    }
                }
            }
        }
    }

    /// Puts an image of this client, which another repository has, into the one where everybody
    /// deletes, and deletes it there: the other repository keeps its own, with all of its parts.
    pub(super) async fn pass_through_scratch(&mut self) {
        let Some(number) = self.some_image() else { return };
        let image = self.image(number);
        if !self.push_parts(SCRATCH, &image).await
            || !self.put_by_digest(SCRATCH, &image, &[]).await
            || !self.delete_manifest(SCRATCH, &image.digest(), None).await
        {
            return;
        }
        self.records.chronicle.count("manifests deleted that another repository has");
        if let Some((digest, _)) = image.blobs().last() {
            self.delete_blob(SCRATCH, digest).await;
        }
        self.get_manifest(&Item::manifest(APP, &image.digest())).await;
        for Item { kind, digest, .. } in parts(APP, &image) {
            match kind {
                Kind::Blob => self.pull_blob(APP, &digest).await,
                Kind::Manifest => self.get_manifest(&Item::manifest(APP, &digest)).await,
            }
        }
    }
}
