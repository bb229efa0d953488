//! What instances are started with, where the user's handlers have a say in it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Step;
use super::migrate::Entry;
use crate::effect::{Effect, StopReason};
use crate::hub::Hub;
use crate::spec::ChildSpec;

impl Hub {
    /// Gives out starts, or asks first what to start with.
    pub(super) fn give_out(&mut self, step: &mut Step<'_>, starting: Vec<Effect>) {
        for effect in starting {
            match effect {
                Effect::Start { hub, spec, pid, .. } if self.alters.is_wanted() => {
                    self.alters.ask(pid.sequence, spec.clone(), step.now);
                    step.fx.push(Effect::Alter { hub, pid, spec });
                }
                effect => step.fx.push(effect),
            }
        }
    }

    pub(super) fn child_altered(&mut self, step: &mut Step<'_>, sequence: u64, answer: Arc<ChildSpec>) {
        if self.may_still_start(step, sequence)
            && let Some(spec) = self.alters.answered(sequence, answer)
        {
            self.start_altered(step, sequence, spec);
        }
    }

    /// Handlers that take too long are not waited for.
    pub(super) fn expire_alters(&mut self, step: &mut Step<'_>) {
        while let Some(sequence) = self.alters.expired(step.now) {
            if self.may_still_start(step, sequence)
                && let Some(spec) = self.alters.take(sequence)
            {
                self.start_altered(step, sequence, spec);
            }
            // Whatever became of it, it waits no longer.
            self.alters.forget(sequence);
        }
    }

    /// Whether an instance that waits may be started now as it might have been when it was asked about. Much can have
    /// happened since: one that may not is given up, and is looked at again like any child that does not run.
    fn may_still_start(&mut self, step: &mut Step<'_>, sequence: u64) -> bool {
        if !self.alters.is_asked(sequence) {
            return false;
        }
        let Some(key) = self.supervisor.get(sequence).map(|local| local.key.clone()) else { return false };
        let Some(record) = self.registry.record(&key) else { return false };
        let owned = record.subject(&key).is_some_and(|subject| self.view.may_start(&subject));
        let entry = record.subject(&key).and_then(|subject| self.entry(record, &subject));
        let stands_by = self.migrations.stands_by(sequence);
        let room = entry.is_some_and(|entry| stands_by || entry == Entry::Serving);
        if owned && room && !self.quorum.locked {
            return true;
        }
        self.stop_instance(step, &key, sequence, if owned { StopReason::Superseded } else { StopReason::Moved });
        false
    }

    fn start_altered(&mut self, step: &mut Step<'_>, sequence: u64, spec: Arc<ChildSpec>) {
        let Some(key) = self.supervisor.get(sequence).map(|local| local.key.clone()) else { return };
        self.supervisor.began(&key, step.now);
        let Some(row) = self.registry.record(&key).and_then(|record| record.mine()) else { return };
        let (pid, token, role) = (self.registry.pid(row), self.registry.token(row), row.role);
        let standby = self.migrations.stands_by(sequence);
        step.fx.push(Effect::Start { hub: self.config.id.clone(), spec, pid, token, role, standby });
    }
}
