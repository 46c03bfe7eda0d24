//! The same over TLS, and what comes before it.

use std::sync::atomic::{AtomicBool, Ordering};

use api::{CertificateName, ClientCertificate, Scheme};
use axum::Extension;
use proto::Timestamp;
use rcgen::SanType;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::tls::{Acceptor, Files, Handshake, Opened, WorldTime};

#[path = "../../../tests/support/pki.rs"]
#[allow(dead_code, reason = "each test uses a part")]
mod pki;

use pki::{Pair, Pki};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A server with a certificate by `pki`, in `folder`, which has little patience.
async fn secure(router: Router, pki: &Pki, folder: &TempDir) -> Server {
    let (listener, address) = listening().await;
    let tls = acceptor(pki, folder).await;
    let (stop, refused) = (CancellationToken::new(), Counter::default());
    let manner = Manner { patience: SHORT, ..Manner::public(1000, 1000) };
    let serving =
        serve(listener, router, Some(Arc::new(tls)), manner, refused.clone(), stop.clone());
    Server { address, refused, stop, task: tokio::spawn(serving) }
}

async fn acceptor(pki: &Pki, folder: &TempDir) -> Acceptor {
    acceptor_in(Arc::new(TcpWorld), pki, folder).await
}

async fn acceptor_in(world: Arc<dyn World>, pki: &Pki, folder: &TempDir) -> Acceptor {
    pki.server().write(folder.path());
    std::fs::write(folder.path().join("ca.pem"), pki.pem()).unwrap();
    let path = |name| folder.path().join(name);
    let files = Files::from(&crate::config::Tls {
        certificate: path("cert.pem"),
        key: path("key.pem"),
        client_ca: Some(path("ca.pem")),
    });
    Acceptor::open(files, WorldTime::new(world)).await.unwrap().hasty(SHORT)
}

async fn connect<S>(stream: S, config: ClientConfig) -> io::Result<TlsStream<S>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), stream).await
}

/// What `GET /` is answered to a client with `config`.
async fn ask(server: &Server, config: ClientConfig) -> io::Result<String> {
    let mut stream = connect(server.connect().await, config).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("an answer")?;
    Ok(answer)
}

fn who() -> Router {
    let route = get(
        async |Extension(scheme): Extension<Scheme>,
               certificate: Option<Extension<ClientCertificate>>| {
            let names = certificate.map(|Extension(certificate)| certificate.names().to_vec());
            format!("{scheme} {names:?}")
        },
    );
    Router::new().route("/", route)
}

#[tokio::test]
async fn the_scheme_and_the_names_in_a_clients_certificate_come_with_its_requests() {
    let (pki, folder) = (Pki::new(), tempfile::tempdir().unwrap());
    let server = secure(who(), &pki, &folder).await;
    let somebody = pki.client(
        "carol",
        vec![
            SanType::Rfc822Name("carol@example.com".try_into().unwrap()),
            SanType::DnsName("ci.example".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 1].into()),
            SanType::URI("spiffe://example/ci".try_into().unwrap()),
        ],
    );
    let names = [
        // What rcgen calls everybody by default.
        CertificateName::Common("carol".to_owned()),
        CertificateName::Email("carol@example.com".to_owned()),
        CertificateName::Dns("ci.example".to_owned()),
        CertificateName::Uri("spiffe://example/ci".to_owned()),
    ];
    for version in BOTH {
        let config = pki.trusted_by(&[version], &[], Some(&somebody));
        let answer = ask(&server, config).await.unwrap();
        assert!(answer.ends_with(&format!("https Some({names:?})")), "{answer}");
        let answer = ask(&server, pki.trusted_by(&[version], &[], None)).await.unwrap();
        assert!(answer.ends_with("https None"), "{answer}");
    }
    let plain = serving(who()).await;
    let answer = plain.answer(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("http None"), "{answer}");
}

/// The real world, when all certificates of these tests have expired.
#[derive(Default)]
struct Aging(AtomicBool);

#[async_trait]
impl World for Aging {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        TcpWorld.bind(address).await
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        TcpWorld.connect(address).await
    }

    fn now(&self) -> Timestamp {
        const AGES: Duration = Duration::from_secs(3000 * 365 * 24 * 60 * 60);
        let now = TcpWorld.now();
        if self.0.load(Ordering::Relaxed) { now.plus(AGES) } else { now }
    }
}

#[tokio::test]
async fn a_certificate_counts_no_longer_than_it_is_good_and_its_ca_is_named() {
    let (pki, folder, world) = (Pki::new(), tempfile::tempdir().unwrap(), Arc::<Aging>::default());
    let tls = acceptor_in(Arc::clone(&world) as Arc<dyn World>, &pki, &folder).await;
    let (listener, address) = listening().await;
    let (stop, refused) = (CancellationToken::new(), Counter::default());
    let (tls, manner) = (Some(Arc::new(tls) as Arc<dyn Handshake>), Manner::public(1000, 1000));
    let _serving =
        AbortOnDropHandle::new(tokio::spawn(serve(listener, who(), tls, manner, refused, stop)));
    let somebody = pki.client("carol", Vec::new());
    let connection = TcpWorld.connect(&address.to_string()).await.unwrap();
    let config = pki.trusted_by(&BOTH, &[], Some(&somebody));
    let mut stream = connect(connection, config).await.unwrap();
    let mut is_known = async || {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"None") && !answer.ends_with(b"])") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the connection goes on");
        }
        String::from_utf8(answer).unwrap().contains("carol")
    };
    assert!(is_known().await);
    world.0.store(true, Ordering::Relaxed);
    assert!(!is_known().await, "it has expired");
    world.0.store(false, Ordering::Relaxed);
    assert!(is_known().await);
    std::fs::write(folder.path().join("ca.pem"), Pki::new().pem()).unwrap();
    let forgotten = async { while is_known().await {} };
    timeout(DEADLINE, forgotten).await.expect("its CA is not named any more");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_a_wrong_clock_calls_expired_is_taken_once_the_clock_is_right() {
    let (pki, folder, world) = (Pki::new(), tempfile::tempdir().unwrap(), Arc::<Aging>::default());
    let tls = acceptor_in(Arc::clone(&world) as Arc<dyn World>, &pki, &folder).await;
    let shown = async || {
        let (here, there) = tokio::io::duplex(64 * 1024);
        let config = pki.trusted_by(&BOTH, &[], None);
        let (opened, stream) = tokio::join!(tls.accept(Box::new(there)), connect(here, config));
        assert!(matches!(opened, Ok(Opened::Secure { .. })));
        let stream = stream.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let before = shown().await;
    world.0.store(true, Ordering::Relaxed);
    let renewed = pki.server();
    renewed.write(folder.path());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(shown().await, before);
    world.0.store(false, Ordering::Relaxed);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(shown().await, renewed.der());
}

#[tokio::test]
async fn a_client_with_a_certificate_of_another_ca_is_refused() {
    let (pki, folder) = (Pki::new(), tempfile::tempdir().unwrap());
    let server = secure(who(), &pki, &folder).await;
    let stranger: Pair = Pki::new().client("carol", Vec::new());
    for version in BOTH {
        let refused = ask(&server, pki.trusted_by(&[version], &[], Some(&stranger))).await;
        let reason = refused.unwrap_err().to_string();
        assert!(reason.starts_with("received fatal alert"), "{reason}");
    }
}

#[tokio::test]
async fn whoever_speaks_in_the_clear_to_a_port_with_tls_is_told_so() {
    let (pki, folder) = (Pki::new(), tempfile::tempdir().unwrap());
    let server = secure(who(), &pki, &folder).await;
    let answer = server.answer(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("this port speaks TLS: ask by https"), "{answer}");
    let client = HttpClient::builder(TokioExecutor::new()).http2_only(true).build_http::<Body>();
    let url = format!("http://{}/", server.address).parse().unwrap();
    assert_eq!(client.get(url).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_given_up() {
    let (pki, folder) = (Pki::new(), tempfile::tempdir().unwrap());
    let server = secure(who(), &pki, &folder).await;
    // Nothing; a record that never comes; one that is none of a handshake's.
    for said in [b"".as_slice(), &[22, 3, 1, 1, 0, 1, 0], &[22, 3, 1, 0, 4, 99, 0, 0, 0]] {
        let answer = server.answer(said).await;
        assert!(answer.len() <= 7, "an alert at most: {answer}");
    }
}

#[tokio::test]
async fn an_answer_that_waits_in_the_buffer_of_tls_is_given_up() {
    let (pki, folder) = (Pki::new(), tempfile::tempdir().unwrap());
    let (dial, pipes) = mpsc::channel(1);
    let router = Router::new().route("/", get(async || vec![7; 32 * 1024]));
    // The next connection waits until the one before is gone.
    let manner = Manner { patience: SHORT, ..Manner::public(1, 1) };
    let tls = acceptor(&pki, &folder).await;
    let (refused, stop) = (Counter::default(), CancellationToken::new());
    let serving = serve(Box::new(Pipes(pipes)), router, Some(Arc::new(tls)), manner, refused, stop);
    let _serving = AbortOnDropHandle::new(tokio::spawn(serving));
    let dial = async |protocol: &[u8]| {
        let (here, there) = tokio::io::duplex(512);
        dial.send(there).await.unwrap();
        let shaken = connect(here, pki.trusted_by(&BOTH, &[protocol], None));
        timeout(DEADLINE, shaken).await.expect("the one before is given up").unwrap()
    };
    let mut stuck = Vec::new();
    for protocol in [b"http/1.1".as_slice(), b"h2"] {
        let mut stream = dial(protocol).await;
        if protocol == b"h2" {
            // No settings; then the headers of GET / of a.
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let headers = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x01, 1, b'a'];
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
            stream.write_all(&[preface, &settings, &headers].concat()).await.unwrap();
        } else {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        }
        stream.flush().await.unwrap();
        stuck.push(stream);
    }
    drop(dial(b"http/1.1").await);
}

/// Takes everybody without a word.
enum Nod {
    /// As somebody who speaks TLS, and is trusted or not.
    Secure { is_trusted: bool },
    /// As somebody who does not.
    Plain,
}

#[async_trait]
impl Handshake for Nod {
    async fn accept(&self, mut connection: Connection) -> io::Result<Opened> {
        match *self {
            Self::Secure { is_trusted } => {
                let known = http::Extensions::new();
                Ok(Opened::Secure { connection, known, is_trusted })
            }
            Self::Plain => {
                let first = connection.read_u8().await?;
                Ok(Opened::Plain(connection, first))
            }
        }
    }
}

#[tokio::test]
async fn only_whoever_has_proved_to_be_a_node_may_be_idle_on_a_port_for_nodes() {
    let serving = async |nod: Nod| {
        let (listener, address) = listening().await;
        let manner = Manner { patience: SHORT, ..Manner::nodes() };
        let (refused, stop) = (Counter::default(), CancellationToken::new());
        let nod = Some(Arc::new(nod) as Arc<dyn Handshake>);
        let serving = serve(listener, version(), nod, manner, refused.clone(), stop.clone());
        Server { address, refused, stop, task: tokio::spawn(serving) }
    };
    let trusted = serving(Nod::Secure { is_trusted: true }).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice();
    let mut stays = trusted.connect().await;
    stays.write_all(preface).await.unwrap();
    for nod in [Nod::Secure { is_trusted: false }, Nod::Plain] {
        serving(nod).await.answer(preface).await;
    }
    // The headers of GET / of a.
    let headers = [0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x01, 1, b'a'];
    stays.write_all(&headers).await.unwrap();
    let mut said = Vec::new();
    let answered = async {
        while !said.windows(8).any(|word| word == b"HTTP/2.0") {
            assert_ne!(stays.read_buf(&mut said).await.unwrap(), 0, "it is still there");
        }
    };
    timeout(DEADLINE, answered).await.expect("an answer");
}
