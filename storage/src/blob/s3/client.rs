//! The client: how requests are signed, repeated and given up.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::InterceptorContext;
use aws_sdk_s3::config::retry::{
    ClassifyRetry, RetryAction, RetryConfig, RetryPartition, TokenBucket,
};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Config, Credentials, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{S3Credentials, S3OpenError, S3Settings};

/// Where no region is named, neither here nor in the environment.
const REGION: &str = "us-east-1";
/// Times that a request is sent before it counts as failed.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt is at most this long, at random; each further one at most
/// twice as long, up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(4);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// For a little.
    Question,
    /// For a part, also over a slow line.
    Part,
    /// For a page of a list, which some stores gather slowly.
    Page,
    /// For putting many parts together, which stores may take minutes over.
    Completion,
}

impl Patience {
    fn timeouts(self) -> TimeoutConfig {
        let (attempt, operation) = match self {
            Self::Question => (10, 25),
            Self::Part | Self::Page => (60, 150),
            Self::Completion => (240, 270),
        };
        TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(Duration::from_secs(attempt))
            .operation_timeout(Duration::from_secs(operation))
            .build()
    }

    /// Overrides the client's own patience, which is that for a question.
    pub(super) fn config(self) -> Builder {
        Config::builder().timeout_config(self.timeouts())
    }
}

/// What carries requests over the machine's network, encrypted where the store is `https`.
///
/// # Errors
/// [`S3OpenError::Authorities`].
pub(super) fn http(settings: &S3Settings) -> Result<SharedHttpClient, S3OpenError> {
    Ok(aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(trust(settings.ca.as_deref())?)
        .build_https())
}

/// A client for the store that `settings` name, whose requests `http` carries.
pub(super) async fn client(settings: &S3Settings, http: SharedHttpClient) -> Client {
    let mut shared = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    // Asking the machine's own metadata for a region takes seconds where there is none, which is
    // where another store than Amazon's is named.
    let region = match (&settings.region, &settings.endpoint) {
        (Some(region), _) => Some(region.clone()),
        (None, Some(_)) => {
            let named = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            let named = named.into_iter().find_map(|name| std::env::var(name).ok());
            Some(named.unwrap_or_else(|| REGION.to_owned()))
        }
        (None, None) => None,
    };
    if let Some(region) = region {
        shared = shared.region(Region::new(region));
    }
    if let Some(S3Credentials { access_key, secret_key }) = &settings.credentials {
        let credentials = Credentials::new(access_key, secret_key, None, None, "settings");
        shared = shared.credentials_provider(credentials);
    }
    let shared = shared.load().await;
    let mut config = Builder::from(&shared)
        .force_path_style(settings.path_style)
        .timeout_config(Patience::Question.timeouts())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_initial_backoff(PAUSE)
                .with_max_backoff(PAUSE_MAX),
        )
        .retry_partition(retries())
        .retry_classifier(TooManyRequests)
        // Attempts have deadlines of their own, and so has each frame of what is read.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if shared.region().is_none() {
        config = config.region(Region::new(REGION));
    }
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

/// Trusts the authorities of the machine, and those whose certificates are in the file `ca`.
fn trust(ca: Option<&Path>) -> Result<TlsContext, S3OpenError> {
    let mut trusted = TrustStore::default();
    if let Some(path) = ca {
        let refused = |reason| S3OpenError::Authorities { path: path.to_owned(), reason };
        let pem = fs::read(path).map_err(|error| refused(error.to_string()))?;
        check(&pem).map_err(refused)?;
        trusted = trusted.with_pem_certificate(pem);
    }
    let context = TlsContext::builder().with_trust_store(trusted).build();
    context.map_err(|error| S3OpenError::Tls(error.to_string()))
}

/// Reads the certificates in `pem` as the HTTP client will, which panics when it cannot.
fn check(pem: &[u8]) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(()) }
}

/// What repeating costs: nothing. The SDK's own quota, shared by all clients of the process, is won
/// back by successes only, so that an outage would use it up, and every failure after it be final
/// at once. Attempts, pauses and deadlines bound how much is repeated.
fn retries() -> RetryPartition {
    RetryPartition::custom("roadstead").token_bucket(TokenBucket::unlimited()).build()
}

/// Repeats what was refused with 429, which the SDK does only for codes that it knows.
#[derive(Debug)]
struct TooManyRequests;

impl ClassifyRetry for TooManyRequests {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(response) if response.status().as_u16() == 429 => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "too many requests"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use aws_sdk_s3::presigning::PresigningConfig;

    use super::*;

    #[tokio::test]
    async fn the_bucket_stands_in_the_host_or_in_the_path() {
        let credentials = S3Credentials { access_key: "key".into(), secret_key: "secret".into() };
        for (endpoint, path_style, expected) in [
            (Some("https://s3.example"), false, "https://images.s3.example/objects/1?"),
            (Some("https://s3.example"), true, "https://s3.example/images/objects/1?"),
            (None, false, "https://images.s3.eu-central-1.amazonaws.com/objects/1?"),
            (None, true, "https://s3.eu-central-1.amazonaws.com/images/objects/1?"),
        ] {
            let settings = S3Settings {
                endpoint: endpoint.map(str::to_owned),
                region: Some("eu-central-1".to_owned()),
                path_style,
                credentials: Some(credentials.clone()),
                ..S3Settings::new("images")
            };
            let client = client(&settings, http(&settings).unwrap()).await;
            let request = client.get_object().bucket("images").key("objects/1");
            let lifetime = PresigningConfig::expires_in(Duration::from_secs(300)).unwrap();
            let url = request.presigned(lifetime).await.unwrap().uri().to_owned();
            assert!(url.starts_with(expected), "{url}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refused = || {
            let settings = S3Settings { ca: Some(path.clone()), ..S3Settings::new("images") };
            http(&settings).unwrap_err().to_string()
        };
        let said = refused();
        assert!(said.contains("ca.pem cannot be used: No such file"), "{said}");
        for (content, reason) in [
            ("no certificate", "it holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n", "missing section end"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate"),
        ] {
            fs::write(&path, content).unwrap();
            let said = refused();
            assert!(said.contains("ca.pem cannot be used: "), "{said}");
            assert!(said.contains(reason), "{said}");
        }
    }
}
