//! A caller removes children: exactly the starts this node has observed, told to all, awaited until no copy is left.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::Step;
use super::start::{answer_rolled_back, answer_stopped};
use crate::config::limits;
use crate::effect::Effect;
use crate::hub::Hub;
use crate::id::{ChildId, NodeId, RequestId};
use crate::message::Phase;
use crate::registry::{Dot, Key, Row};
use crate::request::{ChildFailure, Reply, StopError, StopOptions, StopOutcome};
use crate::requests::{Number, Open, StopRequest, StopSlot};

impl Hub {
    pub(super) fn stop(&mut self, step: &mut Step<'_>, id: RequestId, ids: Vec<ChildId>, options: StopOptions) {
        let refused = match (ids.is_empty(), self.phase, self.open_requests()) {
            (true, _, _) => Some(StopError::NoChildren),
            (_, Phase::Leaving, _) => Some(StopError::Leaving),
            _ if self.quorum.locked => Some(StopError::Locked(self.config.id.clone())),
            (_, _, open) if open >= limits::OPEN_REQUESTS => Some(StopError::Overloaded(open)),
            _ => None,
        };
        if let Some(error) = refused {
            step.fx.push(Effect::Reply { id, reply: Reply::Stop(Err(error)) });
            return;
        }
        if !options.wait {
            answer_stopped(step, id, StopOutcome::Initiated);
        }
        let request = StopRequest::new(options.wait.then_some(id), ids, step.now + options.timeout);
        self.requests.insert(Open::Stop(request));
    }

    pub(super) fn stop_slice(&mut self, step: &mut Step<'_>, number: Number, most: usize) -> usize {
        let Some(Open::Stop(stop)) = self.requests.get_mut(number) else { return 0 };
        let count = most.min(stop.todo.len());
        let ids: Vec<ChildId> = stop.todo.drain(..count).collect();
        let more = !stop.todo.is_empty();
        for id in ids {
            let key = Key::new(&id);
            let starts = self.registry.record(&key).map_or(&[][..], |record| record.starts());
            let dots: SmallVec<[Dot; 1]> = starts.iter().map(|start| start.dot).collect();
            if dots.is_empty() {
                self.not_found(number, id);
            } else {
                self.retract(step, &key, &dots);
                self.await_stopped(number, &key, dots);
            }
        }
        if let Some(Open::Stop(stop)) = self.requests.get_mut(number) {
            stop.op = self.op;
        }
        if !more {
            self.requests.front_is_done();
        }
        count
    }

    fn not_found(&mut self, number: Number, id: ChildId) {
        let failure = Some((None, ChildFailure::NotFound));
        let slot = StopSlot { id, dots: SmallVec::new(), nodes: Vec::new(), failure, pending: false };
        if let Some(Open::Stop(stop)) = self.requests.get_mut(number) {
            stop.push(slot);
        }
    }

    /// This node removes starts of a child, for a user or because the child is done.
    pub(super) fn retract(&mut self, step: &mut Step<'_>, key: &Key, dots: &[Dot]) {
        self.op += 1;
        self.outbox.stop(&self.registry, &key.id, dots);
        for dot in dots {
            self.undeclare(step, key, *dot);
        }
    }

    /// Whether somebody has an instance of one of these starts. One whose member is gone has, until that is told as well.
    pub(super) fn is_claimed(&self, key: &Key, dots: &[Dot]) -> bool {
        let rows = self.registry.record(key).map_or(&[][..], |record| record.rows());
        rows.iter().any(|row| dots.contains(&row.dot()))
    }

    /// An instance is gone: the stops that wait for it are told.
    pub(super) fn note_stopped(&mut self, key: &Key, row: &Row, confirmed: bool) {
        for (number, at) in self.requests.stops_of(key) {
            let node = self.registry.host(row.host).member.node.clone();
            let Some(slot) = self.requests.stop_slot(number, at).filter(|slot| slot.dots.contains(&row.dot())) else {
                continue;
            };
            if confirmed {
                slot.nodes.extend((!slot.nodes.contains(&node)).then_some(node));
            } else {
                slot.failure = Some((Some(node), ChildFailure::NodeDown));
            }
            let dots = slot.dots.clone();
            if !self.is_claimed(key, &dots) {
                self.requests.resolve_stop(number, at);
            }
        }
    }

    /// A member is gone that may never have heard of the stops after `heard`: what it ended before it may have begun again.
    pub(super) fn doubt_stops(&mut self, node: &NodeId, heard: u64) {
        self.requests.restate(|open| {
            let Open::Stop(stop) = open else { return };
            let unheard = stop.op > heard;
            for slot in stop.slots.iter_mut().filter(|slot| unheard && slot.nodes.contains(node)) {
                slot.failure.get_or_insert_with(|| (Some(node.clone()), ChildFailure::NodeDown));
            }
        });
    }

    /// Once every member knows of a stop, no claim can come up any more; one that did before is waited for. True if
    /// there is one.
    pub(super) fn recheck_stop(&mut self, number: Number) -> bool {
        let Some(Open::Stop(stop)) = self.requests.get(number) else { return false };
        let ended = |slot: &StopSlot| !slot.pending && slot.failure.is_none();
        let is_claimed = |slot: &StopSlot| self.is_claimed(&Key::new(&slot.id), &slot.dots);
        let slots = stop.slots.iter().enumerate();
        let claimed: Vec<usize> = slots.filter(|(_, slot)| ended(slot) && is_claimed(slot)).map(|(at, _)| at).collect();
        if let Some(Open::Stop(stop)) = self.requests.get_mut(number) {
            for at in &claimed {
                stop.slots[*at].pending = true;
                stop.pending += 1;
            }
        }
        !claimed.is_empty()
    }

    pub(super) fn answer_stop(&mut self, step: &mut Step<'_>, number: Number, confirmed: bool) {
        let Some(Open::Stop(mut stop)) = self.requests.remove(number) else { return };
        let Some(id) = stop.reply else { return };
        match stop.rollback.take() {
            Some(result) => answer_rolled_back(step, id, result),
            None => answer_stopped(step, id, StopOutcome::Done(stop.result(confirmed))),
        }
    }
}
