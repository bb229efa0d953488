//! A copy of this node is given away with its state: asked for it, frozen, and ended once its successor serves.

use alloc::vec::Vec;

use bytes::Bytes;
use smol_str::SmolStr;

use super::Step;
use crate::config::limits;
use crate::effect::{Effect, StopReason};
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::{Member, NodeId};
use crate::input::Queued;
use crate::message::{HandoverStep, HubMessage, RowState, StateUse};
use crate::migration::{RETRY, Room, Sending, Source, Stage, Target};
use crate::registry::{Key, Record, Row};

/// What has become of the instance that a state is for, as its node's rows tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pending,
    /// It serves, or has served.
    Served,
    /// It was given up, or its node is gone.
    Gone,
}

impl Hub {
    /// Asks a copy for its state. From here on it is handed nothing.
    pub(super) fn freeze(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        // What it is about to merge would be missing from its state: it is asked once that is over.
        if self.supervisor.is_held(key) || self.migrations.taker(sequence).is_some() {
            return;
        }
        if !self.has_room_to(Room::Take) {
            return self.migrations.wait(Room::Take, key);
        }
        let (attempt, deadline) = (self.migrations.next_attempt(), self.way(key).query_timeout);
        self.migrations.add_source(sequence, Source::new(key.clone(), attempt, step.now + deadline));
        let (hub, id) = (self.config.id.clone(), key.id.clone());
        step.fx.push(Effect::TakeState { hub, id, sequence, attempt, deadline });
    }

    /// A copy has answered.
    pub(super) fn child_state(
        &mut self,
        step: &mut Step<'_>,
        sequence: u64,
        attempt: u32,
        state: Result<Bytes, SmolStr>,
        queued: Vec<Queued>,
    ) {
        let Some(local) = self.supervisor.get(sequence) else { return };
        let (key, ending) = (local.key.clone(), local.stop.is_some());
        for call in queued.iter().filter_map(|message| message.call.as_ref()) {
            self.calls.answered(sequence, call);
        }
        let asked = |source: &&mut Source| source.stage == Stage::Freezing && source.attempt == attempt;
        let Some(source) = self.migrations.source_mut(sequence).filter(asked) else {
            // It was called off meanwhile: what it gave back it is handed again.
            for message in queued {
                if ending {
                    self.bounce(step, &key, sequence, message)
                } else {
                    self.hand(step, &key.id, sequence, message)
                }
            }
            return;
        };
        queued.into_iter().rev().for_each(|message| source.unread(message));
        let state = state.and_then(|state| {
            let words = "its state is larger than a child may hand over: 64 MiB";
            if state.len() > limits::STATE { Err(SmolStr::new_static(words)) } else { Ok(state) }
        });
        match state {
            Ok(state) => self.has_state(step, &key, sequence, state),
            Err(reason) => {
                if let Some(node) = self.successor(&key) {
                    let (id, reason) = (key.id.clone(), super::bounded(reason));
                    self.hook(step, HookEvent::MigrationDeferred { id, node, reason });
                }
                self.give_up(step, &key, sequence);
            }
        }
    }

    fn has_state(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, state: Bytes) {
        self.migrations.note_size(state.len());
        let (way, loses, now) = (self.way(key), self.loses(key), step.now);
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        source.took(state);
        source.until = way.limit.map(|limit| now + limit);
        if way.hot && !loses {
            source.stage = Stage::Frozen;
            #[cfg(feature = "sabotage")]
            self.goes_on_handling(step, key, sequence);
            return self.follow(step, key, sequence);
        }
        (source.stage, source.until) = (Stage::Ending, None);
        let why = if loses { StopReason::Superseded } else { StopReason::Moved };
        self.stop_instance(step, key, sequence, why);
    }

    /// Looks at a copy that is being given away, or at the state that it has left: whatever has changed may concern it.
    pub(super) fn follow(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let Some(source) = self.migrations.source(sequence) else { return };
        let (stage, committed, sent) = (source.stage, source.is_committed(), source.sending.clone());
        let ours = self.view.is_complete() && self.owns(key);
        if stage == Stage::Kept && ours && !committed {
            return self.reclaim(step, key, sequence);
        }
        match (stage, sent) {
            (Stage::Freezing | Stage::Frozen, _) if ours && !committed => self.thaw(step, key, sequence, false),
            (Stage::Freezing | Stage::Ending, _) => {}
            (Stage::Frozen, None) => match self.successor_standing_by(key, sequence) {
                Some(to) => self.send_state(step, sequence, to, StateUse::Handover),
                None if self.view.is_complete() => self.give_up(step, key, sequence),
                None => {}
            },
            (Stage::Kept, None) => self.bequeath(step, key, sequence),
            (_, Some(sending)) => self.follow_sending(step, key, sequence, &sending),
        }
    }

    fn follow_sending(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, sending: &Sending) {
        let frozen = self.migrations.source(sequence).is_some_and(|source| source.stage == Stage::Frozen);
        let handover = sending.why == StateUse::Handover;
        match self.fate(key, sending) {
            Fate::Pending => {}
            // It is given the state while it serves.
            Fate::Served if !handover => {}
            Fate::Served if sending.committed => self.handed_over(step, key, sequence, &sending.to.0.node),
            // It could not wait, and has gone on without.
            Fate::Served | Fate::Gone if frozen && !sending.committed => self.give_up(step, key, sequence),
            Fate::Gone if frozen => self.resume(step, key, sequence, sending.to.clone()),
            Fate::Served | Fate::Gone => {
                if let Some(source) = self.migrations.source_mut(sequence) {
                    source.sending = None;
                }
                self.bequeath(step, key, sequence);
            }
        }
    }

    fn fate(&self, key: &Key, sending: &Sending) -> Fate {
        let (member, sequence) = &sending.to;
        let Some(record) = self.registry.record(key) else { return Fate::Gone };
        let its = |row: &&Row| row.sequence == *sequence && self.registry.host(row.host).member == *member;
        let start = record.mine().map(Row::dot);
        // A copy that goes on from what the receiver was given. One that came up apart from it does not.
        let after = |row: &Row| {
            matches!(row.state, RowState::Running | RowState::Kept)
                && Some(row.dot()) == start
                && (row.lineage, row.token) > sending.token
        };
        match record.theirs(&self.registry).find(its).map(|row| row.state) {
            Some(RowState::Running | RowState::Kept) => Fate::Served,
            Some(RowState::Starting | RowState::Standby) => Fate::Pending,
            Some(RowState::Stopping) if sending.committed => Fate::Pending,
            Some(RowState::Stopping) => Fate::Gone,
            // Under leases it has ended once it is known to have lost its own.
            None if !self.view.has(member) && self.quorum.is_leased() && !self.view.is_complete() => Fate::Pending,
            None if !self.view.has(member) => Fate::Gone,
            // Its node's rows as of this view are not here yet.
            None if !self.tells_of_view(&member.node) => Fate::Pending,
            None if sending.unserved => Fate::Gone,
            None if sending.committed && record.theirs(&self.registry).any(after) => Fate::Served,
            None => Fate::Gone,
        }
    }

    /// An instance of a member's is gone, by its own word: whether it served was told before.
    pub(super) fn receiver_gone(&mut self, key: &Key, from: &Member, row: &Row) {
        let mine = self.registry.record(key).and_then(Record::mine).map(|row| row.sequence);
        let Some(source) = mine.and_then(|sequence| self.migrations.source_mut(sequence)) else { return };
        let its = |sending: &&mut Sending| sending.to.1 == row.sequence && sending.to.0 == *from;
        if let Some(sending) = source.sending.as_mut().filter(its) {
            sending.unserved = !matches!(row.state, RowState::Running | RowState::Kept);
        }
    }

    /// Whether all rows of a member as of the installed view are here.
    fn tells_of_view(&self, node: &NodeId) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.inb.has_installed(self.view.hash()))
    }

    /// The successor serves: this node's copy ends, or what is left of it goes.
    fn handed_over(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, to: &NodeId) {
        step.delivered.push((to.clone(), key.id.clone()));
        if self.supervisor.get(sequence).is_some_and(|local| local.kept) {
            return self.drop_kept(step, key, sequence);
        }
        self.stop_instance(step, key, sequence, StopReason::Moved);
    }

    // ---- back to where it was

    /// The move is off: the copy serves again, and the child waits a while before it is tried once more.
    fn give_up(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        if self.loses(key) {
            // It cannot go on, with or without its state.
            self.abort_sending(step, sequence);
            return self.stop_instance(step, key, sequence, StopReason::Superseded);
        }
        self.supervisor.hold(key, step.now + RETRY);
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::StayFrozen) {
            return;
        }
        self.thaw(step, key, sequence, false);
    }

    fn failed(&mut self, step: &mut Step<'_>, key: &Key, reason: &'static str) {
        if let Some(node) = self.successor(key) {
            let (id, reason) = (key.id.clone(), SmolStr::new_static(reason));
            self.hook(step, HookEvent::MigrationFailed { id, node, reason });
        }
    }

    /// The copy that was told to serve is lost: this node's goes on from its snapshot, under a new token.
    fn resume(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, lost: Target) {
        let Some(token) = self.take_token(key) else { return };
        let lineage = self.quorum.lineage;
        self.registry.edit_mine(key, |row| (row.token, row.lineage) = (token, lineage));
        self.migrations.burn(sequence, lost);
        self.supervisor.hold(key, step.now + RETRY);
        self.thaw(step, key, sequence, true);
    }

    /// Has a frozen copy serve again, and handed what has waited for it.
    fn thaw(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64, anew: bool) {
        self.abort_sending(step, sequence);
        let Some(mut source) = self.migrations.end_source(sequence) else { return };
        let Some(row) = self.registry.record(key).and_then(Record::mine).cloned() else { return };
        let (hub, id, token) = (self.config.id.clone(), key.id.clone(), self.registry.token(&row));
        step.fx.push(Effect::Serve { hub, id, sequence, token });
        for message in source.take_buffer(true) {
            self.hand(step, &key.id, sequence, message);
        }
        if anew {
            self.outbox.row(&self.registry, &key.id, &row);
            self.changed(step, &key.id);
            self.retry_waiting(step, key);
        }
    }

    /// A copy is told to end, or has ended: what it has not handled goes elsewhere. A state for which it was told to end
    /// stays.
    pub(super) fn leave_source(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let messages = source.take_buffer(true);
        if !matches!(source.stage, Stage::Ending | Stage::Kept) {
            self.abort_sending(step, sequence);
            self.migrations.end_source(sequence);
        }
        for message in messages {
            self.bounce(step, key, sequence, message);
        }
    }

    /// Tells the instance that the state is on its way to that it is not needed, unless it was told to serve.
    fn abort_sending(&mut self, step: &mut Step<'_>, sequence: u64) {
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let sending = source.sending.take();
        if let Some(sending) = sending.filter(|sending| !sending.committed && sending.why == StateUse::Handover) {
            let (key, attempt) = (source.key.clone(), source.attempt);
            self.say(step, &key, sequence, attempt, &sending.to, HandoverStep::Abort);
        }
    }

    #[cfg(feature = "sabotage")]
    fn goes_on_handling(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let Some(row) = self.registry.record(key).and_then(Record::mine) else { return };
        if self.is_sabotaged(crate::config::Sabotage::SnapshotBeforeFreeze) {
            let (hub, id, token) = (self.config.id.clone(), key.id.clone(), self.registry.token(row));
            step.fx.push(Effect::Serve { hub, id, sequence, token });
        }
    }

    // ---- states of copies that have ended

    /// Whether the state of a copy that has ended just now is kept, and not all that is left of it gone.
    pub(super) fn keeps(&self, key: &Key, sequence: u64) -> bool {
        let ending = self.migrations.source(sequence).is_some_and(|source| source.stage == Stage::Ending);
        #[cfg(feature = "sabotage")]
        let ending = ending && !self.is_sabotaged(crate::config::Sabotage::ForgetState);
        let Some(record) = self.registry.record(key).filter(|_| ending && !self.quorum.locked) else { return false };
        record.winner().zip(record.mine()).is_some_and(|(winner, mine)| winner.dot == mine.dot())
    }

    /// A copy has ended and its state is kept for its next owner.
    pub(super) fn keep(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let span = self.way(key).kept_for;
        if let Some(source) = self.migrations.source_mut(sequence) {
            (source.stage, source.until) = (Stage::Kept, Some(step.now + span));
        }
        self.supervisor.keep(sequence);
        self.registry.edit_mine(key, |row| (row.state, row.published) = (RowState::Kept, true));
        if let Some(row) = self.registry.record(key).and_then(Record::mine) {
            self.outbox.row(&self.registry, &key.id, row);
        }
        self.reconcile(step, key);
    }

    /// Nothing is left of a copy any more.
    pub(super) fn drop_kept(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        self.migrations.end_source(sequence);
        self.end_instance(step, sequence);
        self.reconcile(step, key);
    }

    /// This node owns the child of which it has kept the state.
    fn reclaim(&mut self, step: &mut Step<'_>, key: &Key, sequence: u64) {
        let Some(record) = self.registry.record(key) else { return };
        let serves = record.theirs(&self.registry).any(|row| row.state == RowState::Running);
        let free = record.theirs(&self.registry).next().is_none();
        if serves {
            return self.drop_kept(step, key, sequence);
        }
        let may = record.subject(key).is_some_and(|subject| self.view.may_start(&subject))
            && !self.may_run_under_a_lease(key, record);
        let start = record.winner().map(|start| (start.dot, start.spec.clone()));
        let Some((dot, spec)) = start.filter(|_| free && may && !self.supervisor.is_held(key)) else {
            return self.wait_if_doubted(key);
        };
        let state = self.migrations.end_source(sequence).and_then(|mut source| source.drop_state());
        self.end_instance(step, sequence);
        if let (Some(begun), Some(state)) = (self.start_instance(step, key, dot, spec, true), state) {
            self.inherit(step.now, begun, (self.me.clone(), sequence), &state);
        }
    }

    // ---- the way of the state

    pub(super) fn send_state(&mut self, step: &mut Step<'_>, sequence: u64, to: Target, why: StateUse) {
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let rows = self.registry.record(&source.key).map_or(&[][..], Record::rows);
        let its = |row: &&Row| row.sequence == to.1 && self.registry.host(row.host).member == to.0;
        let token = rows.iter().find(its).map_or((0, 0), |row| (row.lineage, row.token));
        source.sending = Some(Sending::new(to, token, why, step.now));
        self.send_parts(step, sequence, false);
    }

    fn send_parts(&mut self, step: &mut Step<'_>, sequence: u64, again: bool) {
        let now = step.now;
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let parts = if again { source.repeat(now) } else { source.next_parts(now) };
        let (key, attempt) = (source.key.clone(), source.attempt);
        let Some(to) = source.sending.as_ref().map(|sending| sending.to.clone()) else { return };
        #[cfg(feature = "sabotage")]
        if again && self.is_sabotaged(crate::config::Sabotage::SayOnce) {
            return;
        }
        for part in parts {
            self.say(step, &key, sequence, attempt, &to, part);
        }
    }

    fn say(&self, step: &mut Step<'_>, key: &Key, source: u64, attempt: u32, to: &Target, what: HandoverStep) {
        let (member, to) = to;
        self.send(step, member, HubMessage::Handover { id: key.id.clone(), source, to: *to, attempt, step: what });
    }

    /// What the receiver says.
    pub(super) fn receiver_said(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        mark: (u64, u64, u32),
        said: Result<(u64, u64), Result<(), SmolStr>>,
    ) {
        let (sequence, to, attempt) = mark;
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let asked = |sending: &Sending| sending.to == (from.clone(), to) && !sending.committed;
        if source.attempt != attempt || !source.sending.as_ref().is_some_and(asked) {
            return;
        }
        match said {
            Ok((upto, granted)) => {
                source.acknowledged(step.now, upto, granted);
                self.send_parts(step, sequence, false);
            }
            Err(result) => self.state_was_taken(step, sequence, result),
        }
    }

    fn state_was_taken(&mut self, step: &mut Step<'_>, sequence: u64, result: Result<(), SmolStr>) {
        let Some(key) = self.migrations.source(sequence).map(|source| source.key.clone()) else { return };
        let retention = self.way(&key).retention.map(|retention| step.now + retention);
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let Some(sending) = &mut source.sending else { return };
        let (to, handover) = (sending.to.clone(), sending.why == StateUse::Handover);
        match result {
            Ok(()) if handover => {
                (sending.committed, sending.repeat_at) = (true, step.now + crate::migration::REPEAT);
                if source.stage == Stage::Frozen {
                    source.drop_state();
                    source.until = retention;
                }
                let attempt = source.attempt;
                self.say(step, &key, sequence, attempt, &to, HandoverStep::Commit);
            }
            Ok(()) => {
                step.delivered.push((to.0.node, key.id.clone()));
                self.drop_kept(step, &key, sequence);
            }
            Err(reason) => {
                let (id, node) = (key.id.clone(), to.0.node);
                self.hook(step, HookEvent::MigrationFailed { id, node, reason: super::bounded(reason) });
                match self.migrations.source_mut(sequence) {
                    Some(source) if source.stage == Stage::Frozen => self.give_up(step, &key, sequence),
                    // The owner starts another copy, which may take it; after a while one begins without.
                    Some(source) if handover => source.sending = None,
                    _ => self.drop_kept(step, &key, sequence),
                }
            }
        }
    }

    /// A copy that is given away has taken too long, or nothing was heard of its state.
    pub(super) fn expire_source(&mut self, step: &mut Step<'_>, sequence: u64) {
        let now = step.now;
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        let (key, stage, committed) = (source.key.clone(), source.stage, source.is_committed());
        if source.until.is_none_or(|until| until > now) {
            return self.send_parts(step, sequence, true);
        }
        source.until = None;
        #[cfg(feature = "sabotage")]
        if stage == Stage::Frozen && self.is_sabotaged(crate::config::Sabotage::EndOnUnknownOutcome) {
            return self.stop_instance(step, &key, sequence, StopReason::Moved);
        }
        let Some(source) = self.migrations.source_mut(sequence) else { return };
        match stage {
            Stage::Freezing => {
                self.failed(step, &key, "it did not give its state in time");
                self.give_up(step, &key, sequence);
            }
            Stage::Frozen if committed => {
                // Nobody knows for how long this will go on: its callers need not wait for it.
                let messages = source.take_buffer(true);
                messages.into_iter().for_each(|message| self.bounce(step, &key, sequence, message));
            }
            Stage::Frozen => {
                self.failed(step, &key, "its successor was not ready in time");
                self.give_up(step, &key, sequence);
            }
            Stage::Ending => {}
            Stage::Kept => {
                self.failed(step, &key, "its state was not taken over in time");
                self.drop_kept(step, &key, sequence);
            }
        }
    }
}
