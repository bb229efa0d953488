//! Steering where children run, and asking about it.

use std::sync::Arc;
use std::time::Duration;

use process_hub_core::id::{ChildId, NodeId, Pid};
use process_hub_core::request::{Reply, Request};
use process_hub_core::spec::Labels;
use process_hub_core::steering::{Change, Explanation, Plan, Steer, Steered, Steering};

use crate::error::{Closed, LeaveHubError, ResetError, SteerError};
use crate::handle::{Hub, ask};

/// What an operator can do about where children run, and what an operator can ask about it.
///
/// Cordons, drains, weights and labels are about this very node: ask the node that is meant. They last until they are undone or the node
/// ends. All else is about the whole hub and can be asked of any of its nodes. Dropping one of these futures once it was
/// polled cancels the wait, never the operation; where nothing changed, the error says so.
impl Hub {
    /// Gives a child to a node, and waits up to `timeout` until a copy runs there: which one is returned. It stays
    /// there as long as that node is up and neither drains nor leaves; then the hub's distribution decides again.
    ///
    /// # Errors
    /// [`NotFound`](process_hub_core::steering::SteerError::NotFound),
    /// [`NotAMember`](process_hub_core::steering::SteerError::NotAMember),
    /// [`SameNode`](process_hub_core::steering::SteerError::SameNode), `Leaving`, `Locked`, `Overloaded`: nothing
    /// changed. `Unanswered`: the child stays where it is. `Timeout`: it goes on. `Superseded`: somebody else decided
    /// otherwise meanwhile.
    pub async fn migrate(&self, id: &ChildId, to: &NodeId, timeout: Duration) -> Result<Pid, SteerError> {
        match self.steer(Steer::Migrate { id: id.clone(), to: to.clone(), timeout }).await? {
            Steered::Migrated(pid) => Ok(pid),
            _ => Err(Closed.into()),
        }
    }

    /// From now on this node is given nothing new; what it has it keeps. Doing it twice is fine.
    ///
    /// # Errors
    /// When the node leaves or was shut down: nothing changed.
    pub async fn cordon(&self) -> Result<(), SteerError> {
        self.steer(Steer::Cordon).await.map(drop)
    }

    /// Undoes a cordon. What was placed elsewhere meanwhile stays there; what is started from now on comes here, too.
    ///
    /// # Errors
    /// As [`Hub::cordon`].
    pub async fn uncordon(&self) -> Result<(), SteerError> {
        self.steer(Steer::Uncordon).await.map(drop)
    }

    /// Moves all children of this node to others, and waits up to `deadline` until none runs here: how many still do is
    /// returned, 0 when all have gone. Those move all the same. The node stays a member, answers, takes requests, and is
    /// given no children until [`Hub::undrain`].
    ///
    /// # Errors
    /// `NoTargetNodes`, `Draining`, `Leaving`, `Locked`: nothing changed.
    pub async fn drain(&self, deadline: Duration) -> Result<u64, SteerError> {
        match self.steer(Steer::Drain { deadline }).await? {
            Steered::Drained(left) => Ok(left),
            _ => Err(Closed.into()),
        }
    }

    /// Undoes a drain: this node is given children again, and whoever waits for the drain is answered.
    ///
    /// # Errors
    /// As [`Hub::cordon`].
    pub async fn undrain(&self) -> Result<(), SteerError> {
        self.steer(Steer::Undrain).await.map(drop)
    }

    /// Sets this node's share of the children relative to the others', where that is by consistent hashing: 1 is normal, 0
    /// is given nothing, at most [`MAX_WEIGHT`](process_hub_core::hashing::MAX_WEIGHT). Children move for it.
    ///
    /// # Errors
    /// `TooHeavy`, `Leaving`: nothing changed.
    pub async fn set_weight(&self, weight: u32) -> Result<(), SteerError> {
        self.steer(Steer::Weight(weight)).await.map(drop)
    }

    /// Sets what this node has that children can ask for, in place of what it had. Children that ask for what it has no
    /// more move, or wait for a node that has it.
    ///
    /// # Errors
    /// `BadLabels`, `Leaving`: nothing changed.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), SteerError> {
        self.steer(Steer::Labels(labels)).await.map(drop)
    }

    /// In the whole hub, copies stay where they are, even if they belong elsewhere, until [`Hub::resume`]. Children that
    /// have lost their node and new ones are started all the same, and nodes that drain or leave are emptied. Returns once
    /// this node has paused; the others follow as they hear of it.
    ///
    /// # Errors
    /// As [`Hub::cordon`].
    pub async fn pause(&self) -> Result<(), SteerError> {
        self.steer(Steer::Pause).await.map(drop)
    }

    /// Undoes a pause: what belongs elsewhere moves.
    ///
    /// # Errors
    /// As [`Hub::cordon`].
    pub async fn resume(&self) -> Result<(), SteerError> {
        self.steer(Steer::Resume).await.map(drop)
    }

    /// A node that is down will not come back in the life it was in: nobody keeps anything for its sake any more. Should it
    /// come back all the same, it is not listened to until it is started anew. The others follow as they hear of it, within
    /// a few sync intervals.
    ///
    /// # Errors
    /// `StillHere`, `UnknownName`, `Leaving`: nothing changed.
    pub async fn forget_node(&self, node: &NodeId) -> Result<(), SteerError> {
        self.steer(Steer::Forget { node: node.clone() }).await.map(drop)
    }

    /// What operators have said, as this node knows: whether rebalancing is paused, and what each member is to be given. From
    /// a mirror, without waiting.
    #[must_use]
    pub fn steering(&self) -> Arc<Steering> {
        self.shared().view.steering()
    }

    /// Hands this node's children of this hub to others and takes part in it no more; the node stays a member of the
    /// cluster, with its other hubs. Returns how many children still ran here when `deadline` had passed: they are ended with
    /// the hub. To take part again the node must be started anew.
    ///
    /// Whoever waits for an operation of this hub on this node is answered as if its time were over. From then on its
    /// handles answer `UnknownHub`, and lookups find nothing.
    ///
    /// # Errors
    /// When this node has left the hub already, or was shut down: nothing changed.
    pub async fn leave(&self, deadline: Duration) -> Result<u64, LeaveHubError> {
        match ask(self.commands(), Request::LeaveHub { hub: self.id().clone(), deadline }).await? {
            Reply::HubLeft(left) => Ok(left?),
            _ => Err(Closed.into()),
        }
    }

    async fn steer(&self, act: Steer) -> Result<Steered, SteerError> {
        match ask(self.commands(), Request::Steer { hub: self.id().clone(), act }).await? {
            Reply::Steered(done) => Ok(done?),
            _ => Err(Closed.into()),
        }
    }

    /// Why a child is where it is, as this node sees it. Changes nothing.
    ///
    /// # Errors
    /// `NotFound` when the child is neither declared nor running.
    pub async fn explain(&self, id: &ChildId) -> Result<Explanation, SteerError> {
        match ask(self.commands(), Request::Explain { hub: self.id().clone(), id: id.clone() }).await? {
            Reply::Explained(why) => Ok(why?),
            _ => Err(Closed.into()),
        }
    }

    /// What a change of the members would move, as this node sees it. Changes nothing.
    ///
    /// # Errors
    /// `NotAMember` when the change is about a node that is not in the view (or, for a join, is).
    pub async fn plan(&self, change: Change) -> Result<Plan, SteerError> {
        match ask(self.commands(), Request::Plan { hub: self.id().clone(), change }).await? {
            Reply::Planned(plan) => Ok(plan?),
            _ => Err(Closed.into()),
        }
    }

    /// Says how many nodes the cluster has, under a quorum: for a cluster that has become smaller for good, or whose
    /// members have all forgotten what they knew. All members of the view take it over. On a part of a cluster whose
    /// other part still serves it makes two that serve.
    ///
    /// # Errors
    /// When the hub has no quorum of a known size, or no cluster has such a size: nothing changed.
    pub async fn reset_cluster_size(&self, size: u32) -> Result<(), ResetError> {
        match ask(self.commands(), Request::ResetClusterSize { hub: self.id().clone(), size }).await? {
            Reply::Reset(done) => Ok(done?),
            _ => Err(Closed.into()),
        }
    }
}
