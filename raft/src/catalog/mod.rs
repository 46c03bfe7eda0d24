//! The catalog: which manifests exist and what each tag means, event-sourced from the log.
//!
//! One entry goes through it like this:
//!
//! ```text
//! Stamped<Command> at a log index
//!     -> decide(view, index, when, command) -> Decision { events, answer } or a Refusal  pure
//!     -> project(view, when, event, batch)  -> row writes                                pure
//!     -> one batch: rows + journal + the answer to this request id + what is applied
//! ```
//!
//! Rows derive from events alone; [`keys`] documents each kind of row.

pub(crate) mod access;
mod applied;
mod bare;
mod decide;
mod fingerprint;
mod journal;
mod keys;
mod machine;
mod nodes;
mod project;
mod requests;
mod snapshot;
#[cfg(test)]
mod tests;
mod tokens;
mod view;

pub use bare::BareCatalog;
pub use fingerprint::Fingerprint;
pub(crate) use machine::StateMachine;
pub(crate) use nodes::has_left;
pub(crate) use snapshot::{CatalogSnapshot, Row, StagedRows, Staging};
pub(crate) use tokens::foreseen;
pub use view::{Blob, View};
