//! From what the hub knows to what the API says.

use process_hub::{ChildLookup, Hub};
use process_hub_core::request::{Failure, StartResult, StopResult};
use process_hub_core::spec::{ChildSpec, MetaValue, Metadata};
use serde_json::{Map, Value, json};

use crate::api::{
    ChildRow, FailureRow, Place, PlacementRow, SpecRow, StartResultRow, StartedRow, StopResultRow, StoppedRow,
};

/// A child, as the registry shows it.
pub(super) fn child(hub: &Hub, lookup: &ChildLookup) -> ChildRow {
    let spec = lookup.spec.as_deref();
    let placements = lookup.placements.iter().map(|placement| PlacementRow {
        node: placement.pid.node.to_string(),
        pid: placement.pid.to_string(),
        role: placement.role,
        token: placement.token.to_string(),
    });
    ChildRow {
        stale: lookup.stale,
        spec: spec.map(|spec| SpecRow {
            id: spec.id.to_string(),
            kind: spec.kind.to_string(),
            args: args(hub, spec),
            restart: spec.restart,
            requires: spec.requires.iter().map(ToString::to_string).collect(),
        }),
        metadata: spec.map(|spec| metadata_out(&spec.metadata)).unwrap_or_default(),
        placements: placements.collect(),
    }
}

/// A kind that this node does not have runs on others: its arguments are shown as the bytes they are.
fn args(hub: &Hub, spec: &ChildSpec) -> Value {
    hub.args_json(&spec.kind, &spec.args).unwrap_or_else(|_| {
        let hex: String = spec.args.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "hex": hex })
    })
}

fn metadata_out(metadata: &Metadata) -> Map<String, Value> {
    let entry = |value: &MetaValue| match value {
        MetaValue::Text(text) => Value::from(text.as_str()),
        MetaValue::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())),
    };
    metadata.iter().map(|(key, value)| (key.to_string(), entry(value))).collect()
}

/// Metadata, from JSON.
pub(crate) fn metadata_in(entries: &Map<String, Value>) -> Metadata {
    let entry = |value: &Value| match value {
        Value::String(text) => MetaValue::Text(text.into()),
        other => MetaValue::Json(other.to_string().into()),
    };
    entries.iter().map(|(key, value)| (key.into(), entry(value))).collect()
}

pub(super) fn start_result(result: &StartResult) -> StartResultRow {
    let started = result.started.iter().map(|(id, pids)| {
        let place = |pid: &process_hub_core::id::Pid| Place { node: pid.node.to_string(), pid: pid.to_string() };
        StartedRow { id: id.to_string(), placements: pids.iter().map(place).collect() }
    });
    StartResultRow {
        status: result.status,
        started: started.collect(),
        errors: result.errors.iter().map(failure).collect(),
        rollback: result.rollback,
    }
}

pub(super) fn stop_result(result: &StopResult) -> StopResultRow {
    let stopped = result
        .stopped
        .iter()
        .map(|(id, nodes)| StoppedRow { id: id.to_string(), nodes: nodes.iter().map(ToString::to_string).collect() });
    StopResultRow {
        status: result.status,
        stopped: stopped.collect(),
        errors: result.errors.iter().map(failure).collect(),
    }
}

fn failure(failure: &Failure) -> FailureRow {
    FailureRow {
        id: failure.id.to_string(),
        node: failure.node.as_ref().map(ToString::to_string),
        reason: failure.reason.to_string(),
    }
}
