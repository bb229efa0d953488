//! What the larger of the deliberate defects do.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use super::Step;
use crate::config::{Sabotage, limits};
use crate::effect::{Effect, StopReason};
use crate::hub::Hub;
use crate::message::HubMessage;
use crate::registry::{Dot, Key};

impl Hub {
    /// A copy was started.
    pub(super) fn start_wrongly(&mut self, step: &mut Step<'_>, key: &Key) {
        if self.is_sabotaged(Sabotage::StartTwice)
            && let Some(Effect::Start { hub, spec, pid, token, role, standby }) = step.starting.last().cloned()
        {
            let pid = crate::id::Pid { sequence: self.supervisor.add(key.clone()), ..pid };
            step.starting.push(Effect::Start { hub, spec, pid, token, role, standby });
        }
        if self.is_sabotaged(Sabotage::AnswerEarly)
            && let Some(row) = self.registry.record(key).and_then(|record| record.mine()).cloned()
        {
            self.copy_is_up(step, key, &row);
        }
    }

    /// A start is about to be removed.
    pub(super) fn remove_unseen(&mut self, key: &Key, dot: Dot) {
        if !self.is_sabotaged(Sabotage::StopUnseen) {
            return;
        }
        let starts = self.registry.record(key).map_or(&[][..], |record| record.starts());
        let others: alloc::vec::Vec<Dot> = starts.iter().map(|start| start.dot).filter(|other| *other != dot).collect();
        for other in others {
            self.registry.remove(key, other);
        }
    }

    /// A tick.
    pub(super) fn talk_too_much(&mut self, step: &mut Step<'_>) {
        if self.is_sabotaged(Sabotage::Chatter) {
            let memory = HubMessage::Memory(self.wire_memory(step.now));
            (0..32).for_each(|_| self.tell_all(step, &memory));
        }
        if self.is_sabotaged(Sabotage::Shout)
            && let Some(id) = self.local().next().map(|(id, _)| id.clone())
        {
            (0..64 * limits::SLICE).for_each(|_| self.changed(step, &id));
        }
    }

    /// The time to compare with others has come.
    pub(super) fn compare_wrongly(&mut self, step: &mut Step<'_>) {
        if self.is_sabotaged(Sabotage::OutsideState) {
            static COMPARISONS: AtomicU64 = AtomicU64::new(0);
            self.sync_at += Duration::from_micros(COMPARISONS.fetch_add(1, Ordering::Relaxed));
        }
        if !self.is_sabotaged(Sabotage::Unrest) {
            return;
        }
        self.rests = if self.is_settled() { self.rests + 1 } else { 0 };
        let first = self.supervisor.iter().next().map(|(sequence, local)| (sequence, local.key.clone()));
        if self.rests > 40
            && let Some((sequence, key)) = first
        {
            self.rests = 0;
            self.stop_instance(step, &key, sequence, StopReason::Superseded);
        }
    }
}
