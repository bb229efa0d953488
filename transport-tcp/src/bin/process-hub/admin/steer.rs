//! What an operator can do about where children run, and ask about it.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use process_hub::{Hub, LeaveHubError, NodeHandle, ResetError, SteerError};
use process_hub_core::id::NodeId;
use process_hub_core::request::{ResetError as NoReset, Status};
use process_hub_core::steering::{Change, Explanation, Obstacle, Plan, Rule, SteerError as Why};

use super::error::ApiError;
use super::write::{Wait, closed, wait_of};
use super::{child_id, hub};
use crate::api::steering::{
    CopyRow, Done, DrainedRow, ExplanationRow, ForgetBody, LabelsBody, MigrateBody, MigratedRow, NodeRow, ObstacleRow,
    PlanBody, RuleRow, SizeBody, SteeringRow, WeightBody,
};

/// How long a move is waited for, if the request does not say.
const USUAL_MOVE: Duration = Duration::from_secs(10);
/// How long a drain is waited for, if the request does not say.
const USUAL_DRAIN: Duration = Duration::from_secs(60);

type Named = Result<Path<String>, PathRejection>;
type Body<T> = Result<Json<T>, JsonRejection>;

pub(super) async fn steering(State(node): State<NodeHandle>, path: Named) -> Result<Json<SteeringRow>, ApiError> {
    let Path(name) = path?;
    let hub = hub(&node, &name)?;
    let steering = hub.steering();
    let nodes = steering.nodes.iter().map(|(name, steering)| {
        let labels = steering.labels.iter().map(ToString::to_string).collect();
        let row = NodeRow { weight: steering.weight, labels, cordoned: steering.cordoned, draining: steering.draining };
        (name.to_string(), row)
    });
    let concurrent_moves = hub.config().concurrent_moves;
    Ok(Json(SteeringRow { paused: steering.paused, concurrent_moves, nodes: nodes.collect() }))
}

pub(super) async fn cordon(State(node): State<NodeHandle>, path: Named) -> Result<Json<Done>, ApiError> {
    done(&node, path, async |hub| hub.cordon().await).await
}

pub(super) async fn uncordon(State(node): State<NodeHandle>, path: Named) -> Result<Json<Done>, ApiError> {
    done(&node, path, async |hub| hub.uncordon().await).await
}

pub(super) async fn undrain(State(node): State<NodeHandle>, path: Named) -> Result<Json<Done>, ApiError> {
    done(&node, path, async |hub| hub.undrain().await).await
}

pub(super) async fn pause(State(node): State<NodeHandle>, path: Named) -> Result<Json<Done>, ApiError> {
    done(&node, path, async |hub| hub.pause().await).await
}

pub(super) async fn resume(State(node): State<NodeHandle>, path: Named) -> Result<Json<Done>, ApiError> {
    done(&node, path, async |hub| hub.resume().await).await
}
pub(super) async fn weight(
    State(node): State<NodeHandle>,
    path: Named,
    body: Body<WeightBody>,
) -> Result<Json<Done>, ApiError> {
    let Json(body) = body?;
    done(&node, path, async |hub| hub.set_weight(body.weight).await).await
}

pub(super) async fn labels(
    State(node): State<NodeHandle>,
    path: Named,
    body: Body<LabelsBody>,
) -> Result<Json<Done>, ApiError> {
    let Json(body) = body?;
    done(&node, path, async |hub| hub.set_labels(body.labels.iter().collect()).await).await
}

pub(super) async fn forget(
    State(node): State<NodeHandle>,
    path: Named,
    body: Body<ForgetBody>,
) -> Result<Json<Done>, ApiError> {
    let Json(body) = body?;
    let name = node_id(&body.node)?;
    done(&node, path, async |hub| hub.forget_node(&name).await).await
}

pub(super) async fn cluster_size(
    State(node): State<NodeHandle>,
    path: Named,
    body: Body<SizeBody>,
) -> Result<Json<Done>, ApiError> {
    let Json(body) = body?;
    done(&node, path, async |hub| hub.reset_cluster_size(body.size).await).await
}

pub(super) async fn drain(
    State(node): State<NodeHandle>,
    path: Named,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<DrainedRow>, ApiError> {
    let (Path(name), Query(wait)) = (path?, wait?);
    let hub = hub(&node, &name)?;
    let left = hub.drain(wait_of(wait.timeout_ms, USUAL_DRAIN)).await?;
    Ok(drained(&hub, left))
}

pub(super) async fn leave(
    State(node): State<NodeHandle>,
    path: Named,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<DrainedRow>, ApiError> {
    let (Path(name), Query(wait)) = (path?, wait?);
    let hub = hub(&node, &name)?;
    let left = hub.leave(wait_of(wait.timeout_ms, USUAL_DRAIN)).await.map_err(|error| match &error {
        LeaveHubError::Refused(why) => ApiError::worded(StatusCode::NOT_FOUND, "unknown_hub", why),
        _ => closed(),
    })?;
    Ok(drained(&hub, left))
}

fn drained(hub: &Hub, left: u64) -> Json<DrainedRow> {
    let status = if left == 0 { Status::Ok } else { Status::Error };
    Json(DrainedRow { status, node: hub.member().node.to_string(), left })
}

pub(super) async fn migrate(
    State(node): State<NodeHandle>,
    path: Result<Path<(String, String)>, PathRejection>,
    body: Body<MigrateBody>,
) -> Result<Json<MigratedRow>, ApiError> {
    let (Path((name, id)), Json(body)) = (path?, body?);
    let (hub, id, to) = (hub(&node, &name)?, child_id(&id)?, node_id(&body.to)?);
    let pid = hub.migrate(&id, &to, wait_of(body.timeout_ms, USUAL_MOVE)).await?;
    let (id, node) = (id.to_string(), pid.node.to_string());
    Ok(Json(MigratedRow { status: Status::Ok, id, node, pid: pid.to_string() }))
}

pub(super) async fn explain(
    State(node): State<NodeHandle>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<ExplanationRow>, ApiError> {
    let Path((name, id)) = path?;
    let (hub, id) = (hub(&node, &name)?, child_id(&id)?);
    Ok(Json(explanation(&hub.explain(&id).await?)))
}

pub(super) async fn plan(
    State(node): State<NodeHandle>,
    path: Named,
    body: Body<PlanBody>,
) -> Result<Json<Plan>, ApiError> {
    let (Path(name), Json(body)) = (path?, body?);
    let hub = hub(&node, &name)?;
    let change = match body {
        PlanBody::Join { node, weight, labels } => {
            Change::Join { node: node_id(&node)?, weight, labels: labels.into_iter().map(Into::into).collect() }
        }
        PlanBody::Leave { node } => Change::Leave(node_id(&node)?),
        PlanBody::Weight { node, weight } => Change::Weight { node: node_id(&node)?, weight },
    };
    Ok(Json(hub.plan(change).await?))
}

/// Does what is done once it is answered.
async fn done<E>(
    node: &NodeHandle,
    path: Named,
    act: impl AsyncFnOnce(Hub) -> Result<(), E>,
) -> Result<Json<Done>, ApiError>
where
    ApiError: From<E>,
{
    let Path(name) = path?;
    act(hub(node, &name)?).await?;
    Ok(Json(Done { status: Status::Ok, node: node.member().node.to_string() }))
}

/// A node's name.
pub(super) fn node_id(text: &str) -> Result<NodeId, ApiError> {
    NodeId::new(text).map_err(|error| ApiError::worded(StatusCode::BAD_REQUEST, "bad_name", &error))
}

fn explanation(why: &Explanation) -> ExplanationRow {
    let copies = why.copies.iter().map(|copy| CopyRow {
        node: copy.pid.node.to_string(),
        pid: copy.pid.to_string(),
        role: copy.role,
        serves: copy.serves,
    });
    ExplanationRow {
        id: why.id.to_string(),
        rule: rule(&why.rule),
        owners: names(&why.owners),
        copies: copies.collect(),
        obstacles: why.obstacles.iter().map(obstacle).collect(),
    }
}

fn rule(rule: &Rule) -> RuleRow {
    match rule {
        Rule::Ring { hash } => RuleRow::ConsistentHashing { hash: format!("{hash:016x}") },
        Rule::Mapping(nodes) => RuleRow::Mapping { nodes: names(nodes) },
        Rule::Balancer(nodes) => RuleRow::LoadBalancer { nodes: names(nodes) },
        Rule::Assigned { nodes, by } => RuleRow::Assigned { nodes: names(nodes), through: by.to_string() },
        Rule::Unassigned => RuleRow::Unassigned,
        _ => RuleRow::Custom,
    }
}

fn obstacle(obstacle: &Obstacle) -> ObstacleRow {
    match obstacle {
        Obstacle::NoOwner => ObstacleRow::NoOwner,
        Obstacle::ViewIncomplete(nodes) => ObstacleRow::ViewIncomplete { nodes: names(nodes) },
        Obstacle::Paused => ObstacleRow::Paused,
        Obstacle::Held => ObstacleRow::Held,
        Obstacle::Occupied(node) => ObstacleRow::Occupied { node: node.to_string() },
        Obstacle::BackOff => ObstacleRow::BackOff,
        Obstacle::Deferred => ObstacleRow::Deferred,
        Obstacle::Queued => ObstacleRow::Queued,
        Obstacle::Locked => ObstacleRow::Locked,
        Obstacle::Starting(node) => ObstacleRow::Starting { node: node.to_string() },
        _ => ObstacleRow::Other,
    }
}

fn names(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

impl From<SteerError> for ApiError {
    fn from(error: SteerError) -> Self {
        let SteerError::Refused(why) = error else { return closed() };
        let (status, code) = match &why {
            Why::UnknownHub(_) => (StatusCode::NOT_FOUND, "unknown_hub"),
            Why::NotFound(_) => (StatusCode::NOT_FOUND, "unknown_child"),
            Why::UnknownName(_) => (StatusCode::NOT_FOUND, "unknown_name"),
            Why::TooHeavy(_) => (StatusCode::BAD_REQUEST, "bad_weight"),
            Why::BadLabels => (StatusCode::BAD_REQUEST, "bad_labels"),
            Why::NotAMember(_) => (StatusCode::CONFLICT, "not_a_member"),
            Why::SameNode { .. } => (StatusCode::CONFLICT, "same_node"),
            Why::StillHere(_) => (StatusCode::CONFLICT, "still_here"),
            Why::Draining => (StatusCode::CONFLICT, "draining"),
            Why::NoTargetNodes => (StatusCode::CONFLICT, "no_target_nodes"),
            Why::Superseded(_) => (StatusCode::CONFLICT, "superseded"),
            Why::Leaving => (StatusCode::SERVICE_UNAVAILABLE, "leaving"),
            Why::Locked(_) => (StatusCode::SERVICE_UNAVAILABLE, "locked"),
            Why::Overloaded(_) => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Why::Unanswered(_) => (StatusCode::GATEWAY_TIMEOUT, "unanswered"),
            Why::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            _ => (StatusCode::CONFLICT, "refused"),
        };
        Self::worded(status, code, &why)
    }
}

impl From<ResetError> for ApiError {
    fn from(error: ResetError) -> Self {
        let ResetError::Refused(why) = error else { return closed() };
        let (status, code) = match &why {
            NoReset::UnknownHub(_) => (StatusCode::NOT_FOUND, "unknown_hub"),
            NoReset::OutOfRange(_) => (StatusCode::BAD_REQUEST, "bad_size"),
            NoReset::NoQuorum(_) => (StatusCode::CONFLICT, "no_quorum"),
            _ => (StatusCode::CONFLICT, "refused"),
        };
        Self::worded(status, code, &why)
    }
}
