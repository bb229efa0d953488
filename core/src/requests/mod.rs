//! Starts and stops that wait for their outcome: one deadline each, exactly one answer.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::id::{ChildId, NodeId, Pid, RequestId};
use crate::registry::{Dot, Key};
use crate::request::{ChildFailure, ChildMapping, Failure, OnFailure, StartResult, Status, StopResult};
use crate::spec::ChildSpec;
use crate::time::Time;

/// The number of an open request.
pub(crate) type Number = u64;

/// How far a start is with one of its children.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Pending,
    /// These copies are up.
    Started(SmallVec<[Pid; 1]>),
    Failed(Option<NodeId>, ChildFailure),
}

/// A start under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StartRequest {
    pub(crate) reply: Option<RequestId>,
    /// Whether the reply is for the outcome, or only for the batch being accepted.
    pub(crate) wait: bool,
    pub(crate) todo: VecDeque<ChildSpec>,
    /// The nodes that the caller has chosen for those of `todo`.
    pub(crate) mapping: ChildMapping,
    /// How many of `todo` were checked against the registry; `None` once the check is over (or not wanted).
    pub(crate) checked: Option<usize>,
    pub(crate) existing: Vec<ChildId>,
    slots: Vec<(ChildId, Option<Dot>, Outcome)>,
    /// Copies of children of which several were to start that did not, by the place of the child.
    failed: BTreeMap<usize, Vec<(NodeId, ChildFailure)>>,
    pending: usize,
    pub(crate) op: u64,
    pub(crate) deadline: Time,
    pub(crate) on_failure: OnFailure,
}

impl StartRequest {
    pub(crate) fn new(
        reply: RequestId,
        children: Vec<ChildSpec>,
        check: bool,
        deadline: Time,
        on_failure: OnFailure,
    ) -> Self {
        Self {
            reply: Some(reply),
            wait: true,
            slots: Vec::with_capacity(children.len()),
            todo: children.into(),
            mapping: ChildMapping::new(),
            checked: check.then_some(0),
            existing: Vec::new(),
            failed: BTreeMap::new(),
            pending: 0,
            op: 0,
            deadline,
            on_failure,
        }
    }

    /// One more child that was declared; gives its place.
    pub(crate) fn minted(&mut self, id: ChildId, dot: Dot, op: u64) -> usize {
        self.op = op;
        self.pending += 1;
        self.slots.push((id, Some(dot), Outcome::Pending));
        self.slots.len() - 1
    }

    /// One more child that was not.
    pub(crate) fn refused(&mut self, id: ChildId, why: ChildFailure) {
        self.slots.push((id, None, Outcome::Failed(None, why)));
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.todo.is_empty() && self.pending == 0
    }

    pub(crate) fn has_failed(&self) -> bool {
        !self.failed.is_empty() || self.slots.iter().any(|(_, _, outcome)| matches!(outcome, Outcome::Failed(..)))
    }

    /// The starts that were minted.
    pub(crate) fn dots(&self) -> impl Iterator<Item = (&ChildId, Dot)> {
        self.slots.iter().filter_map(|(id, dot, _)| Some((id, (*dot)?)))
    }

    /// Those that have no outcome yet.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = (&ChildId, Dot)> {
        self.slots
            .iter()
            .filter(|(_, _, outcome)| *outcome == Outcome::Pending)
            .filter_map(|(id, dot, _)| Some((id, (*dot)?)))
    }

    fn resolve(&mut self, at: usize, outcome: Outcome) {
        if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.2 == Outcome::Pending) {
            slot.2 = outcome;
            self.pending -= 1;
        }
    }

    /// What runs is not held by any other member: nobody may count on it yet.
    pub(crate) fn unrecorded(&mut self) {
        for (_, _, outcome) in &mut self.slots {
            if let Outcome::Started(pids) = outcome {
                let node = pids.first().map(|pid| pid.node.clone());
                *outcome = Outcome::Failed(node, ChildFailure::Timeout);
            }
        }
    }

    /// The result as it stands; what is pending timed out.
    pub(crate) fn result(mut self, rollback: bool) -> StartResult {
        let (mut started, mut errors) = (Vec::new(), Vec::new());
        let unminted = self.todo.into_iter().map(|spec| (spec.id, None, Outcome::Pending));
        for (at, (id, _, outcome)) in self.slots.into_iter().chain(unminted).enumerate() {
            let failed = self.failed.remove(&at).unwrap_or_default();
            let several = !failed.is_empty();
            let failure = |(node, reason)| Failure { id: id.clone(), node: Some(node), reason };
            errors.extend(failed.into_iter().map(failure));
            match outcome {
                Outcome::Started(pids) => started.push((id, pids.into_vec())),
                // Each copy has its own line.
                Outcome::Failed(..) if several => {}
                Outcome::Failed(node, reason) => errors.push(Failure { id, node, reason }),
                Outcome::Pending => errors.push(Failure { id, node: None, reason: ChildFailure::Timeout }),
            }
        }
        let status = if errors.is_empty() { Status::Ok } else { Status::Error };
        StartResult { status, started, errors, rollback }
    }
}

/// One child of a stop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StopSlot {
    pub(crate) id: ChildId,
    pub(crate) dots: SmallVec<[Dot; 1]>,
    /// The nodes that ran it.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) failure: Option<(Option<NodeId>, ChildFailure)>,
    pub(crate) pending: bool,
}

/// A stop under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StopRequest {
    pub(crate) reply: Option<RequestId>,
    pub(crate) todo: VecDeque<ChildId>,
    pub(crate) slots: Vec<StopSlot>,
    pub(crate) pending: usize,
    pub(crate) op: u64,
    pub(crate) deadline: Time,
    /// It undoes a start: answer with this.
    pub(crate) rollback: Option<StartResult>,
}

impl StopRequest {
    pub(crate) fn new(reply: Option<RequestId>, ids: Vec<ChildId>, deadline: Time) -> Self {
        Self {
            reply,
            slots: Vec::with_capacity(ids.len()),
            todo: ids.into(),
            pending: 0,
            op: 0,
            deadline,
            rollback: None,
        }
    }

    pub(crate) fn push(&mut self, slot: StopSlot) -> usize {
        self.pending += usize::from(slot.pending);
        self.slots.push(slot);
        self.slots.len() - 1
    }

    pub(crate) fn is_resolved(&self) -> bool {
        self.todo.is_empty() && self.pending == 0
    }

    /// The result as it stands; unless all of it is confirmed, what has no failure of its own timed out.
    pub(crate) fn result(self, confirmed: bool) -> StopResult {
        let (mut stopped, mut errors) = (Vec::new(), Vec::new());
        for slot in self.slots {
            match slot.failure {
                Some((node, reason)) => errors.push(Failure { id: slot.id, node, reason }),
                None if slot.pending || !confirmed => {
                    errors.push(Failure { id: slot.id, node: None, reason: ChildFailure::Timeout });
                }
                None => stopped.push((slot.id, slot.nodes)),
            }
        }
        errors.extend(self.todo.into_iter().map(|id| Failure { id, node: None, reason: ChildFailure::Timeout }));
        let status = if errors.is_empty() { Status::Ok } else { Status::Error };
        StopResult { status, stopped, errors }
    }
}

/// A request under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Open {
    Start(StartRequest),
    Stop(StopRequest),
}

impl Open {
    fn deadline(&self) -> Time {
        match self {
            Open::Start(start) => start.deadline,
            Open::Stop(stop) => stop.deadline,
        }
    }

    fn has_work(&self) -> bool {
        match self {
            Open::Start(start) => !start.todo.is_empty(),
            Open::Stop(stop) => !stop.todo.is_empty(),
        }
    }
}

/// All requests under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Requests {
    next: Number,
    open: BTreeMap<Number, Open>,
    deadlines: BTreeSet<(Time, Number)>,
    /// Those with children not looked at yet, in the order in which they came.
    busy: VecDeque<Number>,
    /// Which child of which start waits for a dot of this node's.
    by_dot: BTreeMap<u64, (Number, usize)>,
    /// Which child of which stop waits for a child's rows to go.
    by_key: BTreeMap<Key, SmallVec<[(Number, usize); 1]>>,
    /// Those that something happened to.
    touched: BTreeSet<Number>,
    /// Those that only wait for acknowledgements.
    unacked: BTreeSet<Number>,
}

impl Requests {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn insert(&mut self, open: Open) -> Number {
        self.next += 1;
        self.deadlines.insert((open.deadline(), self.next));
        if open.has_work() {
            self.busy.push_back(self.next);
        }
        self.open.insert(self.next, open);
        self.touched.insert(self.next);
        self.next
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(crate) fn next_expired(&self, now: Time) -> Option<Number> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, number)| *number)
    }

    pub(crate) fn next_busy(&self) -> Option<Number> {
        self.busy.front().copied()
    }

    pub(crate) fn get_mut(&mut self, number: Number) -> Option<&mut Open> {
        self.open.get_mut(&number)
    }

    pub(crate) fn get(&self, number: Number) -> Option<&Open> {
        self.open.get(&number)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    /// The front busy request has had all its children looked at.
    pub(crate) fn front_is_done(&mut self) {
        if let Some(number) = self.busy.pop_front() {
            self.touched.insert(number);
        }
    }

    pub(crate) fn await_dot(&mut self, counter: u64, number: Number, at: usize) {
        self.by_dot.insert(counter, (number, at));
    }

    pub(crate) fn await_key(&mut self, key: &Key, number: Number, at: usize) {
        self.by_key.entry(key.clone()).or_default().push((number, at));
    }

    pub(crate) fn is_awaited(&self, counter: u64) -> bool {
        self.by_dot.contains_key(&counter)
    }

    /// A dot of this node's has met its fate. Says whether a start waited for it.
    pub(crate) fn resolve_start(&mut self, counter: u64, outcome: Outcome) -> bool {
        let Some((number, at)) = self.by_dot.remove(&counter) else { return false };
        if let Some(Open::Start(start)) = self.open.get_mut(&number) {
            start.resolve(at, outcome);
            if start.is_resolved() {
                self.touched.insert(number);
            }
        }
        true
    }

    /// One copy of a start of this node's could not be started.
    pub(crate) fn copy_failed(&mut self, counter: u64, node: NodeId, why: ChildFailure) {
        let Some((at, start)) = self.start_of(counter) else { return };
        let failed = start.failed.entry(at).or_default();
        match failed.iter_mut().find(|(other, _)| *other == node) {
            Some(known) => known.1 = why,
            None => failed.push((node, why)),
        }
    }

    /// The copies of a start of this node's that could not be started.
    pub(crate) fn failed_copies(&self, counter: u64) -> &[(NodeId, ChildFailure)] {
        let failed = || match self.by_dot.get(&counter).and_then(|(number, at)| Some((self.open.get(number)?, at)))? {
            (Open::Start(start), at) => start.failed.get(at),
            (Open::Stop(_), _) => None,
        };
        failed().map_or(&[], Vec::as_slice)
    }

    /// Copies that had failed are up after all.
    pub(crate) fn forgive(&mut self, counter: u64, up: &[Pid]) {
        let Some((at, start)) = self.start_of(counter) else { return };
        if let Some(failed) = start.failed.get_mut(&at) {
            failed.retain(|(node, _)| !up.iter().any(|pid| pid.node == *node));
            if failed.is_empty() {
                start.failed.remove(&at);
            }
        }
    }

    fn start_of(&mut self, counter: u64) -> Option<(usize, &mut StartRequest)> {
        let (number, at) = *self.by_dot.get(&counter)?;
        match self.open.get_mut(&number)? {
            Open::Start(start) => Some((at, start)),
            Open::Stop(_) => None,
        }
    }

    /// Changes every open request; which of them wait for acknowledgements stays.
    pub(crate) fn restate(&mut self, change: impl FnMut(&mut Open)) {
        self.open.values_mut().for_each(change);
    }

    /// Whether some start waits for its children.
    pub(crate) fn awaits_starts(&self) -> bool {
        !self.by_dot.is_empty()
    }

    /// The stops that wait for a child's rows: their numbers, places, and the dots they removed.
    pub(crate) fn stops_of(&self, key: &Key) -> SmallVec<[(Number, usize); 1]> {
        self.by_key.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn stop_slot(&mut self, number: Number, at: usize) -> Option<&mut StopSlot> {
        match self.open.get_mut(&number) {
            Some(Open::Stop(stop)) => stop.slots.get_mut(at),
            _ => None,
        }
    }

    /// No claim is left. One that comes up until the answer is noted all the same when it goes.
    pub(crate) fn resolve_stop(&mut self, number: Number, at: usize) {
        if let Some(Open::Stop(stop)) = self.open.get_mut(&number)
            && let Some(slot) = stop.slots.get_mut(at).filter(|slot| slot.pending)
        {
            slot.pending = false;
            stop.pending -= 1;
            if stop.is_resolved() {
                self.touched.insert(number);
            }
        }
    }

    /// Takes a request that something has happened to since it was last looked at.
    pub(crate) fn next_touched(&mut self) -> Option<Number> {
        self.touched.pop_first()
    }

    /// It lacks nothing but acknowledgements.
    pub(crate) fn awaits_ack(&mut self, number: Number) {
        self.unacked.insert(number);
    }

    /// Acknowledgements came, or members went: look again at all that wait for them.
    pub(crate) fn acked(&mut self) {
        self.touched.append(&mut self.unacked);
    }

    /// Takes a request out for its answer.
    pub(crate) fn remove(&mut self, number: Number) -> Option<Open> {
        let open = self.open.remove(&number)?;
        self.deadlines.remove(&(open.deadline(), number));
        self.unacked.remove(&number);
        self.touched.remove(&number);
        self.busy.retain(|busy| *busy != number);
        match &open {
            Open::Start(start) => {
                for (_, dot) in start.unresolved() {
                    self.by_dot.remove(&dot.counter());
                }
            }
            Open::Stop(stop) => {
                for slot in &stop.slots {
                    let key = Key::new(&slot.id);
                    if let Some(waiting) = self.by_key.get_mut(&key) {
                        waiting.retain(|(waiter, _)| *waiter != number);
                        if waiting.is_empty() {
                            self.by_key.remove(&key);
                        }
                    }
                }
            }
        }
        Some(open)
    }
}
