//! A connection as the HTTP parser sees it: every head of HTTP/1 is checked before it gets there,
//! and a client that takes nothing of what it is sent is hung up on.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::fault::Fault;
use super::heads::Heads;
use super::pace::Alarm;
use crate::Connection;

/// The request of a connection that is refused, counted from 0, and why. It is the last one.
pub(super) type Refused = Arc<OnceLock<(u64, Fault)>>;

/// How long what a client still sends is taken from it after the last answer, so that it comes to
/// read that (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// Most bytes that are taken so: what is on its way on a fast network, and 2 MiB of headers.
const LINGER_BYTES: u64 = 8 * 1024 * 1024;

/// See the module.
pub(super) struct Guarded {
    connection: Connection,
    /// What the heads of HTTP/1 pass; nothing does in HTTP/2, which leaves no doubt where one
    /// ends.
    heads: Option<Heads>,
    /// What was read and checked, and not yet handed on from `handed` on.
    ready: Vec<u8>,
    handed: usize,
    has_ended: bool,
    alarm: Alarm,
}

impl Guarded {
    /// A connection of HTTP/1, of which `said` was read. What is refused is put into `refused`.
    pub(super) fn one(
        connection: Connection,
        said: Vec<u8>,
        refused: Refused,
        patience: Duration,
    ) -> Self {
        let mut guarded = Self::two(connection, Vec::new(), patience);
        let mut heads = Heads::new(refused);
        heads.gather(&said, &mut guarded.ready);
        guarded.heads = Some(heads);
        guarded
    }

    /// A connection of HTTP/2, of which `said` was read.
    pub(super) const fn two(connection: Connection, said: Vec<u8>, patience: Duration) -> Self {
        Self {
            connection,
            heads: None,
            ready: said,
            handed: 0,
            has_ended: false,
            alarm: Alarm::new(patience),
        }
    }

    /// Ends the connection, so that the last answer arrives: to close it on a client that is still
    /// sending would reset it, and take the answer from under the client.
    pub(super) async fn hang_up(mut self) {
        let is_sending = !self.has_ended && self.heads.as_ref().is_some_and(Heads::is_midway);
        let last = async {
            self.connection.shutdown().await?;
            if is_sending {
                let mut rest = (&mut self.connection).take(LINGER_BYTES);
                tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
            }
            io::Result::Ok(())
        };
        // It is closed in any case, now or then.
        let _ = timeout(LINGER, last).await;
    }

    /// Hands on what is ready; answers whether there was any.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let rest = &self.ready[self.handed..];
        if rest.is_empty() {
            return false;
        }
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        self.handed += length;
        if self.handed == self.ready.len() {
            // A connection that is idle keeps nothing.
            self.ready = Vec::new();
            self.handed = 0;
        }
        true
    }

    /// Passes on how a write went, unless the client has kept it waiting for too long.
    fn paced(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(length)) = written {
            self.alarm.moved(length);
        }
        self.patient(cx, written)
    }

    /// Passes on how it went, unless the client has kept it waiting for too long.
    fn patient<T>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_pending() {
            ready!(self.alarm.poll_lost(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.hand_on(buffer) {
                return Poll::Ready(Ok(()));
            }
            let Some(heads) = &mut this.heads else {
                return Pin::new(&mut this.connection).poll_read(cx, buffer);
            };
            if heads.is_broken() {
                return Poll::Ready(Err(io::Error::other("the chunks of a body are not valid")));
            }
            if heads.is_refused() {
                // Nothing more is read; the answer under way ends the connection.
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.connection).poll_read(cx, buffer))?;
            let read = &buffer.filled()[before..];
            if read.is_empty() {
                this.has_ended = true;
                return Poll::Ready(Ok(()));
            }
            // Bytes of a body, most of all that ever comes, stay where they were read to.
            let body = heads.pass(read);
            heads.gather(&read[body..], &mut this.ready);
            buffer.set_filled(before + body);
            if body > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(cx, bytes);
        self.paced(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS has a buffer of its own, which may hold all of an answer that nobody takes.
        let flushed = Pin::new(&mut self.connection).poll_flush(cx);
        if flushed.is_ready() {
            self.alarm.moved(0);
        }
        self.patient(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.connection).poll_shutdown(cx);
        self.patient(cx, shut)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(cx, bytes);
        self.paced(cx, written)
    }
}
