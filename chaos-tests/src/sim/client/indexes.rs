//! Indexes of images for several platforms, pushed as buildx does it: the images by digest, and
//! then the index that lists them.

use super::{APP, Client, Image};

impl Client {
    /// Pushes new images for several platforms, and an index of them under `tag`; sometimes under
    /// other tags too, or none.
    pub(super) async fn push_index(&mut self, tag: &str) {
        let index = self.fresh_index();
        if self.push_parts(APP, &index).await {
            self.put_somewhere(tag, &index).await;
        }
    }

    /// An index of images that nobody has pushed.
    pub(super) fn fresh_index(&mut self) -> Image {
        let first = self.fresh_number();
        // The image after that is in it too.
        self.fresh_number();
        self.image(Image::INDEXES + first)
    }

    /// Pushes what the manifest of `image` names; answers whether all of it is acknowledged.
    pub(super) async fn push_parts(&mut self, repository: &'static str, image: &Image) -> bool {
        for child in image.children() {
            if !self.push_by_digest(repository, child).await {
                return false;
            }
        }
        self.push_blobs(repository, image).await
    }

    /// Pushes an image that no tag names; answers whether it is acknowledged.
    async fn push_by_digest(&mut self, repository: &'static str, image: &Image) -> bool {
        self.push_blobs(repository, image).await && self.put_by_digest(repository, image, &[]).await
    }

    /// Puts an index of which an image was never pushed: it is refused, and its tag does not move.
    pub(super) async fn push_what_lacks_an_image(&mut self) {
        let index = self.fresh_index();
        if self.push_by_digest(APP, &index.children()[0]).await {
            self.put_in_vain(&index).await;
            self.records.chronicle.count("requests: index without one of its images");
        }
    }
}
