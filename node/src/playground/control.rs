//! How one process asks another, the running playground, for something: a line each way on a Unix
//! socket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::PlaygroundError;
use super::process::STOP_DEADLINE;

/// How long the other end may take over its line.
const LINE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long over its answer, which waits for a node to stop first.
const ANSWER_TIMEOUT: Duration = STOP_DEADLINE.saturating_add(LINE_TIMEOUT);
/// Longest line.
const LINE_BYTES_MAX: u64 = 1024;
/// What a wish that came true is answered.
const DONE: &str = "done";

/// Takes wishes, for the running playground.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// Somebody's wish that a node be started again.
pub(super) struct Wish {
    /// The node's number.
    pub(super) node: u16,
    stream: UnixStream,
}

impl Control {
    /// Takes wishes at `path`. What a killed playground left there goes: the caller holds the
    /// folder's lock.
    pub(super) fn listen(path: PathBuf) -> Result<Self, PlaygroundError> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PlaygroundError::File { path, reason: error });
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(PlaygroundError::file(&path))?;
        Ok(Self { listener, path })
    }

    /// The next wish.
    ///
    /// # Cancellation
    /// A wish whose line has not come whole is lost, which its process is told by the end of the
    /// stream.
    pub(super) async fn next(&self) -> Wish {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(LINE_TIMEOUT).await;
                continue;
            };
            let line = timeout(LINE_TIMEOUT, read_line(&mut stream)).await;
            let node = line.ok().and_then(Result::ok).and_then(|line| line.parse().ok());
            if let Some(node) = node {
                return Wish { node, stream };
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Wish {
    /// Tells the process that made it what it came to.
    pub(super) async fn answer(mut self, result: Result<(), PlaygroundError>) {
        let line = match result {
            Ok(()) => DONE.to_owned(),
            Err(error) => error.to_string().replace('\n', " "),
        };
        // Nobody may be waiting any more.
        let _ = timeout(LINE_TIMEOUT, self.stream.write_all(format!("{line}\n").as_bytes())).await;
    }
}

/// Asks the playground that runs in `dir`, and takes wishes at `path`, to start `node` again.
pub(super) async fn wish(dir: &Path, path: &Path, node: u16) -> Result<(), PlaygroundError> {
    let not_running = || PlaygroundError::NotRunning(dir.to_owned());
    let mut stream = UnixStream::connect(path).await.map_err(|_| not_running())?;
    let asked = stream.write_all(format!("{node}\n").as_bytes()).await;
    asked.map_err(|_| not_running())?;
    match timeout(ANSWER_TIMEOUT, read_line(&mut stream)).await {
        Ok(Ok(line)) if line == DONE => Ok(()),
        Ok(Ok(line)) if !line.is_empty() => Err(PlaygroundError::Refused(line)),
        Ok(_) => Err(not_running()),
        Err(_) => Err(PlaygroundError::Refused("the playground does not answer".to_owned())),
    }
}

async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    Ok(line.trim().to_owned())
}
