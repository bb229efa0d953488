//! A start is given to nodes: by its caller, by the load balancer, or by an operator.

use super::Step;
use crate::hub::Hub;
use crate::message::Assignment;
use crate::registry::{Assigned, Dot, Key};

impl Hub {
    /// An assignment was heard of, or made here.
    pub(super) fn assigned(&mut self, step: &mut Step<'_>, key: &Key, dot: Dot, assignment: Assignment) -> Assigned {
        let taken = self.registry.assign(key, dot, assignment.clone(), step.now);
        if taken == Assigned::Taken {
            // Whoever gives it away next is to know of every copy.
            self.claim_unheard(key);
            self.reconcile(step, key);
        } else if taken == Assigned::Gone {
            self.former.assigned(key, dot, assignment);
        }
        taken
    }
}
