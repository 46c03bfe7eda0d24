//! The command line of the load generator.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::endpoint::Endpoint;
use crate::size::SizeMix;
use crate::workload::{Upload, Workload};

/// Puts load on a registry, whichever it is, and reports what it bore.
///
/// Content is new in every run: it follows from the seed, which is drawn unless it is given, and no
/// two blobs are alike. What a workload needs to find is pushed before the clock runs.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What clients do, again and again.
    #[arg(value_enum)]
    pub(crate) workload: Workload,
    /// The registry's nodes: several by comma or by repeating it. Each client stays with one.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://localhost:5000",
        value_delimiter = ','
    )]
    pub(crate) server: Vec<Endpoint>,
    /// Clients at a time, each with a connection of its own.
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) clients: u32,
    /// How long operations begin, in seconds; 10 unless --count is given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    /// How many operations there are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Operations in a second, whether or not the registry keeps up; latency counts from when each
    /// is due. Without it, each client begins an operation when its last one is over.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Sizes of blobs, each with how often it comes.
    #[arg(long, value_name = "SIZE[:WEIGHT],...", default_value = "4KiB:60,64KiB:30,1MiB:10")]
    pub(crate) size: SizeMix,
    /// How blobs are pushed.
    #[arg(long, value_enum, default_value_t = Upload::Docker)]
    pub(crate) upload: Upload,
    /// Images to push before, for workloads that need some.
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) images: u64,
    /// How many of these have blobs of their own; each other image has the blobs of one of those,
    /// and a manifest of its own. All have, unless it is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) bases: Option<u64>,
    /// Repositories that images and blobs are spread over.
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) repositories: u64,
    /// Tags or repositories to push before, for workloads that list them.
    #[arg(long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) entries: u64,
    /// Entries of a page of a list.
    #[arg(long, value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(crate) page: u64,
    /// What the names of repositories begin with.
    #[arg(long, value_name = "NAME", default_value = "bench")]
    pub(crate) prefix: String,
    /// From which all names and content follow; drawn unless it is given.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// An earlier run with the same seed has pushed what is needed: push nothing before.
    #[arg(long, requires = "seed")]
    pub(crate) prepared: bool,
    /// An earlier run with the same seed has pushed the first N images or entries: push those
    /// behind.
    #[arg(
        long,
        value_name = "N",
        requires = "seed",
        conflicts_with = "prepared",
        default_value_t = 0
    )]
    pub(crate) from: u64,
    /// Push what is needed, and play nothing.
    #[arg(long, conflicts_with = "prepared")]
    pub(crate) prepare_only: bool,
    /// Compare what comes back with what was pushed. Costs processor time.
    #[arg(long)]
    pub(crate) verify: bool,
    /// Most seconds that one operation may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// A process of the registry on this machine, whose CPU seconds and memory are reported. May be
    /// repeated.
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pub(crate) pid: Vec<u32>,
    /// Threads of the generator; as many as there are processors unless it is given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) threads: Option<u16>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a plot of throughput and latency over time as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

/// Longest time that can be asked for, in seconds: a month.
const SECONDS_MAX: f64 = 31.0 * 24.0 * 60.0 * 60.0;
/// Highest rate that can be asked for, in operations a second.
const RATE_MAX: f64 = 1e9;

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= SECONDS_MAX);
    seconds.map(Duration::from_secs_f64).ok_or("a time is a number of seconds, up to a month")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
    rate.ok_or("a rate is a number of operations a second")
}
