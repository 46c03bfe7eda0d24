//! What values of keys can be: each type says how it is written in TOML and in an environment
//! variable.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use proto::{JoinToken, PeerAddress};
use toml::Value;

/// The value of a key.
pub(super) trait Setting: Sized {
    /// What the key takes, for a sentence that ends with it: `... must be a whole number`.
    const FORM: &'static str;

    /// Whether nobody else must see it.
    const IS_SECRET: bool = false;

    /// The setting that `value` means. `None` when it means none.
    fn from_toml(value: &Value) -> Option<Self>;

    /// The TOML value that a text means, as environment variables and the command line give it.
    fn toml_of(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    /// The value as it stands in a file.
    fn to_toml(&self) -> Value;
}

/// Implements [`Setting`] for a type that is written as a TOML string, by `FromStr` and `Display`.
macro_rules! text_setting {
    ($name:ty, $form:literal) => {
        impl Setting for $name {
            const FORM: &'static str = $form;

            fn from_toml(value: &Value) -> Option<Self> {
                value.as_str()?.parse().ok()
            }

            fn to_toml(&self) -> Value {
                Value::String(self.to_string())
            }
        }
    };
}

text_setting!(SocketAddr, "an IP address and a port, such as \"127.0.0.1:5000\"");
text_setting!(PeerAddress, "a host and a port, such as \"node-1.example:5001\"");
text_setting!(AccessKind, "\"closed\" or \"open\"");
text_setting!(CertificateName, "\"common\", \"email\", \"dns\" or \"uri\"");
text_setting!(StorageKind, "\"disk\" or \"s3\"");
text_setting!(Endpoint, "a URL without a path, such as \"https://host.example:9000\"");
text_setting!(Service, "a text of ASCII that can be seen, without quotes and backslashes");
text_setting!(TokenUrl, "a URL of http or https, such as \"https://tokens.example/token\"");
text_setting!(Encryption, "\"none\", \"AES256\" or \"aws:kms\"");
text_setting!(Redirect, "\"never\", \"auto\" or \"always\"");
text_setting!(LogFormat, "\"human\" or \"json\"");
text_setting!(Filter, "a level or a filter, such as \"info\" or \"info,raft=debug\"");

impl Setting for JoinToken {
    const FORM: &'static str = "what `roadstead cluster token` prints";
    const IS_SECRET: bool = true;

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }

    fn to_toml(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Setting for bool {
    const FORM: &'static str = "true or false";

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_bool()
    }

    fn toml_of(text: &str) -> Value {
        text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Boolean)
    }

    fn to_toml(&self) -> Value {
        Value::Boolean(*self)
    }
}

impl Setting for String {
    const FORM: &'static str = "a text that is not empty";

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_str().filter(|text| !text.is_empty()).map(Self::from)
    }

    fn to_toml(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Setting for PathBuf {
    const FORM: &'static str = "a path, such as \"/var/lib/roadstead\"";

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_str().filter(|path| !path.is_empty()).map(Self::from)
    }

    fn to_toml(&self) -> Value {
        Value::String(self.to_string_lossy().into_owned())
    }
}

impl Setting for IpNet {
    const FORM: &'static str = "a network or an IP address, such as \"10.0.0.0/8\"";

    fn from_toml(value: &Value) -> Option<Self> {
        let text = value.as_str()?;
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
    }

    fn to_toml(&self) -> Value {
        Value::String(self.to_string())
    }
}

/// A setting of which a key may take several.
pub(super) trait Element: Setting {
    /// What a key takes that takes several.
    const LIST_FORM: &'static str;
}

impl Element for PeerAddress {
    const LIST_FORM: &'static str = "a list of addresses, such as [\"node-1.example:5001\"]; in \
         an environment variable separated by commas";
}

impl Element for IpNet {
    const LIST_FORM: &'static str = "a list of networks and IP addresses, such as \
         [\"10.0.0.0/8\"]; in an environment variable separated by commas";
}

impl<T: Element> Setting for Vec<T> {
    const FORM: &'static str = T::LIST_FORM;

    fn from_toml(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::from_toml).collect()
    }

    fn toml_of(text: &str) -> Value {
        let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
        Value::Array(elements.map(T::toml_of).collect())
    }

    fn to_toml(&self) -> Value {
        Value::Array(self.iter().map(T::to_toml).collect())
    }
}

/// The text is none of the names that the key takes; the key's form says which those are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not one of the names that are possible here")]
pub struct NameError;

/// A type whose values are a few names.
macro_rules! names {
    (
        $(#[$doc:meta])*
        $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
        }

        impl std::str::FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(NameError),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

names! {
    /// Whether anybody may do anything.
    AccessKind {
        /// Only what is granted.
        Closed = "closed",
        /// Everybody, everything.
        Open = "open",
    }
}

names! {
    /// Which name in a client's certificate is that of its account.
    CertificateName {
        /// The common name of the subject.
        Common = "common",
        /// An email address.
        Email = "email",
        /// The name of a host.
        Dns = "dns",
        /// A URI.
        Uri = "uri",
    }
}

names! {
    /// Where the bytes of blobs rest.
    StorageKind {
        /// In a folder, which the nodes of a cluster share.
        Disk = "disk",
        /// In a bucket of S3, or of a store that speaks its protocol.
        S3 = "s3",
    }
}

names! {
    /// What the store is asked to encrypt with, beside what the bucket is set up for.
    Encryption {
        /// Nothing.
        None = "none",
        /// Keys that the store keeps.
        Aes256 = "AES256",
        /// A key of the key management service.
        Kms = "aws:kms",
    }
}

names! {
    /// Whether clients get blobs from the store itself.
    Redirect {
        /// The node hands all bytes on.
        Never = "never",
        /// Large blobs, for clients that are known to follow.
        Auto = "auto",
        /// Every blob.
        Always = "always",
    }
}

/// Where a store is reached: a URL of scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Endpoint {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let url: http::Uri = text.parse().map_err(|_| NameError)?;
        let has_path = !matches!(url.path(), "" | "/") || url.query().is_some();
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        let has_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if is_http && !has_path && !has_user {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err(NameError)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The registry's name in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service(String);

impl Default for Service {
    fn default() -> Self {
        Self("roadstead".to_owned())
    }
}

impl std::str::FromStr for Service {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        // It is told to clients in quotes, in a header.
        let is_quotable = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        match !text.is_empty() && text.bytes().all(is_quotable) {
            true => Ok(Self(text.to_owned())),
            false => Err(NameError),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where clients are sent for tokens: a URL of http or https.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUrl(String);

impl std::str::FromStr for TokenUrl {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let url: http::Uri = text.parse().map_err(|_| NameError)?;
        let is_http = matches!(url.scheme_str(), Some("http" | "https"));
        let has_host = url.host().is_some_and(|host| !host.is_empty());
        // It is told to clients in quotes.
        if is_http && has_host && !text.contains(['"', '\\']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError)
        }
    }
}

impl fmt::Display for TokenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

names! {
    /// How log lines look.
    LogFormat {
        /// For people: one line of text, in colours on a terminal.
        Human = "human",
        /// For programs: one JSON object a line.
        Json = "json",
    }
}

/// Which events are logged: directives of `tracing-subscriber`, known to be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl Filter {
    /// The filter, made anew: it has no copy.
    pub fn to_env_filter(&self) -> tracing_subscriber::EnvFilter {
        // Checked by `from_str`, so nothing of it is ignored here.
        tracing_subscriber::EnvFilter::builder().parse_lossy(&self.0)
    }
}

impl Default for Filter {
    /// What this project says of interest; of its dependencies only what went wrong.
    fn default() -> Self {
        Self(format!("info,{}", raft::LOG_FILTER))
    }
}

impl std::str::FromStr for Filter {
    type Err = tracing_subscriber::filter::ParseError;

    fn from_str(directives: &str) -> Result<Self, Self::Err> {
        tracing_subscriber::EnvFilter::builder().parse(directives)?;
        Ok(Self(directives.to_owned()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
