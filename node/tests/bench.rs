//! The load generator on a real node: what it reports is what the registry then holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use support::{Serving, complaint, get, output, roadstead, serve};

/// Operations of each run.
const COUNT: u64 = 30;
/// From which names and content of all runs follow.
const SEED: u64 = 7;
/// What their repositories begin with.
const PREFIX: &str = "bench/0000000000000007";

/// The report of a run of `workload` on `node`, with 4 clients.
async fn play(node: &Serving, workload: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let (json, plot) = (folder.path().join("report.json"), folder.path().join("plot.svg"));
    let pid = node.child.id().unwrap().to_string();
    let (count, seed) = (COUNT.to_string(), SEED.to_string());
    let mut command = roadstead(&["bench", workload, "--server", &node.api, "--verify"]);
    command.args(["--clients", "4", "--pid", &pid]);
    command.args(default(arguments, "--count", &count)).args(default(arguments, "--seed", &seed));
    command.args(default(arguments, "--images", "6"));
    command.args(["--size", "1KiB", "--repositories", "3", "--entries", "25"]);
    command.args(["--page", "10", "--json"]).arg(&json).arg("--plot").arg(&plot).args(arguments);
    let output = output(command).await;
    let shown = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{workload}: {said}");
    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let succeeded = format!("succeeded  {} (", report["succeeded"]);
    assert!(shown.contains(workload) && shown.contains(&succeeded), "{shown}");
    assert!(fs::read_to_string(plot).unwrap().starts_with("<svg "), "{workload}");
    report
}

/// `option` with `value`, unless it is among the `arguments`.
fn default<'a>(arguments: &[&str], option: &'a str, value: &'a str) -> Vec<&'a str> {
    if arguments.contains(&option) { Vec::new() } else { vec![option, value] }
}

/// Checks that all operations succeeded, and moved so many bytes.
fn assert_moved(report: &Value, sent: u64, received: u64) {
    assert_eq!((&report["succeeded"], &report["failed"]), (&COUNT.into(), &0.into()), "{report}");
    assert_eq!(report["bytes_sent"], sent, "{report}");
    assert_eq!(report["bytes_received"], received, "{report}");
    let latency = &report["latency"];
    assert!(latency["p50_ms"].as_f64() <= latency["max_ms"].as_f64(), "{report}");
    assert!(latency["p50_ms"].as_f64() > Some(0.0), "{report}");
    assert!(report["processes"][0]["resident_peak"].as_u64() > Some(1 << 20), "{report}");
}

/// The list `name` at `path`, all of it.
async fn list(node: &Serving, path: &str, name: &str) -> Vec<String> {
    let (status, body) = get(&format!("http://{}/v2/{path}?n=1000", node.api)).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_value(serde_json::from_str::<Value>(&body).unwrap()[name].take()).unwrap()
}

/// The number of tags of the run's repository `name` that begin with `prefix`.
async fn tags(node: &Serving, name: &str, prefix: &str) -> u64 {
    let tags = list(node, &format!("{PREFIX}/{name}/tags/list"), "tags").await;
    tags.iter().filter(|tag| tag.starts_with(prefix)).count() as u64
}

/// The length of the manifest with this tag.
async fn length(node: &Serving, repository: &str, tag: &str) -> u64 {
    let path = format!("{PREFIX}/{repository}/manifests/{tag}");
    let (status, body) = get(&format!("http://{}/v2/{path}", node.api)).await.unwrap();
    assert_eq!(status, 200, "{body}");
    body.len() as u64
}

/// How many files below `folder` have `length` bytes.
fn files(folder: &Path, length: u64) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let counts = entries.map(|path| match path.is_dir() {
        true => files(&path, length),
        false => u64::from(path.metadata().unwrap().len() == length),
    });
    counts.sum()
}

async fn node() -> (TempDir, Serving) {
    let folder = tempfile::tempdir().unwrap();
    let node = serve(folder.path(), &[], std::process::Stdio::null()).await;
    (folder, node)
}

#[tokio::test]
async fn what_was_pushed_is_there_as_often_as_reported() {
    let (folder, node) = node().await;
    // Each with its own seed: the same one would make the same blobs again.
    for (upload, seed) in [("docker", "11"), ("put", "12"), ("post", "13")] {
        let report = play(&node, "push-blob", &["--upload", upload, "--seed", seed]).await;
        assert_moved(&report, COUNT * 1024, 0);
    }
    assert_eq!(files(folder.path(), 1024), 3 * COUNT);

    let report = play(&node, "push-image", &[]).await;
    assert_eq!((&report["succeeded"], &report["failed"]), (&COUNT.into(), &0.into()), "{report}");
    let mut images = 0;
    for repository in ["0", "1", "2"] {
        images += tags(&node, repository, "image-").await;
    }
    assert_eq!(images, COUNT);
    assert_eq!(files(folder.path(), 1024), 5 * COUNT, "two layers each");
}

#[tokio::test]
async fn every_way_of_reading_gets_what_was_pushed() {
    let (_folder, node) = node().await;
    let report = play(&node, "pull-blob", &[]).await;
    assert_moved(&report, 0, COUNT * 1024);
    let manifest = length(&node, "0", "image-0").await;
    // What one run has pushed, others find.
    for workload in ["get-manifest", "get-tag"] {
        assert_moved(&play(&node, workload, &["--prepared"]).await, 0, COUNT * manifest);
    }
    for workload in ["head-blob", "head-manifest", "head-tag"] {
        assert_moved(&play(&node, workload, &["--prepared"]).await, 0, 0);
    }
    let report = play(&node, "move-tag", &["--prepared"]).await;
    assert_moved(&report, COUNT * manifest, 0);
    assert!(tags(&node, "0", "moving-").await > 0);
    let report = play(&node, "push-manifest", &["--prepared"]).await;
    assert!(report["bytes_sent"].as_u64() > Some(COUNT * manifest), "{report}");
    let report = play(&node, "pull-image", &["--prepared"]).await;
    assert_eq!((&report["succeeded"], &report["failed"]), (&COUNT.into(), &0.into()), "{report}");
}

#[tokio::test]
async fn what_was_pushed_grows_without_more_blobs() {
    let (folder, node) = node().await;
    let stock = |images| ["--bases", "6", "--images", images, "--prepare-only"];
    play(&node, "get-tag", &stock("6")).await;
    play(&node, "get-tag", &[stock("50").as_slice(), &["--from", "6"]].concat()).await;
    let mut images = 0;
    for repository in ["0", "1", "2"] {
        images += tags(&node, repository, "image-").await;
    }
    assert_eq!(images, 50);
    assert_eq!(files(folder.path(), 1024), 2 * 6, "two layers of each that has its own");
    for workload in ["get-manifest", "get-tag", "pull-image", "head-manifest"] {
        let report = play(&node, workload, &["--bases", "6", "--images", "50", "--prepared"]).await;
        assert_eq!((&report["succeeded"], &report["failed"]), (&COUNT.into(), &0.into()));
    }
}

#[tokio::test]
async fn lists_are_as_long_as_was_asked_for() {
    let (_folder, node) = node().await;
    let report = play(&node, "list-tags", &[]).await;
    assert_eq!((&report["succeeded"], &report["failed"]), (&COUNT.into(), &0.into()), "{report}");
    assert_eq!(tags(&node, "tagged", "z").await, 25);
    let report = play(&node, "list-repositories", &[]).await;
    assert_eq!((&report["succeeded"], &report["failed"]), (&COUNT.into(), &0.into()), "{report}");
    let repositories = list(&node, "_catalog", "repositories").await;
    let listed = format!("{PREFIX}/z");
    assert_eq!(repositories.iter().filter(|name| name.starts_with(&listed)).count(), 25);
}

#[tokio::test]
async fn what_fails_is_counted_by_status_and_code() {
    let (_folder, node) = node().await;
    let report = play(&node, "get-tag", &["--prepared"]).await;
    assert_eq!((&report["succeeded"], &report["failed"]), (&0.into(), &COUNT.into()), "{report}");
    assert_eq!(report["errors"][0]["status"], 404, "{report}");
    assert_eq!(report["errors"][0]["count"], COUNT, "{report}");
    let code = report["errors"][0]["code"].as_str().unwrap();
    assert!(["MANIFEST_UNKNOWN", "NAME_UNKNOWN"].contains(&code), "{report}");
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate_and_says_what_it_missed() {
    let (_folder, node) = node().await;
    let report = play(&node, "push-blob", &["--rate", "100"]).await;
    assert_moved(&report, COUNT * 1024, 0);
    // The last one was due after 0.29 s.
    assert!(report["seconds"].as_f64() >= Some(0.29), "{report}");
    let arguments = ["--rate", "1000000", "--duration", "0.2", "--count", "1000000"];
    let report = play(&node, "push-blob", &arguments).await;
    let begun = report["succeeded"].as_u64().unwrap() + report["failed"].as_u64().unwrap();
    assert_eq!(report["missed"].as_u64().unwrap() + begun, 200_000, "{report}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let said = complaint(roadstead(&["bench", "push-blob", "--server", "127.0.0.1:1"])).await;
    assert!(said.contains("http://127.0.0.1:1 does not serve this: cannot connect"), "{said}");
    let said = complaint(roadstead(&["bench", "push-blob", "--prefix", "Not A Name"])).await;
    assert!(said.contains("--prefix: "), "{said}");
}
