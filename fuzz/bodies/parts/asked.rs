//! What callers and operators may ask of a node, drawn from bytes.

use std::time::Duration;

use process_hub_core::request::{OnFailure, Request, StartOptions, StopOptions, Target};
use process_hub_core::steering::{Change, Steer};

use super::draw::{Draw, hub};
use super::host::Host;

impl Draw<'_> {
    /// Children to be started; each start has arguments of its own.
    pub(crate) fn start(&mut self, host: &mut Host) -> Request {
        let mut children = vec![];
        for _ in 0..=self.below(3) {
            let version = host.next_version();
            children.push(self.spec(version.to_le_bytes().to_vec()));
        }
        let mapped = self.below(3) == 0;
        let mapping = children.iter().map(|spec| (spec.id.clone(), vec![self.node()])).collect();
        let options = StartOptions {
            wait: self.coin(),
            timeout: self.span(),
            check_existing: self.coin(),
            on_failure: if self.coin() { OnFailure::Continue } else { OnFailure::Rollback },
            child_mapping: mapped.then_some(mapping),
        };
        Request::Start { hub: hub(), children, options }
    }

    pub(crate) fn stop(&mut self) -> Request {
        let ids = self.some(Self::child);
        let options = StopOptions { wait: self.coin(), timeout: self.span() };
        Request::Stop { hub: hub(), ids, options }
    }

    /// Anything but a start or a stop. That the node leaves is rare: it ends most of what can happen.
    pub(crate) fn other_request(&mut self, host: &Host) -> Request {
        let (hub, id, payload, timeout) = (hub(), self.child(), self.raw(4).into(), self.span());
        match self.below(12) {
            0 | 1 => Request::Call { hub, to: Target::Child(id), payload, timeout },
            2 => match host.any_pid(self.byte()) {
                Some((id, pid)) => Request::Call { hub, to: Target::Pid(id, pid), payload, timeout },
                None => Request::Call { hub, to: Target::Child(id), payload, timeout },
            },
            3 => Request::Cast { hub, to: Target::Child(id), payload },
            4 => Request::ResetClusterSize { hub, size: self.short() },
            5 => Request::Explain { hub, id },
            6 => Request::Plan { hub, change: self.change() },
            7..=10 => Request::Steer { hub, act: self.steer() },
            _ => match self.byte() {
                0..32 => Request::Leave { deadline: timeout },
                32..64 => Request::LeaveHub { hub, deadline: timeout },
                _ => Request::OpenHub(self.config()),
            },
        }
    }

    fn change(&mut self) -> Change {
        let (node, weight) = (self.node(), self.one(&[1, 0, 2, 64, u32::MAX]));
        match self.below(3) {
            0 => Change::Join { node, weight, labels: self.labels().iter().cloned().collect() },
            1 => Change::Leave(node),
            _ => Change::Weight { node, weight },
        }
    }

    fn steer(&mut self) -> Steer {
        match self.below(10) {
            0 => Steer::Migrate { id: self.child(), to: self.node(), timeout: self.span() },
            1 => Steer::Cordon,
            2 => Steer::Uncordon,
            3 => Steer::Drain { deadline: self.span() },
            4 => Steer::Undrain,
            5 => Steer::Weight(self.one(&[1, 0, 2, 64, 65])),
            6 => Steer::Labels(self.labels()),
            7 => Steer::Pause,
            8 => Steer::Resume,
            _ => Steer::Forget { node: self.node() },
        }
    }
}

/// The longest that any of these requests may stay open: the longest span there is, and time to look at it.
pub(crate) const LONGEST: Duration = Duration::from_secs(12);
