//! The handle of a node.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use process_hub_core::MemberInfo;
use process_hub_core::config::HubConfig;
use process_hub_core::id::{Addr, Boot, HubId, Member, NodeId};
use process_hub_core::request::{Reply, Request};
use smol_str::SmolStr;
use tokio::sync::{mpsc, watch};

use crate::driver::ChildReports;
use crate::error::Closed;
use crate::handle::{Command, Hub, HubBuilder, HubSlot, ask};
use crate::runtime::AnyRuntime;
use crate::stats::{Stats, StatsSnapshot};

/// One node of a cluster. Cheap to clone; the node lives until it leaves or is shut down, with or without handles.
#[derive(Clone)]
pub struct NodeHandle(Arc<NodeShared>);

/// What the handles, the hubs, the links and the driver share of a node.
pub(crate) struct NodeShared {
    /// The node in the life that is in its pids.
    pub(crate) member: Member,
    /// The boot it goes by: above the one in its pids once it was raised.
    pub(crate) boot: AtomicU64,
    pub(crate) cluster: SmolStr,
    pub(crate) listens_at: Addr,
    pub(crate) advertises: Addr,
    pub(crate) map_seed: u64,
    pub(crate) mailbox_capacity: usize,
    pub(crate) runtime: AnyRuntime,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) reports: ChildReports,
    pub(crate) members: watch::Sender<Arc<[MemberInfo]>>,
    pub(crate) hubs: RwLock<HubSlot>,
    pub(crate) stats: Stats,
}

impl NodeShared {
    /// The member that it is to others at present.
    pub(crate) fn goes_by(&self) -> Member {
        Member { node: self.member.node.clone(), boot: Boot(self.boot.load(Ordering::Acquire)) }
    }

    /// The highest boot known of a name.
    pub(crate) fn known_boot(&self, name: &NodeId) -> Option<Boot> {
        let members = self.members.borrow();
        members.iter().filter(|info| info.member.node == *name).map(|info| info.member.boot).max()
    }
}

impl NodeHandle {
    pub(crate) fn from_shared(shared: Arc<NodeShared>) -> Self {
        Self(shared)
    }

    /// The node, in the life that is in its pids. (If the cluster knew a later life of its name when it joined, others
    /// know it by a higher boot: see [`NodeHandle::members`].)
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.0.member
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.0.cluster
    }

    /// Where it really listens.
    #[must_use]
    pub fn listens_at(&self) -> &Addr {
        &self.0.listens_at
    }

    /// Where it tells others to reach it.
    #[must_use]
    pub fn advertises(&self) -> &Addr {
        &self.0.advertises
    }

    /// Every member it knows of, itself included, sorted by name.
    #[must_use]
    pub fn members(&self) -> Arc<[MemberInfo]> {
        self.0.members.borrow().clone()
    }

    /// The same, to wait for changes of it.
    #[must_use]
    pub fn watch_members(&self) -> watch::Receiver<Arc<[MemberInfo]>> {
        self.0.members.subscribe()
    }

    /// The hubs it runs, sorted by name.
    #[must_use]
    pub fn hubs(&self) -> Vec<Hub> {
        self.0.hubs.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A hub it runs.
    #[must_use]
    pub fn get_hub(&self, id: &HubId) -> Option<Hub> {
        self.0.hubs.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// A new hub on this node: register its kinds of children on the returned value, then start it.
    pub fn hub(&self, config: HubConfig) -> HubBuilder {
        HubBuilder::new(self.0.clone(), config)
    }

    /// Hands this node's children to others, leaves the cluster and shuts down. Returns how many children still ran
    /// here when `deadline` had passed (they are ended with the node).
    ///
    /// # Errors
    /// When the node was shut down before or meanwhile.
    pub async fn leave(&self, deadline: Duration) -> Result<u64, Closed> {
        let left = ask(&self.0.commands, Request::Leave { deadline }).await?;
        self.shutdown().await;
        match left {
            Reply::Left(remaining) => Ok(remaining),
            _ => Err(Closed),
        }
    }

    /// Ends the node as it stands: children are dropped without their last callback, links are closed after what is
    /// queued on them was sent. Returns when all of that is done. To the others it looks like a crash.
    pub async fn shutdown(&self) {
        if self.0.commands.send(Command::Shutdown).await.is_ok() {
            self.closed().await;
        }
    }

    /// Waits until the node has ended.
    pub async fn closed(&self) {
        self.0.commands.closed().await;
    }

    /// Whether the node runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.0.commands.is_closed()
    }

    /// What it has counted since its start.
    #[must_use]
    pub fn stats(&self) -> StatsSnapshot {
        self.0.stats.snapshot()
    }
}

impl fmt::Debug for NodeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeHandle").field("member", self.member()).finish_non_exhaustive()
    }
}

impl fmt::Debug for NodeShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeShared").field("member", &self.member).finish_non_exhaustive()
    }
}
