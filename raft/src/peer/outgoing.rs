//! Sending a snapshot: rows are read while earlier ones travel, and no faster than the other node
//! takes them.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use openraft::errors::StreamingError;
use openraft::{ErrorSubject, ErrorVerb, StorageError};
use proto::limits::SNAPSHOT_CHUNK_BYTES;
use proto::pb::peer as pb;
use proto::pb::peer::peer_client::PeerClient;
use proto::pb::peer::snapshot_chunk::Chunk;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::rows::{RowSum, SnapshotSource};
use crate::catalog::Row;
use crate::convert::{SnapshotHeader, Wire as _};
use crate::offload::offload;
use crate::types::{SnapshotOf, TypeConfig, Vote};

/// Messages that may wait for the connection: one is read while one is sent.
const CHUNKS_AHEAD: usize = 1;

/// The longest rest after a message.
const REST_MAX: Duration = Duration::from_millis(100);

/// What the other node answered, or `None` when it made no progress until the deadline.
type Sent = Option<Result<pb::SnapshotResponse, Status>>;

/// Sends `snapshot` and waits for the answer. `deadline` is for each message, and for the answer.
///
/// # Errors
/// When the snapshot cannot be read.
pub(super) async fn send_snapshot<S: SnapshotSource>(
    mut rpc: PeerClient<Channel>,
    envelope: Option<pb::Envelope>,
    vote: Vote,
    snapshot: SnapshotOf<S>,
    deadline: Duration,
) -> Result<Sent, StreamingError<TypeConfig>> {
    let header = SnapshotHeader { vote, meta: snapshot.meta };
    let header = pb::SnapshotHeader { envelope, ..header.to_message() };
    let (chunks, stream) = mpsc::channel(CHUNKS_AHEAD);
    let feed = feed(chunks, header, snapshot.snapshot, deadline);
    let call = rpc.install_snapshot(ReceiverStream::new(stream));
    tokio::pin!(feed, call);

    // Until the other node has installed it, it is on its way.
    let _source = tokio::select! {
        biased;
        // The other node may answer before the end: it refuses, or is gone.
        answer = &mut call => return Ok(Some(answer.map(tonic::Response::into_inner))),
        fed = &mut feed => match fed {
            Ok(source) => source,
            Err(FeedError::Stuck) => return Ok(None),
            Err(FeedError::Read(error)) => return Err(read_error(error)),
        }
    };
    let answer = tokio::time::timeout(deadline, call).await.ok();
    Ok(answer.map(|answer| answer.map(tonic::Response::into_inner)))
}

/// Why the stream ended early.
enum FeedError {
    /// The other node takes no more.
    Stuck,
    /// The snapshot cannot be read.
    Read(io::Error),
}

/// Puts the messages of a snapshot into `chunks`: a header, rows, and the end. Gives `source` back.
/// Rests as long as it works, so that neither of the two nodes spends more than half of a processor
/// on what nobody waits for, beside clients who do.
async fn feed<S: SnapshotSource>(
    chunks: mpsc::Sender<pb::SnapshotChunk>,
    header: pb::SnapshotHeader,
    mut source: S,
    deadline: Duration,
) -> Result<S, FeedError> {
    let send = async |chunk: Chunk| {
        let chunk = pb::SnapshotChunk { chunk: Some(chunk) };
        match chunks.send_timeout(chunk, deadline).await {
            Ok(()) => Ok(ControlFlow::Continue(())),
            // Nobody takes more: the answer is there or on its way, and says why.
            Err(SendTimeoutError::Closed(_)) => Ok(ControlFlow::Break(())),
            Err(SendTimeoutError::Timeout(_)) => Err(FeedError::Stuck),
        }
    };
    if send(Chunk::Header(header)).await?.is_break() {
        return Ok(source);
    }
    let mut sum = RowSum::default();
    loop {
        let begun = Instant::now();
        let rows;
        (source, sum, rows) = read(source, sum).await.map_err(FeedError::Read)?;
        if rows.is_empty() {
            return send(Chunk::End(sum.end())).await.map(|_| source);
        }
        let rows = rows.into_iter().map(|(key, value)| pb::Row { key, value }).collect();
        if send(Chunk::Rows(pb::SnapshotRows { rows })).await?.is_break() {
            return Ok(source);
        }
        sleep(begun.elapsed().min(REST_MAX)).await;
    }
}

/// Reads and sums the next rows on a thread that may block.
async fn read<S: SnapshotSource>(
    mut source: S,
    mut sum: RowSum,
) -> io::Result<(S, RowSum, Vec<Row>)> {
    offload(move || {
        let rows = source.next_rows(SNAPSHOT_CHUNK_BYTES)?;
        sum.add(&rows);
        Ok((source, sum, rows))
    })
    .await
}

fn read_error(error: io::Error) -> StreamingError<TypeConfig> {
    let subject = ErrorSubject::Snapshot(None);
    StorageError::from_io_error(subject, ErrorVerb::Read, error).into()
}
