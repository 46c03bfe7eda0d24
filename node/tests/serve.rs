//! A node as a process: it founds a cluster, says how it is, and stops in order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::process::Stdio;

use rustix::process::Signal;

use support::{alone, code, complaint, get, output, roadstead, send, serve};

#[tokio::test]
async fn a_node_founds_a_cluster_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = serve(folder.path(), &[], Stdio::null()).await;
    let (status, _) = get(&format!("http://{}/healthz", node.admin)).await.unwrap();
    assert_eq!(status, 200);
    let (_, metrics) = get(&format!("http://{}/metrics", node.admin)).await.unwrap();
    assert!(metrics.contains("roadstead_raft_is_leader 1\n"), "{metrics}");
    assert!(metrics.contains("roadstead_build_info{version="), "{metrics}");
    let (status, _) = get(&format!("http://{}/v2/", node.api)).await.unwrap();
    assert_eq!(status, 200);

    let shown = output(roadstead(&["cluster", "status", "--server", &node.api])).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.lines().any(|line| line.starts_with('1') && line.contains("leader  *")),
        "{shown}"
    );
    let shown =
        output(roadstead(&["cluster", "status", "--server", &node.api, "--output", "json"])).await;
    let report: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(report["leader"], 1);

    send(&node.child, Signal::TERM);
    assert_eq!(code(&mut node.child).await, Some(0));
    let mut last = String::new();
    while let Some(line) = node.log.next_line().await.unwrap() {
        last = line;
    }
    assert!(last.contains("stopped"), "{last}");

    // Again on the same folder: the same node of the same cluster.
    let again = serve(folder.path(), &[], Stdio::null()).await;
    let url = format!("http://{}/roadstead/v1/cluster", again.api);
    let (_, body) = get(&url).await.unwrap();
    let now: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&now["cluster"], &now["node"]), (&report["cluster"], &report["node"]));
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _node = serve(folder.path(), &[], Stdio::null()).await;
    let mut second = roadstead(&["serve"]);
    alone(&mut second, folder.path());
    let said = complaint(second).await;
    assert!(said.contains("data is in use by another process"), "{said}");
}

#[tokio::test]
async fn a_node_ends_with_its_parent_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = serve(folder.path(), &["--with-parent"], Stdio::piped()).await;
    drop(node.child.stdin.take());
    assert_eq!(code(&mut node.child).await, Some(0));
}
