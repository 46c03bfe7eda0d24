//! Load for registries: `roadstead bench` pushes to and pulls from any registry that speaks the
//! OCI's distribution API, and reports what it bore.
//!
//! ```text
//! Schedule -> Turn -> Player -> Client -> Connection -> a registry
//!                        |                                  |
//!                      Stock (names, Content)            Recorder -> Report -> text, JSON, plot
//! ```
//!
//! It knows nothing of Roadstead's servers: what it measures of one registry it measures of any.
//! See `docs/benchmarks.md` for how to use it.

mod arguments;
mod challenge;
mod client;
mod connection;
mod content;
mod endpoint;
mod error;
mod fault;
mod image;
mod player;
mod plot;
mod process;
mod recorder;
mod report;
mod run;
mod schedule;
mod size;
mod stock;
mod workload;

use std::fs;
use std::path::Path;

pub use arguments::BenchArgs;
pub use client::Access;
pub use endpoint::{Endpoint, EndpointError};
pub use error::BenchError;
pub use process::{ProcessError, ProcessReport};
pub use report::{ErrorCount, Latency, Moment, Report};
pub use size::{SizeError, SizeMix};
pub use workload::{Upload, Workload};

/// Puts the load on a registry that `arguments` describe, and answers what happened. Also writes
/// the files that they name.
///
/// # Errors
/// See [`BenchError`]. Operations that fail are no error: the report counts them.
pub fn bench(arguments: &BenchArgs, access: Access) -> Result<Report, BenchError> {
    let run = run::Run::new(arguments.clone(), access)?;
    let mut runtime = match arguments.threads {
        Some(1) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if let Some(threads) = arguments.threads {
        runtime.worker_threads(threads.into());
    }
    let runtime = runtime.enable_all().build().map_err(BenchError::Runtime)?;
    let report = runtime.block_on(run.play())?;
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(&report);
        write(path, &json.map_err(std::io::Error::from).map_err(file_error(path))?)?;
    }
    if let Some(path) = &arguments.plot {
        let svg = plot::svg(&report).map_err(|error| BenchError::Plot(error.to_string()))?;
        write(path, &svg)?;
    }
    Ok(report)
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    fs::write(path, text).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl Fn(std::io::Error) -> BenchError {
    move |reason| BenchError::File { path: path.to_owned(), reason }
}
