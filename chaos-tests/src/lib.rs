//! Doubt: clusters of real `roadstead` processes that are killed, starved and filled up while
//! clients work on them.
//!
//! [`ProcessCluster`] starts and kills nodes, [`RegistryClient`] pushes and pulls as docker does
//! and checks every byte, and [`eventually`] waits for what must become true.

mod client;
mod image;
mod processes;
mod wait;

pub use client::RegistryClient;
pub use image::Image;
pub use processes::{NodeProcess, ProcessCluster};
pub use wait::eventually;
