//! Whether this part of the cluster may serve: the verdict comes first in every step, and all else follows from it.

use alloc::vec::Vec;

use super::Step;
use crate::config::{Partition, limits};
use crate::effect::{Effect, StopReason};
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::{Member, NodeId, RequestId};
use crate::message::{HubMessage, Known, Mark, Phase, Standing, WireLoss, WireMemory};
use crate::quorum::{Answer, Confirm, Recovery, Verdict, tokens};
use crate::registry::Key;
use crate::request::{Reply, ResetError};

impl Hub {
    /// Locks or unlocks the hub by what is known now. Asked before a step does anything else, and whenever what it
    /// depends on has changed.
    pub(super) fn review(&mut self, step: &mut Step<'_>) {
        if self.config.partition == Partition::Divergence {
            return;
        }
        self.quorum.lease.expire(step.now);
        let may_serve = self.quorum.may_serve(step.now);
        match (may_serve, self.quorum.locked) {
            (false, false) => self.lock(step),
            #[cfg(feature = "sabotage")]
            (true, true) if self.is_sabotaged(crate::config::Sabotage::NeverUnlock) && self.quorum.seen => {}
            (true, true) => self.unlock(step),
            _ => {}
        }
    }

    /// Nothing may run here any more. Whatever this node knew of the others' rows may be out of date by the time it may
    /// serve again: it becomes another member by its term, so that all say anew that they have installed a view with it.
    fn lock(&mut self, step: &mut Step<'_>) {
        self.quorum.locked = true;
        self.quorum.lease.drop_it();
        self.abandon_starts(step);
        let (members, needed) = (self.quorum.connected, self.quorum.needed());
        self.hook(step, HookEvent::QuorumLost { members, needed });
        step.fx.push(Effect::ViewChanged { hub: Some(self.config.id.clone()) });
        self.view.forget();
        self.locking = true;
        self.stop_locked(step);
        self.attributes.term += 1;
        self.attributes.version += 1;
        self.outbox.attributes(self.attributes.clone());
        self.refresh_view(step);
    }

    fn unlock(&mut self, step: &mut Step<'_>) {
        self.quorum.locked = false;
        self.locking = false;
        let members = self.quorum.connected;
        self.hook(step, HookEvent::QuorumRegained { members });
        step.fx.push(Effect::ViewChanged { hub: Some(self.config.id.clone()) });
        if self.view.is_complete() {
            self.work.add_ranges([(0, u64::MAX)], crate::work::Job::Reconcile);
        } else {
            // A view that was completed while nothing could start is no view to look back on.
            self.view.forget();
        }
    }

    /// Instances that this very step was about to start have never been.
    fn abandon_starts(&mut self, step: &mut Step<'_>) {
        for effect in core::mem::take(&mut step.starting) {
            if let Effect::Start { pid, .. } = effect {
                self.end_instance(step, pid.sequence);
            }
        }
    }

    /// Ends a bounded number of the instances of a locked hub.
    pub(super) fn stop_locked(&mut self, step: &mut Step<'_>) {
        if !self.locking {
            return;
        }
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::NeverLock) {
            self.locking = false;
            return;
        }
        let running = self.supervisor.iter().filter(|(_, local)| local.stop.is_none() || local.kept);
        let some: Vec<(u64, Key)> =
            running.take(limits::SLICE).map(|(sequence, local)| (sequence, local.key.clone())).collect();
        self.locking = some.len() == limits::SLICE;
        for (sequence, key) in some {
            self.stop_instance(step, &key, sequence, StopReason::Locked);
        }
    }

    /// Says that the installed view is installed, once whatever this node has granted to members outside it is over.
    pub(super) fn mark_view(&mut self, step: &mut Step<'_>) {
        let view = &self.view;
        self.quorum.mark_at = self.quorum.lease.fenced_at(step.now, |member| view.has(member));
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::ForgetGrants) {
            self.quorum.mark_at = None;
        }
        if self.quorum.mark_at.is_none() {
            let ballot = self.quorum.memory.known().ballot;
            let mark = Mark { view: self.view.hash(), number: self.view.number(), ballot };
            self.quorum.marked = Some(mark);
            self.outbox.installed(mark);
        }
    }

    /// Begins a round: asks all members of the view whether this node may serve, or, while it has yet to be told what it
    /// has forgotten, all there are what they know.
    fn begin_round(&mut self, step: &mut Step<'_>) {
        let counted = self.quorum.standing == Standing::Counted;
        let confirm = if counted { self.wanted_confirm() } else { None };
        let round = self.quorum.lease.ask(step.now, confirm);
        let ballot = confirm.map_or(0, |confirm| confirm.ballot);
        self.quorum.memory.record(ballot);
        let body = HubMessage::LeaseAsk { round, ballot, known: self.quorum.memory.known() };
        let asked = |member: &Member| if counted { self.view.has(member) } else { true };
        let peers = self.peers.values().filter(|peer| peer.is_accepted() && asked(&peer.member));
        let to: Vec<Member> = peers.map(|peer| peer.member.clone()).collect();
        for member in to {
            self.send_first(step, &member, body.clone());
        }
        self.round_answered(step);
    }

    /// Takes what the answers of the present round come to.
    fn round_answered(&mut self, step: &mut Step<'_>) {
        match self.quorum.standing {
            Standing::Waiting => {}
            Standing::Waited => self.recover(),
            Standing::Counted => {
                self.quorum.lease.renew(self.quorum.needed().unwrap_or(u32::MAX));
                if self.quorum.lease.is_held(step.now) && !core::mem::replace(&mut self.quorum.seen, true) {
                    // Until now nothing had to be confirmed.
                    self.view.reopen();
                }
            }
        }
        self.review(step);
    }

    fn recover(&mut self) {
        let Some(recovery) = self.quorum.recovers() else { return };
        if recovery == Recovery::AllThere {
            self.quorum.memory.begin_lineage();
        }
        self.quorum.standing = Standing::Counted;
        self.quorum.lease.drop_it();
    }

    /// What a round must ask to be confirmed so that the installed view is: nothing before all have marked it.
    fn wanted_confirm(&self) -> Option<Confirm> {
        if self.view.is_complete() {
            return None;
        }
        let mine = self.quorum.marked.filter(|mark| mark.view == self.view.hash())?;
        let (mut marks, mut ballot) = (mine.number, mine.ballot);
        for node in self.view.members().keys().filter(|node| **node != self.me.node) {
            let mark = self.peers.get(node)?.inb.mark_of(self.view.hash())?;
            marks = marks.wrapping_add(mark.number);
            ballot = ballot.max(mark.ballot);
        }
        let lineage = self.quorum.memory.known().lineage;
        // Whoever has seen later tokens goes on among them.
        let ballot = (ballot + 1).max(tokens::ballot(self.token));
        Some(Confirm { number: self.view.number(), marks, ballot, lineage })
    }

    /// Whether the installed view, which all its members have marked, may be taken to be complete. Under leases there
    /// must be one moment at which all of them were at it, which a round that began since shows; and they hold a quorum.
    pub(super) fn confirms_view(&mut self, step: &mut Step<'_>) -> bool {
        if !self.quorum.is_leased() {
            return true;
        }
        let held = self.quorum.verdict(step.now) == Verdict::Held;
        let Some(confirm) = self.wanted_confirm().filter(|_| held && self.asks_leases()) else { return false };
        if self.quorum.lease.confirm() != Some(confirm) {
            self.begin_round(step);
        }
        // The round may have locked or unlocked the hub and changed the view with it.
        if self.quorum.locked || self.wanted_confirm() != Some(confirm) || self.quorum.lease.confirm() != Some(confirm)
        {
            return false;
        }
        let answers = self.quorum.lease.answers();
        let agrees = |node: &NodeId| {
            let mark = self.peers.get(node).and_then(|peer| peer.inb.mark_of(self.view.hash()));
            let answer = answers.get(node).filter(|answer| answer.granted);
            mark.is_some_and(|mark| answer.is_some_and(|answer| answer.mark == mark.number))
        };
        let confirmed = self.view.members().keys().all(|node| *node == self.me.node || agrees(node));
        if confirmed {
            (self.quorum.ballot, self.quorum.lineage) = (confirm.ballot, confirm.lineage);
        }
        confirmed
    }

    /// Whether this node asks the others for a lease, or for what it has forgotten.
    pub(crate) fn asks_leases(&self) -> bool {
        self.quorum.asks(self.phase != Phase::Joining)
    }

    pub(super) fn lease_asked(&mut self, step: &mut Step<'_>, from: &Member, round: u64, ballot: u64, known: Known) {
        if self.quorum.needed().is_none() {
            return;
        }
        self.learn(step, known);
        self.quorum.memory.record(ballot);
        let standing = self.quorum.standing;
        let granted = standing == Standing::Counted && self.phase != Phase::Joining && self.view.has(from);
        if granted {
            self.quorum.lease.give(from, round, step.now);
        }
        let mark = self.quorum.marked.filter(|mark| mark.view == self.view.hash()).map_or(0, |mark| mark.number);
        let standing =
            if self.phase == Phase::Joining && standing == Standing::Counted { Standing::Waited } else { standing };
        let known = self.quorum.memory.known();
        self.send_first(step, from, HubMessage::LeaseGrant { round, granted, mark, standing, known });
    }

    pub(super) fn lease_answered(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        round: u64,
        answer: Answer,
        known: Known,
    ) {
        if self.quorum.needed().is_none() {
            return;
        }
        self.learn(step, known);
        if self.quorum.lease.answered(&from.node, round, answer) {
            self.round_answered(step);
        }
    }

    pub(super) fn lease_released(&mut self, step: &mut Step<'_>, from: &Member, round: u64) {
        self.quorum.lease.released(from, round);
        if self.quorum.mark_at.is_some() {
            self.mark_view(step);
        }
    }

    /// A node that goes and has nothing left says so: nobody has to wait until its lease is over.
    pub(super) fn release_lease(&mut self, step: &mut Step<'_>) {
        let leaves = self.phase == Phase::Leaving && self.supervisor.is_empty() && self.quorum.needed().is_some();
        if !leaves || self.quorum.lease.is_released() || !self.view.is_complete() {
            return;
        }
        let round = self.quorum.lease.release();
        for peer in self.peers.values().filter(|peer| peer.is_accepted()) {
            self.send_first(step, &peer.member, HubMessage::LeaseRelease { round });
        }
    }

    /// Takes over what another member knows.
    fn learn(&mut self, step: &mut Step<'_>, known: Known) {
        let epoch = self.quorum.memory.known().epoch;
        if self.quorum.memory.join(known) {
            if self.quorum.memory.known().epoch != epoch {
                self.admit_members();
                self.ask_rule();
            }
            self.review(step);
            // There may be room for names that there was none for.
            self.refresh_view(step);
        }
    }

    /// The members of the view are names that count.
    fn admit_members(&mut self) {
        let members = self.view.members().iter().filter(|(_, seat)| seat.phase != Phase::Joining);
        for (node, _) in members {
            self.quorum.admit(node);
        }
    }

    /// What this node remembers, for another one.
    pub(super) fn wire_memory(&self, now: crate::time::Time) -> WireMemory {
        let memory = &self.quorum.memory;
        if self.config.partition == Partition::Divergence {
            return WireMemory::default();
        }
        let micros = |span: core::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let losses = memory.losses(now).take(limits::BATCH);
        WireMemory {
            known: memory.known(),
            names: memory.names().iter().take(limits::BATCH).cloned().collect(),
            losses: losses.map(|(node, ago)| WireLoss { node: node.clone(), ago: micros(ago) }).collect(),
        }
    }

    /// Takes over what another member remembers.
    pub(super) fn remember(&mut self, step: &mut Step<'_>, theirs: &WireMemory) {
        self.learn(step, theirs.known);
        let most = self.quorum.names_to_learn();
        self.quorum.memory.join_names(theirs.known.epoch, &theirs.names, most);
        if let Partition::DynamicQuorum { threshold_time, .. } = self.config.partition {
            // What was lost before an operator's reset counts no more, whoever tells of it.
            let counts = theirs.known.epoch == self.quorum.memory.known().epoch;
            let here = |loss: &WireLoss| self.view.members().contains_key(&loss.node);
            for loss in theirs.losses.iter().filter(|loss| counts && !here(loss)) {
                let ago = core::time::Duration::from_micros(loss.ago).min(threshold_time);
                let at = crate::time::Time(step.now.0.saturating_sub(u64::try_from(ago.as_micros()).unwrap_or(0)));
                self.quorum.memory.lose(&loss.node, at);
            }
            self.quorum.memory.age(step.now, threshold_time);
        }
        self.review(step);
        self.refresh_view(step);
    }

    /// An operator's reset, as the member where it was made tells it. Its number may have come with something else before.
    pub(super) fn reset_told(&mut self, step: &mut Step<'_>, theirs: &WireMemory) {
        self.quorum.absolved |= theirs.known.epoch >= self.quorum.memory.known().epoch;
        self.remember(step, theirs);
    }

    /// The members that have gone from the view without a word, and those that have come.
    pub(super) fn note_members(&mut self, step: &mut Step<'_>, lost: &[Member]) {
        for member in lost.iter().filter(|member| !self.view.members().contains_key(&member.node)) {
            self.quorum.memory.lose(&member.node, step.now);
            self.quorum.memory.lose_life(member);
        }
        let counted = self.view.members().values().filter(|seat| seat.phase != Phase::Joining).count();
        self.quorum.count(u32::try_from(counted).unwrap_or(u32::MAX));
        let names = self.quorum.memory.names().len();
        self.admit_members();
        self.ask_rule();
        if self.quorum.needed().is_some() && self.quorum.memory.names().len() > names {
            self.tell_all(step, &HubMessage::Memory(self.wire_memory(step.now)));
        }
    }

    /// Asks a rule of one's own about the members of the view and those that were lost.
    fn ask_rule(&mut self) {
        let Partition::Custom(rule) = &self.config.partition else { return };
        let members = self.view.members().iter().filter(|(_, seat)| seat.phase != Phase::Joining);
        let members: Vec<Member> = members.map(|(node, seat)| Member { node: node.clone(), boot: seat.boot }).collect();
        let holds = rule.holds(&members, &self.quorum.memory.lost_members());
        self.quorum.custom = if holds { Verdict::Held } else { Verdict::Lost };
    }

    pub(super) fn tell_all(&self, step: &mut Step<'_>, body: &HubMessage) {
        for peer in self.peers.values().filter(|peer| peer.is_accepted()) {
            self.send_first(step, &peer.member, body.clone());
        }
    }

    pub(super) fn reset_cluster_size(&mut self, step: &mut Step<'_>, id: RequestId, size: u32) {
        let hub = self.config.id.clone();
        let outcome = match (&self.config.partition, size) {
            (Partition::Divergence, _) => Err(ResetError::NoQuorum(hub)),
            (_, 0) => Err(ResetError::OutOfRange(size)),
            (_, size) if size as usize > limits::MEMBERS => Err(ResetError::OutOfRange(size)),
            _ => Ok(()),
        };
        let accepted = outcome.is_ok();
        step.fx.push(Effect::Reply { id, reply: Reply::Reset(outcome) });
        if !accepted {
            return;
        }
        self.quorum.memory.reset(size);
        self.quorum.absolved = true;
        self.admit_members();
        self.ask_rule();
        self.tell_all(step, &HubMessage::Reset(self.wire_memory(step.now)));
        self.review(step);
    }

    /// Time has passed.
    pub(super) fn expire_quorum(&mut self, step: &mut Step<'_>) {
        if let Partition::DynamicQuorum { threshold_time, .. } = self.config.partition {
            self.quorum.memory.age(step.now, threshold_time);
            self.review(step);
        }
        if self.quorum.standing == Standing::Waiting && self.quorum.waits_until <= step.now {
            self.quorum.standing = Standing::Waited;
        }
        if self.quorum.mark_at.is_some_and(|at| at <= step.now) {
            self.mark_view(step);
        }
        if self.asks_leases() && self.quorum.lease.is_due(step.now) {
            self.begin_round(step);
        }
    }
}
