//! A caller declares children: checked, minted, told to all, and awaited until their owners have them up.

use alloc::sync::Arc;
use alloc::vec::Vec;

use smol_str::format_smolstr;

use super::Step;
use crate::config::{Distribution, limits};
use crate::effect::Effect;
use crate::hub::Hub;
use crate::id::{Member, RequestId};
use crate::message::{Assignment, Phase};
use crate::registry::{Dot, Key};
use crate::request::{
    ChildFailure, ChildMapping, OnFailure, Reply, StartError, StartOptions, StartOutcome, StartResult, StopOutcome,
};
use crate::requests::{Number, Open, StartRequest, StopRequest, StopSlot};
use crate::spec::ChildSpec;

impl Hub {
    pub(super) fn start(
        &mut self,
        step: &mut Step<'_>,
        id: RequestId,
        children: Vec<ChildSpec>,
        options: StartOptions,
    ) {
        let accepted = self.may_accept(&children);
        if let Err(error) = accepted.and_then(|()| self.check_mapping(&children, options.child_mapping.as_ref())) {
            return answer(step, id, Err(error));
        }
        let deadline = step.now + options.timeout;
        let mut request = StartRequest::new(id, children, options.check_existing, deadline, options.on_failure);
        request.wait = options.wait;
        request.mapping = options.child_mapping.unwrap_or_default();
        self.requests.insert(Open::Start(request));
    }

    fn may_accept(&self, children: &[ChildSpec]) -> Result<(), StartError> {
        if children.is_empty() {
            return Err(StartError::NoChildren);
        }
        if self.phase == Phase::Leaving {
            return Err(StartError::Leaving);
        }
        if self.quorum.locked {
            return Err(StartError::Locked(self.config.id.clone()));
        }
        if self.open_requests() >= limits::OPEN_REQUESTS {
            return Err(StartError::Overloaded(self.open_requests()));
        }
        for spec in children {
            let sizes = [("metadata", spec.metadata.size(), limits::METADATA), ("spec", spec.size(), limits::SPEC)];
            for (what, len, limit) in sizes {
                if len > limit {
                    return Err(StartError::TooLarge { id: spec.id.clone(), what, len, limit });
                }
            }
        }
        Ok(())
    }

    /// Whether the nodes that the caller has chosen are such as this hub wants them.
    fn check_mapping(&self, children: &[ChildSpec], mapping: Option<&ChildMapping>) -> Result<(), StartError> {
        let guided = self.config.distribution == Distribution::Guided;
        let mapping = match mapping {
            None if guided => return Err(StartError::MissingChildMapping(self.config.id.clone())),
            None => return Ok(()),
            Some(_) if !guided => {
                let why = format_smolstr!("hub `{}` does not place children by a mapping: give none", self.config.id);
                return Err(StartError::InvalidChildMapping(why));
            }
            Some(mapping) => mapping,
        };
        let copies = self.view.copies();
        for spec in children {
            let nodes = mapping.get(&spec.id).ok_or_else(|| StartError::ChildMappingMismatch(spec.id.clone()))?;
            if nodes.len() != copies {
                let (id, nodes) = (spec.id.clone(), nodes.len());
                return Err(StartError::ChildReplicationMismatch { id, nodes, copies });
            }
            let twice = nodes.iter().enumerate().find(|(at, node)| nodes[..*at].contains(node));
            if let Some((_, node)) = twice {
                let why = format_smolstr!("child `{}` is mapped to node `{node}` twice: name each once", spec.id);
                return Err(StartError::InvalidChildMapping(why));
            }
        }
        Ok(())
    }

    pub(super) fn has_requests_to_look_at(&self) -> bool {
        self.requests.next_busy().is_some()
    }

    /// Looks at a bounded number of the children of requests, and at none while some member cannot keep up.
    pub(super) fn request_slice(&mut self, step: &mut Step<'_>) {
        let mut left = limits::SLICE;
        while left > 0 {
            let Some(number) = self.requests.next_busy().filter(|_| !self.is_congested()) else { return };
            let looked = match self.requests.get(number) {
                Some(Open::Start(start)) if start.checked.is_some() => self.check_slice(step, number, left),
                Some(Open::Start(_)) => self.mint_slice(step, number, left),
                Some(Open::Stop(_)) => self.stop_slice(step, number, left),
                None => {
                    self.requests.front_is_done();
                    continue;
                }
            };
            left = left.saturating_sub(looked.max(1));
        }
    }

    /// Whether any of a batch exists already: then all of it is refused.
    fn check_slice(&mut self, step: &mut Step<'_>, number: Number, most: usize) -> usize {
        let Some(Open::Start(start)) = self.requests.get_mut(number) else { return 0 };
        let from = start.checked.unwrap_or(0);
        let upto = (from + most).min(start.todo.len());
        for spec in start.todo.range(from..upto) {
            if self.registry.record(&Key::new(&spec.id)).is_some_and(|record| record.is_declared()) {
                start.existing.push(spec.id.clone());
            }
        }
        start.checked = (upto < start.todo.len()).then_some(upto);
        if start.checked.is_some() {
            return upto - from;
        }
        if !start.existing.is_empty() {
            let (id, existing) = (start.reply, core::mem::take(&mut start.existing));
            self.requests.remove(number);
            if let Some(id) = id {
                answer(step, id, Err(StartError::AlreadyStarted(existing)));
            }
        }
        upto - from
    }

    fn mint_slice(&mut self, step: &mut Step<'_>, number: Number, most: usize) -> usize {
        let me = Member { node: self.me.node.clone(), boot: self.mints };
        let Some(origin) = self.registry.origin(&me) else { return most };
        let Some(Open::Start(start)) = self.requests.get_mut(number) else { return 0 };
        if !start.wait
            && let Some(id) = start.reply.take()
        {
            answer(step, id, Ok(StartOutcome::Initiated));
        }
        let count = most.min(start.todo.len());
        let specs: Vec<ChildSpec> = start.todo.drain(..count).collect();
        let more = !start.todo.is_empty();
        for spec in specs {
            self.mint(step, number, origin, spec);
        }
        if !more {
            self.requests.front_is_done();
        }
        count
    }

    fn mint(&mut self, step: &mut Step<'_>, number: Number, origin: u16, spec: ChildSpec) {
        let key = Key::new(&spec.id);
        let exists = self.registry.record(&key).is_some_and(|record| record.is_declared());
        let Some(Open::Start(start)) = self.requests.get_mut(number) else { return };
        if exists {
            return start.refused(spec.id, ChildFailure::AlreadyStarted);
        }
        self.counter += 1;
        self.op += 1;
        let dot = Dot::new(origin, self.counter);
        let at = start.minted(spec.id.clone(), dot, self.op);
        let nodes = start.mapping.remove(&spec.id);
        self.requests.await_dot(dot.counter(), number, at);
        let spec = Arc::new(spec);
        let by = self.me.node.clone();
        let assignment = nodes.map(|nodes| Assignment { version: 0, by, nodes, held: false });
        // Known here before it is told: the outbox looks the dot's origin up, and the owner may be this very node.
        self.outbox.start(&self.registry, dot, spec.clone());
        if let Some(assignment) = assignment {
            // Ahead of the start, so that it is never seen without.
            self.outbox.assign(&self.registry, &key.id, dot, assignment.clone());
            self.registry.assign(&key, dot, assignment, step.now);
        }
        self.declare(step, &key, dot, spec);
    }

    /// Answers every request that has what it waits for.
    pub(super) fn answer_requests(&mut self, step: &mut Step<'_>) {
        while let Some(number) = self.requests.next_touched() {
            match self.requests.get(number) {
                Some(Open::Start(start)) if start.is_resolved() => {
                    let rollback = start.on_failure == OnFailure::Rollback && start.has_failed();
                    let recorded = start.reply.is_none() || self.is_recorded(start.op);
                    match (rollback, recorded) {
                        (true, _) => self.roll_back(step, number),
                        (false, true) => self.answer_start(step, number),
                        (false, false) => self.requests.awaits_ack(number),
                    }
                }
                Some(Open::Stop(stop)) if stop.is_resolved() => {
                    if !self.is_confirmed(stop.op) {
                        self.requests.awaits_ack(number);
                    } else if !self.recheck_stop(number) {
                        self.answer_stop(step, number, true);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a change of this node's survives its loss: some other member of the view, if there is one, has it;
    /// under a quorum with leases, a quorum.
    fn is_recorded(&self, op: u64) -> bool {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::AnswerAlone) {
            return true;
        }
        if let Some(needed) = self.quorum.needed() {
            let others = self.peers.values().filter(|peer| peer.takes_part());
            let have = others.filter(|peer| peer.heard_op() >= op).count();
            return have + 1 >= needed as usize;
        }
        let mut others = self.peers.values().filter(|peer| peer.takes_part()).peekable();
        others.peek().is_none() || others.any(|peer| peer.heard_op() >= op)
    }

    /// Whether every other member of the view has a change of this node's.
    pub(super) fn is_confirmed(&self, op: u64) -> bool {
        let mut others = self.peers.values().filter(|peer| peer.takes_part());
        others.all(|peer| peer.heard_op() >= op)
    }

    fn answer_start(&mut self, step: &mut Step<'_>, number: Number) {
        let Some(Open::Start(start)) = self.requests.remove(number) else { return };
        if let Some(id) = start.reply {
            let result = start.result(false);
            #[cfg(feature = "sabotage")]
            if self.is_sabotaged(crate::config::Sabotage::AnswerTwice) {
                answer(step, id, Ok(StartOutcome::Done(result.clone())));
            }
            answer(step, id, Ok(StartOutcome::Done(result)));
        }
    }

    /// A start has failed in part and is undone in whole. Answered when none of it runs any more.
    fn roll_back(&mut self, step: &mut Step<'_>, number: Number) {
        let Some(Open::Start(mut start)) = self.requests.remove(number) else { return };
        let dots: Vec<_> = start.dots().map(|(id, dot)| (id.clone(), dot)).collect();
        let reply = start.reply.take();
        // One deadline for the whole request: what is not known to have ended by then is stopped all the same.
        let deadline = start.deadline.max(step.now);
        let mut undo = StopRequest::new(reply, Vec::new(), deadline);
        undo.rollback = Some(start.result(true));
        let undo = self.requests.insert(Open::Stop(undo));
        for (id, dot) in dots {
            let key = Key::new(&id);
            self.retract(step, &key, &[dot]);
            self.await_stopped(undo, &key, smallvec::smallvec![dot]);
        }
        if let Some(Open::Stop(stop)) = self.requests.get_mut(undo) {
            stop.op = self.op;
        }
    }

    pub(super) fn await_stopped(&mut self, number: Number, key: &Key, dots: smallvec::SmallVec<[Dot; 1]>) {
        let pending = self.is_claimed(key, &dots);
        let slot = StopSlot { id: key.id.clone(), dots, nodes: Vec::new(), failure: None, pending };
        let Some(Open::Stop(stop)) = self.requests.get_mut(number) else { return };
        let at = stop.push(slot);
        self.requests.await_key(key, number, at);
    }

    /// A request's time is over: answered as it stands.
    pub(super) fn expire_request(&mut self, step: &mut Step<'_>, number: Number) {
        match self.requests.get(number) {
            Some(Open::Start(start)) if start.checked.is_none() && start.on_failure == OnFailure::Rollback => {
                self.roll_back(step, number);
            }
            Some(Open::Start(start)) => {
                let recorded = self.is_recorded(start.op);
                if let Some(Open::Start(start)) = self.requests.get_mut(number)
                    && !recorded
                {
                    start.unrecorded();
                }
                self.answer_start(step, number);
            }
            Some(Open::Stop(stop)) => {
                let confirmed = self.is_confirmed(stop.op);
                // A claim may have come up after the last one had gone.
                self.recheck_stop(number);
                self.answer_stop(step, number, confirmed);
            }
            None => {}
        }
    }
}

fn answer(step: &mut Step<'_>, id: RequestId, outcome: Result<StartOutcome, StartError>) {
    step.fx.push(Effect::Reply { id, reply: Reply::Start(outcome) });
}

/// Answers the caller whose start was undone.
pub(super) fn answer_rolled_back(step: &mut Step<'_>, id: RequestId, result: StartResult) {
    answer(step, id, Ok(StartOutcome::Done(result)));
}

/// Answers the caller of a stop.
pub(super) fn answer_stopped(step: &mut Step<'_>, id: RequestId, outcome: StopOutcome) {
    step.fx.push(Effect::Reply { id, reply: Reply::Stop(Ok(outcome)) });
}
