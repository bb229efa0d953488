//! The admin API: HTTP and JSON, for operators and their programs.
//!
//! Malformed requests are 4xx; what was carried out is 200 with its own status inside; an unknown hub or child is 404,
//! a locked hub 503, a deadline 504. Every error is `{"error":{"code","message","hint"}}`.

mod encode;
mod error;
mod guard;
mod read;
mod steer;
mod write;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use process_hub::{Hub, NodeHandle};
use process_hub_core::id::{ChildId, HubId};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::args::NodeArgs;
use crate::failure::{Failure, Outcome};
use crate::secret;
use error::ApiError;
use guard::{Guard, guard, is_loopback};
pub(crate) use write::{mapping, specs};

/// The largest body of a request, in bytes: a hundred thousand children with arguments of a few hundred bytes.
const LARGEST_BODY: usize = 64 << 20;
/// How long requests in flight may take when the node ends.
const LAST_CALL: Duration = Duration::from_secs(1);

/// A bound socket, and what a request must show.
pub(crate) struct Bound {
    listener: TcpListener,
    guard: Guard,
    pub(crate) addr: SocketAddr,
}

/// A running API.
pub(crate) struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Takes the address, so that a taken port is found before the node starts. `None` if the API is off.
pub(crate) async fn bind(args: &NodeArgs) -> Outcome<Option<Bound>> {
    let Some(wanted) = address(&args.admin) else { return Ok(None) };
    let token = args.admin_token_file.as_deref().map(secret::token).transpose()?;
    let cannot = |error: std::io::Error| {
        Failure::failed(format!("cannot serve the admin API at {wanted}: {error}"))
            .hint("choose an address of this machine and a free port with --admin, or --admin off")
    };
    let no_address = |error: std::io::Error| {
        Failure::usage(format!("--admin {wanted} is no address ({error})")).hint("give a port, HOST:PORT, or off")
    };
    let addrs: Vec<SocketAddr> = tokio::net::lookup_host(&wanted).await.map_err(no_address)?.collect();
    let open = addrs.iter().any(|addr| !is_loopback(addr));
    if open && token.is_none() {
        return Err(Failure::usage(format!("--admin {wanted} is not a loopback address, and there is no token"))
            .hint("give --admin-token-file FILE, or serve at 127.0.0.1"));
    }
    let weakness = args.admin_token_file.as_deref().zip(token.as_ref());
    match weakness.and_then(|(path, token)| secret::token_weakness(path, token)) {
        Some(weakness) if open => {
            return Err(Failure::usage(weakness).hint("beyond loopback, the token must be hard to guess"));
        }
        Some(weakness) => tracing::warn!("{weakness}"),
        None => {}
    }
    let listener = TcpListener::bind(addrs.as_slice()).await.map_err(cannot)?;
    let addr = listener.local_addr().map_err(cannot)?;
    Ok(Some(Bound { listener, guard: Guard::new(&args.admin_host, token), addr }))
}

/// Begins to answer.
pub(crate) fn serve(bound: Bound, node: NodeHandle) -> Serving {
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = bound.listener.tap_io(|stream| {
        // Without it, answers wait for the other end's acknowledgement; a failure costs only that.
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router(node, bound.guard)).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the admin API ended");
        }
    });
    Serving { stop, task }
}

impl Serving {
    /// Answers what was asked, and ends.
    pub(crate) async fn stop(mut self) {
        let _ = self.stop.send(());
        if tokio::time::timeout(LAST_CALL, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

fn router(node: NodeHandle, checks: Guard) -> Router {
    let children = post(write::start).delete(write::stop);
    let child = get(read::child).delete(write::stop_one);
    Router::new()
        .route("/v1/health", get(read::health))
        .route("/v1/members", get(read::members))
        .route("/v1/hubs", get(read::hubs))
        .route("/v1/hubs/{hub}/registry", get(read::registry))
        .route("/v1/hubs/{hub}/children", children)
        .route("/v1/hubs/{hub}/children/{id}", child)
        .route("/v1/hubs/{hub}/children/{id}/call", post(write::call))
        .route("/v1/hubs/{hub}/children/{id}/explain", get(steer::explain))
        .route("/v1/hubs/{hub}/children/{id}/migrate", post(steer::migrate))
        .merge(steering())
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(Arc::new(checks), guard))
        .with_state(node)
}

/// What an operator does about the nodes of a hub.
fn steering() -> Router<NodeHandle> {
    Router::new()
        .route("/v1/hubs/{hub}/steering", get(steer::steering))
        .route("/v1/hubs/{hub}/plan", post(steer::plan))
        .route("/v1/hubs/{hub}/cordon", post(steer::cordon))
        .route("/v1/hubs/{hub}/uncordon", post(steer::uncordon))
        .route("/v1/hubs/{hub}/drain", post(steer::drain))
        .route("/v1/hubs/{hub}/undrain", post(steer::undrain))
        .route("/v1/hubs/{hub}/leave", post(steer::leave))
        .route("/v1/hubs/{hub}/pause", post(steer::pause))
        .route("/v1/hubs/{hub}/resume", post(steer::resume))
        .route("/v1/hubs/{hub}/weight", post(steer::weight))
        .route("/v1/hubs/{hub}/labels", post(steer::labels))
        .route("/v1/hubs/{hub}/forget", post(steer::forget))
        .route("/v1/hubs/{hub}/cluster-size", post(steer::cluster_size))
}

async fn no_such_route(uri: Uri) -> ApiError {
    let hint = "the routes are /v1/health, /v1/members, /v1/hubs; /registry, /children, /steering, /plan, /cordon, \
                /uncordon, /drain, /undrain, /leave, /pause, /resume, /weight, /labels, /forget, /cluster-size under \
                /v1/hubs/{hub}; /call, /explain, /migrate under /v1/hubs/{hub}/children/{id}";
    ApiError::not_found("unknown_route", format!("there is nothing at {}", uri.path()), hint)
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not know the method {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message, "the allow header names those it knows")
}

/// The hub of that name.
fn hub(node: &NodeHandle, name: &str) -> Result<Hub, ApiError> {
    let id = HubId::new(name).map_err(|error| ApiError::worded(StatusCode::BAD_REQUEST, "bad_name", &error))?;
    node.get_hub(&id).ok_or_else(|| {
        let names: Vec<String> = node.hubs().iter().map(|hub| hub.id().to_string()).collect();
        let hint = format!("it takes part in: {}", names.join(", "));
        ApiError::not_found("unknown_hub", format!("this node does not take part in hub `{name}`"), hint)
    })
}

/// A child's name.
fn child_id(text: &str) -> Result<ChildId, ApiError> {
    ChildId::new(text).map_err(|error| ApiError::worded(StatusCode::BAD_REQUEST, "bad_id", &error))
}

fn unknown_child(hub: &Hub, id: &ChildId) -> ApiError {
    let hint = if hub.is_locked() {
        "the hub is locked on this node, which may be out of date: ask one that has its quorum"
    } else {
        "start it first"
    };
    ApiError::not_found("unknown_child", format!("hub `{}` has no child `{id}`", hub.id()), hint)
}

/// Where to serve: `off`, a port, or a host and a port.
fn address(text: &str) -> Option<String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    if text == "off" {
        None
    } else if port.parse::<u16>().is_ok() {
        Some(format!("127.0.0.1:{port}"))
    } else {
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (text, addr) in [
            ("off", None),
            ("7501", Some("127.0.0.1:7501")),
            (":0", Some("127.0.0.1:0")),
            ("10.0.0.1:7501", Some("10.0.0.1:7501")),
            ("[::1]:7501", Some("[::1]:7501")),
        ] {
            assert_eq!(address(text).as_deref(), addr);
        }
    }
}
