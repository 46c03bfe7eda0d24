//! The vocabulary of Roadstead: names and facts as types that can only hold valid values, the
//! limits, and the encodings in which they rest on disk and travel between nodes.
//!
//! Text from outside becomes one of these types once, at the border (`FromStr`,
//! [`Manifest::parse`], `TryFrom` a protobuf message); code that has the type need not check again.
//! Nothing here does I/O.

pub mod access;
mod actor;
mod authority;
mod checksum;
mod command;
mod convert;
mod descriptor;
mod digest;
mod event;
mod excerpt;
mod hex;
mod ids;
mod join_token;
pub mod limits;
mod manifest;
mod media_type;
mod mutant;
mod object_key;
pub mod pb;
mod peer_address;
mod precondition;
mod reference;
mod refusal;
mod repo_name;
mod strict_json;
mod tag;
mod thumbprint;
mod timestamp;

pub use actor::{Actor, ActorError};
pub use authority::Authority;
pub use checksum::Checksum;
pub use command::{Answer, Command, Outcome, Stamped, Tagging};
pub use convert::DecodeError;
pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use event::Event;
pub use excerpt::excerpt;
pub use hex::Hex;
pub use ids::{ClusterId, IdError, NodeId, RequestId, UploadKey};
pub use join_token::{JoinToken, JoinTokenError, TokenSecret};
pub use manifest::{Link, Manifest, ManifestError};
pub use media_type::{ManifestKind, MediaType, MediaTypeError};
pub use mutant::Mutant;
pub use object_key::{ObjectKey, ObjectKeyError};
pub use peer_address::{PeerAddress, PeerAddressError};
pub use precondition::Precondition;
pub use reference::{Reference, ReferenceError};
pub use refusal::Refusal;
pub use repo_name::{RepoName, RepoNameError};
pub use tag::{Tag, TagError};
pub use thumbprint::{Thumbprint, ThumbprintError};
pub use timestamp::Timestamp;
