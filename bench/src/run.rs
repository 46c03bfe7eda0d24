//! One run: what it needs is pushed, clients work, and what happened is put together.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use crate::arguments::BenchArgs;
use crate::client::{Access, Client};
use crate::content::Content;
use crate::error::BenchError;
use crate::fault::Fault;
use crate::player::Player;
use crate::process::Process;
use crate::recorder::Recorder;
use crate::report::Report;
use crate::schedule::{Schedule, approximate};
use crate::stock::Stock;
use crate::workload::Needs;

/// How long operations begin, unless something else is asked for.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
/// How often memory is looked at and the progress bar drawn.
const SAMPLE: Duration = Duration::from_millis(50);
/// How long a client waits that has lost its connection, so that it does not burn a processor.
const RECONNECT: Duration = Duration::from_millis(10);
/// Steps of the progress bar.
const STEPS: u64 = 1_000;

/// A run that is about to begin.
pub(crate) struct Run {
    arguments: BenchArgs,
    access: Access,
    stock: Arc<Stock>,
    bar: ProgressBar,
}

impl Run {
    /// The run that `arguments` describe. Makes its content.
    ///
    /// # Errors
    /// [`BenchError::Prefix`] and [`BenchError::Chance`].
    pub(crate) fn new(arguments: BenchArgs, access: Access) -> Result<Self, BenchError> {
        let run = drawn()?;
        let seed = arguments.seed.map_or_else(drawn, Ok)?;
        let content = Content::new(seed, arguments.size.clone());
        let images = if arguments.workload.needs() == Needs::Images { arguments.images } else { 0 };
        let bases = arguments.bases.unwrap_or(images);
        let (repositories, entries) = (arguments.repositories, arguments.entries);
        let stock =
            Stock::new(content, run, &arguments.prefix, repositories, images, bases, entries);
        stock.listed(entries).parse::<proto::RepoName>()?;
        // Draws on a terminal only.
        let bar = ProgressBar::new(STEPS);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} % {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Ok(Self { arguments, access, stock: Arc::new(stock), bar })
    }

    /// Plays it.
    ///
    /// # Errors
    /// See [`BenchError`]. Operations that fail are no error: the report counts them.
    pub(crate) async fn play(self) -> Result<Report, BenchError> {
        let mut players = Vec::new();
        for number in 0..self.arguments.clients {
            players.push(self.player(number as usize));
        }
        for (player, server) in players.iter_mut().zip(&self.arguments.server) {
            player.greet().await.map_err(|fault| BenchError::Server {
                server: server.to_string(),
                reason: fault.to_string(),
            })?;
        }
        if !self.arguments.prepared {
            // What has the blobs of another goes after it.
            let (bases, parts) = (self.stock.bases(), self.parts());
            players = self.prepare(players, self.arguments.from..bases).await?;
            players = self.prepare(players, self.arguments.from.max(bases)..parts).await?;
        }
        let duration = match (self.arguments.duration, self.arguments.count) {
            _ if self.arguments.prepare_only => Some(Duration::ZERO),
            (None, None) => Some(DURATION_DEFAULT),
            (duration, _) => duration,
        };
        self.measure(players, duration).await
    }

    fn player(&self, number: usize) -> Player {
        let arguments = &self.arguments;
        let server = arguments.server[number % arguments.server.len()].clone();
        Player {
            client: Client::new(server, self.access.clone()),
            stock: Arc::clone(&self.stock),
            workload: arguments.workload,
            upload: arguments.upload,
            page: arguments.page,
            verify: arguments.verify,
        }
    }

    /// Has the players push these parts of what the run needs; they keep their connections.
    async fn prepare(
        &self,
        players: Vec<Player>,
        parts: Range<u64>,
    ) -> Result<Vec<Player>, BenchError> {
        self.bar.set_prefix("preparing");
        let (next, total) = (Arc::new(AtomicU64::new(parts.start)), self.parts());
        let mut clients = JoinSet::new();
        for mut player in players {
            let (next, bar) = (Arc::clone(&next), self.bar.clone());
            clients.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= parts.end {
                        return Ok::<Player, Fault>(player);
                    }
                    player.prepare(number).await?;
                    bar.set_position((number * STEPS).checked_div(total).unwrap_or(STEPS));
                }
            });
        }
        let mut players = Vec::new();
        while let Some(ended) = clients.join_next().await {
            players.push(ended?.map_err(|fault| BenchError::preparing(&fault))?);
        }
        Ok(players)
    }

    /// How many parts there are to prepare.
    fn parts(&self) -> u64 {
        match self.arguments.workload.needs() {
            Needs::Nothing => 0,
            Needs::Images => self.stock.images(),
            Needs::Tags | Needs::Repositories => self.stock.entries(),
        }
    }

    async fn measure(
        &self,
        players: Vec<Player>,
        duration: Option<Duration>,
    ) -> Result<Report, BenchError> {
        let watched = self.arguments.pid.iter().map(|pid| Process::watch(*pid));
        let mut processes = watched.collect::<Result<Vec<Process>, _>>()?;
        let recorder = Arc::new(Mutex::new(Recorder::new()?));
        let (count, rate) = (self.arguments.count, self.arguments.rate);
        let schedule = Arc::new(Schedule::new(duration, count, rate));
        let mut clients = JoinSet::new();
        for player in players {
            let (schedule, recorder) = (Arc::clone(&schedule), Arc::clone(&recorder));
            clients.spawn(work(player, schedule, recorder, self.arguments.timeout));
        }
        self.bar.set_prefix(self.arguments.workload.to_string());
        let mut ticks = interval(SAMPLE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = clients.join_next() => match ended {
                    Some(ended) => ended?,
                    None => break,
                },
                _ = ticks.tick() => {
                    processes.iter_mut().for_each(Process::sample);
                    self.show(&schedule, &lock(&recorder));
                }
            }
        }
        let ended = schedule.began().elapsed();
        self.bar.finish_and_clear();
        let mut recorder = lock(&recorder);
        recorder.advance(ended);
        Ok(self.report(&schedule, ended, &recorder, &mut processes))
    }

    fn show(&self, schedule: &Schedule, recorder: &Recorder) {
        let now = Instant::now();
        let seconds = now.saturating_duration_since(schedule.began()).as_secs_f64();
        let rate = approximate(recorder.succeeded()) / seconds.max(SAMPLE.as_secs_f64());
        let mut steps = 0;
        while approximate(steps) < schedule.progress(now, recorder.over()) * approximate(STEPS) {
            steps += 1;
        }
        self.bar.set_position(steps);
        self.bar.set_message(format!("{rate:.0}/s, {} failed", recorder.failed()));
    }

    fn report(
        &self,
        schedule: &Schedule,
        ended: Duration,
        recorder: &Recorder,
        processes: &mut [Process],
    ) -> Report {
        let (seconds, volume) = (ended.as_secs_f64(), recorder.volume());
        let errors = recorder.errors();
        let with_status = |status: u16| {
            let these = errors.iter().filter(|error| error.status == status);
            these.map(|error| error.count).sum()
        };
        Report {
            workload: self.arguments.workload.to_string(),
            servers: self.arguments.server.iter().map(ToString::to_string).collect(),
            clients: self.arguments.clients,
            rate: self.arguments.rate,
            seed: self.stock.content().seed(),
            sizes: self.arguments.size.to_string(),
            seconds,
            succeeded: recorder.succeeded(),
            failed: recorder.failed(),
            too_many_requests: with_status(429),
            unavailable: with_status(503),
            missed: schedule.missed(),
            operations_per_second: approximate(recorder.succeeded()) / seconds,
            bytes_sent: volume.sent,
            bytes_received: volume.received,
            bytes_per_second: approximate(volume.sent + volume.received) / seconds,
            latency: recorder.latency(),
            errors,
            first_error: recorder.first_error().map(str::to_owned),
            processes: processes.iter_mut().map(Process::report).collect(),
            moments: recorder.moments().to_vec(),
        }
    }
}

/// One client: begins operations as the schedule says, until there are no more.
async fn work(
    mut player: Player,
    schedule: Arc<Schedule>,
    recorder: Arc<Mutex<Recorder>>,
    patience: Duration,
) {
    while let Some(turn) = schedule.turn(Instant::now()) {
        if let Some(due) = turn.due {
            sleep_until(due).await;
        }
        let began = turn.due.unwrap_or_else(Instant::now);
        let outcome = timeout(patience, player.play(turn.number)).await;
        let outcome = outcome.unwrap_or(Err(Fault::Timeout));
        let ended = Instant::now();
        let (at, latency) = (ended - schedule.began(), ended - began);
        lock(&recorder).record(at, latency, &outcome);
        if outcome.is_err_and(|fault| fault.is_of_transport()) {
            sleep(RECONNECT).await;
        }
    }
}

/// The recorder; a client that has panicked ends the run anyway.
fn lock(recorder: &Mutex<Recorder>) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that no other run has.
#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
fn drawn() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}
