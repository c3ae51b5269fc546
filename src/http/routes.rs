//! Paths and their answers. Control thread only.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

use super::collect::{Collector, Round};
use super::health::{self, Life};
use super::pulse::Pulses;
use super::report::{Busiest, CoreReport};
use super::{HttpPlan, LogLevel, Progress, busiest, dashboard, log_level, metrics, slow, stages};

/// The one body that is read is a level's name.
const BODY_BYTES_MAX: usize = 1024;

const JSON: &str = "application/json";

const PATHS: &str = "\
/livez          the process works
/readyz         clients may come; if not, why, by core
/metrics        for Prometheus
/v1/stages      where the time goes, by core and stage
/v1/stages/buckets  the same with what their histograms hold
/v1/partitions  the busiest of each core
/v1/clients     the busiest of each core
/v1/slow        the last slow requests, with their stages
/v1/config      settings in force
/v1/dashboard   for Grafana, to import as it is
/v1/log-level   GET, and PUT with error, warn, info, debug or trace
";

pub struct Site {
    pub plan: HttpPlan,
    pub reports: Collector<CoreReport>,
    pub busiest: Collector<Busiest>,
    pub level: LogLevel,
    pub progress: Progress,
    pub pulses: Pulses,
}

impl Site {
    async fn ask(&self) -> (Arc<Round>, Life) {
        (self.reports.round().await, self.progress.life())
    }
}

pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(|| async { PATHS }))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/stages", get(stages))
        .route("/v1/stages/buckets", get(buckets))
        .route("/v1/partitions", get(partitions))
        .route("/v1/clients", get(clients))
        .route("/v1/slow", get(slow))
        .route("/v1/config", get(config))
        .route("/v1/dashboard", get(dashboard))
        .route("/v1/log-level", get(level).put(set_level))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(site)
}

async fn live(State(site): State<Arc<Site>>) -> Response {
    healthy(health::live(&site.pulses.silent(Instant::now()), site.progress.life()))
}

async fn ready(State(site): State<Arc<Site>>) -> Response {
    let (round, life) = site.ask().await;
    healthy(health::ready(&round, life))
}

async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let (round, life) = site.ask().await;
    let text = metrics::text(&round, health::ready(&round, life).0, &site.plan.data_dir);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn stages(State(site): State<Arc<Site>>) -> Response {
    let (round, _) = site.ask().await;
    json(StatusCode::OK, &stages::answer(&round))
}

async fn buckets(State(site): State<Arc<Site>>) -> Response {
    let (round, _) = site.ask().await;
    // For programs, which may ask while something is measured: with line breaks and spaces it would be several times as long.
    let told = stages::with_buckets(&round, &site.plan.cluster_id);
    ([(header::CONTENT_TYPE, JSON)], format!("{told}\n")).into_response()
}

async fn partitions(State(site): State<Arc<Site>>) -> Response {
    let round = site.busiest.round().await;
    json(StatusCode::OK, &busiest::partitions(&round))
}

async fn clients(State(site): State<Arc<Site>>) -> Response {
    let round = site.busiest.round().await;
    json(StatusCode::OK, &busiest::clients(&round))
}

async fn slow(State(site): State<Arc<Site>>) -> Response {
    let (round, _) = site.ask().await;
    json(StatusCode::OK, &slow::answer(&round))
}

async fn config(State(site): State<Arc<Site>>) -> Response {
    json(StatusCode::OK, &site.plan.config)
}

async fn dashboard() -> Response {
    ([(header::CONTENT_TYPE, JSON)], dashboard::JSON).into_response()
}

async fn level() -> Response {
    json(StatusCode::OK, &json!({ "level": LevelFilter::current().to_string() }))
}

async fn set_level(State(site): State<Arc<Site>>, body: Bytes) -> Response {
    let named = std::str::from_utf8(&body).ok().and_then(|text| log_level::named(text.trim()));
    let Some(wanted) = named else {
        let why = "the body must be one of error, warn, info, debug, trace";
        return json(StatusCode::BAD_REQUEST, &json!({ "error": why }));
    };
    match site.level.set(wanted) {
        Ok(()) => level().await,
        Err(e) => json(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": e.to_string() })),
    }
}

fn healthy((good, told): (bool, Value)) -> Response {
    json(if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &told)
}

fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], format!("{value:#}\n")).into_response()
}
