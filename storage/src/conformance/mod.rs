//! What every engine of a trait must do, as functions that panic when it does not.
//!
//! They are public so that engines elsewhere, a simulated disk for example, are held to the same
//! promises.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken promise panics, as any failed test"
)]

pub mod blobs;
pub mod kv;
