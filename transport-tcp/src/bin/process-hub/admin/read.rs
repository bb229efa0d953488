//! What can be read. Nothing here waits for the cluster: each answer is what this node knows.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use process_hub::{ChildLookup, Hub, NodeHandle};
use process_hub_core::id::ChildId;
use serde::Deserialize;

use super::error::ApiError;
use super::{child_id, encode, hub, unknown_child};
use crate::api::{ChildRow, Health, HubRow, MemberRow};

/// How many children are encoded before other tasks get a turn.
const PIECE: usize = 512;

pub(super) async fn health(State(node): State<NodeHandle>) -> Json<Health> {
    let member = node.member();
    Json(Health {
        status: "ok".to_owned(),
        node: member.node.to_string(),
        boot: member.boot.to_string(),
        cluster: node.cluster().to_owned(),
        hubs: node.hubs().iter().map(|hub| hub.id().to_string()).collect(),
    })
}

pub(super) async fn members(State(node): State<NodeHandle>) -> Json<Vec<MemberRow>> {
    let rows = node
        .members()
        .iter()
        .map(|info| MemberRow {
            name: info.member.node.to_string(),
            boot: info.member.boot.to_string(),
            state: info.state,
        })
        .collect();
    Json(rows)
}

pub(super) async fn hubs(State(node): State<NodeHandle>) -> Json<Vec<HubRow>> {
    let row = |hub: &Hub| HubRow {
        name: hub.id().to_string(),
        nodes: hub.nodes(true).iter().map(ToString::to_string).collect(),
        children: hub.child_count(),
        locked: hub.is_locked(),
        running: hub.copies_by_node().iter().map(|(node, count)| (node.to_string(), *count)).collect(),
    };
    Json(node.hubs().iter().map(row).collect())
}

pub(super) async fn child(
    State(node): State<NodeHandle>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<ChildRow>, ApiError> {
    let Path((name, id)) = path?;
    let (hub, id) = (hub(&node, &name)?, child_id(&id)?);
    let lookup = hub.child_lookup(&id).ok_or_else(|| unknown_child(&hub, &id))?;
    Ok(Json(encode::child(&hub, &lookup)))
}

/// Which part of a registry is wanted.
#[derive(Deserialize)]
pub(super) struct Page {
    /// At most so many children. All, if absent.
    limit: Option<usize>,
    /// Only those after this one: the last id of the page before.
    after: Option<String>,
}

pub(super) async fn registry(
    State(node): State<NodeHandle>,
    path: Result<Path<String>, PathRejection>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (Path(name), Query(page)) = (path?, page?);
    let hub = hub(&node, &name)?;
    let after = page.after.as_deref().map(child_id).transpose()?;
    let dump = {
        let hub = hub.clone();
        // A large registry takes a while to copy and to sort.
        tokio::task::spawn_blocking(move || hub.registry_dump()).await
    };
    let mut rows = dump
        .map_err(|error| ApiError::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "no_dump", error, "try again"))?;
    if let Some(after) = after {
        rows = rows.split_off(&after);
        rows.remove(&after);
    }
    Ok(json_body(hub, rows, page.limit.unwrap_or(usize::MAX)))
}

/// The rows as one JSON object, written piece by piece as the client reads.
fn json_body(hub: Hub, rows: BTreeMap<ChildId, ChildLookup>, limit: usize) -> Response {
    let rows = rows.into_iter().take(limit);
    let pieces = futures_util::stream::unfold(Some((rows, b'{')), move |state| {
        let hub = hub.clone();
        async move {
            let (mut rows, mut opening) = state?;
            let mut text = Vec::with_capacity(PIECE * 256);
            for (id, lookup) in rows.by_ref().take(PIECE) {
                text.push(opening);
                opening = b',';
                if let Err(error) = row(&mut text, &hub, &id, &lookup) {
                    return Some((Err(error), None));
                }
            }
            if rows.len() > 0 {
                tokio::task::yield_now().await;
                return Some((Ok(text), Some((rows, opening))));
            }
            if opening == b'{' {
                text.push(opening);
            }
            text.push(b'}');
            Some((Ok(text), None))
        }
    });
    ([(CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
}

fn row(text: &mut Vec<u8>, hub: &Hub, id: &ChildId, lookup: &ChildLookup) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *text, id)?;
    text.push(b':');
    serde_json::to_writer(text, &encode::child(hub, lookup))
}
