//! A real S3 server of the test's own. Other crates' tests include this file by its path; scripts
//! use `tools/s3-server` as it does.

#![allow(dead_code, reason = "not every test that includes this needs all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use storage::Blobs as _;
use storage::blob::{S3Blobs, S3Credentials, S3Settings};
use tempfile::TempDir;

/// How long a server may take to start on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// A running server, or one that was stopped. Dropping it ends it and removes all it has.
pub(crate) struct S3Server {
    kind: &'static str,
    dir: TempDir,
    /// A folder with the server's certificate and, in `ca.pem`, that of the authority for it.
    certs: Option<PathBuf>,
    port: Option<u16>,
    process: Option<Child>,
}

impl S3Server {
    /// Starts a server of `kind`, `minio` or `garage`, on a free port, and waits until it answers.
    pub(crate) async fn start(kind: &'static str) -> Self {
        Self::start_with(kind, None).await
    }

    /// Starts a MinIO that speaks TLS with what is in the folder `certs`: `public.crt` and
    /// `private.key`, and `ca.pem` for its clients.
    pub(crate) async fn start_with_certificate(certs: &Path) -> Self {
        Self::start_with("minio", Some(certs.to_owned())).await
    }

    async fn start_with(kind: &'static str, certs: Option<PathBuf>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Self { kind, dir, certs, port: None, process: None };
        server.resume().await;
        server
    }

    /// The bucket that the server has, with keys that begin with `prefix`.
    pub(crate) fn settings(&self, prefix: &str) -> S3Settings {
        S3Settings {
            endpoint: Some(self.variable("ROADSTEAD_STORAGE_ENDPOINT")),
            region: Some(self.variable("ROADSTEAD_STORAGE_REGION")),
            path_style: true,
            prefix: prefix.to_owned(),
            ca: self.certs.as_ref().map(|certs| certs.join("ca.pem")),
            credentials: Some(S3Credentials {
                access_key: self.variable("AWS_ACCESS_KEY_ID"),
                secret_key: self.variable("AWS_SECRET_ACCESS_KEY"),
            }),
            ..S3Settings::new(self.variable("ROADSTEAD_STORAGE_BUCKET"))
        }
    }

    /// The variables with which a process uses the bucket.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let text = fs::read_to_string(self.dir.path().join("env")).unwrap();
        let pairs = text.lines().map(|line| line.strip_prefix("export ").unwrap());
        pairs.map(|pair| pair.split_once('=').unwrap()).map(|(n, v)| (n.into(), v.into())).collect()
    }

    /// Kills the server; what it has stays.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts the server again where it was, and waits until it answers.
    pub(crate) async fn resume(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/s3-server");
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        let mut command = Command::new(script);
        command.arg(self.kind).arg(self.dir.path()).args(self.port.map(|port| port.to_string()));
        command.envs(self.certs.iter().map(|certs| ("S3_SERVER_CERTS", certs)));
        command.env("S3_SERVER_WITH_PARENT", "1").stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + START_DEADLINE;
        while let Err(reason) = self.probe().await {
            let status = self.process.as_mut().unwrap().try_wait().unwrap();
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(status.is_none(), "{} ended: {}", self.kind, log());
            assert!(Instant::now() < deadline, "{} does not start: {reason}\n{}", self.kind, log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let endpoint = self.variable("ROADSTEAD_STORAGE_ENDPOINT");
        self.port = endpoint.rsplit(':').next().and_then(|port| port.parse().ok());
    }

    async fn probe(&self) -> Result<(), String> {
        if !self.dir.path().join("env").exists() {
            return Err("it has not said where".to_owned());
        }
        let blobs = S3Blobs::open(&self.settings("starting")).await;
        let blobs = blobs.map_err(|error| error.to_string())?;
        blobs.probe().await.map_err(|error| error.to_string())
    }

    fn variable(&self, name: &str) -> String {
        let variables = self.variables();
        variables.into_iter().find(|(found, _)| found == name).unwrap().1
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}
