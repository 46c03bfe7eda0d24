//! Uploads to a node whose blobs are in a bucket: parts wait in its memory until they are there.

#[path = "../../../storage/tests/support/s3_server.rs"]
mod s3_server;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::FLOOD_BYTES_MAX;
use crate::support::until;
use crate::target::Target;
use s3_server::S3Server;

/// Uploads at once.
const UPLOADS: usize = 16;
/// The most memory that an upload takes: three parts on their way, and one that is being filled,
/// each with an eighth for what its connections and the allocator hold beside it.
const UPLOAD_MEMORY_MAX: u64 = 4 * 9 * 1024 * 1024;
/// How much more memory than before a node may keep that has nothing to do any more: what it made
/// for its first uploads, and what the allocator holds for the next.
const LEFT_BYTES_MAX: u64 = 2 * FLOOD_BYTES_MAX;
/// What is sent of each upload at once.
const FRAME: usize = 256 * 1024;
/// What is sent of each: several times what it may have in memory.
const SENT: usize = 96 * 1024 * 1024;
/// What is sent of one that stops half way, in its second part.
const HALF_SENT: usize = 9 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_under_floods_of_uploads_to_s3() {
    let server = S3Server::start("minio").await;
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start_with(folder.path(), "info", server.variables()).await;
    let most = UPLOADS as u64 * UPLOAD_MEMORY_MAX;
    let before = target.memory("VmRSS:");
    for _ in 0..3 {
        target.withstand("16 uploads at once", most, flood(&target, SENT)).await;
        target.withstand("16 that stop half way", most, flood(&target, HALF_SENT)).await;
    }
    let left = || target.memory("VmRSS:").saturating_sub(before);
    until("what that took is given back", async || left() < LEFT_BYTES_MAX).await;
    println!("all of that together left {} KiB", left() / 1024);
    target.push(&vec![7; 12 * 1024 * 1024]).await;
}

/// Sends `length` bytes of as many uploads, whose bodies have no end, and hangs up.
async fn flood(target: &Target, length: usize) {
    let mut uploads = JoinSet::new();
    for _ in 0..UPLOADS {
        let location = begin(target).await;
        uploads.spawn(send(target.connect().await, location, length));
    }
    uploads.join_all().await;
}

/// Begins an upload and answers its location.
async fn begin(target: &Target) -> String {
    let begin = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                 content-length: 0\r\n\r\n";
    let answer = String::from_utf8(target.ask(begin.as_bytes()).await).unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("location: "));
    location.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn send(mut connection: TcpStream, location: String, length: usize) {
    let head =
        format!("PATCH {location} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut frame = format!("{FRAME:x}\r\n").into_bytes();
    frame.resize(frame.len() + FRAME, 7);
    frame.extend(b"\r\n");
    for _ in 0..length / FRAME {
        connection.write_all(&frame).await.unwrap();
    }
    // What was sent has arrived when the node waits for more: it says nothing before the end.
    connection.shutdown().await.unwrap();
    let _ = connection.read_to_end(&mut Vec::new()).await;
}
