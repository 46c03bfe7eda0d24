//! Network namespaces, and the command that makes them.

use std::process::{Command, Stdio};

/// A network namespace. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Namespace(String);

impl Namespace {
    /// Adds the namespace `name`, in place of one of that name that a killed test has left.
    pub(super) fn add(name: String) -> Result<Self, String> {
        if ip(&["netns", "add", &name]).is_err() {
            let _ = ip(&["netns", "delete", &name]);
            ip(&["netns", "add", &name])?;
        }
        Ok(Self(name))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.0]) {
            tracing::warn!(error, "a network namespace is left");
        }
    }
}

/// Runs `ip` of iproute2, which says what is wrong.
pub(super) fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let complaint = match output {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!("`ip {}`: {complaint}", arguments.join(" ")))
}
