//! The JSON of steering: where children run, and why.

use std::collections::BTreeMap;

use process_hub_core::request::Status;
use process_hub_core::spec::Role;
use serde::{Deserialize, Serialize};

/// `GET /v1/hubs/{hub}/steering`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SteeringRow {
    /// Whether copies stay where they are although they belong elsewhere.
    pub(crate) paused: bool,
    /// How many children may be on their way from a node to others at one time.
    pub(crate) concurrent_moves: u32,
    pub(crate) nodes: BTreeMap<String, NodeRow>,
}

/// What a node is to be given.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NodeRow {
    pub(crate) weight: u32,
    pub(crate) labels: Vec<String>,
    /// Nothing new.
    pub(crate) cordoned: bool,
    /// Nothing, and what it has goes.
    pub(crate) draining: bool,
}

/// The answer to what is done once it is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) status: Status,
    /// The node that was asked.
    pub(crate) node: String,
}

/// `POST /v1/hubs/{hub}/children/{id}/migrate`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrateBody {
    pub(crate) to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
}

/// A child that was given to a node, and runs there.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MigratedRow {
    pub(crate) status: Status,
    pub(crate) id: String,
    pub(crate) node: String,
    pub(crate) pid: String,
}

/// What came of `POST /v1/hubs/{hub}/drain` or `/leave`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DrainedRow {
    /// An error where some are left.
    pub(crate) status: Status,
    /// The node that was asked.
    pub(crate) node: String,
    /// How many children still run there; at a leave, how many were ended because they had not moved in time.
    pub(crate) left: u64,
}

/// `POST /v1/hubs/{hub}/weight`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WeightBody {
    pub(crate) weight: u32,
}

/// `POST /v1/hubs/{hub}/labels`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelsBody {
    pub(crate) labels: Vec<String>,
}

/// `POST /v1/hubs/{hub}/forget`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgetBody {
    pub(crate) node: String,
}

/// `POST /v1/hubs/{hub}/cluster-size`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SizeBody {
    pub(crate) size: u32,
}

/// `POST /v1/hubs/{hub}/plan`: one change. The answer is the core's `Plan`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum PlanBody {
    Join {
        node: String,
        #[serde(default = "normal")]
        weight: u32,
        #[serde(default)]
        labels: Vec<String>,
    },
    Leave {
        node: String,
    },
    Weight {
        node: String,
        weight: u32,
    },
}

fn normal() -> u32 {
    1
}

/// `GET /v1/hubs/{hub}/children/{id}/explain`
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExplanationRow {
    pub(crate) id: String,
    pub(crate) rule: RuleRow,
    /// The nodes it belongs to, the first owner first.
    pub(crate) owners: Vec<String>,
    pub(crate) copies: Vec<CopyRow>,
    /// What keeps it from being where it belongs.
    pub(crate) obstacles: Vec<ObstacleRow>,
}

/// What decides where a child belongs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub(crate) enum RuleRow {
    /// Its hash, in hexadecimal, and the members of the view.
    ConsistentHashing { hash: String },
    /// The nodes that the caller of its start named.
    Mapping { nodes: Vec<String> },
    /// The nodes that the load balancer chose.
    LoadBalancer { nodes: Vec<String> },
    /// The nodes that an operator, or a cordon, gave it to, and through which node.
    Assigned { nodes: Vec<String>, through: String },
    /// The load balancer has yet to choose.
    Unassigned,
    /// A strategy of one's own.
    Custom,
}

/// One copy of a child, starting or ending ones included.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CopyRow {
    pub(crate) node: String,
    pub(crate) pid: String,
    pub(crate) role: Role,
    pub(crate) serves: bool,
}

/// What keeps a child from being where it belongs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum ObstacleRow {
    NoOwner,
    ViewIncomplete {
        nodes: Vec<String>,
    },
    Paused,
    Held,
    Occupied {
        node: String,
    },
    BackOff,
    Deferred,
    Queued,
    Locked,
    Starting {
        node: String,
    },
    /// One that this program does not know.
    Other,
}
