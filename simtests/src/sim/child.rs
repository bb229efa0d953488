//! The driver of children on each host: instances that start, serve, answer, fail and end, all on virtual time.

use std::sync::Arc;
use std::time::Duration;

use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, ExitReason};

use super::dice::{Occasion, Oddity, Roll};
use super::event::{ChildStep, Event, HostId};
use super::host::{Arrival, Running, Stage};
use super::world::World;
use crate::oracles::seen::Seen;
use crate::plan::hub_id;

/// How often a child that is sick ends soon after it has come up, in millionths.
const NEARLY_ALWAYS: u32 = 800_000;

/// What goes wrong with children, in millionths of the cases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildFaults {
    pub(crate) start_fails: u32,
    pub(crate) start_slow: u32,
    pub(crate) ends_in_error: u32,
    /// How many children do that nearly always, soon after each start.
    pub(crate) sick: u32,
    pub(crate) ends_content: u32,
    pub(crate) hangs_on_stop: u32,
    pub(crate) call_fails: u32,
    /// The user of each node has alter handlers, and this is how often one changes something.
    pub(crate) altered: u32,
    /// How often such a handler does not come to an end.
    pub(crate) alter_lost: u32,
    /// A copy that is asked for its state refuses, never answers, takes long, or gives a large one.
    pub(crate) state_refused: u32,
    pub(crate) state_hangs: u32,
    pub(crate) state_slow: u32,
    pub(crate) state_big: u32,
    /// A copy that is given a state refuses it, or never answers.
    pub(crate) take_refused: u32,
    pub(crate) take_hangs: u32,
    /// It takes long.
    pub(crate) take_slow: u32,
}

impl World {
    pub(crate) fn start_child(&mut self, host: HostId, life: u32, running: Running, sequence: u64) {
        let mut roll = self.dice.roll(Occasion::Start, host, running.id.as_str());
        let slow = self.dice.is_odd(&roll, Oddity::StartSlow, self.child_faults.start_slow);
        let fails = self.dice.is_odd(&roll, Oddity::StartFails, self.child_faults.start_fails);
        let fails = fails || self.hosts[host].starts_fail;
        let takes = roll.span(20, if slow { 400_000 } else { 2_000 });
        if slow {
            self.count("child_slow_start");
        }
        let step = if fails { ChildStep::Fail } else { ChildStep::Up };
        let Some(this) = &mut self.hosts[host].life else { return };
        this.instances.insert(sequence, running);
        self.queue.push(self.now + takes, Event::Child { host, life, sequence, step });
    }

    /// The user's alter handlers are asked what an instance is to be started with.
    pub(crate) fn alter_child(&mut self, host: HostId, life: u32, sequence: u64, spec: Arc<ChildSpec>) {
        let mut roll = self.dice.roll(Occasion::Alter, host, spec.id.as_str());
        if self.dice.is_odd(&roll, Oddity::AlterHangs, self.child_faults.alter_lost) {
            return self.count("alter_handler_hangs");
        }
        let alters = self.dice.is_odd(&roll, Oddity::Altered, self.child_faults.altered);
        let takes = roll.span(20, 100_000);
        let spec = if alters {
            self.count("child_altered");
            let metadata = spec.metadata.clone().with("altered", "yes");
            Arc::new(ChildSpec::clone(&spec).metadata(metadata))
        } else {
            spec
        };
        let Some(this) = &mut self.hosts[host].life else { return };
        this.altering.insert(sequence, spec);
        self.queue.push(self.now + takes, Event::Child { host, life, sequence, step: ChildStep::Altered });
    }

    pub(crate) fn stop_child(&mut self, host: HostId, life: u32, sequence: u64, deadline: Duration) {
        let Some(mut roll) = self.roll(Occasion::Stop, host, sequence) else { return };
        let hangs = self.dice.is_odd(&roll, Oddity::HangsOnStop, self.child_faults.hangs_on_stop);
        let (gives_up, takes) = (roll.coin(), roll.span(20, 5_000));
        let deadline = u64::try_from(deadline.as_micros()).unwrap_or(u64::MAX);
        let Some(this) = &mut self.hosts[host].life else { return };
        let Some(running) = this.instances.get_mut(&sequence) else { return };
        let (step, after) = match running.stage {
            Stage::Stopping => return,
            Stage::Starting if gives_up => (ChildStep::Fail, takes.min(deadline)),
            Stage::Starting => {
                running.doomed = true;
                return;
            }
            Stage::Up if hangs => (ChildStep::Killed, deadline),
            Stage::Up => (ChildStep::Stopped, takes.min(deadline)),
        };
        running.stage = Stage::Stopping;
        if hangs {
            self.count("child_hangs_on_stop");
        }
        self.queue.push(self.now + after, Event::Child { host, life, sequence, step });
    }

    pub(crate) fn child_step(&mut self, host: HostId, life: u32, sequence: u64, step: ChildStep) {
        let Some(this) = self.hosts[host].life.as_mut().filter(|this| this.number == life) else { return };
        // A paused host runs its children no more than its node.
        if self.watch.truth.hosts[host].stalled {
            // Looked at now and then: a pause may be cut short.
            let until = self.hosts[host].busy_until.clamp(self.now + 1, self.now + 10_000);
            return self.queue.push(until, Event::Child { host, life, sequence, step });
        }
        if step == ChildStep::Altered {
            let Some(spec) = this.altering.remove(&sequence) else { return };
            let event = ChildEvent::Altered { spec };
            return self.arrive(host, Arrival::Child { hub: hub_id(), sequence, event });
        }
        let Some(running) = this.instances.get_mut(&sequence) else { return };
        match (step, running.stage) {
            (ChildStep::Up, Stage::Starting) => self.child_up(host, life, sequence),
            (ChildStep::Fail, Stage::Starting | Stage::Stopping) => {
                let stopped = running.stage == Stage::Stopping;
                let reason = if stopped { "stopped while it started" } else { "told to fail" };
                let event = ChildEvent::StartFailed { reason: reason.into() };
                if !stopped {
                    self.count("child_start_fails");
                }
                self.child_gone(host, sequence, event);
            }
            (ChildStep::Stopped, Stage::Stopping) => self.child_exits(host, sequence, ExitReason::Shutdown),
            (ChildStep::Killed, Stage::Stopping) => self.child_exits(host, sequence, ExitReason::Killed),
            // A child that was to fail some day does not once the faults are over.
            (ChildStep::Done, Stage::Up) if !self.healed => {
                self.count("child_ends_content");
                self.child_exits(host, sequence, ExitReason::Normal);
            }
            (ChildStep::Error, Stage::Up) if !self.healed => {
                self.count("child_ends_in_error");
                self.child_exits(host, sequence, ExitReason::Error("told to fail".into()));
            }
            (ChildStep::Handle, Stage::Up | Stage::Stopping) => self.handle_message(host, life, sequence),
            (ChildStep::Prepared { attempt }, Stage::Up) => self.prepared(host, life, sequence, attempt),
            (ChildStep::Took, Stage::Up) => self.took(host, life, sequence),
            _ => {}
        }
    }

    fn child_up(&mut self, host: HostId, life: u32, sequence: u64) {
        let Some(mut roll) = self.roll(Occasion::Up, host, sequence) else { return };
        let sick = self.dice.is_marked(&roll.of, self.child_faults.sick);
        let fails = if sick { NEARLY_ALWAYS } else { self.child_faults.ends_in_error };
        let error = self.dice.is_odd(&roll, Oddity::EndsInError, fails);
        let content = self.dice.is_odd(&roll, Oddity::EndsContent, self.child_faults.ends_content);
        let (after, takes) = (roll.span(1_000, 20_000_000), roll.span(20, 5_000));
        let Some(this) = &mut self.hosts[host].life else { return };
        let Some(running) = this.instances.get_mut(&sequence) else { return };
        let doomed = running.doomed;
        running.stage = if doomed { Stage::Stopping } else { Stage::Up };
        let (hub, standby) = (running.hub.clone(), running.standby);
        if doomed {
            self.queue.push(self.now + takes, Event::Child { host, life, sequence, step: ChildStep::Stopped });
        } else if error || content {
            let step = if error { ChildStep::Error } else { ChildStep::Done };
            self.queue.push(self.now + after, Event::Child { host, life, sequence, step });
        }
        if !standby {
            self.tell(&Seen::Serving { host, sequence });
        }
        self.arrive(host, Arrival::Child { hub, sequence, event: ChildEvent::Started });
    }

    /// One more occasion of an instance.
    pub(crate) fn roll(&mut self, occasion: Occasion, host: HostId, sequence: u64) -> Option<Roll> {
        let running = self.hosts[host].life.as_ref()?.instances.get(&sequence)?;
        Some(self.dice.roll(occasion, host, running.id.as_str()))
    }

    fn child_exits(&mut self, host: HostId, sequence: u64, reason: ExitReason) {
        self.tell(&Seen::Ended { host, sequence });
        self.child_gone(host, sequence, ChildEvent::Exited { reason });
    }

    fn child_gone(&mut self, host: HostId, sequence: u64, event: ChildEvent) {
        let Some(this) = &mut self.hosts[host].life else { return };
        let Some(running) = this.instances.remove(&sequence) else { return };
        self.arrive(host, Arrival::Child { hub: running.hub, sequence, event });
    }

    /// An instance of a child ends in error by itself, as if it had failed just now. False if none is up there.
    pub(crate) fn fail_child(&mut self, host: HostId, sequence: u64) -> bool {
        let Some(this) = &self.hosts[host].life else { return false };
        if this.instances.get(&sequence).is_none_or(|running| running.stage != Stage::Up) {
            return false;
        }
        self.child_exits(host, sequence, ExitReason::Error("told to fail".into()));
        true
    }
}
