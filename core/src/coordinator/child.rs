//! An instance of this node has come up, failed to, ended, or answered.

use smol_str::SmolStr;

use super::Step;
use crate::effect::StopReason;
use crate::hook::{HookEvent, StartedChild};
use crate::hub::Hub;
use crate::id::Pid;
use crate::input::{ChildEvent, ExitReason};
use crate::message::RowState;
use crate::registry::{Dot, Key, ME, Row};
use crate::request::ChildFailure;
use crate::spec::Restart;
use crate::supervisor::Local;

impl Hub {
    pub(super) fn child(&mut self, step: &mut Step<'_>, sequence: u64, event: ChildEvent) {
        match event {
            ChildEvent::Started => self.child_started(step, sequence),
            ChildEvent::StartFailed { reason } => self.child_start_failed(step, sequence, super::bounded(reason)),
            ChildEvent::Exited { reason } => self.child_exited(step, sequence, &reason),
            ChildEvent::Replied { call, reply } => self.child_replied(step, sequence, call, reply),
            ChildEvent::Refused { call } => self.child_refused(step, sequence, &call),
            ChildEvent::Altered { spec } => self.child_altered(step, sequence, spec),
            ChildEvent::State { attempt, state, queued } => self.child_state(step, sequence, attempt, state, queued),
            ChildEvent::StateTaken { result } => self.child_state_taken(step, sequence, result),
        }
    }

    fn child_started(&mut self, step: &mut Step<'_>, sequence: u64) {
        self.supervisor.started(sequence);
        let Some(local) = self.supervisor.get(sequence) else { return };
        let (key, stopped) = (local.key.clone(), local.stop.is_some());
        if stopped {
            let mine = self.registry.record(&key).and_then(|record| record.mine());
            if let Some(row) = mine.filter(|row| row.sequence == sequence) {
                let words = SmolStr::new_static("was told to stop before it was up");
                self.announce_started(step, &key, row.dot(), Err(words));
            }
            return;
        }
        if self.migrations.stands_by(sequence) {
            return self.standby_started(step, &key, sequence);
        }
        self.registry.edit_mine(&key, |row| {
            row.state = RowState::Running;
            row.published = true;
        });
        let changed = self.take_due_role(&key);
        let Some(row) = self.registry.record(&key).and_then(|record| record.mine()).cloned() else { return };
        self.outbox.row(&self.registry, &key.id, &row);
        let pid = self.registry.pid(&row);
        self.announce_started(step, &key, row.dot(), Ok(pid.clone()));
        if changed || self.config.redundancy.signals(row.role) {
            self.tell_role(step, &key, &row);
        }
        self.child_is_up(step, &key, &row);
        if self.supervisor.is_restart(&key) {
            self.outbox.restarted(sequence);
            self.hook(step, HookEvent::ChildPidUpdated { id: key.id.clone(), pid });
        }
    }

    pub(super) fn announce_started(&self, step: &mut Step<'_>, key: &Key, dot: Dot, outcome: Result<Pid, SmolStr>) {
        let starts = self.registry.record(key).map_or(&[][..], |record| record.starts());
        let spec = starts.iter().find(|start| start.dot == dot).map(|start| start.spec.clone());
        let children = alloc::vec![StartedChild { id: key.id.clone(), spec, outcome }];
        self.hook(step, HookEvent::PostChildrenStart { children });
    }

    pub(super) fn child_start_failed(&mut self, step: &mut Step<'_>, sequence: u64, reason: SmolStr) {
        let stood_by = self.migrations.stands_by(sequence);
        let Some((local, row)) = self.end_instance(step, sequence) else { return };
        let key = local.key;
        self.announce_started(step, &key, row.dot(), Err(reason.clone()));
        if let Some(why) = local.stop {
            if why == StopReason::Moved
                && let Some(owner) = self.heir(&key)
            {
                step.forwarded.push((owner.clone(), key.id.clone()));
            }
            return self.reconcile(step, &key);
        }
        let failure = ChildFailure::StartFailed(reason.clone());
        self.hook(step, HookEvent::ChildStartFailed { id: key.id.clone(), reason: failure.clone() });
        self.plan_restart(step, &key);
        if stood_by {
            // The child runs, or its state waits: nobody else need know.
            return self.reconcile(step, &key);
        }
        let node = self.me.node.clone();
        if !self.copy_failed(step, &key, row.dot(), node, failure) {
            self.outbox.failure(&self.registry, &key.id, row.dot(), reason);
            self.reconcile(step, &key);
        }
    }

    fn child_exited(&mut self, step: &mut Step<'_>, sequence: u64, reason: &ExitReason) {
        let stood_by = self.migrations.stands_by(sequence);
        let Some(local) = self.supervisor.get(sequence) else { return };
        let (key, moved) = (local.key.clone(), local.stop == Some(StopReason::Moved));
        if let Some(node) = self.successor(&key).filter(|_| moved && !stood_by) {
            step.moved.push((node, key.id.clone()));
        }
        if self.keeps(&key, sequence) {
            self.answer_orphans(step, sequence, &key);
            return self.keep(step, &key, sequence);
        }
        let Some((local, row)) = self.end_instance(step, sequence) else { return };
        match local.stop {
            Some(_) => {}
            // It has yet to serve: that is no end of its child.
            None if stood_by => self.plan_restart(step, &key),
            None if self.is_over(&key, row.dot(), reason) => return self.retract(step, &key, &[row.dot()]),
            None => self.plan_restart(step, &key),
        }
        self.reconcile(step, &key);
    }

    /// Takes an instance that has ended out of all tables.
    pub(super) fn end_instance(&mut self, step: &mut Step<'_>, sequence: u64) -> Option<(Local, Row)> {
        let key = self.supervisor.get(sequence)?.key.clone();
        self.leave_source(step, &key, sequence);
        self.migrations.end_source(sequence);
        self.migrations.forget(sequence);
        let local = self.supervisor.remove(sequence)?;
        self.answer_orphans(step, sequence, &local.key);
        let row = self.registry.take_row(&local.key, ME, Some(sequence))?;
        if !row.published {
            // It may have used its token: the next copy, wherever that is, gets a higher one.
            self.outbox.row(&self.registry, &local.key.id, &row);
        }
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::SilentEnd) {
            return Some((local, row));
        }
        self.outbox.gone(&local.key.id, sequence);
        self.claim_gone(step, &local.key, &row, true);
        Some((local, row))
    }

    /// Whether an instance that ended by itself ends its child with it.
    fn is_over(&self, key: &Key, dot: Dot, reason: &ExitReason) -> bool {
        let starts = self.registry.record(key).map_or(&[][..], |record| record.starts());
        let Some(start) = starts.iter().find(|start| start.dot == dot) else { return false };
        match start.spec.restart {
            Restart::Permanent => false,
            Restart::Transient => matches!(reason, ExitReason::Normal | ExitReason::Shutdown),
            #[cfg(feature = "sabotage")]
            Restart::Temporary if self.is_sabotaged(crate::config::Sabotage::RestartTemporary) => false,
            Restart::Temporary => true,
        }
    }

    fn plan_restart(&mut self, step: &mut Step<'_>, key: &Key) {
        let config = &self.config;
        let plan =
            self.supervisor.plan(key, step.now, config.max_restarts, config.restart_window, config.restart_backoff);
        if plan.intense {
            self.hook(step, HookEvent::RestartIntensityReached { id: key.id.clone() });
        }
    }
}
