//! A start is given to nodes: by its caller, by the load balancer, or by an operator.

use alloc::vec::Vec;

use super::Step;
use crate::config::Distribution;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::message::Assignment;
use crate::moves::FORMER;
use crate::registry::{Assigned, Dot, Key};

impl Hub {
    /// An assignment was heard of, or made here.
    pub(super) fn assigned(&mut self, step: &mut Step<'_>, key: &Key, dot: Dot, assignment: Assignment) -> Assigned {
        let taken = self.registry.assign(key, dot, assignment);
        if taken == Assigned::Taken {
            // Whoever gives it away next is to know of every copy.
            self.claim_unheard(key);
            self.reconcile(step, key);
        }
        taken
    }

    /// A start that was given to these nodes is no more. They may not have heard of it and begin to carry it out, while
    /// another start of the child belongs elsewhere: that one goes to the same, or waits for a moment.
    pub(super) fn former_owners(&mut self, step: &mut Step<'_>, key: &Key, nodes: Vec<NodeId>) {
        let elsewhere = |node: &NodeId| *node != self.me.node && self.view.members().contains_key(node);
        if nodes.iter().any(elsewhere) {
            self.supervisor.hold(key, step.now + FORMER);
        }
        if matches!(self.config.distribution, Distribution::CentralizedLoadBalancer(_)) {
            self.former.remember(key, nodes, step.now);
        }
    }
}
