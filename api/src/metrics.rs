//! The metrics of requests, sweeps and damaged objects, with labels of which there are only so
//! many.

use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry as Metrics;

/// Upper bounds of the latency buckets, in seconds: from a cached manifest to an upload that waited
/// for an election.
const LATENCY_BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Counts and latencies of requests. Clones share them.
#[derive(Clone)]
pub(crate) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    latencies: Family<LatencyLabels, Histogram, fn() -> Histogram>,
    swept: Counter,
    damaged: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LatencyLabels {
    route: &'static str,
    method: &'static str,
}

impl RequestMetrics {
    /// Metrics that `metrics` shows.
    pub(crate) fn register(metrics: &mut Metrics) -> Self {
        let requests = Family::default();
        let latencies: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS));
        metrics.register(
            "roadstead_http_requests",
            "Requests of the API, by endpoint, method and status",
            requests.clone(),
        );
        metrics.register(
            "roadstead_http_request_duration_seconds",
            "Time until the head of the answer was ready",
            latencies.clone(),
        );
        let swept = Counter::default();
        metrics.register(
            "roadstead_swept",
            "Uploads that nobody ended and objects that no fact named, which were removed",
            swept.clone(),
        );
        let damaged = Counter::default();
        metrics.register(
            "roadstead_damaged",
            "Objects found to hold other bytes than were pushed, or none that can be read",
            damaged.clone(),
        );
        Self { requests, latencies, swept, damaged }
    }

    /// Counts a request to `route` that was answered `status` after `latency`.
    pub(crate) fn observe(
        &self,
        route: &'static str,
        method: &Method,
        status: StatusCode,
        latency: Duration,
    ) {
        let method = label(method);
        let labels = RequestLabels { route, method, status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        let labels = LatencyLabels { route, method };
        self.latencies.get_or_create(&labels).observe(latency.as_secs_f64());
    }

    /// Counts what a sweep has freed.
    pub(crate) fn swept(&self, count: u64) {
        self.swept.inc_by(count);
    }

    /// Counts an object that was found damaged.
    pub(crate) fn found_damaged(&self) {
        self.damaged.inc();
    }
}

/// The method, or `other`: a client can make up as many as it likes.
fn label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
