//! The control thread: takes HTTP connections and gives them to the routes.
//!
//! Invariant: at most [`CONNECTIONS_MAX`] connections at once; one that sends no head of a request within [`HEAD_MAX`] is closed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::collect::Collector;
use super::pulse::{Pulse, Pulses};
use super::report::Ask;
use super::routes::{Site, router};
use super::{HttpPlan, LogLevel, Progress};

/// Scrapers, probes and people; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take to send the head of its next request, the first one included: who only connects, or sends a byte
/// now and then, holds a place of probes and scrapers no longer.
const HEAD_MAX: Duration = Duration::from_secs(5);
/// A connection is told to end after this time, and cut off a little later: a reader that takes nothing keeps its place no longer.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
const ENDING_MAX: Duration = Duration::from_secs(10);
/// Pause after an accept that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(
        "no HTTP on {addr}: {source}; give `admin.listen` another address, or --set admin.listen= to do without metrics and \
         health"
    )]
    Address { addr: SocketAddr, source: io::Error },
    #[error("the control thread could not be started: {0}")]
    Thread(io::Error),
}

/// Starts the control thread; answers where it listens. `cores` are asked for reports, one channel for each, and `pulses` say
/// that they live.
pub fn start(
    plan: HttpPlan,
    cores: Vec<flume::Sender<Ask>>,
    pulses: Vec<Pulse>,
    level: LogLevel,
    progress: Progress,
) -> Result<SocketAddr, HttpError> {
    let failed = |source| HttpError::Address { addr: plan.addr, source };
    let listener = TcpListener::bind(plan.addr).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(HttpError::Thread)?;
    let run = move || {
        runtime.block_on(async {
            let busiest = Collector::start(cores.clone(), Ask::Busiest);
            let reports = Collector::start(cores, Ask::Report);
            let pulses = Pulses::new(pulses);
            accept(listener, Arc::new(Site { plan, reports, busiest, level, progress, pulses })).await
        });
    };
    std::thread::Builder::new().name("control".to_owned()).spawn(run).map_err(HttpError::Thread)?;
    Ok(addr)
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "HTTP is not served: the socket cannot be waited for"),
    };
    let service = TowerToHyperService::new(router(site));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = service.clone();
                tokio::spawn(async move {
                    serve(stream, service).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "no HTTP connection could be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, service: TowerToHyperService<axum::Router>) {
    match timeout(HEAD_MAX, stream.readable()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return tracing::debug!(%error, "an HTTP connection broke"),
        Err(_) => return,
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = match timeout(CONNECTION_MAX, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            timeout(ENDING_MAX, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}
