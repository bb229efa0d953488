//! Scripts of moves: operators that steer, and children that are bad at handing over.

use std::time::Duration;

use process_hub_core::request::{Reply, Request};
use process_hub_core::steering::{Steer, SteerError, Steered};

use super::{Cluster, id};
use crate::plan::hub_id;

const ALWAYS: u32 = 1_000_000;

impl Cluster {
    /// Has an operator at a node give a child to another one, and waits for the answer.
    ///
    /// # Errors
    /// Those of the request.
    pub fn migrate(&mut self, node: &str, child: &str, to: &str) -> Result<Steered, SteerError> {
        let to = crate::sim::world::node_name(self.host(to));
        self.steer(node, Steer::Migrate { id: id(child), to, timeout: Duration::from_secs(20) })
    }

    /// Has an operator steer at a node, and waits for the answer.
    ///
    /// # Errors
    /// Those of the request.
    pub fn steer(&mut self, node: &str, act: Steer) -> Result<Steered, SteerError> {
        let request = self.ask(node, Request::Steer { hub: hub_id(), act });
        match self.answer(node, request) {
            Reply::Steered(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// Copies that are asked for their state refuse from now on, or do not any more.
    pub fn states_are_refused(&mut self, on: bool) {
        self.world.child_faults.state_refused = if on { ALWAYS } else { 0 };
    }

    /// Copies that are asked for their state never answer from now on, or do again.
    pub fn states_never_come(&mut self, on: bool) {
        self.world.child_faults.state_hangs = if on { ALWAYS } else { 0 };
    }

    /// States are large from now on (0.3 to 3 MB), or are not any more.
    pub fn states_are_large(&mut self, on: bool) {
        self.world.child_faults.state_big = if on { ALWAYS } else { 0 };
    }

    /// Copies that are given a state refuse it from now on, or do not any more.
    pub fn states_are_not_taken(&mut self, on: bool) {
        self.world.child_faults.take_refused = if on { ALWAYS } else { 0 };
    }

    /// Copies that are given a state never answer from now on, or do again.
    pub fn takers_hang(&mut self, on: bool) {
        self.world.child_faults.take_hangs = if on { ALWAYS } else { 0 };
    }

    /// The node where a child serves. Panics unless it serves once.
    #[must_use]
    pub fn host_of(&self, child: &str) -> String {
        match self.placed().get(child).map(Vec::as_slice) {
            Some([pid]) => pid.node.as_str().to_owned(),
            other => panic!("{child} serves as {other:?}"),
        }
    }

    /// Lets time pass until a child serves on a node, at most `span`.
    pub fn run_until_on(&mut self, child: &str, node: &str, span: Duration) {
        let on = |cluster: &Self| {
            let placed = cluster.placed();
            placed.get(child).is_some_and(|pids| pids.iter().any(|pid| pid.node.as_str() == node))
        };
        self.run_until(span, on);
        assert!(on(self), "{child} does not come to {node} within {span:?}: {:?}", self.placed().get(child));
    }

    /// Lets time pass until the simulator has counted something such as `state_taken` once more, at most `span`.
    pub fn run_until_counted(&mut self, what: &str, span: Duration) {
        let before = self.counted(what);
        self.run_until(span, |cluster| cluster.counted(what) > before);
        assert!(self.counted(what) > before, "no {what} within {span:?}");
    }
}
