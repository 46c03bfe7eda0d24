//! The whole API on a cluster of one node, asked as clients ask: one file per group of endpoints.

#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod abuse;
mod access;
mod blobs;
mod conditions;
mod ends;
mod faults;
mod fickle;
mod hostile;
mod lists;
mod log;
mod manifests;
mod names;
mod sparse;
mod sweep;
mod uploads;
mod world;
