//! A copy of this node takes over the state of another: it stands by for its predecessor, or merges what a loser has left.

use bytes::Bytes;
use smol_str::SmolStr;

use super::Step;
use super::migrate::Entry;
use crate::config::limits;
use crate::effect::{Effect, StopReason};
use crate::hub::Hub;
use crate::id::Member;
use crate::message::{HandoverStep, HubMessage, RowState, StateUse};
use crate::migration::{Offer, RETRY, Taker, Target, Transfer, TransferStage};
use crate::registry::{Key, Record, Row};
use crate::time::Time;

/// The mark of a transfer, as its messages carry it.
#[derive(Clone, Copy, Debug)]
struct Mark<'a> {
    from: &'a Member,
    source: u64,
    to: u64,
    attempt: u32,
}

impl Mark<'_> {
    fn target(&self) -> Target {
        (self.from.clone(), self.source)
    }
}

impl Hub {
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn handover_said(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        id: &crate::id::ChildId,
        source: u64,
        to: u64,
        attempt: u32,
        said: HandoverStep,
    ) {
        let mark = Mark { from, source, to, attempt };
        let key = Key::new(id);
        match said {
            HandoverStep::Ack { upto, granted } => {
                self.receiver_said(step, from, (source, to, attempt), Ok((upto, granted)));
            }
            HandoverStep::Taken(result) => self.receiver_said(step, from, (source, to, attempt), Err(result)),
            // Whatever else concerns an instance of this node.
            _ if self.supervisor.get(to).is_none_or(|local| local.key != key || local.stop.is_some()) => {}
            HandoverStep::Offer { len, checksum, why } => {
                let offer = Offer { from: mark.target(), attempt, len, checksum, why };
                self.state_offered(step, &key, to, offer);
            }
            HandoverStep::Chunk { offset, bytes } => {
                if let Some(transfer) = self.transfer(mark) {
                    transfer.part(offset, &bytes, step.now);
                    self.received(step, &key, mark);
                }
            }
            HandoverStep::Commit => self.committed(step, &key, mark),
            #[cfg(feature = "sabotage")]
            HandoverStep::Abort if self.is_sabotaged(crate::config::Sabotage::ReuseStandby) => {
                if let Some(taker) = self.migrations.taker_mut(to) {
                    taker.transfer = None;
                }
            }
            HandoverStep::Abort if self.migrations.stands_by(to) => self.give_standby_up(step, &key, to),
            HandoverStep::Abort => {}
        }
    }

    fn transfer(&mut self, mark: Mark<'_>) -> Option<&mut Transfer> {
        self.migrations.taker_mut(mark.to)?.transfer_of(&mark.target(), mark.attempt)
    }

    fn state_offered(&mut self, step: &mut Step<'_>, key: &Key, to: u64, offer: Offer) {
        let Offer { from, attempt, len, checksum, why } = offer.clone();
        let mark = Mark { from: &from.0, source: from.1, to, attempt };
        if self.transfer(mark).is_some() {
            return self.received(step, key, mark);
        }
        let standby = self.migrations.stands_by(mark.to);
        let (taken, busy) = (self.migrations.has_taken(mark.to, &mark.target()), self.is_taking(mark.to));
        let merge = why != StateUse::Handover;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let refused = match () {
            () if merge && taken => return self.answer_transfer(step, key, mark, HandoverStep::Taken(Ok(()))),
            // None that its state would not hold: it is offered again.
            () if merge && self.migrations.source(mark.to).is_some() => return,
            // One at a time: the next may not be offered again in time.
            () if merge && (busy || self.is_receiving(mark.to)) => return self.migrations.defer(mark.to, offer),
            () if merge == standby => Some("the instance is not there for that"),
            // A copy is given one state in its life: it cannot be known what the former has made of it.
            () if busy => Some("the instance was given another state"),
            () if len > limits::STATE => Some("the state is larger than 64 MiB"),
            () => None,
        };
        if let Some(words) = refused {
            if standby && busy && self.is_outdone(key, mark) {
                self.give_standby_up(step, key, mark.to);
            }
            return self.answer_transfer(step, key, mark, HandoverStep::Taken(Err(SmolStr::new_static(words))));
        }
        if !self.migrations.may_receive(len) {
            return self.answer_transfer(step, key, mark, HandoverStep::Ack { upto: 0, granted: 0 });
        }
        if !standby {
            self.migrations.add_taker(mark.to, Taker::new(key.clone(), false, self.view.number()));
        }
        if let Some(taker) = self.migrations.taker_mut(mark.to) {
            taker.transfer = Some(Transfer::new(mark.target(), mark.attempt, why, len, checksum, step.now));
        }
        self.received(step, key, mark);
    }

    /// Whether a copy was given a state.
    fn is_taking(&self, sequence: u64) -> bool {
        let given = |transfer: &Transfer| transfer.stage != TransferStage::Receiving;
        self.migrations.taker(sequence).is_some_and(|taker| taker.transfer.as_ref().is_some_and(given))
    }

    /// Whether parts of a state come to a copy from a member of the view.
    fn is_receiving(&self, sequence: u64) -> bool {
        let transfer = self.migrations.taker(sequence).and_then(|taker| taker.transfer.as_ref());
        transfer.is_some_and(|transfer| self.view.has(&transfer.from.0))
    }

    /// Says how far a transfer is, and gives the state to the copy once all of it is there.
    fn received(&mut self, step: &mut Step<'_>, key: &Key, mark: Mark<'_>) {
        let Some(transfer) = self.transfer(mark) else { return };
        let (upto, granted) = transfer.progress();
        if let TransferStage::Taken(result) = transfer.stage.clone() {
            return self.answer_transfer(step, key, mark, HandoverStep::Taken(result));
        }
        self.answer_transfer(step, key, mark, HandoverStep::Ack { upto, granted });
        self.give_if_complete(step, key, mark.to);
    }

    fn give_if_complete(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let deadline = self.way(key).query_timeout;
        let Some(taker) = self.migrations.taker_mut(sequence) else { return };
        let Some(transfer) = &mut taker.transfer else { return };
        let why = transfer.why.clone();
        match transfer.complete(step.now + deadline) {
            None => {}
            Some(Ok(state)) => {
                let (hub, id) = (self.config.id.clone(), key.id.clone());
                step.fx.push(Effect::GiveState { hub, id, sequence, state, why, deadline });
            }
            Some(Err(reason)) => self.state_taken(step, sequence, Err(reason)),
        }
    }

    fn answer_transfer(&self, step: &mut Step<'_>, key: &Key, mark: Mark<'_>, answer: HandoverStep) {
        let Mark { from, source, to, attempt } = mark;
        self.send(step, from, HubMessage::Handover { id: key.id.clone(), source, to, attempt, step: answer });
    }

    /// A copy of this node has taken a state over, or has not.
    pub(super) fn child_state_taken(&mut self, step: &mut Step<'_>, sequence: u64, result: Result<(), SmolStr>) {
        let giving = |transfer: &Transfer| matches!(transfer.stage, TransferStage::Giving(_));
        let asked = |taker: &Taker| taker.transfer.as_ref().is_some_and(giving);
        if self.migrations.taker(sequence).is_some_and(asked) {
            self.state_taken(step, sequence, result.map_err(super::bounded));
        }
    }

    fn state_taken(&mut self, step: &mut Step<'_>, sequence: u64, result: Result<(), SmolStr>) {
        let Some(taker) = self.migrations.taker_mut(sequence) else { return };
        let (key, stands_by) = (taker.key.clone(), taker.stands_by);
        let Some(transfer) = &mut taker.transfer else { return };
        transfer.stage = TransferStage::Taken(result.clone());
        let (from, attempt) = (transfer.from.clone(), transfer.attempt);
        self.migrations.took(sequence, from.clone());
        if from.0 != self.me {
            let mark = Mark { from: &from.0, source: from.1, to: sequence, attempt };
            self.answer_transfer(step, &key, mark, HandoverStep::Taken(result.clone()));
        }
        if !stands_by {
            self.migrations.end_taker(sequence);
            self.take_next(step, &key, sequence);
            // It may have to go elsewhere, and has waited for this.
            self.reconcile(step, &key);
        } else if result.is_ok() {
            self.stand_by(step, &key, sequence);
        } else {
            self.give_standby_up(step, &key, sequence);
        }
    }

    /// Nothing is merged any more: what was offered meanwhile is.
    fn take_next(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        while self.migrations.taker(sequence).is_none() {
            let Some(offer) = self.migrations.next_offer(sequence) else { return };
            self.state_offered(step, key, sequence, offer);
        }
    }

    /// A copy that stands by cannot serve any more: another one is started after a while.
    fn give_standby_up(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::KeepStandby) {
            return;
        }
        self.supervisor.hold(key, step.now + RETRY);
        self.stop_instance(step, key, sequence, StopReason::NotNeeded);
    }

    /// Whether the copy that gave its state loses to the one that offers it now, or has gone.
    fn is_outdone(&self, key: &Key, by: Mark<'_>) -> bool {
        let taken = self.migrations.taker(by.to).and_then(|taker| taker.transfer.as_ref());
        let Some(record) = self.registry.record(key) else { return false };
        let token = |target: &Target| {
            let its = |row: &&Row| self.target(row) == *target;
            record.theirs(&self.registry).find(its).map(|row| self.registry.token(row))
        };
        let outdone = |taken: &Transfer| token(&by.target()) > token(&taken.from);
        taken.filter(|taken| taken.stage == TransferStage::Taken(Ok(()))).is_some_and(outdone)
    }

    pub(super) fn expire_taker(&mut self, step: &mut Step<'_>, sequence: u64) {
        let Some(taker) = self.migrations.taker(sequence) else { return };
        if taker.transfer.as_ref().is_some_and(|transfer| transfer.stage == TransferStage::Receiving) {
            // Whoever had it is gone, or has given it up.
            let key = taker.key.clone();
            self.migrations.end_taker(sequence);
            self.take_next(step, &key, sequence);
            return self.reconcile(step, &key);
        }
        self.state_taken(step, sequence, Err(SmolStr::new_static("it did not take the state in time")));
    }

    /// A copy that is about to be started here has the state of one that has ended here.
    pub(super) fn inherit(&mut self, now: Time, sequence: u64, from: Target, state: &Bytes) {
        let Some(taker) = self.migrations.taker_mut(sequence) else { return };
        let checksum = crate::hashing::stable_hash(state);
        let mut transfer = Transfer::new(from, 0, StateUse::Handover, state.len(), checksum, now);
        transfer.part(0, state, now);
        taker.transfer = Some(transfer);
    }

    // ---- copies that stand by

    /// A copy that stands by is up.
    pub(super) fn standby_started(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        self.registry.edit_mine(key, |row| (row.state, row.published) = (RowState::Standby, true));
        let Some(row) = self.registry.record(key).and_then(Record::mine).cloned() else { return };
        self.outbox.row(&self.registry, &key.id, &row);
        self.announce_started(step, key, row.dot(), Ok(self.registry.pid(&row)));
        self.give_if_complete(step, key, sequence);
        self.stand_by(step, key, sequence);
    }

    /// Looks whether a copy of this node, which owns the child, has to stand by any longer.
    pub(super) fn stand_by(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let Some(record) = self.registry.record(key) else { return };
        let Some(subject) = record.subject(key) else { return };
        let up = record.mine().is_some_and(|row| row.state == RowState::Standby);
        if !up || self.supervisor.get(sequence).is_none_or(|local| local.stop.is_some()) {
            return;
        }
        if !self.view.is_complete() {
            return self.work.wait(key);
        }
        let Some(transfer) = self.migrations.taker(sequence).map(|taker| &taker.transfer) else { return };
        let stage = transfer.as_ref().map(|transfer| &transfer.stage);
        if record.theirs(&self.registry).next().is_some() {
            // Where it would not be started any more, nothing may come of waiting: rebalancing is paused.
            if stage.is_none() && self.is_paused() && self.entry(record, &subject) != Some(Entry::StandingBy) {
                self.stop_instance(step, key, sequence, StopReason::NotNeeded);
            }
            return;
        }
        // Its predecessor is gone: with its state, where that is here, or without.
        let giving = matches!(stage, Some(TransferStage::Giving(_)));
        if !giving && self.view.may_start(&subject) && !self.quorum.locked {
            self.serve(step, key, sequence);
        } else {
            self.wait_if_doubted(key);
        }
    }

    /// The predecessor will not serve any more. Where a partition has made another copy, one of the two has to give way first;
    /// the predecessor says it again.
    fn committed(&mut self, step: &mut Step<'_>, key: &Key, mark: Mark<'_>) {
        let taken = self.transfer(mark).is_some_and(|transfer| transfer.stage == TransferStage::Taken(Ok(())));
        let waits = |row: &Row| matches!(row.state, RowState::Standby | RowState::Kept);
        let another = |row: &Row| !waits(row) && self.target(row) != mark.target();
        let alone = self.registry.record(key).is_none_or(|record| !record.theirs(&self.registry).any(another));
        if taken && alone && self.migrations.stands_by(mark.to) && !self.quorum.locked {
            self.serve(step, key, mark.to);
        }
    }

    fn serve(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let view = self.migrations.taker(sequence).map(|taker| taker.view);
        if view != Some(self.view.number()) {
            // Its token is that of another view: a later one may have been handed out since.
            let Some(token) = self.take_token(key) else { return };
            let lineage = self.quorum.lineage;
            self.registry.edit_mine(key, |row| (row.token, row.lineage) = (token, lineage));
        }
        self.migrations.end_taker(sequence);
        self.registry.edit_mine(key, |row| row.state = RowState::Running);
        let Some(row) = self.registry.record(key).and_then(Record::mine).cloned() else { return };
        self.outbox.row(&self.registry, &key.id, &row);
        let (hub, id, token) = (self.config.id.clone(), key.id.clone(), self.registry.token(&row));
        step.fx.push(Effect::Serve { hub, id, sequence, token });
        self.child_is_up(step, key, &row);
        self.reconcile(step, key);
    }
}
