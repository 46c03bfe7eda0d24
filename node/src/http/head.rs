//! The head of an HTTP/1 request, read more strictly than by hyper behind it: a request that two
//! readers could take for different ones is refused, because one of them may be a proxy that
//! checked another request than the one that is served (RFC 9112, section 11.2).

use http::Uri;
use http::uri::Authority;
use httparse::{EMPTY_HEADER, Request, Status};
use proto::limits::{HEADERS_MAX, TARGET_BYTES_MAX};

use super::fault::Fault;

/// How the body after a head is delimited (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// By its length in bytes; 0 when there is no body.
    Bytes(u64),
    /// By chunks.
    Chunked,
}

/// What the headers say that matters here.
#[derive(Default)]
struct Said<'a> {
    host: Option<&'a str>,
    length: Option<u64>,
    is_chunked: bool,
}

/// Reads `head`, from its first byte to the empty line that ends it, and answers how the body after
/// it is delimited. Its lines end by CR and LF, which is not checked here.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(head: &[u8]) -> Result<BodyLength, Fault> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    // The same parser as hyper's: both see the same words, or neither does.
    let parsed = request.parse(head).map_err(fault)?;
    let (Status::Complete(_), Some(method), Some(target), Some(version)) =
        (parsed, request.method, request.path, request.version)
    else {
        return Err(Fault::Malformed(REQUEST_LINE));
    };
    if target.len() > TARGET_BYTES_MAX {
        return Err(Fault::TargetTooLong);
    }
    if method == "CONNECT" {
        return Err(Fault::Malformed("this is a registry, which has no CONNECT: it is no proxy"));
    }
    let target = Uri::try_from(target)
        .map_err(|_| Fault::Malformed("the address of the request is not a valid one"))?;
    let is_old = version == 0;
    let mut said = Said::default();
    for header in &*request.headers {
        note(header.name, header.value, &mut said)?;
    }
    check_host(&target, said.host, is_old)?;
    match (said.is_chunked, said.length) {
        (true, Some(_)) => Err(Fault::Malformed(
            "a request has either a Content-Length or a Transfer-Encoding, not both",
        )),
        (true, None) if is_old => {
            Err(Fault::Malformed("a request of HTTP/1.0 has no Transfer-Encoding"))
        }
        (true, None) => Ok(BodyLength::Chunked),
        (false, length) => Ok(BodyLength::Bytes(length.unwrap_or(0))),
    }
}

const REQUEST_LINE: &str = "a request begins with: method, address, HTTP/1.1";

const fn fault(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => Fault::HeadTooLarge,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Fault::Malformed(
            "a header is a name, a colon and a value without controls, all on one line",
        ),
        _ => Fault::Malformed(REQUEST_LINE),
    }
}

fn note<'a>(name: &str, value: &'a [u8], said: &mut Said<'a>) -> Result<(), Fault> {
    if name.eq_ignore_ascii_case("host") {
        let host = std::str::from_utf8(value).map_err(|_| Fault::Malformed(NO_HOST))?;
        if said.host.replace(host).is_some() {
            return Err(Fault::Malformed("a request has one Host header, not several"));
        }
    } else if name.eq_ignore_ascii_case("content-length") {
        let length = length(value)
            .ok_or(Fault::Malformed("Content-Length is one number of bytes, in digits"))?;
        if said.length.replace(length).is_some() {
            return Err(Fault::Malformed("a request has one Content-Length header, not several"));
        }
    } else if name.eq_ignore_ascii_case("transfer-encoding") {
        if said.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Malformed("the only Transfer-Encoding is 'chunked', once"));
        }
        said.is_chunked = true;
    }
    Ok(())
}

const NO_HOST: &str = "the Host header is not a host and a port";

/// Checks that the request is meant for whom it is sent to (RFC 9112, section 3.2).
fn check_host(target: &Uri, host: Option<&str>, is_old: bool) -> Result<(), Fault> {
    let Some(host) = host else {
        let may_lack = is_old && target.authority().is_none();
        return if may_lack { Ok(()) } else { Err(Fault::Malformed(HOST_MISSING)) };
    };
    if !host.is_empty() {
        let is_valid = host.parse::<Authority>().is_ok_and(|host| !host.as_str().contains('@'));
        if !is_valid {
            return Err(Fault::Malformed(NO_HOST));
        }
    }
    match target.authority() {
        Some(authority) => check_same(authority, host),
        None => Ok(()),
    }
}

/// Said of a request that names nobody.
pub(super) const HOST_MISSING: &str = "a request needs a Host header: the host that it is sent to";

/// Checks that a target and a Host header name the same host.
pub(super) fn check_same(authority: &Authority, host: &str) -> Result<(), Fault> {
    // The port that plain HTTP has by default may be spelled out, or not.
    let plain = |name: &str| name.strip_suffix(":80").unwrap_or(name).to_ascii_lowercase();
    if plain(authority.as_str()) == plain(host) {
        return Ok(());
    }
    Err(Fault::Malformed("the address of the request names another host than its Host header"))
}

/// A number that is written in digits alone.
fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // What hyper keeps for itself at the upper end is no length either.
    std::str::from_utf8(value).ok()?.parse().ok().filter(|length| *length <= u64::MAX - 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use super::*;

    fn checked(head: &str) -> Result<BodyLength, Fault> {
        check(head.as_bytes())
    }

    #[test]
    fn a_head_tells_how_its_body_is_delimited() {
        for (head, length) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", BodyLength::Bytes(0)),
            ("GET / HTTP/1.0\r\n\r\n", BodyLength::Bytes(0)),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", BodyLength::Bytes(0)),
            ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", BodyLength::Bytes(0)),
            ("GET http://a:80/x HTTP/1.1\r\nhost: A\r\n\r\n", BodyLength::Bytes(0)),
            (
                "PUT / HTTP/1.1\r\nhost: [::1]:5\r\nCONTENT-length: 12 \r\n\r\n",
                BodyLength::Bytes(12),
            ),
            (
                "PUT / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
                BodyLength::Chunked,
            ),
        ] {
            assert_eq!(checked(head), Ok(length), "{head}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (head, said) in [
            (
                "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
                "both",
            ),
            (
                "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 1",
                "both",
            ),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1", "several"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1", "digits"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: +1", "digits"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: -1", "digits"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length:", "digits"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 18446744073709551615", "digits"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked", "chunked"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked", "chunked"),
            ("PUT / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked", "HTTP/1.0"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2", "one line"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx : 1", "colon"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx", "colon"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: 1\ry: 2", "controls"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: \0", "controls"),
            ("GET / HTTP/1.1\r\nhost: a\r\nx: \r", "controls"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\u{c}", "controls"),
            ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length:\u{b}1", "controls"),
            ("GET /\u{7f} HTTP/1.1\r\nhost: a", "begins with"),
            ("GET / HTTP/1.1", "needs a Host"),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: a", "several"),
            ("GET / HTTP/1.1\r\nhost: a b", "not a host"),
            ("GET / HTTP/1.1\r\nhost: user@a", "not a host"),
            ("GET http://b/ HTTP/1.1\r\nhost: a", "another host"),
            ("GET http://a.b/ HTTP/1.1\r\nhost: a", "another host"),
            ("GET http://b/ HTTP/1.0", "needs a Host"),
            ("GET  / HTTP/1.1\r\nhost: a", "begins with"),
            ("GET / HTTP/1.1 \r\nhost: a", "begins with"),
            ("GET / HTTP/2.0\r\nhost: a", "begins with"),
            ("GET /\r\nhost: a", "begins with"),
            ("G@T / HTTP/1.1\r\nhost: a", "begins with"),
            ("GET /<x> HTTP/1.1\r\nhost: a", "not a valid"),
            ("GET x HTTP/1.1\r\nhost: a", ""),
            ("CONNECT a:1 HTTP/1.1\r\nhost: a:1", "no proxy"),
        ] {
            let fault = checked(&format!("{head}\r\n\r\n"));
            let Err(Fault::Malformed(reason)) = fault else { panic!("{head}: {fault:?}") };
            assert!(reason.contains(said), "{head}: {reason}");
        }
    }

    #[test]
    fn long_targets_and_many_headers_are_told_apart() {
        let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(TARGET_BYTES_MAX));
        assert_eq!(checked(&long), Err(Fault::TargetTooLong));
        let many = "x: y\r\n".repeat(HEADERS_MAX);
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
        assert_eq!(checked(&many), Err(Fault::HeadTooLarge));
    }
}
