//! The JSON of the admin API, as its server writes it and its client reads it.

pub(crate) mod steering;

use std::collections::BTreeMap;

use process_hub_core::MemberState;
use process_hub_core::request::{OnFailure, Status};
use process_hub_core::spec::{Restart, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `GET /v1/health`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Health {
    pub(crate) status: String,
    pub(crate) node: String,
    /// A number, as text: it does not fit every JSON reader's numbers.
    pub(crate) boot: String,
    pub(crate) cluster: String,
    pub(crate) hubs: Vec<String>,
}

/// One of `GET /v1/members`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    pub(crate) name: String,
    pub(crate) boot: String,
    pub(crate) state: MemberState,
}

/// One of `GET /v1/hubs`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HubRow {
    pub(crate) name: String,
    /// Every node that takes part in it, as this node sees it.
    pub(crate) nodes: Vec<String>,
    /// How many children it has, as this node sees it.
    pub(crate) children: usize,
    /// How many copies run on each node, as this node sees it.
    pub(crate) running: BTreeMap<String, usize>,
    /// Present where it has no quorum: nothing runs here, starts and stops are refused, and what is read may be out of
    /// date.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) locked: bool,
}

/// `GET /v1/hubs/{hub}/children/{id}`, and each value of `GET /v1/hubs/{hub}/registry`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChildRow {
    /// Absent once the child was stopped and a copy of it is still ending.
    pub(crate) spec: Option<SpecRow>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) placements: Vec<PlacementRow>,
    /// Present where the hub is locked, so that all of this may be out of date.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stale: bool,
}

/// A child's recipe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpecRow {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) args: Value,
    pub(crate) restart: Restart,
    /// What a node must have to run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) requires: Vec<String>,
}

/// One running copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlacementRow {
    pub(crate) node: String,
    pub(crate) pid: String,
    pub(crate) role: Role,
    pub(crate) token: String,
}

/// The whole registry, by id.
pub(crate) type RegistryRows = BTreeMap<String, ChildRow>;

/// One child to start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewChild {
    pub(crate) id: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) args: Value,
    #[serde(default)]
    pub(crate) restart: Restart,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    /// What a node must have to run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) requires: Vec<String>,
}

/// In a guided hub: the nodes of each child, first owner first.
pub(crate) type Mapping = BTreeMap<String, Vec<String>>;

/// `POST /v1/hubs/{hub}/children`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartBody {
    pub(crate) children: Vec<NewChild>,
    #[serde(default)]
    pub(crate) on_failure: OnFailure,
    #[serde(default = "yes")]
    pub(crate) check_existing: bool,
    /// Leave children that do not start out of the node's log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) disable_logging: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) child_mapping: Option<Mapping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    #[serde(default = "yes", rename = "await")]
    pub(crate) wait: bool,
}

impl StartBody {
    /// Children to be started with the defaults of the API.
    pub(crate) fn of(children: Vec<NewChild>) -> Self {
        Self {
            children,
            on_failure: OnFailure::default(),
            check_existing: true,
            disable_logging: false,
            child_mapping: None,
            timeout_ms: None,
            wait: true,
        }
    }
}

/// `DELETE /v1/hubs/{hub}/children`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopBody {
    pub(crate) ids: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    #[serde(default = "yes", rename = "await")]
    pub(crate) wait: bool,
}

fn yes() -> bool {
    true
}

/// What came of a start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartResultRow {
    pub(crate) status: Status,
    pub(crate) started: Vec<StartedRow>,
    pub(crate) errors: Vec<FailureRow>,
    pub(crate) rollback: bool,
}

/// One child that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StartedRow {
    pub(crate) id: String,
    pub(crate) placements: Vec<Place>,
}

/// Where it runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) node: String,
    pub(crate) pid: String,
}

/// One child that did not start or stop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FailureRow {
    pub(crate) id: String,
    pub(crate) node: Option<String>,
    pub(crate) reason: String,
}

/// What came of a stop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StopResultRow {
    pub(crate) status: Status,
    pub(crate) stopped: Vec<StoppedRow>,
    pub(crate) errors: Vec<FailureRow>,
}

/// One child that runs no more, and who confirmed it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoppedRow {
    pub(crate) id: String,
    pub(crate) nodes: Vec<String>,
}

/// A start or stop that nobody waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Initiated {
    /// `initiated`
    pub(crate) status: String,
}

/// Every error of the API.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorRow,
}

/// What went wrong, for programs (`code`) and for people.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorRow {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}
