//! The host that the store runs on: HTTP, and what goes wrong on the way to the store and back.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError};
use tokio::time::{Instant, sleep};
use turmoil::net::TcpListener;

use super::faults::{Asked, Fate};
use super::left::wholes;
use super::{ACCESS_KEY, BUCKET, PORT, SECRET_KEY, SimS3};

/// Between two looks whether the store is itself again.
const GLANCE: Duration = Duration::from_millis(20);

impl SimS3 {
    /// Runs the store, for as long as its host runs.
    pub(crate) async fn serve(self) -> turmoil::Result {
        let mut builder = S3ServiceBuilder::new(self.clone());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let (store, service) = (self.clone(), service.clone());
            let answer = service_fn(move |request| answer(store.clone(), service.clone(), request));
            let mut connection = http1::Builder::new();
            connection.timer(TokioTimer::new()).auto_date_header(false);
            let connection = connection.serve_connection(TokioIo::new(stream), answer);
            // How it ends is up to the client, and to what goes wrong.
            tokio::spawn(connection);
        }
    }
}

/// Answers a request, or ends its connection.
async fn answer(
    store: SimS3,
    service: S3Service,
    request: Request<Incoming>,
) -> Result<Response<Body>, HttpError> {
    let (head, body) = request.into_parts();
    // What does not arrive whole has no effect.
    let body = body.collect().await.map_err(|error| HttpError::new(error.into()))?.to_bytes();
    let request = Request::from_parts(head, Body::from(body));
    let (takes, fate, name) = store.fate(&request);
    sleep(takes).await;
    store.count(name);
    if fate != Fate::Done {
        store.count("calls to the object store that failed");
    }
    match fate {
        Fate::Done => call(&service, request).await,
        Fate::Refused(status, code) => Ok(refusal(status, code)),
        Fate::Cut => {
            store.end_of_silence().await;
            Err(cut())
        }
        Fate::DoneUnheard => {
            call(&service, request).await?;
            Err(cut())
        }
        Fate::DoneRefused => {
            call(&service, request).await?;
            Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
        }
        Fate::BrokenOff => {
            let (head, bytes) = whole(call(&service, request).await?).await?;
            let kept = bytes.slice(..store.mood().place(bytes.len()));
            let frames = [Ok(Frame::data(kept)), Err(io::Error::from(io::ErrorKind::BrokenPipe))];
            let body = StreamBody::new(stream::iter(frames));
            Ok(Response::from_parts(head, Body::http_body(body)))
        }
        Fate::Changed => {
            let (head, bytes) = whole(call(&service, request).await?).await?;
            let mut bytes = BytesMut::from(bytes);
            let place = store.mood().place(bytes.len());
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1;
            }
            Ok(Response::from_parts(head, Body::from(bytes.freeze())))
        }
        Fate::ErrorIn200(is_done) => {
            if is_done {
                call(&service, request).await?;
            }
            Ok(refusal(StatusCode::OK, "InternalError"))
        }
        Fate::Late(late) => {
            // It is on its way, whether or not its client still waits.
            let coming = tokio::spawn(async move {
                store.passes(late).await;
                call(&service, request).await
            });
            let _ = coming.await;
            Err(cut())
        }
    }
}

impl SimS3 {
    /// How long a request takes, what becomes of it, and the name under which that is counted.
    fn fate(&self, request: &Request<Body>) -> (Duration, Fate, &'static str) {
        let asked = Asked::by(request);
        let (takes, (fate, name)) = {
            let mut mood = self.mood();
            (mood.takes(), mood.fate(asked))
        };
        let is_changed_part = fate == Fate::Changed && asked == Asked::Range;
        if is_changed_part && !self.may_change(request.uri().path()) {
            return (takes, Fate::Done, "S3: requests answered");
        }
        (takes, fate, name)
    }

    /// Whether a byte may be another in a part of what is at `path`: of each blob once, so that the
    /// node which reads it again must find that it is whole.
    fn may_change(&self, path: &str) -> bool {
        let name = path.strip_prefix('/').and_then(|path| path.strip_prefix(BUCKET));
        let Some(name) = name.and_then(|name| name.strip_prefix('/')) else { return false };
        let bucket = self.bucket();
        bucket.get(name).is_ok() && self.mood().may_change(wholes(&bucket, name))
    }

    /// Waits while the store is away and silent.
    async fn end_of_silence(&self) {
        while {
            let mood = self.mood();
            mood.is_away && mood.is_silent
        } {
            sleep(GLANCE).await;
        }
    }

    /// Waits for `time`, or until nothing is wrong any more.
    async fn passes(&self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.mood().is_over {
            sleep(GLANCE).await;
        }
    }
}

async fn call(service: &S3Service, request: Request<Body>) -> Result<Response<Body>, HttpError> {
    service.call(request).await
}

async fn whole(answer: Response<Body>) -> Result<(http::response::Parts, Bytes), HttpError> {
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.map_err(HttpError::new)?.to_bytes();
    Ok((head, bytes))
}

/// An error as S3 writes it.
fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>simulated</Message></Error>"
    );
    let mut answer = Response::new(Body::from(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
}

fn cut() -> HttpError {
    HttpError::new("the connection is cut".into())
}
