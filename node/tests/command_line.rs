//! What a user sees when something is wrong: one sentence, and exit code 1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::disallowed_methods, reason = "the test takes ports from the program")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

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
async fn a_variable_that_sets_nothing_is_named_and_one_that_cannot_be_read_is_refused() {
    let mut check = roadstead(&["config", "check"]);
    check.env("ROADSTEAD_MOTTO", "x").env("ROADSTEAD_PASSWORD", "y");
    let checked = output(check).await;
    assert!(checked.status.success());
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(said, "roadstead: environment variable ROADSTEAD_MOTTO sets nothing\n");

    let mut check = roadstead(&["config", "check"]);
    check.env("ROADSTEAD_NODE_DATA_DIR", OsStr::from_bytes(b"/caf\xe9"));
    let said = complaint(check).await;
    assert!(said.contains("variable ROADSTEAD_NODE_DATA_DIR is not written in UTF-8"), "{said}");
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

/// Where requests get `answer`, and nothing after it.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_request(&stream);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

/// Reads a request to its end: what is closed with bytes unread may lose the answer.
fn read_request(stream: &TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}

#[tokio::test]
async fn what_is_no_answer_of_a_node_is_not_taken_for_success() {
    let page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\
                Connection: close\r\n\r\n<html>";
    let elsewhere = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/login\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
        answering(page)
    );
    for (answer, said) in [
        (page, "is not a Roadstead node of this version"),
        (elsewhere.leak(), "answers 302 Found and sends on to http://127.0.0.1:"),
    ] {
        let server = answering(answer);
        for arguments in [
            &["grant", "add", "user:alice", "developer", "team/**"][..],
            &["grant", "list"],
            &["key", "create", "alice"],
            &["key", "revoke", "alice", "70188490000000000000000000000000"],
            &["user", "add", "alice", "--password-stdin"],
            &["user", "list"],
            &["access", "explain", "alice", "pull"],
            &["cluster", "remove", "3"],
            &["cluster", "status"],
        ] {
            let failed = complaint(roadstead(&[arguments, &["--server", &server]].concat())).await;
            assert!(failed.contains(said), "{arguments:?}: {failed}");
        }
    }
}

#[tokio::test]
async fn a_key_that_broke_off_on_its_way_is_not_shown() {
    let server = answering(
        "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\
         Connection: close\r\n\r\n{\"key\": \"rs",
    );
    let mut command = roadstead(&["key", "create", "alice", "--server", &server]);
    command.stdout(std::process::Stdio::piped());
    let ended = output(command).await;
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(1), &b""[..]));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("whether this was done is not known"), "{said}");
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_may_have_been_made() {
    let bad_gateway = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\
                       Connection: close\r\n\r\n";
    for answer in ["", bad_gateway] {
        let server = answering(answer);
        for (arguments, said) in [
            (&["user", "remove", "alice"][..], "whether this was done is not known"),
            (&["key", "create", "alice"], "whether this was done is not known"),
            (&["cluster", "remove", "3"], "whether node 3 is removed is not known"),
        ] {
            let failed = complaint(roadstead(&[arguments, &["--server", &server]].concat())).await;
            assert!(failed.contains(said), "{arguments:?}: {failed}");
        }
        let failed = complaint(roadstead(&["user", "list", "--server", &server])).await;
        assert!(!failed.contains("is not known"), "{failed}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_a_robot_is_made() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let long = "x".repeat(256);
    for (option, value, said) in [
        ("--scope", "team/**=pul", "a key is limited to"),
        ("--expires", "500ms", "a key is good for a second at least"),
        ("--expires", "10000y", "a thousand years at most"),
        ("--description", &long, "a description has at most 255 bytes"),
    ] {
        let refused =
            output(roadstead(&["robot", "add", "ci", option, value, "--server", &closed])).await;
        let failed = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{failed}");
        assert!(failed.contains(said), "{failed}");
    }
}

#[tokio::test]
async fn what_makes_the_key_that_a_robot_lacks_is_shown_with_its_limits() {
    let made = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = answering(made);
    let arguments =
        ["robot", "add", "ci", "--scope", "team/**=pull", "--expires", "90d", "--server", &server];
    let failed = output(roadstead(&arguments)).await;
    let said = String::from_utf8(failed.stderr).unwrap();
    let command = "`roadstead key create ci --expires '7776000s' --scope 'team/**=pull'`";
    assert_eq!(failed.status.code(), Some(1));
    assert!(said.contains(command), "{said}");
}

#[tokio::test]
async fn a_user_is_not_removed_as_a_robot_and_groups_are_only_shown_unless_some_are_named() {
    let server = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 44\r\nConnection: close\r\n\r\n\
         {\"kind\": \"user\", \"groups\": [\"web\", \"staff\"]}",
    );
    let ask = |arguments: &[&str]| roadstead(&[arguments, &["--server", &server]].concat());
    let said = complaint(ask(&["robot", "remove", "alice"])).await;
    assert!(said.contains("alice is a user and no robot"), "{said}");
    // A change is answered otherwise.
    let shown = output(ask(&["user", "groups", "alice"])).await;
    assert_eq!(shown.stdout, b"alice is in these groups: web,staff\n");
    complaint(ask(&["user", "groups", "alice", "--none"])).await;
}

#[tokio::test]
async fn what_a_server_says_is_shown_and_not_obeyed() {
    let server = answering(
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 46\r\nConnection: close\r\n\r\n\
         {\"errors\": [{\"message\": \"no\\u001b[2K\\nroot\"}]}",
    );
    let said = complaint(roadstead(&["user", "list", "--server", &server])).await;
    assert_eq!(said, format!("roadstead: http://{server}: no\\u{{1b}}[2K\\nroot"));
}
