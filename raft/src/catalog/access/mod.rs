//! Who may do what, in the catalog: the rules for changes of it, their rows, and how these are
//! read.

mod decide;
mod project;
#[cfg(test)]
pub(crate) mod samples;
mod view;

pub(super) use self::decide::{check_tags, decide};
pub(super) use self::project::project;
