//! A client of a registry: it logs in as docker does, follows redirects, and keeps its connections.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, WWW_AUTHENTICATE,
};
use http::{HeaderValue, Method, Request, StatusCode};
use rustls::ClientConfig;
use tokio_rustls::TlsConnector;

use crate::challenge::Challenge;
use crate::connection::{Connection, Reply, Taking};
use crate::content::Payload;
use crate::endpoint::Endpoint;
use crate::fault::Fault;

/// Redirects that are followed one after the other.
const REDIRECTS_MAX: usize = 4;
/// Manifests that the generator pushes and understands.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// Who asks, and whom they believe to be the registry.
#[derive(Clone)]
pub struct Access {
    /// Name and password, where the registry wants them.
    pub login: Option<(String, String)>,
    /// How TLS is spoken.
    pub tls: Arc<ClientConfig>,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    /// Where it goes, unless to the client's own node.
    server: Option<Endpoint>,
    path: String,
    scope: String,
    media_type: &'static str,
    payload: Payload,
    taking: Taking,
}

impl Call {
    /// A request about `repository` at `path`, which begins with `/`.
    pub(crate) fn new(method: Method, repository: &str, path: String) -> Self {
        Self {
            method,
            server: None,
            path,
            scope: format!("repository:{repository}:pull,push"),
            media_type: "application/octet-stream",
            payload: Payload::default(),
            taking: Taking::Count,
        }
    }

    /// A request about all repositories.
    pub(crate) fn of_catalog(path: String) -> Self {
        let scope = "registry:catalog:*".to_owned();
        Self { scope, ..Self::new(Method::GET, "", path) }
    }

    /// To another server than the client's own.
    pub(crate) fn to(self, server: Endpoint) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Sends `payload`.
    pub(crate) fn sending(self, payload: Payload) -> Self {
        Self { payload, ..self }
    }

    /// What it sends is of this type.
    pub(crate) fn of_type(self, media_type: &'static str) -> Self {
        Self { media_type, ..self }
    }

    /// Does this with the answer's body.
    pub(crate) fn taking(self, taking: Taking) -> Self {
        Self { taking, ..self }
    }
}

/// A client, which talks to one node unless that sends it elsewhere.
pub(crate) struct Client {
    access: Access,
    connector: TlsConnector,
    server: Endpoint,
    connections: Vec<(Endpoint, Connection)>,
    /// What goes into the header `Authorization`, for each scope.
    authorizations: HashMap<String, HeaderValue>,
}

impl Client {
    /// A client of the registry's node at `server`.
    pub(crate) fn new(server: Endpoint, access: Access) -> Self {
        let connector = TlsConnector::from(Arc::clone(&access.tls));
        let (connections, authorizations) = (Vec::new(), HashMap::new());
        Self { access, connector, server, connections, authorizations }
    }

    /// Sends `call`, and answers what has the status `wanted`.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(crate) async fn send(&mut self, call: Call, wanted: StatusCode) -> Result<Reply, Fault> {
        let server = call.server.as_ref().unwrap_or(&self.server).clone();
        let is_home = server == self.server;
        let known = self.authorizations.get(&call.scope).filter(|_| is_home).cloned();
        let mut reply = self.exchange(&server, &call, known).await?;
        if reply.head.status == StatusCode::UNAUTHORIZED && is_home {
            let authorization = self.authorize(&reply, &call).await?;
            reply = self.exchange(&server, &call, Some(authorization.clone())).await?;
            self.authorizations.insert(call.scope.clone(), authorization);
        }
        let mut redirects = 0;
        while is_redirect(reply.head.status) && redirects < REDIRECTS_MAX {
            let (server, path) = self.location(&reply)?;
            // What the registry may know, others may not.
            reply = self.exchange(&server, &Call { path, ..call.clone() }, None).await?;
            redirects += 1;
        }
        if reply.head.status == wanted { Ok(reply) } else { Err(refusal(&call, &reply)) }
    }

    /// Where the answer's header `Location` leads.
    pub(crate) fn location(&self, reply: &Reply) -> Result<(Endpoint, String), Fault> {
        let location = reply.head.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| self.server.resolve(location));
        target.ok_or(Fault::Wrong("an answer without a usable Location"))
    }

    /// What the challenge in `reply` asks for.
    async fn authorize(&mut self, reply: &Reply, call: &Call) -> Result<HeaderValue, Fault> {
        let challenges = reply.head.headers.get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = challenges.filter_map(|value| Challenge::parse(value.to_str().ok()?));
        let (realm, service) = match challenges.next() {
            Some(Challenge::Bearer { realm, service }) => (realm, service),
            Some(Challenge::Basic) => {
                return self.basic().ok_or_else(|| refusal(call, reply));
            }
            None => return Err(refusal(call, reply)),
        };
        let unusable = Fault::Wrong("a challenge with an unusable realm");
        let (server, path) = self.server.resolve(&realm).ok_or(unusable)?;
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{joint}{}", question(&call.scope, service.as_deref()));
        let question = Call::new(Method::GET, "", path).taking(Taking::Keep);
        let answer = self.exchange(&server, &question, self.basic()).await?;
        if answer.head.status != StatusCode::OK {
            return Err(refusal(&question, &answer));
        }
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = answer["token"].as_str().or_else(|| answer["access_token"].as_str());
        let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        value.ok_or(Fault::Wrong("a token server's answer without a token"))
    }

    /// The login as a header.
    fn basic(&self) -> Option<HeaderValue> {
        let (name, password) = self.access.login.as_ref()?;
        let encoded = BASE64_STANDARD.encode(format!("{name}:{password}"));
        HeaderValue::try_from(format!("Basic {encoded}")).ok()
    }

    async fn exchange(
        &mut self,
        server: &Endpoint,
        call: &Call,
        authorization: Option<HeaderValue>,
    ) -> Result<Reply, Fault> {
        let mut builder = Request::builder()
            .method(&call.method)
            .uri(&call.path)
            .header(HOST, server.authority())
            .header(ACCEPT, HeaderValue::from_static(MANIFESTS));
        if call.payload.len() > 0 {
            builder = builder.header(CONTENT_TYPE, HeaderValue::from_static(call.media_type));
        } else if matches!(call.method, Method::POST | Method::PUT) {
            builder = builder.header(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let request = builder.body(call.payload.clone());
        let request = request.map_err(|_| Fault::Wrong("an address that cannot be asked for"))?;
        // Taken out while it is in use: one that breaks, or is left half way, is not put back.
        let mut connection = self.connection(server).await?;
        let reply = connection.exchange(request, call.taking).await?;
        if connection.is_open() {
            self.connections.push((server.clone(), connection));
        }
        Ok(reply)
    }

    async fn connection(&mut self, server: &Endpoint) -> Result<Connection, Fault> {
        let kept = self.connections.iter().position(|(other, _)| other == server);
        if let Some((_, connection)) = kept.map(|kept| self.connections.swap_remove(kept))
            && connection.is_open()
        {
            return Ok(connection);
        }
        Connection::open(server, &self.connector).await
    }
}

/// The query that asks for a token.
fn question(scope: &str, service: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("scope", scope);
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    query.finish()
}

const fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FOUND | StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
    )
}

/// The fault that `reply` is, with the OCI code in its body.
fn refusal(call: &Call, reply: &Reply) -> Fault {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = body["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
    let (method, path) = (call.method.clone(), call.path.clone());
    Fault::Status { method, path, status: reply.head.status, code }
}
