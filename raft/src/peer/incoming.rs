//! Receiving a snapshot: rows are staged as they come, and installed only when all of them came
//! unchanged.

use std::io;

use bytes::Bytes;
use proto::limits::SNAPSHOT_IDLE_MAX;
use proto::pb::peer as pb;
use proto::pb::peer::snapshot_chunk::Chunk;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::rows::{RowSum, SnapshotSink};
use crate::catalog::Row;
use crate::offload::offload;

/// Reads the header, which comes first.
///
/// # Errors
/// When another message comes first, or none in time.
pub(super) async fn header<C>(chunks: &mut C) -> Result<pb::SnapshotHeader, Status>
where
    C: Stream<Item = Result<pb::SnapshotChunk, Status>> + Unpin,
{
    match next(chunks).await? {
        Some(Chunk::Header(header)) => Ok(header),
        _ => Err(Status::invalid_argument("a snapshot begins with its header")),
    }
}

/// Writes all rows that come to `sink`, and checks them against the end.
///
/// # Errors
/// When the rows are not those that the end names, when the sink cannot be written, or when nothing
/// comes for [`SNAPSHOT_IDLE_MAX`].
pub(super) async fn rows<C, S>(chunks: &mut C, mut sink: S) -> Result<S, Status>
where
    C: Stream<Item = Result<pb::SnapshotChunk, Status>> + Unpin,
    S: SnapshotSink,
{
    let mut sum = RowSum::default();
    let mut last = None;
    loop {
        match next(chunks).await? {
            Some(Chunk::Rows(chunk)) => {
                let rows: Vec<Row> =
                    chunk.rows.into_iter().map(|row| (row.key, row.value)).collect();
                last = check_order(last, &rows)?;
                (sink, sum) = write(sink, sum, rows).await.map_err(store_error)?;
            }
            Some(Chunk::End(end)) if end == sum.clone().end() => return Ok(sink),
            Some(Chunk::End(_)) => {
                return Err(Status::data_loss("the snapshot's rows changed on their way"));
            }
            Some(Chunk::Header(_)) => {
                return Err(Status::invalid_argument("a snapshot has one header"));
            }
            None => return Err(Status::invalid_argument("the snapshot ends without its end")),
        }
    }
}

/// The next message; `None` at the end of the stream.
async fn next<C>(chunks: &mut C) -> Result<Option<Chunk>, Status>
where
    C: Stream<Item = Result<pb::SnapshotChunk, Status>> + Unpin,
{
    let idle = || Status::deadline_exceeded("the snapshot stopped on its way");
    let message =
        tokio::time::timeout(SNAPSHOT_IDLE_MAX, chunks.next()).await.map_err(|_| idle())?;
    let Some(message) = message.transpose()? else { return Ok(None) };
    match message.chunk {
        Some(chunk) => Ok(Some(chunk)),
        None => Err(Status::invalid_argument("a message of the snapshot is empty")),
    }
}

/// Checks that keys ascend, and answers the last of them.
fn check_order(mut last: Option<Bytes>, rows: &[Row]) -> Result<Option<Bytes>, Status> {
    for (key, _) in rows {
        if last.as_ref().is_some_and(|last| last >= key) {
            return Err(Status::invalid_argument("the snapshot's rows are not in order"));
        }
        last = Some(key.clone());
    }
    Ok(last)
}

/// Sums and writes rows on a thread that may block.
async fn write<S: SnapshotSink>(
    mut sink: S,
    mut sum: RowSum,
    rows: Vec<Row>,
) -> io::Result<(S, RowSum)> {
    offload(move || {
        sum.add(&rows);
        sink.write_rows(rows)?;
        Ok((sink, sum))
    })
    .await
}

/// What the sender is told when this node cannot stage its snapshot.
fn store_error(error: io::Error) -> Status {
    tracing::error!(%error, "a snapshot cannot be written");
    Status::resource_exhausted(format!("the snapshot cannot be written: {error}"))
}
