//! What a user sees when something is wrong: one sentence, and exit code 1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::disallowed_methods, reason = "the test takes ports from the program")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::process::Command;

use support::{alone, complaint, output, roadstead};

fn serve(folder: &Path) -> Command {
    let mut command = roadstead(&["serve"]);
    alone(&mut command, folder);
    command
}

#[tokio::test]
async fn the_version_is_shown() {
    let output = output(roadstead(&["--version"])).await;
    assert!(output.status.success());
    let version = concat!("roadstead ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), version);
}

#[tokio::test]
async fn a_configuration_is_checked_without_being_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let data = folder.path().join("data");
    fs::write(&file, format!("[node]\ndata_dir = {data:?}\n")).unwrap();
    let check = || roadstead(&["config", "check", "--config", file.to_str().unwrap()]);
    let checked = output(check()).await;
    assert!(checked.status.success());
    let shown = String::from_utf8(checked.stdout).unwrap();
    assert!(shown.contains(&format!("data_dir = {data:?}")), "{shown}");
    assert!(!data.exists());

    fs::write(&file, "[api]\nlisten = true\n").unwrap();
    let said = complaint(check()).await;
    assert!(said.contains("node.toml: api.listen is true, but must be an IP address"), "{said}");
}

#[tokio::test]
async fn an_open_registry_has_no_administrator_to_reset() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = roadstead(&["serve", "--reset-administrator"]);
    alone(&mut command, folder.path());
    let said = complaint(command).await;
    assert!(said.contains("--reset-administrator is of no use"), "{said}");
}

#[tokio::test]
async fn a_missing_configuration_file_is_named() {
    let said = complaint(roadstead(&["serve", "--config", "/nonexistent/node.toml"])).await;
    assert!(
        said.contains("the configuration file /nonexistent/node.toml cannot be read"),
        "{said}"
    );
}

#[tokio::test]
async fn a_taken_port_is_named_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["api", "peer", "admin"] {
        let mut command = serve(folder.path());
        command.env(format!("ROADSTEAD_{}_LISTEN", key.to_uppercase()), &address);
        let said = complaint(command).await;
        assert!(said.contains(&format!("{address} is in use by another process")), "{said}");
        assert!(said.contains(&format!("set {key}.listen to another")), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_foreign_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/photo.jpg"), "sea").unwrap();
    let said = complaint(serve(folder.path())).await;
    assert!(said.contains("holds files that are not Roadstead's"), "{said}");
}

#[tokio::test]
async fn a_foreign_blob_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    fs::write(folder.path().join("photos/photo.jpg"), "sea").unwrap();
    let mut command = serve(folder.path());
    command.env("ROADSTEAD_STORAGE_PATH", folder.path().join("photos"));
    let said = complaint(command).await;
    assert!(said.contains("holds other files"), "{said}");
}

#[tokio::test]
async fn a_folder_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let marker = folder.path().join("data/roadstead");
    for (format, age) in [(0, "an older version"), (2, "a newer version")] {
        fs::write(&marker, format!("format = {format}\nkind = \"node\"\n")).unwrap();
        let said = complaint(serve(folder.path())).await;
        assert!(said.contains(&format!("has format {format}, of {age} of Roadstead")), "{said}");
    }
}

#[tokio::test]
async fn an_unwritable_folder_is_refused() {
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::set_permissions(folder.path().join("data"), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = serve(folder.path());
    if rustix::process::getuid().is_root() {
        // Nothing is unwritable to root, and where the program was built may be closed to others.
        let program = folder.path().join("program");
        // By another process: what this one has open for writing, a child that another test starts
        // in this moment has too, and such a file cannot be run.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_roadstead")).arg(&program).status();
        assert!(copied.await.unwrap().success());
        command = Command::new(program);
        command.arg("serve").env_clear().kill_on_drop(true).uid(NOBODY).gid(NOBODY);
        alone(&mut command, folder.path());
    }
    let said = complaint(command).await;
    assert!(said.contains("data cannot be used: Permission denied"), "{said}");
    assert!(said.ends_with("; node.data_dir or --data-dir names it"), "{said}");
}

#[tokio::test]
async fn an_unreachable_server_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let said = complaint(roadstead(&["cluster", "status", "--server", &closed])).await;
    assert!(said.contains(&format!("no node answers at http://{closed}: ")), "{said}");
}

#[tokio::test]
async fn the_environment_names_a_server_to_commands_that_ask_its_api_alone() {
    for (command, takes) in [
        (&["cluster", "status"][..], true),
        (&["cluster", "remove"], true),
        (&["user", "add"], true),
        (&["access", "explain"], true),
        (&["cluster", "token"], false),
        (&["health"], false),
        (&["bench"], false),
        (&["playground"], false),
        (&["serve"], false),
    ] {
        let output = output(roadstead(&[command, &["--help"]].concat())).await;
        assert!(output.status.success(), "{command:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        assert_eq!(help.contains("[env: ROADSTEAD_SERVER="), takes, "{command:?}: {help}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ask = |variable: &str, arguments: &[&str]| {
        let mut command = roadstead(&[&["cluster", "status"], arguments].concat());
        command.env("ROADSTEAD_SERVER", variable);
        complaint(command)
    };
    let no_node = format!("no node answers at http://{closed}: ");
    let said = ask(&closed, &[]).await;
    assert!(said.contains(&no_node), "{said}");
    let said = ask("http://node.invalid", &["--server", &closed]).await;
    assert!(said.contains(&no_node), "{said}");
}

#[tokio::test]
async fn what_is_no_name_is_not_taken_for_the_name_that_it_begins_with() {
    for arguments in [
        &["user", "remove", "bob#old"][..],
        &["robot", "remove", "bob?x"],
        &["user", "disable", "bob/keys"],
        &["role", "remove", ".."],
        &["key", "create", "bob/../alice"],
        &["key", "revoke", "bob", ".."],
    ] {
        let refused = output(roadstead(arguments)).await;
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains("a name has 1 to") || said.contains("an id is 16 bytes"), "{said}");
    }
}

#[tokio::test]
async fn a_playground_that_does_not_run_restarts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let said = complaint(roadstead(&["playground", "restart", "1", "--dir", dir])).await;
    assert!(said.contains("no playground runs in"), "{said}");
}
