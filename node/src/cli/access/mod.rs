//! `roadstead user`, `robot`, `key`, `role`, `grant` and `access`: who may do what.

mod explain;
mod grant;
mod key;
mod role;
mod user;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::management::ManagementArgs;
use super::output::plain;

#[derive(Debug, Args)]
pub(super) struct Managed<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    registry: ManagementArgs,
}

pub(super) use self::explain::{AccessCommand, run as access};
pub(super) use self::grant::{GrantCommand, run as grant};
pub(super) use self::key::{KeyCommand, RobotCommand, run as key, run_robot as robot};
pub(super) use self::role::{RoleCommand, run as role};
pub(super) use self::user::{UserCommand, run as user};

/// The text of a field, or of the entries of a list in it.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
