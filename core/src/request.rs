//! What a caller can ask of a node, and the one answer it gets.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::config::{ConfigError, HubConfig};
use crate::id::{ChildId, HubId, NodeId, Pid};
use crate::saved::{RestoreError, SavedPart};
use crate::spec::ChildSpec;
use crate::steering::{Change, Explanation, Plan, Steer, SteerError, Steered};
use crate::wire::bounded;

/// What a caller asks of a node. Exactly one [`Reply`] answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Take part in one more hub.
    OpenHub(HubConfig),
    /// Declare children and have their owners start them.
    Start {
        /// In which hub.
        hub: HubId,
        /// Their recipes.
        children: Vec<ChildSpec>,
        /// How to go about it.
        options: StartOptions,
    },
    /// Remove children from the declared set and have their hosts stop them.
    Stop {
        /// In which hub.
        hub: HubId,
        /// Which.
        ids: Vec<ChildId>,
        /// How to go about it.
        options: StopOptions,
    },
    /// Hand a message to a child and wait for its reply. At most once: after an error other than
    /// [`CallError::NotFound`], [`CallError::Overloaded`] and [`CallError::UnknownHub`] the child may have handled it.
    Call {
        /// In which hub.
        hub: HubId,
        /// To which child or instance.
        to: Target,
        /// The message, bytes to the core.
        #[serde(deserialize_with = "bounded::any")]
        payload: Bytes,
        /// How long to wait in all, moves and retries included.
        timeout: Duration,
    },
    /// Hand a message to a child and wait for nothing. At most once. Answered as soon as it was sent or dropped.
    Cast {
        /// In which hub.
        hub: HubId,
        /// To which child or instance.
        to: Target,
        /// The message, bytes to the core.
        #[serde(deserialize_with = "bounded::any")]
        payload: Bytes,
    },
    /// Say how large the cluster is, under a quorum: all members of the view take it over, whatever they remember. For
    /// a cluster that has become smaller for good, or whose members have all forgotten what they knew; on a part of a
    /// cluster whose other part still serves it makes two that serve.
    ResetClusterSize {
        /// Of which hub.
        hub: HubId,
        /// How many nodes it has.
        size: u32,
    },
    /// Take over what was declared when this was saved, like what another member tells: what was stopped since, as far as anybody
    /// remembers, stays stopped. Answered by [`Reply::Restored`].
    Restore {
        /// Which hub.
        hub: HubId,
        /// A part of it: all parts, in the order in which they were made.
        part: Box<SavedPart>,
    },
    /// Steer where children run. Answered by [`Reply::Steered`].
    Steer {
        /// In which hub.
        hub: HubId,
        /// What to do.
        act: Steer,
    },
    /// Say why a child is where it is. Answered by [`Reply::Explained`]; nothing changes.
    Explain {
        /// In which hub.
        hub: HubId,
        /// Which child.
        id: ChildId,
    },
    /// Say what a change would move. Answered by [`Reply::Planned`]; nothing changes.
    Plan {
        /// In which hub.
        hub: HubId,
        /// Which change.
        change: Change,
    },
    /// Hand the children of one hub on this node to others, then take no part in that hub any more; the node stays. A
    /// life of a node that has left a hub cannot enter it again. Answered by [`Reply::HubLeft`] when none of the hub's
    /// children runs here any more, or when `deadline` has passed.
    LeaveHub {
        /// Which hub.
        hub: HubId,
        /// How long to wait for the children to end, at most.
        deadline: Duration,
    },
    /// Hand the children of this node to others, then leave the cluster. Answered by [`Reply::Left`] when no child
    /// runs here any more, or when `deadline` has passed.
    Leave {
        /// How long to wait for the children to end, at most.
        deadline: Duration,
    },
}

/// The address of a message to a child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// Whatever instance serves under this name; follows moves and restarts.
    Child(ChildId),
    /// This very instance and no other.
    Pid(ChildId, Pid),
}

impl Target {
    /// The child that is meant.
    #[must_use]
    pub fn id(&self) -> &ChildId {
        match self {
            Target::Child(id) | Target::Pid(id, _) => id,
        }
    }
}

/// What to do with the rest of a batch when a child could not be started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Keep what started.
    #[default]
    Continue,
    /// Stop the whole batch, late starters included.
    Rollback,
}

/// How to go about a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOptions {
    /// Wait for the outcome (else the answer is [`StartOutcome::Initiated`] at once). Default true.
    pub wait: bool,
    /// One deadline for the whole request. Default 10 s.
    pub timeout: Duration,
    /// Refuse the whole batch if any id is declared already. If false, such an id is one error among the results.
    /// Best effort while views differ: two starts on two sides may both answer Ok; they converge to one. Default true.
    pub check_existing: bool,
    /// What a failure means for the rest. Default [`OnFailure::Continue`].
    pub on_failure: OnFailure,
    /// Under [`crate::config::Distribution::Guided`]: the nodes of each child, first owner first, as many as copies are
    /// to run. There it must name every child of the batch; elsewhere it must be `None`. Default `None`.
    pub child_mapping: Option<ChildMapping>,
}

/// The nodes that the caller of a start has chosen for each child.
pub type ChildMapping = BTreeMap<ChildId, Vec<NodeId>>;

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            wait: true,
            timeout: Duration::from_secs(10),
            check_existing: true,
            on_failure: OnFailure::Continue,
            child_mapping: None,
        }
    }
}

/// How to go about a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOptions {
    /// Wait for the outcome (else the answer is [`StopOutcome::Initiated`] at once). Default true.
    pub wait: bool,
    /// One deadline for the whole request. Default 10 s.
    pub timeout: Duration,
}

impl Default for StopOptions {
    fn default() -> Self {
        Self { wait: true, timeout: Duration::from_secs(10) }
    }
}

/// The one answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To [`Request::OpenHub`].
    Opened(Result<(), ConfigError>),
    /// To [`Request::Start`].
    Start(Result<StartOutcome, StartError>),
    /// To [`Request::Stop`].
    Stop(Result<StopOutcome, StopError>),
    /// To [`Request::Call`]: the child's reply.
    Call(Result<Bytes, CallError>),
    /// To [`Request::Cast`]. Ok says that it was sent, not that it arrived.
    Cast(Result<(), CallError>),
    /// To [`Request::ResetClusterSize`].
    Reset(Result<(), ResetError>),
    /// To [`Request::Leave`]. The number is how many children still ran here when the deadline passed.
    Left(u64),
    /// To [`Request::LeaveHub`]. The number is how many of its children still ran here when the deadline passed.
    HubLeft(Result<u64, LeaveHubError>),
    /// To [`Request::Restore`].
    Restored(Result<(), RestoreError>),
    /// To [`Request::Steer`].
    Steered(Result<Steered, SteerError>),
    /// To [`Request::Explain`].
    Explained(Result<Explanation, SteerError>),
    /// To [`Request::Plan`].
    Planned(Result<Plan, SteerError>),
}

/// What came of a start that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartOutcome {
    /// The children are declared; nothing was waited for.
    Initiated,
    /// The wait is over.
    Done(StartResult),
}

/// What came of a stop that was not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The children are no longer declared; nothing was waited for.
    Initiated,
    /// The wait is over.
    Done(StopResult),
}

/// A whole start was refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The batch is empty.
    #[error("no children were given: name at least one")]
    NoChildren,
    /// Some ids are declared already and `check_existing` is on.
    #[error("{} of the children exist already, the first is `{}`: stop them first, or start with check_existing = false", .0.len(), First(.0))]
    AlreadyStarted(Vec<ChildId>),
    /// A recipe breaks a limit.
    #[error("child `{id}`: its {what} has {len} bytes, the limit is {limit}: make it smaller")]
    TooLarge {
        /// Which child.
        id: ChildId,
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The hub's distribution is guided, and no mapping was given.
    #[error("hub `{0}` places children by their caller's mapping, and none was given: name each child's nodes")]
    MissingChildMapping(HubId),
    /// The mapping makes no sense: it was given to a hub that is not guided, or names a node twice for a child, or too
    /// many nodes.
    #[error("the mapping is invalid: {0}")]
    InvalidChildMapping(SmolStr),
    /// A child of the batch is not in the mapping.
    #[error("child `{0}` is not in the mapping: name its nodes, too")]
    ChildMappingMismatch(ChildId),
    /// A child is given to another number of nodes than copies of it are to run.
    #[error("child `{id}` is mapped to {nodes} nodes, and {copies} copies of it are to run: name as many nodes")]
    ChildReplicationMismatch {
        /// Which child.
        id: ChildId,
        /// How many nodes the mapping names for it.
        nodes: usize,
        /// How many copies are to run.
        copies: usize,
    },
    /// The node does not take part in that hub.
    #[error("this node does not take part in hub `{0}`: name one that it runs")]
    UnknownHub(HubId),
    /// The hub has lost its quorum.
    #[error("hub `{0}` is locked: it has lost its quorum; try again when enough nodes are back")]
    Locked(HubId),
    /// The node is leaving.
    #[error("this node is leaving the cluster: ask another one")]
    Leaving,
    /// Too many requests are open on this node.
    #[error("{0} requests are open on this node already: wait for some to be answered")]
    Overloaded(usize),
}

/// A whole stop was refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// No ids were given.
    #[error("no ids were given: name at least one child")]
    NoChildren,
    /// The node does not take part in that hub.
    #[error("this node does not take part in hub `{0}`: name one that it runs")]
    UnknownHub(HubId),
    /// The hub has lost its quorum.
    #[error("hub `{0}` is locked: it has lost its quorum; try again when enough nodes are back")]
    Locked(HubId),
    /// The node is leaving.
    #[error("this node is leaving the cluster: ask another one")]
    Leaving,
    /// Too many requests are open on this node.
    #[error("{0} requests are open on this node already: wait for some to be answered")]
    Overloaded(usize),
}

/// A cluster's size was not reset; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// The node does not take part in that hub.
    #[error("this node does not take part in hub `{0}`: name one that it runs")]
    UnknownHub(HubId),
    /// The hub's partition tolerance remembers no size.
    #[error("hub `{0}` has no quorum of a known size: there is nothing to reset")]
    NoQuorum(HubId),
    /// No cluster has no nodes, and none has so many.
    #[error("a cluster of {0} nodes cannot be: name a size from 1 to 1024")]
    OutOfRange(u32),
}

/// A hub was not left; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveHubError {
    /// The node does not take part in that hub.
    #[error("this node does not take part in hub `{0}`: name one that it runs")]
    UnknownHub(HubId),
}

/// A message could not be handed over, or no reply came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallError {
    /// No such child is declared, or that instance is gone. It was not handled.
    #[error("no child `{0}` runs: start it first, or look it up anew")]
    NotFound(ChildId),
    /// The node does not take part in that hub. It was not handled.
    #[error("this node does not take part in hub `{0}`: name one that it runs")]
    UnknownHub(HubId),
    /// Too many messages wait already (for this child's next instance, or on this node). It was not handled.
    #[error("too many messages wait for child `{0}`: try again later")]
    Overloaded(ChildId),
    /// The message is larger than a frame allows. It was not handled.
    #[error("the message has {len} bytes, the limit is {limit}: make it smaller")]
    TooLarge {
        /// Its size in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// No reply in time. The child may or may not have handled it.
    #[error("child `{0}` did not reply in time; it may or may not have handled the message")]
    Timeout(ChildId),
    /// The instance ended, or its node was lost, before it replied. It may or may not have handled the message.
    #[error("child `{0}` ended before it replied; it may or may not have handled the message")]
    Gone(ChildId),
    /// The instance refused the message: its bytes made no sense to it, or it panicked. The text says why.
    #[error("child `{0}` failed on the message: {1}")]
    Failed(ChildId, SmolStr),
    /// The hub has lost its quorum. It was not handled.
    #[error("hub `{0}` is locked: it has lost its quorum; try again when enough nodes are back")]
    Locked(HubId),
}

/// Whether every child of a batch succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All did.
    Ok,
    /// At least one did not; see the errors.
    Error,
}

/// Why one child of a batch did not start or stop.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChildFailure {
    /// It is declared already (or stands twice in the batch).
    #[error("already_started")]
    AlreadyStarted,
    /// Its own start failed; the text is the child's.
    #[error("start_failed: {0}")]
    StartFailed(SmolStr),
    /// The request's deadline passed; a child of a start stays declared and may still come up.
    #[error("timeout")]
    Timeout,
    /// Another request stopped it meanwhile.
    #[error("stopped")]
    Stopped,
    /// A concurrent start of the same id won.
    #[error("superseded")]
    Superseded,
    /// No such child is declared.
    #[error("not_found")]
    NotFound,
    /// The node that ran it left the view before it confirmed.
    #[error("node_down")]
    NodeDown,
}

/// One child that did not start or stop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// Which child.
    pub id: ChildId,
    /// The node concerned, where one is known.
    pub node: Option<NodeId>,
    /// Why.
    pub reason: ChildFailure,
}

/// What came of an awaited start. Order: as in the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StartResult {
    /// [`Status::Ok`] when there are no errors.
    pub status: Status,
    /// The children that run, and where. After a rollback: those that had started and were stopped again.
    pub started: Vec<(ChildId, Vec<Pid>)>,
    /// The children that do not.
    pub errors: Vec<Failure>,
    /// Whether the batch was rolled back.
    pub rollback: bool,
}

impl StartResult {
    /// [`Status::Ok`] when every child started.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }
    /// `Ok` with what started, or `Err` with the errors and what started in spite of them.
    ///
    /// # Errors
    /// When at least one child did not start.
    pub fn format(self) -> Result<Started, (Vec<Failure>, Started)> {
        match self.status {
            Status::Ok => Ok(self.started),
            Status::Error => Err((self.errors, self.started)),
        }
    }
    /// The errors.
    #[must_use]
    pub fn errors(&self) -> &[Failure] {
        &self.errors
    }
    /// The ids that started.
    pub fn cids(&self) -> impl Iterator<Item = &ChildId> {
        self.started.iter().map(|(id, _)| id)
    }
    /// Every instance that started.
    pub fn pids(&self) -> impl Iterator<Item = &Pid> {
        self.started.iter().flat_map(|(_, pids)| pids)
    }
    /// The first instance that started.
    #[must_use]
    pub fn pid(&self) -> Option<&Pid> {
        self.pids().next()
    }
    /// The node of every instance that started.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.pids().map(|pid| &pid.node)
    }
    /// The node of the first instance that started.
    #[must_use]
    pub fn node(&self) -> Option<&NodeId> {
        self.nodes().next()
    }
    /// The first child that started.
    #[must_use]
    pub fn first(&self) -> Option<&(ChildId, Vec<Pid>)> {
        self.started.first()
    }
}

/// Children that started, and where.
pub type Started = Vec<(ChildId, Vec<Pid>)>;

/// What came of an awaited stop. Order: as in the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StopResult {
    /// [`Status::Ok`] when there are no errors.
    pub status: Status,
    /// The children that no longer run, and the nodes that confirmed it (none when it ran nowhere).
    pub stopped: Vec<(ChildId, Vec<NodeId>)>,
    /// The children that could not be stopped, or not confirmed.
    pub errors: Vec<Failure>,
}

impl StopResult {
    /// [`Status::Ok`] when every child was stopped.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }
    /// `Ok` with what was stopped, or `Err` with the errors and what was stopped in spite of them.
    ///
    /// # Errors
    /// When at least one child was not stopped.
    pub fn format(self) -> Result<Stopped, (Vec<Failure>, Stopped)> {
        match self.status {
            Status::Ok => Ok(self.stopped),
            Status::Error => Err((self.errors, self.stopped)),
        }
    }
    /// The errors.
    #[must_use]
    pub fn errors(&self) -> &[Failure] {
        &self.errors
    }
    /// The ids that were stopped.
    pub fn cids(&self) -> impl Iterator<Item = &ChildId> {
        self.stopped.iter().map(|(id, _)| id)
    }
    /// The nodes that confirmed a stop.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.stopped.iter().flat_map(|(_, nodes)| nodes)
    }
    /// The first child that was stopped.
    #[must_use]
    pub fn first(&self) -> Option<&(ChildId, Vec<NodeId>)> {
        self.stopped.first()
    }
}

/// Children that were stopped, and which nodes confirmed it.
pub type Stopped = Vec<(ChildId, Vec<NodeId>)>;

struct First<'a>(&'a [ChildId]);

impl fmt::Display for First<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.first().map_or(Ok(()), |id| fmt::Display::fmt(id, f))
    }
}
