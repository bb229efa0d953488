//! The tap through which a run tells its history. Without one, nothing of this costs more than a look whether there is.

use process_hub_core::{Effect, Input, Message, Node};
use process_hub_viewer::{About, History, Recorder, What};

use crate::oracles::seen::{Seen, Violation};
use crate::sim::HostId;

/// Turns what the simulator sees into a history.
#[derive(Debug)]
pub(crate) struct Tap(Recorder);

/// The lane of a host: they are in the same order.
fn lane(host: HostId) -> u32 {
    u32::try_from(host).unwrap_or(u32::MAX)
}

impl Tap {
    pub(crate) fn new(about: About) -> Self {
        Self(Recorder::new(about))
    }

    /// What happens outside of the steps of nodes.
    pub(crate) fn see(&mut self, now: u64, seen: &Seen<'_>) {
        let tap = &mut self.0;
        match *seen {
            Seen::Booted { host, member, .. } => {
                tap.happens(now, lane(host), What::Boot, &format!("boots as {member}"), None)
            }
            Seen::Died { host } => tap.happens(now, lane(host), What::Crash, "its process is no more", None),
            Seen::Stalled { host, on: true } => tap.happens(now, lane(host), What::Pause, "handles nothing", None),
            Seen::Stalled { host, on: false } => tap.happens(now, lane(host), What::Resume, "goes on", None),
            Seen::Cut { from, to, on } => tap.cut(now, lane(from), lane(to), on),
            Seen::Serving { host, sequence } => {
                tap.happens(now, lane(host), What::Up, &format!("instance {sequence} is up"), Some(sequence));
            }
            Seen::Ended { host, sequence } => {
                tap.happens(now, lane(host), What::Down, &format!("instance {sequence} is no more"), Some(sequence));
            }
            Seen::Healed { .. } => tap.phase(now, "the faults are over"),
            Seen::Converged => tap.phase(now, "all must have converged"),
            Seen::Finished => tap.phase(now, "over"),
            _ => {}
        }
    }

    /// There is one more host.
    pub(crate) fn join(&mut self, name: &str) {
        self.0.join(name);
    }

    pub(crate) fn begin(&mut self, now: u64, host: HostId, input: &Input) {
        self.0.begin(now, lane(host), input);
    }

    pub(crate) fn effect(&mut self, effect: &Effect) {
        self.0.effect(effect);
    }

    pub(crate) fn end(&mut self, node: Option<&Node>) {
        self.0.end(node);
    }

    pub(crate) fn sent(&mut self, now: u64, from: HostId, to: HostId, message: &Message) -> u64 {
        self.0.sent(now, lane(from), lane(to), message)
    }

    pub(crate) fn arriving(&mut self, number: u64) {
        self.0.arriving(number);
    }

    pub(crate) fn lost(&mut self, now: u64, number: u64, why: &str) {
        self.0.lost(now, number, why);
    }

    /// All of it, with what was found.
    pub(crate) fn finish(mut self, now: u64, violations: &[Violation]) -> History {
        for violation in violations {
            let (host, child) = (violation.host.map(lane), violation.child.as_deref());
            self.0.violation(violation.time, host, violation.oracle, child, &violation.text);
        }
        self.0.finish(now)
    }
}
