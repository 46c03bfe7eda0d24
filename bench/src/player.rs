//! Plays the operations of a workload, one after the other.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::client::{Call, Client};
use crate::connection::{Reply, Taking};
use crate::content::Blob;
use crate::fault::Fault;
use crate::image::{INDEX, Image, MANIFEST, Manifest};
use crate::recorder::Volume;
use crate::stock::{Stock, image_tag, listed_tag};
use crate::workload::{Needs, Upload, Workload};

/// One client at work.
pub(crate) struct Player {
    pub(crate) client: Client,
    pub(crate) stock: Arc<Stock>,
    pub(crate) workload: Workload,
    pub(crate) upload: Upload,
    /// Entries of a page.
    pub(crate) page: u64,
    /// Whether what comes back is compared with what was pushed.
    pub(crate) verify: bool,
}

impl Player {
    /// Opens the connection, and logs in where that is asked for.
    pub(crate) async fn greet(&mut self) -> Result<(), Fault> {
        let repository = self.stock.repository(0);
        let call = Call::new(Method::GET, &repository, "/v2/".to_owned());
        self.client.send(call, StatusCode::OK).await.map(|_| ())
    }

    /// Makes the part `number` of what the workload needs to find. An image without blobs of its
    /// own needs the one that has them.
    pub(crate) async fn prepare(&mut self, number: u64) -> Result<(), Fault> {
        let stock = Arc::clone(&self.stock);
        match self.workload.needs() {
            Needs::Nothing => {}
            Needs::Images => {
                let (base, repository) = stock.base(number);
                let tag = image_tag(number);
                if number < stock.bases() {
                    self.push_image(&repository, base, &tag).await?;
                } else {
                    let manifest = stock.manifest(number);
                    self.put_manifest(&repository, &manifest, MANIFEST, &tag).await?;
                }
            }
            Needs::Tags => {
                let tag = listed_tag(number);
                self.put_manifest(&stock.tagged(), &stock.entry(), INDEX, &tag).await?;
            }
            Needs::Repositories => {
                let repository = stock.listed(number);
                self.put_manifest(&repository, &stock.entry(), INDEX, "1").await?;
            }
        }
        Ok(())
    }

    /// Plays the operation `number`, and answers what it moved.
    pub(crate) async fn play(&mut self, number: u64) -> Result<Volume, Fault> {
        let stock = Arc::clone(&self.stock);
        match self.workload {
            Workload::PushBlob => {
                let blob = stock.content().blob(stock.fresh(number));
                self.push_blob(&stock.repository(number), &blob).await
            }
            Workload::PushImage => {
                let image = Image::new(stock.content(), stock.fresh(number));
                let tag = image_tag(number);
                self.push_image(&stock.repository(number), &image, &tag).await
            }
            Workload::ListTags => {
                let last = listed_tag(stock.place(number, self.page));
                let (page, repository) = (self.page, stock.tagged());
                let path = format!("/v2/{repository}/tags/list?n={page}&last={last}");
                self.list(Call::new(Method::GET, &repository, path), "tags").await
            }
            Workload::ListRepositories => {
                let last = stock.listed(stock.place(number, self.page));
                let path = format!("/v2/_catalog?n={}&last={last}", self.page);
                self.list(Call::of_catalog(path), "repositories").await
            }
            _ => self.play_with_image(&stock, number).await,
        }
    }

    /// Plays an operation on an image that is there.
    async fn play_with_image(&mut self, stock: &Stock, number: u64) -> Result<Volume, Fault> {
        let drawn = stock.draw(number);
        let (base, repository) = stock.base(drawn);
        let layer = &base.layers()[usize::from(number % 2 == 1)];
        match self.workload {
            Workload::PullBlob => self.pull_blob(&repository, layer).await,
            Workload::HeadBlob => {
                let path = format!("/v2/{repository}/blobs/{}", layer.digest);
                let call = Call::new(Method::HEAD, &repository, path);
                self.client.send(call, StatusCode::OK).await.map(volume)
            }
            Workload::PullImage => {
                let mut moved = self.get_manifest(&repository, drawn, &image_tag(drawn)).await?;
                for blob in &base.blobs {
                    moved += self.pull_blob(&repository, blob).await?;
                }
                Ok(moved)
            }
            Workload::PushManifest => {
                let manifest = stock.fresh_manifest(base, number);
                let tag = format!("pushed-{drawn}");
                self.put_manifest(&repository, &manifest, MANIFEST, &tag).await
            }
            Workload::MoveTag => {
                let (manifest, moving) = (stock.manifest(drawn), number % stock.images());
                let tag = format!("moving-{moving}");
                self.put_manifest(&repository, &manifest, MANIFEST, &tag).await
            }
            Workload::GetManifest => {
                let digest = stock.manifest(drawn).digest;
                self.get_manifest(&repository, drawn, digest.as_str()).await
            }
            Workload::GetTag => self.get_manifest(&repository, drawn, &image_tag(drawn)).await,
            Workload::HeadManifest => {
                let digest = stock.manifest(drawn).digest;
                self.head_manifest(&repository, digest.as_str()).await
            }
            _ => self.head_manifest(&repository, &image_tag(drawn)).await,
        }
    }

    async fn push_image(
        &mut self,
        repository: &str,
        image: &Image,
        tag: &str,
    ) -> Result<Volume, Fault> {
        let mut moved = Volume::default();
        for blob in &image.blobs {
            moved += self.push_blob(repository, blob).await?;
        }
        moved += self.put_manifest(repository, &image.manifest, MANIFEST, tag).await?;
        Ok(moved)
    }

    async fn push_blob(&mut self, repository: &str, blob: &Blob) -> Result<Volume, Fault> {
        let Blob { digest, payload } = blob;
        let sent = Volume { sent: payload.len(), received: 0 };
        let uploads = format!("/v2/{repository}/blobs/uploads/");
        if self.upload == Upload::Post {
            let call = Call::new(Method::POST, repository, format!("{uploads}?digest={digest}"));
            self.client.send(call.sending(payload.clone()), StatusCode::CREATED).await?;
            return Ok(sent);
        }
        if self.upload == Upload::Docker {
            let path = format!("/v2/{repository}/blobs/{digest}");
            let call = Call::new(Method::HEAD, repository, path);
            self.client.send(call, StatusCode::NOT_FOUND).await?;
        }
        let call = Call::new(Method::POST, repository, uploads);
        let mut reply = self.client.send(call, StatusCode::ACCEPTED).await?;
        let mut rest = payload.clone();
        if self.upload == Upload::Docker {
            let (server, path) = self.client.location(&reply)?;
            let call = Call::new(Method::PATCH, repository, path).to(server);
            let call = call.sending(std::mem::take(&mut rest));
            reply = self.client.send(call, StatusCode::ACCEPTED).await?;
        }
        let (server, path) = self.client.location(&reply)?;
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}digest={digest}");
        let call = Call::new(Method::PUT, repository, path).to(server);
        self.client.send(call.sending(rest), StatusCode::CREATED).await?;
        Ok(sent)
    }

    async fn pull_blob(&mut self, repository: &str, blob: &Blob) -> Result<Volume, Fault> {
        let path = format!("/v2/{repository}/blobs/{}", blob.digest);
        let taking = if self.verify { Taking::Hash } else { Taking::Count };
        let call = Call::new(Method::GET, repository, path).taking(taking);
        let reply = self.client.send(call, StatusCode::OK).await?;
        let is_other = self.verify && reply.digest.as_ref() != Some(&blob.digest);
        if is_other || reply.length != blob.payload.len() {
            return Err(Fault::Wrong("a blob came back with other content"));
        }
        Ok(volume(reply))
    }

    async fn put_manifest(
        &mut self,
        repository: &str,
        manifest: &Manifest,
        media_type: &'static str,
        tag: &str,
    ) -> Result<Volume, Fault> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let call = Call::new(Method::PUT, repository, path).of_type(media_type);
        self.client.send(call.sending(manifest.payload()), StatusCode::CREATED).await?;
        Ok(Volume { sent: manifest.bytes.len() as u64, received: 0 })
    }

    /// Pulls the manifest of the image `number`.
    async fn get_manifest(
        &mut self,
        repository: &str,
        number: u64,
        reference: &str,
    ) -> Result<Volume, Fault> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let taking = if self.verify { Taking::Keep } else { Taking::Count };
        let call = Call::new(Method::GET, repository, path).taking(taking);
        let reply = self.client.send(call, StatusCode::OK).await?;
        if self.verify && reply.body != self.stock.manifest(number).bytes {
            return Err(Fault::Wrong("a manifest came back with other content"));
        }
        Ok(volume(reply))
    }

    async fn head_manifest(&mut self, repository: &str, reference: &str) -> Result<Volume, Fault> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let call = Call::new(Method::HEAD, repository, path);
        self.client.send(call, StatusCode::OK).await.map(volume)
    }

    async fn list(&mut self, call: Call, name: &str) -> Result<Volume, Fault> {
        let taking = if self.verify { Taking::Keep } else { Taking::Count };
        let reply = self.client.send(call.taking(taking), StatusCode::OK).await?;
        if self.verify {
            let page: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let entries = page[name].as_array().map_or(0, Vec::len) as u64;
            // At least as many follow the place where the page begins.
            let wanted = self.page.min(self.stock.entries().saturating_sub(1));
            if entries != wanted {
                return Err(Fault::Wrong("a page has another length than was asked for"));
            }
        }
        Ok(volume(reply))
    }
}

fn volume(reply: Reply) -> Volume {
    Volume { sent: 0, received: reply.length }
}
