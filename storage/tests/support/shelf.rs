//! What a fake S3 holds, for tests in which it is wrong only now and then.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use proto::Checksum;

use crate::fake_s3::Request;
use crate::{no_such_key, ok};

/// Objects under names. They are as old as each other, and none comes in parts. Clones are the same
/// ones.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl Shelf {
    /// Puts an object there.
    pub(crate) fn put(&self, name: &str, bytes: &'static [u8]) {
        self.0.lock().unwrap().insert(name.to_owned(), Bytes::from_static(bytes));
    }

    /// Removes an object.
    pub(crate) fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    /// Does what a request asks for, and answers as S3 does, without checksums.
    pub(crate) fn answer(&self, request: &Request) -> Vec<u8> {
        let mut objects = self.0.lock().unwrap();
        let name = request.name();
        let found = objects.get(name);
        match &*request.method {
            "PUT" if !may_write(request, found) => {
                "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n".into()
            }
            "PUT" => {
                objects.insert(name.to_owned(), request.body.clone());
                let etag = etag(&request.body);
                format!("HTTP/1.1 200 OK\r\netag: {etag}\r\ncontent-length: 0\r\n\r\n").into()
            }
            "DELETE" => {
                objects.remove(name);
                "HTTP/1.1 204 No Content\r\n\r\n".into()
            }
            _ if request.is_list() => list(&objects, request.prefix()),
            _ if name.is_empty() => ok("<ListMultipartUploadsResult/>"),
            "HEAD" if found.is_none() => {
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into()
            }
            _ => found.map_or_else(no_such_key, |bytes| read(request, bytes)),
        }
    }
}

/// Whether what is there is as the conditions of a request say.
fn may_write(request: &Request, found: Option<&Bytes>) -> bool {
    let etag = found.map(|bytes| etag(bytes));
    match (request.header("if-match"), request.header("if-none-match")) {
        (Some(wanted), _) => etag.as_deref() == Some(wanted),
        (None, Some(_)) => found.is_none(),
        (None, None) => true,
    }
}

fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", Checksum::of(bytes))
}

/// The answer to a GET or HEAD of an object, or of a range of it.
fn read(request: &Request, whole: &Bytes) -> Vec<u8> {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
    let range = range.and_then(|range| range.split_once('-'));
    let (status, bytes) = match range {
        None => ("200 OK\r\n".to_owned(), whole.clone()),
        Some((start, end)) => {
            let [start, end] = [start, end].map(|at| at.parse::<usize>().unwrap());
            let bytes = whole.slice(start..whole.len().min(end + 1));
            let (last, all) = (start + bytes.len() - 1, whole.len());
            let range = format!("content-range: bytes {start}-{last}/{all}\r\n");
            (format!("206 Partial Content\r\n{range}"), bytes)
        }
    };
    let (etag, length) = (etag(whole), bytes.len());
    let head = format!("HTTP/1.1 {status}etag: {etag}\r\ncontent-length: {length}\r\n\r\n");
    let body: &[u8] = if request.method == "HEAD" { &[] } else { &bytes };
    [head.as_bytes(), body].concat()
}

fn list(objects: &BTreeMap<String, Bytes>, prefix: String) -> Vec<u8> {
    let mut page = String::from("<ListBucketResult>");
    for name in objects.keys().filter(|name| name.starts_with(&prefix)) {
        let time = "<LastModified>2026-01-01T00:00:00Z</LastModified>";
        write!(page, "<Contents><Key>{name}</Key>{time}</Contents>").unwrap();
    }
    page.push_str("</ListBucketResult>");
    ok(&page)
}
