//! Bytes at rest: facts in an ordered key-value store ([`Kv`]), blobs in an object store
//! ([`Blobs`]).
//!
//! Each is a small trait with several engines, and a public conformance suite ([`conformance`])
//! that every engine passes. What a trait promises, its methods say under `# Durability` and `#
//! Cancellation`. Nothing here serves anybody, or knows what a row or an object means.

pub mod blob;
#[cfg(test)]
mod child;
pub mod conformance;
mod folder;
pub mod kv;

pub use blob::{Blobs, BlobsError, ByteStream};
pub use folder::make_folder;
pub use kv::{Batch, Kv, KvError, KvRead, Space};
