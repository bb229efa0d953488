//! What can be done: start, stop, call.

use std::collections::HashSet;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use process_hub::{CallError, JsonError, StartError, StopError};
use process_hub::{Hub, NodeHandle};
use process_hub_core::id::{ChildId, Kind, NodeId};
use process_hub_core::request::{self, ChildFailure, StopResult, Target};
use process_hub_core::spec::ChildSpec;
use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::steer::node_id;
use super::{child_id, encode, hub, unknown_child};
use crate::api::{Initiated, Mapping, NewChild, StartBody, StopBody};

const USUAL_WAIT: Duration = Duration::from_secs(10);
const USUAL_CALL: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// What can be said in the query of a request about one child.
#[derive(Deserialize)]
pub(super) struct Wait {
    pub(super) timeout_ms: Option<u64>,
    #[serde(rename = "await")]
    wait: Option<bool>,
}

pub(super) async fn start(
    State(node): State<NodeHandle>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Json<StartBody>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (Path(name), Json(body)) = (path?, body?);
    let hub = hub(&node, &name)?;
    let specs = specs(&hub, &body.children)?;
    let mut start = hub.start_children(specs);
    if let Some(nodes) = &body.child_mapping {
        start = start.child_mapping(mapping(nodes)?);
    }
    let start = start
        .on_failure(body.on_failure)
        .check_existing(body.check_existing)
        .disable_logging(body.disable_logging)
        .timeout(wait_of(body.timeout_ms, USUAL_WAIT));
    if !body.wait {
        start.initiate().await.map_err(|error| start_refused(&error))?;
        return Ok(initiated());
    }
    let result = start.await.map_err(|error| start_refused(&error))?;
    Ok(Json(encode::start_result(&result)).into_response())
}

pub(super) async fn stop(
    State(node): State<NodeHandle>,
    path: Result<Path<String>, PathRejection>,
    body: Result<Json<StopBody>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (Path(name), Json(body)) = (path?, body?);
    let hub = hub(&node, &name)?;
    let ids = body.ids.iter().map(|id| child_id(id)).collect::<Result<Vec<_>, _>>()?;
    if let Some(id) = first_repeated(&ids) {
        return Err(ApiError::bad("duplicate_id", format!("`{id}` stands twice in the batch"), "name each child once"));
    }
    match stop_ids(&hub, ids, body.wait, body.timeout_ms).await? {
        None => Ok(initiated()),
        Some(result) => Ok(Json(encode::stop_result(&result)).into_response()),
    }
}

pub(super) async fn stop_one(
    State(node): State<NodeHandle>,
    path: Result<Path<(String, String)>, PathRejection>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (Path((name, id)), Query(wait)) = (path?, wait?);
    let (hub, id) = (hub(&node, &name)?, child_id(&id)?);
    match stop_ids(&hub, vec![id.clone()], wait.wait.unwrap_or(true), wait.timeout_ms).await? {
        None => Ok(initiated()),
        Some(result) if result.errors.iter().any(|error| error.reason == ChildFailure::NotFound) => {
            Err(unknown_child(&hub, &id))
        }
        Some(result) => Ok(Json(encode::stop_result(&result)).into_response()),
    }
}

pub(super) async fn call(
    State(node): State<NodeHandle>,
    path: Result<Path<(String, String)>, PathRejection>,
    wait: Result<Query<Wait>, QueryRejection>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let (Path((name, id)), Query(wait), Json(message)) = (path?, wait?, body?);
    let (hub, id) = (hub(&node, &name)?, child_id(&id)?);
    let spec = hub.child_lookup(&id).and_then(|lookup| lookup.spec).ok_or_else(|| unknown_child(&hub, &id))?;
    let payload = hub.message_from_json(&spec.kind, &message).map_err(|error| json_refused("bad_message", &error))?;
    let timeout = wait_of(wait.timeout_ms, USUAL_CALL);
    let reply = hub.call_raw(Target::Child(id), payload, timeout).await.map_err(|error| call_failed(&error))?;
    let reply = hub.reply_to_json(&spec.kind, &reply);
    reply.map(Json).map_err(|error| {
        let hint = "the child's node and this one know different versions of its kind; it has handled the message";
        ApiError::new(StatusCode::BAD_GATEWAY, "bad_reply", error, hint)
    })
}

/// Recipes, from JSON. The whole batch is refused if one makes no sense.
pub(crate) fn specs(hub: &Hub, children: &[NewChild]) -> Result<Vec<ChildSpec>, ApiError> {
    let specs = children.iter().map(|child| spec(hub, child)).collect::<Result<Vec<_>, _>>()?;
    match first_repeated(specs.iter().map(|spec| &spec.id)) {
        None => Ok(specs),
        Some(id) => Err(ApiError::bad(
            "duplicate_id",
            format!("`{id}` stands twice in the batch"),
            "give each child an id of its own; nothing was started",
        )),
    }
}

/// The nodes of each child of a guided hub.
pub(crate) fn mapping(mapping: &Mapping) -> Result<Vec<(ChildId, Vec<NodeId>)>, ApiError> {
    let nodes = |(id, nodes): (&String, &Vec<String>)| {
        Ok((child_id(id)?, nodes.iter().map(|node| node_id(node)).collect::<Result<Vec<_>, ApiError>>()?))
    };
    mapping.iter().map(nodes).collect()
}

fn spec(hub: &Hub, child: &NewChild) -> Result<ChildSpec, ApiError> {
    let id = child_id(&child.id)?;
    let kind = Kind::new(&child.kind).map_err(|error| ApiError::worded(StatusCode::BAD_REQUEST, "bad_kind", &error))?;
    let args = hub.json_args(&kind, &child.args).map_err(|error| json_refused("bad_args", &error))?;
    let spec = ChildSpec::new(id, kind, args).restart(child.restart).metadata(encode::metadata_in(&child.metadata));
    Ok(spec.requires(&child.requires))
}

async fn stop_ids(
    hub: &Hub,
    ids: Vec<ChildId>,
    wait: bool,
    timeout_ms: Option<u64>,
) -> Result<Option<StopResult>, ApiError> {
    let stop = hub.stop_children(ids).timeout(wait_of(timeout_ms, USUAL_WAIT));
    if !wait {
        stop.initiate().await.map_err(|error| stop_refused(&error))?;
        return Ok(None);
    }
    stop.await.map(Some).map_err(|error| stop_refused(&error))
}

fn first_repeated<'a>(ids: impl IntoIterator<Item = &'a ChildId>) -> Option<&'a ChildId> {
    let mut seen = HashSet::new();
    ids.into_iter().find(|id| !seen.insert(*id))
}

pub(super) fn wait_of(asked_ms: Option<u64>, usual: Duration) -> Duration {
    asked_ms.map_or(usual, Duration::from_millis).min(LONGEST_WAIT)
}

fn initiated() -> Response {
    Json(Initiated { status: "initiated".to_owned() }).into_response()
}

pub(super) fn closed() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "closed", "this node was shut down", "ask another one")
}

fn start_refused(error: &StartError) -> ApiError {
    use request::StartError as Why;
    let StartError::Refused(why) = error else { return closed() };
    let code = match why {
        Why::NoChildren => "no_children",
        Why::AlreadyStarted(_) => "already_started",
        Why::TooLarge { .. } => "too_large",
        Why::MissingChildMapping(_) => "missing_child_mapping",
        Why::InvalidChildMapping(_) => "invalid_child_mapping",
        Why::ChildMappingMismatch(_) => "child_mapping_mismatch",
        Why::ChildReplicationMismatch { .. } => "child_replication_mismatch",
        Why::UnknownHub(_) => "unknown_hub",
        Why::Locked(_) => "locked",
        Why::Leaving => "leaving",
        Why::Overloaded(_) => "overloaded",
        _ => "refused",
    };
    ApiError::worded(status_of(code), code, why)
}

fn stop_refused(error: &StopError) -> ApiError {
    use request::StopError as Why;
    let StopError::Refused(why) = error else { return closed() };
    let code = match why {
        Why::NoChildren => "no_children",
        Why::UnknownHub(_) => "unknown_hub",
        Why::Locked(_) => "locked",
        Why::Leaving => "leaving",
        Why::Overloaded(_) => "overloaded",
        _ => "refused",
    };
    ApiError::worded(status_of(code), code, why)
}

/// The status of a batch that was refused.
fn status_of(code: &str) -> StatusCode {
    match code {
        "no_children" | "too_large" => StatusCode::BAD_REQUEST,
        "missing_child_mapping" | "invalid_child_mapping" => StatusCode::BAD_REQUEST,
        "child_mapping_mismatch" | "child_replication_mismatch" => StatusCode::BAD_REQUEST,
        "unknown_hub" => StatusCode::NOT_FOUND,
        "locked" | "leaving" | "overloaded" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    }
}

fn call_failed(error: &CallError) -> ApiError {
    use request::CallError as Why;
    let why = match error {
        CallError::Refused(why) => why,
        CallError::Codec(codec) => return ApiError::worded(StatusCode::BAD_REQUEST, "bad_message", codec),
        _ => return closed(),
    };
    let (status, code) = match why {
        Why::NotFound(_) => (StatusCode::NOT_FOUND, "unknown_child"),
        Why::UnknownHub(_) => (StatusCode::NOT_FOUND, "unknown_hub"),
        Why::Locked(_) => (StatusCode::SERVICE_UNAVAILABLE, "locked"),
        Why::Overloaded(_) => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Why::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Why::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
        Why::Gone(_) => (StatusCode::BAD_GATEWAY, "gone"),
        Why::Failed(..) => (StatusCode::INTERNAL_SERVER_ERROR, "child_failed"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
    };
    match why {
        // Their words hold no advice.
        Why::Timeout(_) | Why::Gone(_) => {
            ApiError::new(status, code, why, "read the child's state before you repeat it")
        }
        Why::Failed(..) => ApiError::new(status, code, why, "see the log of the child's node"),
        _ => ApiError::worded(status, code, why),
    }
}

fn json_refused(code: &'static str, error: &JsonError) -> ApiError {
    match error {
        JsonError::UnknownKind { kind, known } => {
            let hint = format!("this node knows {known}; nothing was done");
            ApiError::bad("unknown_kind", format!("unknown kind `{kind}`"), hint)
        }
        other => ApiError::bad(code, other, "see the kind's manual for what it takes; nothing was done"),
    }
}
