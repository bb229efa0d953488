//! What instances are started with, where the user's handlers have a say in it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Step;
use crate::effect::Effect;
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
        if let Some(spec) = self.alters.answered(sequence, answer) {
            self.start_altered(step, sequence, spec);
        }
    }

    /// Handlers that take too long are not waited for.
    pub(super) fn expire_alters(&mut self, step: &mut Step<'_>) {
        while let Some((sequence, spec)) = self.alters.next_expired(step.now) {
            self.start_altered(step, sequence, spec);
        }
    }

    fn start_altered(&mut self, step: &mut Step<'_>, sequence: u64, spec: Arc<ChildSpec>) {
        let Some(local) = self.supervisor.get(sequence) else { return };
        let Some(row) = self.registry.record(&local.key).and_then(|record| record.mine()) else { return };
        let (pid, token, role) = (self.registry.pid(row), self.registry.token(row), row.role);
        step.fx.push(Effect::Start { hub: self.config.id.clone(), spec, pid, token, role });
    }
}
