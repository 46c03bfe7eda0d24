//! A node as a process: it founds a cluster, says how it is, and stops in order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::future::ready;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use node::{TcpWorld, World as _};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::process::Signal;
use storage::blob::ClaimError;
use tokio::process::Command;
use tokio::time::timeout;

use support::{
    alone, code, complaint, free_ports, get, output, roadstead, send, serve, serve_with, until,
};

#[tokio::test]
async fn a_node_founds_a_cluster_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = serve(folder.path(), &[], Stdio::null()).await;
    let (status, _) = get(&format!("http://{}/healthz", node.admin)).await.unwrap();
    assert_eq!(status, 200);
    let (_, metrics) = get(&format!("http://{}/metrics", node.admin)).await.unwrap();
    assert!(metrics.contains("roadstead_raft_is_leader 1\n"), "{metrics}");
    assert!(metrics.contains("roadstead_build_info{version="), "{metrics}");
    let described = include_str!("../../docs/monitoring.md");
    for family in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _kind) = family.split_once(' ').unwrap();
        assert!(described.contains(name), "{name} is not described");
    }
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
async fn a_founder_refuses_an_empty_store_in_place_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [blobs, aside] = ["data/blobs", "aside"].map(|name| folder.path().join(name));
    let mut node = serve(folder.path(), &[], Stdio::null()).await;
    send(&node.child, Signal::TERM);
    assert_eq!(code(&mut node.child).await, Some(0));

    // As if the file system that the store is on were not mounted. Nothing was pushed yet.
    std::fs::rename(&blobs, &aside).unwrap();
    std::fs::create_dir(&blobs).unwrap();
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder.path());
    let said = complaint(command).await;
    assert!(said.contains(&ClaimError::Empty.to_string()), "{said}");

    // It has left nothing there.
    std::fs::remove_dir(&blobs).unwrap();
    std::fs::rename(&aside, &blobs).unwrap();
    serve(folder.path(), &[], Stdio::null()).await;
}

#[tokio::test]
async fn a_node_on_this_machine_is_asked_without_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let node = serve(folder.path(), &[], Stdio::null()).await;
    let mut command = roadstead(&["health", "--server", &node.admin]);
    // Nobody listens there.
    command.env("HTTP_PROXY", "http://127.0.0.1:1");
    let asked = output(command).await;
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    assert_eq!(asked.stdout, b"ready\n");
    let asked = output(roadstead(&["health", "--alive", "--server", &node.admin])).await;
    assert_eq!(asked.stdout, b"ok\n");
}

#[tokio::test]
async fn a_node_can_be_stopped_while_its_store_is_still_being_opened() {
    // What RocksDB reads first, what is read first of a store of blobs, and whose that is, which is
    // read by a node that leads already.
    can_be_stopped_while_it_reads("kv/CURRENT").await;
    can_be_stopped_while_it_reads("blobs/roadstead-blobs").await;
    can_be_stopped_while_it_reads("blobs/cluster").await;
}

async fn can_be_stopped_while_it_reads(file: &str) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // It waits for the other end of this pipe to say something.
    let (pipe, marker) = (data.join(file), data.join("blobs/roadstead-blobs"));
    for folder in [&pipe, &marker].map(|file| file.parent().unwrap()) {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(data.join("roadstead"), "format = 1\nkind = \"node\"\n").unwrap();
    if pipe != marker {
        std::fs::write(marker, "1\n").unwrap();
    }
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder.path());
    let port = free_ports();
    let (api, admin) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", port + 2));
    command.env("ROADSTEAD_API_LISTEN", &api).env("ROADSTEAD_ADMIN_LISTEN", &admin);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut other_end = None;
    until("the store is being opened", || {
        other_end = open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
        ready(other_end.is_some())
    })
    .await;
    let (status, said) = get(&format!("http://{admin}/healthz")).await.unwrap();
    assert_eq!((status, said.as_str()), (200, "starting\n"));
    let (status, said) = get(&format!("http://{admin}/readyz")).await.unwrap();
    assert!(status == 503 && said.starts_with("the node starts"), "{status} {said}");
    let refused = TcpWorld.connect(&api).await.err().expect("nobody has to wait for an answer");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    send(&child, Signal::TERM);
    assert_eq!(code(&mut child).await, Some(0));
}

#[tokio::test]
async fn the_audit_log_is_a_file_a_day_and_has_what_the_log_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("audit");
    let set = |command: &mut Command| {
        command.env("ROADSTEAD_AUDIT_FOLDER", &records).env("ROADSTEAD_LOG_FILTER", "info");
    };
    let node = serve_with(folder.path(), &[], Stdio::null(), set).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let url = format!("http://{}/v2/a/blobs/uploads/?digest={digest}", node.api);
    assert_eq!(client.post(url).body("").send().await.unwrap().status(), 201);

    let files: Vec<_> = std::fs::read_dir(&records).unwrap().map(Result::unwrap).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let name = file.file_name().into_string().unwrap();
    assert!(name.starts_with("roadstead-audit.") && name.ends_with(".json"), "{name}");
    let text = std::fs::read_to_string(file.path()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let changes: Vec<_> = lines.filter(|line| line["message"] == "changed").collect();
    let [change] = changes.as_slice() else { panic!("{text}") };
    assert_eq!((&change["actor"], &change["client"]), (&"anonymous".into(), &"127.0.0.1".into()));
    assert!(change["change"].as_str().unwrap().starts_with(&format!("link a@{digest}")), "{text}");
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "the names of the files have the date")]
async fn records_that_are_lost_are_counted_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("audit");
    std::fs::create_dir(&records).unwrap();
    std::fs::set_permissions(&records, std::fs::Permissions::from_mode(0o700)).unwrap();
    // A disk that is full, today and tomorrow.
    for days in [0, 1] {
        let day = SystemTime::now() + Duration::from_secs(days * 24 * 60 * 60);
        let day = humantime::format_rfc3339_seconds(day).to_string();
        let file = records.join(format!("roadstead-audit.{}.json", &day[..10]));
        symlink("/dev/full", file).unwrap();
    }
    let set = |command: &mut Command| {
        command.env("ROADSTEAD_AUDIT_FOLDER", &records);
    };
    let mut node = serve_with(folder.path(), &[], Stdio::null(), set).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let url = format!("http://{}/v2/a/blobs/uploads/?digest={digest}", node.api);
    assert_eq!(client.post(url).body("").send().await.unwrap().status(), 201);
    said(&mut node, "the audit log cannot be written").await;
    let (_, metrics) = get(&format!("http://{}/metrics", node.admin)).await.unwrap();
    assert!(metrics.contains("roadstead_audit_lost_total "), "{metrics}");
    assert!(!metrics.contains("roadstead_audit_lost_total 0\n"), "{metrics}");
}

#[tokio::test]
async fn a_node_goes_on_at_a_hangup() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = serve(folder.path(), &[], Stdio::null()).await;
    send(&node.child, Signal::HUP);
    said(&mut node, "SIGHUP changes nothing").await;
    let (status, _) = get(&format!("http://{}/readyz", node.admin)).await.unwrap();
    assert_eq!(status, 200);
    send(&node.child, Signal::TERM);
    assert_eq!(code(&mut node.child).await, Some(0));
}

#[tokio::test]
async fn an_audit_log_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder.path());
    command.env("ROADSTEAD_AUDIT_FOLDER", "/dev/null");
    let said = complaint(command).await;
    assert!(said.contains("audit.folder names /dev/null"), "{said}");

    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder.path());
    command.env("ROADSTEAD_AUDIT_FOLDER", &open);
    let said = complaint(command).await;
    assert!(said.contains("everybody on this machine can look into it"), "{said}");
}

#[tokio::test]
async fn the_password_of_the_first_administrator_is_mended_in_its_file_and_needed_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("administrator-password");
    let set = |command: &mut Command| {
        command.env("ROADSTEAD_ACCESS_MODE", "closed");
        command.env("ROADSTEAD_ACCESS_ADMINISTRATOR_PASSWORD_FILE", &file);
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let status = async |node: &support::Serving| {
        let asked = client.get(format!("http://{}/v2/", node.api));
        asked.basic_auth("admin", Some("a password")).send().await.unwrap().status()
    };
    let mut node = serve_with(folder.path(), &[], Stdio::null(), set).await;
    said(&mut node, "administrator-password, which cannot be read").await;
    std::fs::write(&file, "short\n").unwrap();
    said(&mut node, "administrator-password, whose first line cannot be used").await;
    assert_eq!(status(&node).await, 401);
    std::fs::write(&file, "a password\n").unwrap();
    said(&mut node, "administrator appointed").await;
    assert_eq!(status(&node).await, 200);

    let manage = async |arguments: &[&str]| {
        let mut command = roadstead(&[arguments, &["--server", &node.api]].concat());
        command.env("ROADSTEAD_USER", "admin").env("ROADSTEAD_PASSWORD", "a password");
        String::from_utf8(output(command).await.stdout).unwrap()
    };
    // The last one in order, whose name is another one in a URL unless it is escaped.
    manage(&["robot", "add", "zoe+ci@example.org"]).await;
    let listed = manage(&["user", "list"]).await;
    assert_eq!(listed.matches("zoe+ci@example.org").count(), 1, "{listed}");
    manage(&["grant", "add", "authenticated", "read-only", "**"]).await;
    for (name, is_known) in [("zoe+ci@example.org", true), ("zo", false), ("anonymous", true)] {
        let said = manage(&["access", "explain", name, "pull", "team/app"]).await;
        assert!(said.starts_with(if name == "anonymous" { "no: " } else { "yes: " }), "{said}");
        assert_eq!(said.contains("the cluster has no account"), !is_known, "{said}");
    }

    send(&node.child, Signal::TERM);
    assert_eq!(code(&mut node.child).await, Some(0));
    std::fs::remove_file(&file).unwrap();
    let mut node = serve_with(folder.path(), &[], Stdio::null(), set).await;
    assert_eq!(status(&node).await, 200);

    // As a node is that somebody has left open, in a cluster that is not.
    send(&node.child, Signal::TERM);
    assert_eq!(code(&mut node.child).await, Some(0));
    let mut node = serve(folder.path(), &[], Stdio::null()).await;
    said(&mut node, "everybody may do everything through it").await;
}

/// Reads what `node` logs up to a line with `text`.
async fn said(node: &mut support::Serving, text: &str) {
    if std::mem::take(&mut node.earlier).iter().any(|line| line.contains(text)) {
        return;
    }
    loop {
        let line = timeout(support::DEADLINE, node.log.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("never: {text}")).unwrap();
        if line.expect("it goes on").contains(text) {
            return;
        }
    }
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
