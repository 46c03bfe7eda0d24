//! A client of a story: it does what it is told, through the node that it is told, and writes down
//! what it is answered.

use std::time::Duration;

use tokio::time::Instant;

use super::upload::Upload;
use super::{Node, Unmet};
use crate::sim::client::{APP, Client, Told};

/// How long a client tries what must succeed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client. Images have numbers, and tags the names `tag-1` to as many as the cluster's
/// [`Plan`](crate::sim::Plan) says. All that it is told goes into the records that are checked at
/// the end.
pub struct Hand {
    client: Client,
}

impl Hand {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// From here on it works through `node`.
    pub fn through(&mut self, node: Node) {
        self.client.go_to(&node.to_string());
    }

    /// Pushes a new image and points `tag` to it, and tries until that is acknowledged. Answers
    /// the image.
    ///
    /// # Errors
    /// When it is not acknowledged for a minute.
    pub async fn push(&mut self, tag: &str) -> Result<u64, Unmet> {
        let image = self.push_blobs().await?;
        self.point(tag, image).await?;
        Ok(image)
    }

    /// Pushes the blobs of a new image, and answers the image.
    ///
    /// # Errors
    /// When that is not acknowledged for a minute.
    pub async fn push_blobs(&mut self) -> Result<u64, Unmet> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(image) = self.client.push_content().await {
                return Ok(image);
            }
        }
        Err(Unmet::new("no blobs can be pushed"))
    }

    /// Pushes the blobs of `image` once more, those that are missing; answers whether all are
    /// acknowledged.
    pub async fn push_blobs_of(&mut self, image: u64) -> bool {
        let image = self.client.image(image);
        self.client.push_blobs(APP, &image).await
    }

    /// Points `tag` to `image`, whose blobs are there, and tries until that is acknowledged.
    ///
    /// # Errors
    /// When it is not for a minute, or refused.
    pub async fn point(&mut self, tag: &str, image: u64) -> Result<(), Unmet> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.client.put_once(tag, image, None).await {
                Told::Done => return Ok(()),
                Told::Refused => return Err(Unmet::new(format_args!("{tag} cannot be moved"))),
                Told::Nothing => {}
            }
        }
        Err(Unmet::new(format_args!("{tag} does not move")))
    }

    /// Asks once to point `tag` to `image`, and answers what was said.
    pub async fn try_point(&mut self, tag: &str, image: u64) -> Told {
        self.client.put_once(tag, image, None).await
    }

    /// Asks once to point `tag` to `image` if it names `before`, and answers what was said.
    pub async fn point_if(&mut self, tag: &str, before: Option<u64>, image: u64) -> Told {
        self.client.put_once(tag, image, Some(before)).await
    }

    /// What `tag` names; tries until a node says it.
    ///
    /// # Errors
    /// When none does for a minute.
    pub async fn look(&mut self, tag: &str) -> Result<Option<u64>, Unmet> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(seen) = self.client.look(tag).await {
                return Ok(seen);
            }
        }
        Err(Unmet::new(format_args!("no node says what {tag} names")))
    }

    /// Asks once what `tag` names; `None` when the node cannot say it now.
    pub async fn try_look(&mut self, tag: &str) -> Option<Option<u64>> {
        self.client.look(tag).await
    }

    /// Pulls what `tag` names with all blobs, and compares every byte.
    pub async fn pull(&mut self, tag: &str) {
        self.client.pull(tag).await;
    }

    /// Whether a blob of `image` is there, by HEAD of the one that only it has; `None` when the
    /// node cannot say it now.
    pub async fn has_layer(&mut self, image: u64) -> Option<bool> {
        let image = self.client.image(image);
        self.client.is_there(APP, &image.blobs()[2].0).await
    }

    /// How many blobs of `image` are there, by HEAD; `None` when the node cannot say it now.
    pub async fn count_blobs(&mut self, image: u64) -> Option<usize> {
        let mut count = 0;
        for (digest, _) in self.client.image(image).blobs() {
            count += usize::from(self.client.is_there(APP, digest).await?);
        }
        Some(count)
    }

    /// Deletes an image that this client has pushed, and the blobs that only it has; each delete is
    /// seen at once, or the records are violated.
    pub async fn delete(&mut self, image: u64) {
        self.client.delete_image(image).await;
    }

    /// Deletes `tag`.
    pub async fn delete_tag(&mut self, tag: &str) {
        self.client.delete_tag(tag).await;
    }

    /// Begins an upload of `length` bytes.
    ///
    /// # Errors
    /// When the node does not take one.
    pub async fn begin_upload(&mut self, length: usize) -> Result<Upload, Unmet> {
        let content = self.client.fresh_content(length);
        let begun = self.client.begin_upload(APP).await;
        begun.map(|begun| Upload::new(begun, content)).ok_or_else(|| Unmet::new("no upload begins"))
    }

    /// Sends the bytes of an upload up to `end`; answers whether they are acknowledged.
    pub async fn send(&mut self, upload: &mut Upload, end: usize) -> bool {
        let chunk = upload.rest_to(end);
        self.client.append(&mut upload.inner, chunk).await
    }

    /// Asks how far an upload is, and answers how many bytes of it are there.
    ///
    /// # Errors
    /// When no node knows it.
    pub async fn resume(&mut self, upload: &mut Upload) -> Result<u64, Unmet> {
        let resumed = self.client.resume(&mut upload.inner).await;
        resumed.ok_or_else(|| Unmet::new("nobody knows the upload"))?;
        Ok(upload.inner.session.acknowledged())
    }

    /// Ends an upload, with all bytes that are missing.
    ///
    /// # Errors
    /// When it does not become a blob.
    pub async fn finish(&mut self, upload: &mut Upload) -> Result<(), Unmet> {
        let (digest, content) = (upload.digest(), upload.content.clone());
        let finished = self.client.finish(&mut upload.inner, &digest, &content).await;
        finished.ok_or_else(|| Unmet::new("the upload does not become a blob"))
    }

    /// Pulls the blob that an upload has become, and compares every byte.
    pub async fn pull_upload(&mut self, upload: &Upload) {
        self.client.pull_blob(APP, &upload.digest()).await;
    }
}
