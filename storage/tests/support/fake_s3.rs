//! A server that answers as a test says, to do what real stores do only when something is broken.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use storage::blob::{S3Credentials, S3Settings};

/// A page of a list that is empty.
pub(crate) const EMPTY_LIST: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\n<ListBucketResult/>";

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Its headers, by their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_list(&self) -> bool {
        self.target.contains("list-type=2")
    }

    /// The name of the object that it is about; empty when it is about the bucket.
    pub(crate) fn name(&self) -> &str {
        let path = self.target.split('?').next().unwrap();
        path.strip_prefix("/bucket").unwrap().trim_start_matches('/')
    }

    /// What the names begin with that it is to list.
    pub(crate) fn prefix(&self) -> String {
        let (_, query) = self.target.split_once('?').unwrap();
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix="));
        prefix.unwrap_or_default().replace("%2F", "/")
    }
}

/// The server, for as long as the test's runtime runs. Each connection is closed after one answer.
pub(crate) struct FakeS3 {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl FakeS3 {
    /// Answers each request with the bytes that `answer` makes of it, and of how many came before.
    #[expect(clippy::disallowed_methods, reason = "a test of a real client")]
    pub(crate) async fn start(
        answer: impl Fn(&Request, usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some(request) = receive(&mut stream).await else { return };
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len() - 1
                    };
                    // The client may have gone.
                    let _ = stream.write_all(&answer(&request, before)).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { endpoint, requests }
    }

    /// How to use it.
    pub(crate) fn settings(&self) -> S3Settings {
        S3Settings {
            endpoint: Some(self.endpoint.clone()),
            region: Some("test".to_owned()),
            path_style: true,
            credentials: Some(S3Credentials {
                access_key: "key".to_owned(),
                secret_key: "secret".to_owned(),
            }),
            ..S3Settings::new("bucket")
        }
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// The next request, once all of it is there.
async fn receive(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let (first, headers) = lines.split_first()?;
    let mut words = first.split(' ').map(str::to_owned);
    let headers = headers.iter().filter_map(|line| line.split_once(':'));
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    let (method, target) = (words.next()?, words.next()?);
    let mut request = Request { method, target, headers, body: Bytes::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    let mut body = Vec::new();
    stream.take(length.unwrap_or(0)).read_to_end(&mut body).await.ok()?;
    request.body = body.into();
    Some(request)
}
