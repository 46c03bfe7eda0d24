//! The first bytes of a connection, which tell HTTP/2 from HTTP/1.

use std::io;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use crate::Connection;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4), and no request of HTTP/1 is.
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// Reads from `connection`, of which `said` was read, until its version is certain; answers that
/// and all that was read.
///
/// # Errors
/// When the connection ends before, or the client takes longer than `patience`.
pub(super) async fn read(
    connection: &mut Connection,
    mut said: Vec<u8>,
    patience: Duration,
) -> io::Result<(Version, Vec<u8>)> {
    let certain = async {
        loop {
            if !PREFACE.starts_with(&said) {
                return Ok((Version::One, said));
            }
            let missing = PREFACE.len() - said.len();
            if missing == 0 {
                return Ok((Version::Two, said));
            }
            if connection.take(missing as u64).read_buf(&mut said).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    timeout(patience, certain).await?
}
