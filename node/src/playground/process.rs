//! A node of the playground, as a child process.

use std::env;
use std::fs::{self, OpenOptions};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::PlaygroundError;
use super::layout::{Layout, Place};
use crate::config::variable;

/// How long a node may take to stop in order: the sum of what it allows itself, and some.
pub(super) const STOP_DEADLINE: Duration = Duration::from_secs(35);

/// A running node. Dropping it kills it.
pub(super) struct Process {
    place: Place,
    child: Child,
    /// Its standard input, to which nobody writes: it closes when the playground dies, however
    /// that happens, and the node stops then.
    _lifeline: Option<ChildStdin>,
}

impl Process {
    /// Starts the node at `place`.
    pub(super) fn start(layout: &Layout, place: Place) -> Result<Self, PlaygroundError> {
        fs::create_dir_all(&place.dir).map_err(PlaygroundError::file(&place.dir))?;
        let config = place.config();
        fs::write(&config, layout.config_of(&place)).map_err(PlaygroundError::file(&config))?;
        let log = OpenOptions::new().create(true).append(true).open(place.log());
        let log = log.map_err(PlaygroundError::file(place.log()))?;
        let program = env::current_exe().map_err(PlaygroundError::file("/proc/self/exe"))?;

        let mut command = Command::new(&program);
        command.args(["serve", "--with-parent", "--config"]).arg(&config);
        // What the playground decides must not be undone by the terminal's environment; the rest of
        // a node's configuration may come from there.
        for (name, _) in env::vars_os() {
            if layout.is_undone_by(&place, &name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        // Instead of the file with the playground's own.
        command.env_remove(variable("cluster.token"));
        // A group of its own: Ctrl-C is for the playground, which then asks the nodes to stop.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().map_err(PlaygroundError::file(program))?;
        let lifeline = child.stdin.take();
        let process = Self { place, child, _lifeline: lifeline };
        if let Some(pid) = process.child.id() {
            let path = process.place.pid();
            fs::write(&path, format!("{pid}\n")).map_err(PlaygroundError::file(path))?;
        }
        Ok(process)
    }

    /// Which node it is.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Resolves when it has ended.
    ///
    /// # Cancellation
    /// Nothing is lost.
    pub(super) async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }

    /// Asks it to stop, and kills it when it does not within the deadline.
    pub(super) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It is gone already when that fails.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process id that is read out of it must not be that of another process.
        let _ = fs::remove_file(self.place.pid());
    }
}
