//! A node as a process that serves over TLS: all clients speak, certificates that change, and
//! files that are wrong.
#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::{Algorithm, Digest};
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use support::pki::Pki;
use support::{DEADLINE, alone, complaint, get, output, roadstead, until};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const ONE: &[u8] = b"http/1.1";
const TWO: &[u8] = b"h2";

/// A node that serves over TLS with the files in `folder`, and logs there.
struct Target {
    folder: TempDir,
    port: u16,
    _child: Child,
}

/// `roadstead serve` with the certificate in `folder`.
fn serve(folder: &Path) -> Command {
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder);
    command.env("ROADSTEAD_TLS_CERTIFICATE", folder.join("cert.pem"));
    command.env("ROADSTEAD_TLS_KEY", folder.join("key.pem"));
    command
}

impl Target {
    async fn start(folder: TempDir) -> Self {
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = serve(folder.path());
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut node = Self { folder, port: 0, _child: child };
        until("the node serves", async || node.said("serving").is_some()).await;
        let serving = node.said("serving").unwrap();
        let ready = format!("http://{}/readyz", serving["admin"].as_str().unwrap());
        until("the node is ready", async || get(&ready).await.is_some_and(|(s, _)| s == 200)).await;
        node.port = serving["api"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        node
    }

    /// The last line of its log that says `what`.
    fn said(&self, what: &str) -> Option<serde_json::Value> {
        self.all_said(what).pop()
    }

    fn all_said(&self, what: &str) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &serde_json::Value| line["message"] == what).collect()
    }

    async fn open(&self, config: ClientConfig) -> std::io::Result<Session> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
        let (_, tls) = stream.get_ref();
        let version = tls.protocol_version().unwrap();
        let shown = tls.peer_certificates().unwrap()[0].clone().into_owned();
        let requests = if tls.alpn_protocol() == Some(TWO) {
            let executor = TokioExecutor::new();
            let (requests, driver) =
                http2::handshake(executor, TokioIo::new(stream)).await.map_err(other)?;
            tokio::spawn(driver);
            Requests::Two(requests)
        } else {
            let (requests, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
            tokio::spawn(driver);
            Requests::One(requests)
        };
        Ok(Session { port: self.port, version, shown, requests })
    }
}

fn other(error: hyper::Error) -> std::io::Error {
    std::io::Error::other(error)
}

/// A connection over TLS.
struct Session {
    port: u16,
    version: ProtocolVersion,
    shown: CertificateDer<'static>,
    requests: Requests,
}

enum Requests {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Session {
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> hyper::Result<(Version, StatusCode, Bytes)> {
        let request = Request::builder().method(method);
        let body = Full::new(Bytes::copy_from_slice(body));
        let answer = match &mut self.requests {
            Requests::One(requests) => {
                let request = request.uri(path).header("host", format!("localhost:{}", self.port));
                requests.ready().await?;
                requests.send_request(request.body(body).unwrap()).await?
            }
            Requests::Two(requests) => {
                let request = request.uri(format!("https://localhost:{}{path}", self.port));
                requests.ready().await?;
                requests.send_request(request.body(body).unwrap()).await?
            }
        };
        let (version, status) = (answer.version(), answer.status());
        Ok((version, status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// A folder with the certificate of a server by `pki`.
fn with_certificate(pki: &Pki) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    pki.server().write(folder.path());
    folder
}

#[tokio::test]
async fn a_blob_is_pulled_over_both_versions_of_tls_and_of_http() {
    let pki = Pki::new();
    let node = Target::start(with_certificate(&pki)).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let digest = Digest::of(Algorithm::Sha256, &content);
    let path = format!("/v2/a/blobs/{digest}");
    for (tls, expected) in
        BOTH.into_iter().zip([ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3])
    {
        for (protocol, http) in [(ONE, Version::HTTP_11), (TWO, Version::HTTP_2)] {
            let config = pki.trusted_by(&[tls], &[protocol], None);
            let mut session = node.open(config).await.unwrap();
            assert_eq!(session.version, expected);
            let push = format!("/v2/a/blobs/uploads/?digest={digest}");
            let (_, status, _) = session.ask(Method::POST, &push, &content).await.unwrap();
            assert_eq!(status, StatusCode::CREATED);
            let (version, status, body) = session.ask(Method::GET, &path, b"").await.unwrap();
            assert_eq!((version, status), (http, StatusCode::OK));
            assert_eq!(body, content);
        }
    }
}

#[tokio::test]
async fn a_certificate_that_changes_is_shown_without_a_failed_request() {
    let pki = Arc::new(Pki::new());
    let node = Arc::new(Target::start(with_certificate(&pki)).await);
    let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for protocol in [ONE, TWO, ONE, TWO] {
        let (pki, node) = (Arc::clone(&pki), Arc::clone(&node));
        let (is_over, served) = (Arc::clone(&is_over), Arc::clone(&served));
        clients.spawn(async move {
            let config = || pki.trusted_by(&BOTH, &[protocol], None);
            let mut lasting = node.open(config()).await.unwrap();
            while !is_over.load(Ordering::Relaxed) {
                let mut fresh = node.open(config()).await.unwrap();
                for session in [&mut lasting, &mut fresh] {
                    let (_, status, _) = session.ask(Method::GET, "/v2/", b"").await.unwrap();
                    assert_eq!(status, StatusCode::OK);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    for _ in 0..2 {
        let renewed = pki.server();
        renewed.write(node.folder.path());
        let before = served.load(Ordering::Relaxed);
        until("the new certificate is shown to clients that come", async || {
            let shown = node.open(pki.trusted_by(&BOTH, &[], None)).await.unwrap().shown;
            shown == renewed.der() && served.load(Ordering::Relaxed) > before
        })
        .await;
    }
    is_over.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.expect("no request failed");
    }
}

#[tokio::test]
async fn what_does_not_fit_together_leaves_the_certificate_from_before_in_use() {
    let pki = Pki::new();
    let node = Target::start(with_certificate(&pki)).await;
    let shown = async || node.open(pki.trusted_by(&BOTH, &[], None)).await.unwrap().shown;
    let before = shown().await;
    let warning = "the certificate before this one stays in use";
    let renewed = pki.server();
    let file = |name| node.folder.path().join(name);
    fs::write(file("cert.pem"), renewed.certificate.pem()).unwrap();
    until("it is said that they do not fit", async || node.said(warning).is_some()).await;
    let reason = node.said(warning).unwrap()["reason"].to_string();
    assert!(reason.contains("is not that of the certificate in"), "{reason}");
    assert_eq!(shown().await, before);

    fs::remove_file(file("key.pem")).unwrap();
    until("it is said that one is gone", async || node.all_said(warning).len() == 2).await;
    assert_eq!(shown().await, before);
    pki.expired().write(node.folder.path());
    until("it is said that it has expired", async || node.all_said(warning).len() == 3).await;
    let reason = node.said(warning).unwrap()["reason"].to_string();
    assert!(reason.contains("has expired, on 2020-02-29"), "{reason}");
    assert_eq!(shown().await, before);

    renewed.write(node.folder.path());
    until("the new one is shown", async || shown().await == renewed.der()).await;
    assert_eq!(node.all_said(warning).len(), 3, "one warning each");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_at_start_with_a_sentence() {
    let pki = Pki::new();
    let refusal = async |spoil: &dyn Fn(&Path)| {
        let folder = with_certificate(&pki);
        spoil(folder.path());
        let mut command = serve(folder.path());
        if folder.path().join("ca.pem").exists() {
            command.env("ROADSTEAD_TLS_CLIENT_CA", folder.path().join("ca.pem"));
        }
        complaint(command).await
    };
    let other = pki.server();
    type Spoil<'a> = &'a dyn Fn(&Path);
    let cases: [(Spoil<'_>, &str); 8] = [
        (
            &|at| fs::remove_file(at.join("cert.pem")).unwrap(),
            "which tls.certificate names, cannot",
        ),
        (&|at| fs::write(at.join("cert.pem"), "hello").unwrap(), "has no certificate: put one"),
        (&|at| fs::write(at.join("key.pem"), "").unwrap(), "tls.key names, has no private key"),
        (&|at| fs::write(at.join("key.pem"), vec![b' '; 600_000]).unwrap(), "it is too long"),
        (
            &|at| fs::write(at.join("key.pem"), other.key.serialize_pem()).unwrap(),
            "is not that of the certificate in",
        ),
        (&|at| pki.expired().write(at), "has expired, on 2020-02-29"),
        (
            &|at| fs::write(at.join("ca.pem"), "").unwrap(),
            "tls.client_ca names, has no certificate",
        ),
        (
            &|at| {
                let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
                fs::write(at.join("ca.pem"), nonsense).unwrap();
            },
            "has a certificate that is none",
        ),
    ];
    for (spoil, said) in cases {
        let complaint = refusal(spoil).await;
        assert!(complaint.contains(said), "{complaint}");
    }
}

#[tokio::test]
async fn a_first_try_takes_two_commands() {
    let folder = tempfile::tempdir().unwrap();
    let (at, again) = (folder.path().to_str().unwrap(), folder.path().join("again"));
    let again = again.to_str().unwrap();
    let make = ["tls", "self-signed", "--host", "localhost", "--host", "127.0.0.1", "--out"];
    let made = output(roadstead(&[&make[..], &[at]].concat())).await;
    assert!(made.status.success(), "{made:?}");
    for (name, mode) in [("key.pem", 0o600), ("ca-key.pem", 0o600)] {
        let permissions = fs::metadata(folder.path().join(name)).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{name}");
    }
    let said = complaint(roadstead(&[&make[..], &[at]].concat())).await;
    assert!(said.contains("key.pem is there already, and stays as it is"), "{said}");

    let node = Target::start(folder).await;
    let at = node.folder.path();
    let (url, ca) = (format!("https://localhost:{}", node.port), at.join("ca.pem"));
    let status = ["cluster", "status", "--server", &url];
    let shown = output(roadstead(&[&status[..], &["--ca", ca.to_str().unwrap()]].concat())).await;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("leader  *"), "{shown:?}");
    let said = complaint(roadstead(&status)).await;
    assert!(said.contains("UnknownIssuer"), "{said}");
    let said = complaint(roadstead(&[&status[..], &["--ca", "/nowhere"]].concat())).await;
    assert!(said.contains("/nowhere, which --ca names, cannot be read"), "{said}");

    // Renewed by the same CA, which clients trust already.
    let by = [&make[..], &[again, "--ca", at.to_str().unwrap()]].concat();
    assert!(output(roadstead(&by)).await.status.success());
    for name in ["cert.pem", "key.pem"] {
        fs::rename(Path::new(again).join(name), at.join(name)).unwrap();
    }
    until("it is taken", async || node.said("certificate reloaded").is_some()).await;
    let mut command = roadstead(&status);
    let shown = output({
        command.env("ROADSTEAD_CA", &ca);
        command
    });
    assert!(shown.await.status.success());
    let mut command = roadstead(&status[..2]);
    let shown = output({
        command.env("ROADSTEAD_SERVER", &url).env("ROADSTEAD_CA", &ca);
        command
    });
    assert!(shown.await.status.success());
    timeout(DEADLINE, node.open(Pki::new().trusted_by(&BOTH, &[], None)))
        .await
        .expect("it ends")
        .err()
        .expect("another CA's clients refuse it");
}
