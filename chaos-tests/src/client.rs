//! A client that pushes and pulls as docker does, and believes nothing that it has not checked.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use proto::{Algorithm, Digest};
use reqwest::header::{CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};

use crate::Image;

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// A client of one node.
#[derive(Clone, Debug)]
pub struct RegistryClient {
    http: reqwest::Client,
    base: String,
}

impl RegistryClient {
    /// A client of the node whose API listens at `base`, for example `http://127.0.0.1:5000`.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(base: &str) -> Result<Self> {
        node::install_cryptography();
        let http = reqwest::Client::builder().timeout(DEADLINE).build()?;
        Ok(Self { http, base: base.to_owned() })
    }

    /// Pushes `image` into `repository` and points `tag` to it. When this returns, all of it was
    /// acknowledged.
    ///
    /// # Errors
    /// When anything was not acknowledged.
    pub async fn push(&self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        for (digest, content) in image.blobs() {
            self.provide_blob(repository, digest, content).await?;
        }
        self.put_manifest(repository, tag, image).await
    }

    /// Pulls what `reference` names and checks all of it against the digests.
    ///
    /// # Errors
    /// When anything is missing or differs.
    pub async fn pull(&self, repository: &str, reference: &str) -> Result<Digest> {
        let url = format!("{}/v2/{repository}/manifests/{reference}", self.base);
        let response = expect(self.http.get(url).send().await?, StatusCode::OK).await?;
        let promised = header(&response, "docker-content-digest")?;
        let manifest = response.bytes().await?;
        let digest = Digest::of(Algorithm::Sha256, &manifest);
        ensure!(promised == digest.as_str(), "{promised} is promised, {digest} came");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest)?;
        let layers = manifest["layers"].as_array().context("the manifest has layers")?;
        for descriptor in layers.iter().chain([&manifest["config"]]) {
            let blob: Digest = descriptor["digest"].as_str().context("a digest")?.parse()?;
            self.pull_blob(repository, &blob).await?;
        }
        Ok(digest)
    }

    /// The digest that `tag` names.
    ///
    /// # Errors
    /// When the node does not say.
    pub async fn tag(&self, repository: &str, tag: &str) -> Result<Digest> {
        let url = format!("{}/v2/{repository}/manifests/{tag}", self.base);
        let response = expect(self.http.head(url).send().await?, StatusCode::OK).await?;
        Ok(header(&response, "docker-content-digest")?.parse()?)
    }

    /// The number of the image that `tag` names.
    ///
    /// # Errors
    /// When the node does not say, or says something that is no image.
    pub async fn image_at(&self, repository: &str, tag: &str) -> Result<Option<u64>> {
        let url = format!("{}/v2/{repository}/manifests/{tag}", self.base);
        let response = self.http.get(url).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let manifest = expect(response, StatusCode::OK).await?.bytes().await?;
        let number = Image::number_of(&manifest).context("the manifest has a number")?;
        ensure!(*Image::numbered(number).manifest() == manifest, "image {number} is another");
        Ok(Some(number))
    }

    /// What becomes of the deletion of `reference`, a tag or a digest.
    pub async fn delete(&self, repository: &str, reference: &str) -> Outcome {
        let path = format!("/v2/{repository}/manifests/{reference}");
        Outcome::of(self.at(Method::DELETE, &path).send().await, StatusCode::ACCEPTED)
    }

    /// What becomes of putting the image's manifest under `tag`.
    pub async fn try_put(&self, repository: &str, tag: &str, image: &Image) -> Outcome {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let request = self.at(Method::PUT, &path).header(CONTENT_TYPE, image.media_type());
        Outcome::of(request.body(image.manifest().clone()).send().await, StatusCode::CREATED)
    }

    /// Whether the repository has the blob.
    ///
    /// # Errors
    /// When the node does not say.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let url = format!("{}/v2/{repository}/blobs/{digest}", self.base);
        let response = self.http.head(url).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        expect(response, StatusCode::OK).await?;
        Ok(true)
    }

    /// Pulls a blob and checks it against its digest.
    ///
    /// # Errors
    /// When it does not come, or differs.
    pub async fn pull_blob(&self, repository: &str, digest: &Digest) -> Result<()> {
        let url = format!("{}/v2/{repository}/blobs/{digest}", self.base);
        let response = expect(self.http.get(url).send().await?, StatusCode::OK).await?;
        check(digest, &response.bytes().await?)
    }

    /// Pushes a blob unless the repository has it, and answers whether it had.
    ///
    /// # Errors
    /// When the node does not say, or the blob was not acknowledged.
    pub async fn provide_blob(
        &self,
        repository: &str,
        digest: &Digest,
        content: &Bytes,
    ) -> Result<bool> {
        let was_there = self.has_blob(repository, digest).await?;
        if !was_there {
            self.push_blob(repository, digest, content).await?;
        }
        Ok(was_there)
    }

    /// Pushes a blob in one chunk.
    ///
    /// Nobody else knows of its upload, and each request is sent once: it can neither have ended
    /// (404) nor stand elsewhere (416), so that both are wrong answers here.
    ///
    /// # Errors
    /// When it was not acknowledged.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &Digest,
        content: &Bytes,
    ) -> Result<()> {
        let session = self.begin_upload(repository).await?;
        let session = self.append(&session, content.clone()).await?;
        self.finish_upload(&session, digest).await
    }

    /// Begins an upload and answers its path.
    ///
    /// # Errors
    /// When it was not begun.
    pub async fn begin_upload(&self, repository: &str) -> Result<String> {
        let url = format!("{}/v2/{repository}/blobs/uploads/", self.base);
        let response = self.http.post(url).send().await?;
        header(&expect(response, StatusCode::ACCEPTED).await?, LOCATION.as_str())
    }

    /// Appends a chunk and answers the upload's new path.
    ///
    /// # Errors
    /// When the chunk was not acknowledged.
    pub async fn append(&self, session: &str, chunk: Bytes) -> Result<String> {
        let response = self.at(Method::PATCH, session).body(chunk).send().await?;
        header(&expect(response, StatusCode::ACCEPTED).await?, LOCATION.as_str())
    }

    /// How many bytes of an upload the node acknowledges, and the path to go on with.
    ///
    /// # Errors
    /// When the node does not know the upload.
    pub async fn upload_status(&self, session: &str) -> Result<(usize, String)> {
        let response = self.at(Method::GET, session).send().await?;
        let response = expect(response, StatusCode::NO_CONTENT).await?;
        let range = header(&response, RANGE.as_str())?;
        let last: usize = range.strip_prefix("0-").context("a range from 0")?.parse()?;
        let extent = if last == 0 { 0 } else { last + 1 };
        Ok((extent, header(&response, LOCATION.as_str())?))
    }

    /// Finishes an upload.
    ///
    /// # Errors
    /// When the blob was not acknowledged.
    pub async fn finish_upload(&self, session: &str, digest: &Digest) -> Result<()> {
        let joint = if session.contains('?') { '&' } else { '?' };
        let path = format!("{session}{joint}digest={digest}");
        expect(self.at(Method::PUT, &path).send().await?, StatusCode::CREATED).await?;
        Ok(())
    }

    /// Puts the image's manifest, whose blobs are there.
    ///
    /// # Errors
    /// When it was not acknowledged.
    pub async fn put_manifest(&self, repository: &str, tag: &str, image: &Image) -> Result<()> {
        let path = format!("/v2/{repository}/manifests/{tag}");
        let request = self.at(Method::PUT, &path).header(CONTENT_TYPE, image.media_type());
        let response = request.body(image.manifest().clone()).send().await?;
        expect(response, StatusCode::CREATED).await?;
        Ok(())
    }

    /// The status of an append that is expected to fail, and after how many seconds it says to try
    /// again.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_append(
        &self,
        session: &str,
        chunk: Bytes,
    ) -> Result<(StatusCode, Option<u64>)> {
        let response = self.at(Method::PATCH, session).body(chunk).send().await?;
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok((response.status(), after))
    }

    /// The id of the node that this is a client of.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn node_id(&self) -> Result<u64> {
        let url = format!("{}/roadstead/v1/cluster", self.base);
        let status = expect(self.http.get(url).send().await?, StatusCode::OK).await?;
        let status: serde_json::Value = status.json().await?;
        status["node"].as_u64().context("a node has an id")
    }

    /// Has the cluster remove the node with this id, now or soon.
    ///
    /// # Errors
    /// When that is not decided.
    pub async fn remove_node(&self, id: u64) -> Result<()> {
        let url = format!("{}/roadstead/v1/cluster/nodes/{id}", self.base);
        let answer = self.http.delete(url).send().await?;
        if answer.status() != StatusCode::ACCEPTED {
            expect(answer, StatusCode::NO_CONTENT).await?;
        }
        Ok(())
    }

    fn at(&self, method: Method, location: &str) -> reqwest::RequestBuilder {
        // A Location is a path, or a URL of the node that gave it: only its path counts, on
        // whichever node is asked.
        let path = location.find("/v2/").map_or(location, |start| &location[start..]);
        self.http.request(method, format!("{}{path}", self.base))
    }
}

/// What a client knows of a change that it has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Done,
    /// It was refused, and had no effect.
    Refused(StatusCode),
    /// It was never sent, and never happens: nobody took the connection.
    Unsent,
    /// It may have happened, or happen yet.
    Unknown,
    /// An answer that nothing may be given.
    Wrong(StatusCode),
}

impl Outcome {
    fn of(answer: reqwest::Result<Response>, done: StatusCode) -> Self {
        match answer.map(|response| response.status()) {
            Ok(status) if status == done => Self::Done,
            Err(error) if error.is_connect() => Self::Unsent,
            Ok(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) | Err(_) => {
                Self::Unknown
            }
            Ok(status) if status.is_client_error() => Self::Refused(status),
            Ok(status) => Self::Wrong(status),
        }
    }
}

/// Why something did not come: it is not there, or is something else. A node that is slow, does not
/// answer or has to be asked again has lost nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Lost(pub String);

/// A node has said that it cannot answer now, in an election or when too many ask for example, and
/// is to be asked again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(String);

/// Whether `error` is that there was no answer, or not all of one, or only the request to come
/// again. That is nobody's fault while there is trouble; any other error is a wrong answer.
pub fn is_unanswered(error: &anyhow::Error) -> bool {
    error.is::<reqwest::Error>() || error.is::<Unavailable>()
}

/// What was answered, if anything was.
///
/// # Errors
/// When it was answered wrongly.
pub fn if_answered<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Err(error) if is_unanswered(&error) => Ok(None),
        outcome => outcome.map(Some),
    }
}

/// Checks that `content` is what `digest` names.
fn check(digest: &Digest, content: &[u8]) -> Result<()> {
    let found = Digest::of(digest.algorithm(), content);
    ensure!(found == *digest, Lost(format!("blob {digest} came as {found}")));
    Ok(())
}

async fn expect(response: Response, wanted: StatusCode) -> Result<Response> {
    let status = response.status();
    if status == wanted {
        return Ok(response);
    }
    let url = response.url().clone();
    let text = response.text().await.unwrap_or_default();
    let said = format!("{url}: {status} instead of {wanted}: {text}");
    match status {
        StatusCode::NOT_FOUND => bail!(Lost(said)),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            bail!(Unavailable(said))
        }
        _ => bail!(said),
    }
}

fn header(response: &Response, name: &str) -> Result<String> {
    let value =
        response.headers().get(name).with_context(|| format!("the answer has no {name}"))?;
    Ok(value.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;
    use crate::processes::free_ports;

    #[tokio::test]
    async fn what_nobody_takes_a_connection_for_was_never_sent_and_what_is_not_answered_may_happen()
    {
        let [nobody, ..] = free_ports().unwrap();
        let client = RegistryClient::new(&format!("http://127.0.0.1:{nobody}")).unwrap();
        assert_eq!(client.delete("team/app", "latest").await, Outcome::Unsent);
        #[allow(clippy::disallowed_methods, reason = "who listens is no node")]
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        let client = RegistryClient::new(&format!("http://{address}")).unwrap();
        let silence = async { silent.accept().await.unwrap().0.readable().await.unwrap() };
        let outcome = futures::join!(client.delete("team/app", "latest"), silence).0;
        assert_eq!(outcome, Outcome::Unknown);
    }

    #[tokio::test]
    async fn silence_and_the_request_to_come_again_are_no_answer_and_all_else_is_one() {
        let [nobody, ..] = free_ports().unwrap();
        let client = RegistryClient::new(&format!("http://127.0.0.1:{nobody}")).unwrap();
        let silence = client.image_at("team/app", "latest").await;
        assert!(matches!(if_answered(silence), Ok(None)));
        for (status, is_answer) in
            [(503, false), (429, false), (202, true), (400, true), (404, true), (500, true)]
        {
            let answer = http::Response::builder().status(status).body("").unwrap();
            let answer = expect(answer.into(), StatusCode::OK).await;
            assert_eq!(if_answered(answer).is_err(), is_answer, "{status}");
        }
    }
}
