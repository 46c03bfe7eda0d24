//! The running playground: starts the nodes, watches over them, and stops them.

use std::env;
use std::future::pending;
use std::path::Path;
use std::time::Duration;

use futures::future::{join_all, select_all, try_join_all};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::control::{Control, Wish};
use super::layout::{Layout, Place, Wanted};
use super::process::Process;
use super::readiness::Readiness;
use super::{PlaygroundError, guide, herald, invitation};
use crate::cli::{Failure, Login, Signals, say};
use crate::config::readable;
use crate::{FolderError, folder};

/// How long the nodes of a playground that was killed may take to notice and to stop.
const REMNANT_DEADLINE: Duration = Duration::from_secs(35);
/// Between two looks at whether they have.
const REMNANT_PAUSE: Duration = Duration::from_millis(100);

/// Runs the playground in `dir` until a signal asks it to stop.
pub(super) async fn run(dir: &Path, wanted: Wanted) -> Result<(), Failure> {
    let mut signals = Signals::receive()?;
    let variables = readable(env::vars_os()).map_err(PlaygroundError::from)?;
    let is_new = Layout::find(dir)?.is_none();
    let layout = Layout::open(dir, wanted, variables)?;
    let login = if is_new { layout.login()? } else { None };
    let _lock = folder::take_lock(dir).map_err(|error| match error {
        FolderError::InUse { path } => PlaygroundError::Running(path),
        error => error.into(),
    })?;
    layout.save()?;
    let control = Control::listen(layout.control())?;
    let mut playground = Playground { layout, login, processes: Vec::new() };

    let ended = tokio::select! {
        started = playground.start() => match started {
            Ok(()) => tokio::select! {
                never = playground.watch(&control) => never,
                () = signals.next() => Ok(()),
            },
            Err(error) => Err(error),
        },
        () = signals.next() => Ok(()),
    };
    say("stopping the nodes ...");
    tokio::select! {
        () = playground.stop() => ended.map_err(Failure::from),
        () = signals.next() => Err(Failure::Hurried),
    }
}

struct Playground {
    layout: Layout,
    /// Who administers it, where not everybody may do everything, and it starts for the first time:
    /// later, the password may be another one.
    login: Option<Login>,
    /// Those that run.
    processes: Vec<Process>,
}

impl Playground {
    /// Starts all nodes and waits until they are ready. Those that are new join when the others are
    /// ready to take them.
    async fn start(&mut self) -> Result<(), PlaygroundError> {
        let places = self.layout.places();
        say(format_args!("starting {} nodes in {} ...", places.len(), self.layout.dir().display()));
        let is_founder = |place: &Place| place.number == 1;
        let (first, rest) = places
            .into_iter()
            .partition::<Vec<_>, _>(|place| is_founder(place) || place.is_settled());
        let is_new = !rest.is_empty();
        for place in first {
            self.start_node(place).await?;
        }
        self.wait_until_ready().await?;
        if is_new {
            invitation::write(&self.layout).await?;
        }
        for place in rest {
            self.start_node(place).await?;
        }
        self.wait_until_ready().await?;
        Readiness::new()?.wait_for_voters(&self.layout).await?;
        say(guide::guide(&self.layout, self.login.as_ref()));
        Ok(())
    }

    async fn start_node(&mut self, place: Place) -> Result<(), PlaygroundError> {
        // Left by a playground that was killed, it stops by itself.
        let remnant = async {
            while place.is_occupied() {
                sleep(REMNANT_PAUSE).await;
            }
        };
        if timeout(REMNANT_DEADLINE, remnant).await.is_err() {
            return Err(FolderError::InUse { path: place.data() }.into());
        }
        self.processes.push(Process::start(&self.layout, place)?);
        Ok(())
    }

    /// Waits until all that run are ready, or one of them ends.
    async fn wait_until_ready(&mut self) -> Result<(), PlaygroundError> {
        let readiness = Readiness::new()?;
        let places: Vec<Place> = self.processes.iter().map(|p| p.place().clone()).collect();
        let all = try_join_all(places.iter().map(|place| readiness.wait(place)));
        tokio::select! {
            ready = all => ready.map(drop),
            (place, status) = self.next_end() => Err(PlaygroundError::Ended {
                node: place.number,
                status,
                log: place.log(),
                tail: place.log_tail(),
            }),
        }
    }

    /// Says what happens to the nodes, and starts again those that somebody wants back; for ever.
    async fn watch(&mut self, control: &Control) -> Result<(), PlaygroundError> {
        let herald = herald::announce_leaders(self.layout.clone(), Readiness::new()?.client());
        let _herald = AbortOnDropHandle::new(tokio::spawn(herald));
        loop {
            tokio::select! {
                (place, status) = self.next_end() => {
                    let number = place.number;
                    say(format_args!(
                        "node-{number} has ended ({status}); to bring it back: \
                         roadstead playground restart {number} --dir {}",
                        self.layout.dir().display()
                    ));
                }
                wish = control.next() => self.fulfil(wish).await,
            }
        }
    }

    /// The next node that ends, which is then no longer among those that run.
    async fn next_end(&mut self) -> (Place, String) {
        if self.processes.is_empty() {
            return pending().await;
        }
        let ends = self.processes.iter_mut().map(|process| Box::pin(process.ended()));
        let (status, index, _) = select_all(ends).await;
        (self.processes.remove(index).place().clone(), status)
    }

    async fn fulfil(&mut self, wish: Wish) {
        let number = wish.node;
        let result = self.restart(number).await;
        if result.is_ok() {
            say(format_args!("node-{number} is started again"));
        }
        wish.answer(result).await;
    }

    async fn restart(&mut self, number: u16) -> Result<(), PlaygroundError> {
        let place = self.layout.place(number)?;
        let running = self.processes.iter().position(|p| p.place().number == number);
        if let Some(index) = running {
            self.processes.remove(index).stop().await;
        }
        if !place.is_settled() {
            invitation::write(&self.layout).await?;
        }
        self.start_node(place).await
    }

    /// Stops all nodes at once.
    async fn stop(self) {
        join_all(self.processes.into_iter().map(Process::stop)).await;
    }
}
