//! An operator steers: gives a child to a node, spares or empties this node, pauses rebalancing.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Step;
use crate::config::{Distribution, limits};
use crate::effect::Effect;
use crate::hashing::MAX_WEIGHT;
use crate::hub::Hub;
use crate::id::{ChildId, Member, NodeId, RequestId};
use crate::message::{Assignment, Pause, Phase, RowState};
use crate::moves::{Hold, Moving, Stage};
use crate::outbox::Outbox;
use crate::registry::{Dot, Key, Record};
use crate::request::Reply;
use crate::spec::Labels;
use crate::steering::{Steer, SteerError, Steered};
use crate::time::Time;
use crate::work::Job;

impl Hub {
    pub(super) fn steer(&mut self, step: &mut Step<'_>, id: RequestId, act: Steer) {
        let done = match act {
            _ if self.phase == Phase::Leaving => Err(SteerError::Leaving),
            Steer::Migrate { .. } | Steer::Drain { .. } if self.quorum.locked => {
                Err(SteerError::Locked(self.config.id.clone()))
            }
            Steer::Migrate { id: child, to, timeout } => {
                let deadline = step.now + timeout;
                match self.migrate(step, id, &child, to, deadline) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            Steer::Drain { deadline } => match self.drain(step) {
                Ok(()) => return self.moves.draining.push((id, step.now + deadline)),
                Err(error) => Err(error),
            },
            Steer::Cordon => {
                self.describe(step, |attributes| attributes.cordoned = true);
                Ok(())
            }
            Steer::Uncordon => {
                self.describe(step, |attributes| attributes.cordoned = false);
                Ok(())
            }
            Steer::Undrain => {
                self.describe(step, |attributes| attributes.draining = false);
                Ok(())
            }
            Steer::Weight(weight) => self.set_weight(step, weight),
            Steer::Labels(labels) => self.set_labels(step, labels),
            Steer::Forget { node } => self.forget_name(&node),
            Steer::Pause => {
                self.set_pause(step, true);
                Ok(())
            }
            Steer::Resume => {
                self.set_pause(step, false);
                Ok(())
            }
        };
        answer(step, id, done.map(|()| Steered::Done));
    }

    /// This node says something else of itself from now on.
    pub(super) fn describe(&mut self, step: &mut Step<'_>, change: impl FnOnce(&mut crate::message::Attributes)) {
        let mut attributes = self.attributes.clone();
        change(&mut attributes);
        if attributes == self.attributes {
            return;
        }
        attributes.version += 1;
        self.attributes = attributes.clone();
        self.outbox.attributes(attributes);
        self.refresh_view(step);
    }

    fn set_weight(&mut self, step: &mut Step<'_>, weight: u32) -> Result<(), SteerError> {
        if weight > MAX_WEIGHT {
            return Err(SteerError::TooHeavy(weight));
        }
        self.describe(step, |attributes| attributes.weight = weight);
        Ok(())
    }

    fn set_labels(&mut self, step: &mut Step<'_>, labels: Labels) -> Result<(), SteerError> {
        if !labels.are_within_limits() {
            return Err(SteerError::BadLabels);
        }
        self.describe(step, |attributes| attributes.labels = labels);
        Ok(())
    }

    fn drain(&mut self, step: &mut Step<'_>) -> Result<(), SteerError> {
        if self.attributes.draining {
            return Err(SteerError::Draining);
        }
        let takes = |(node, seat): (&NodeId, &crate::view::Seat)| {
            *node != self.me.node && seat.owns() && !seat.attributes.cordoned
        };
        if !self.view.members().iter().any(takes) {
            return Err(SteerError::NoTargetNodes);
        }
        self.describe(step, |attributes| attributes.draining = true);
        Ok(())
    }

    // ---- giving a child to a node

    /// In two rounds. In the first all members learn that the child is about to be moved: whoever starts it tells so,
    /// nobody begins to or is promoted, and each says so in its stream of changes. In the second, when all have said it, it is
    /// given to its new node, which waits until it has heard all say it, too: thereby it knows of every copy there is. (That
    /// a member has the word is not enough: what it told before may be lost and come later.)
    fn migrate(
        &mut self,
        step: &mut Step<'_>,
        caller: RequestId,
        child: &ChildId,
        to: NodeId,
        deadline: crate::time::Time,
    ) -> Result<(), SteerError> {
        let key = Key::new(child);
        let not_found = || SteerError::NotFound(child.clone());
        let record = self.registry.record(&key).ok_or_else(not_found)?;
        let (start, subject) = record.winner().zip(record.subject(&key)).ok_or_else(not_found)?;
        if !self.view.members().get(&to).is_some_and(crate::view::Seat::owns) {
            return Err(SteerError::NotAMember(to));
        }
        if self.view.owner(&subject) == Some(&to) {
            return Err(SteerError::SameNode { id: child.clone(), node: to });
        }
        if self.open_requests() >= limits::OPEN_REQUESTS {
            return Err(SteerError::Overloaded(self.open_requests()));
        }
        let dot = start.dot;
        let (version, nodes) = match start.assigned.as_deref() {
            Some(assigned) => (assigned.version + 1, assigned.nodes.clone()),
            None => (0, Vec::new()),
        };
        let wrote = Assignment { version, by: self.me.node.clone(), nodes, held: true };
        self.moves.holds.told(&key, dot, &wrote, None, step.now);
        // Known before it is told, or this node would take it for what an earlier life of it holds.
        let (stage, moved) = (Stage::Holding, key.clone());
        self.moves.moving.push(Moving { caller, key: moved, dot, to, stage, wrote: wrote.clone(), deadline });
        self.tell_assignment(step, &key, dot, wrote);
        Ok(())
    }

    /// This node gives a start to nodes, and says so.
    pub(super) fn tell_assignment(&mut self, step: &mut Step<'_>, key: &Key, dot: Dot, assignment: Assignment) {
        self.op += 1;
        self.outbox.assign(&self.registry, &key.id, dot, assignment.clone());
        self.assigned(step, key, dot, assignment);
    }

    /// A child is held, by the word of a member. The first time, everybody is told the same by this node, behind all that it
    /// has told before, and each time that its holder says so: whoever has heard it of all knows of every copy.
    pub(super) fn hold_told(&mut self, step: &mut Step<'_>, from: &NodeId, key: &Key, dot: Dot, held: &Assignment) {
        let Some(peer) = self.peers.get(from) else { return };
        if self.registry.context().covers(dot) && self.registry.assignment(key, dot).is_none() {
            // Its start was removed: nobody waits for anything.
            return;
        }
        let member = peer.member.clone();
        self.age_holds(step.now);
        let news = self.moves.holds.told(key, dot, held, Some(&member), step.now);
        // Whoever held it may have died since, and others who hear of it from its survivors wait for this node, too.
        if held.by == *from || news {
            self.claim_unheard(key);
            // By what is above it this node goes all the same: that is to be known with the agreement.
            if let Some(above) = self.registry.assignment(key, dot).filter(|given| *given > held) {
                self.outbox.assign(&self.registry, &key.id, dot, above.clone());
            }
            self.outbox.assign(&self.registry, &key.id, dot, held.clone());
        } else if self.registry.assignment(key, dot).is_some_and(|assigned| !assigned.held) {
            // It was given to its nodes meanwhile, and this may be what one of them waits for.
            self.reconcile(step, key);
        }
    }

    /// What is held, for a member whose stream begins anew.
    pub(super) fn restate_holds(&mut self, opening: &mut Outbox, now: Time) {
        self.age_holds(now);
        for (key, dot, held) in self.moves.holds.fresh(now) {
            opening.assign(&self.registry, &key.id, dot, held.clone());
        }
    }

    fn age_holds(&mut self, now: Time) {
        let registry = &self.registry;
        self.moves.holds.age(now, |key, dot, held| registry.assignment(key, dot) == Some(held));
    }

    /// Whether every other member is among those that have agreed.
    fn is_everybody(&self, agreed: &BTreeSet<Member>) -> bool {
        let mut others = self.peers.values().filter(|peer| peer.takes_part());
        others.all(|peer| agreed.contains(&peer.member))
    }

    /// Whether every member that takes part was compared with since its stream began.
    pub(super) fn has_heard_all_out(&self) -> bool {
        self.peers.values().filter(|peer| peer.takes_part()).all(|peer| peer.heard_out)
    }

    /// Looks at the children that have waited for that.
    pub(super) fn all_heard_out(&mut self) {
        if self.view.is_complete() && self.has_heard_all_out() {
            let waiting = self.work.take_waiting();
            self.work.add_ranges(waiting, Job::Reconcile);
        }
    }

    /// Whether this node may take a child as far as others may have given it away: no member can know of an assignment
    /// that it does not, as those could that were in another view when it was given; and of one that was given after it
    /// was held, this node has heard of every copy.
    pub(super) fn knows_all(&self, key: &Key, record: &Record) -> bool {
        let Some(start) = record.winner() else { return true };
        if self.registry.has_exceptions() && !self.has_heard_all_out() {
            return false;
        }
        let Some(given) = start.assigned.as_deref().filter(|given| !given.held && given.by != self.me.node) else {
            return true;
        };
        // One that was let go has its owners of before.
        let before =
            |held: &Assignment| held.by == given.by && held.version + 1 == given.version && held.nodes != given.nodes;
        self.moves.holds.of(key, start.dot, before).is_none_or(|hold| self.all_agree(hold))
    }

    /// Whether all have agreed to a hold who were there when this node heard of it. Who has come since, or has come back, has
    /// told its copies before its view was complete, and starts none before it has heard this node out.
    fn all_agree(&self, hold: &Hold) -> bool {
        if hold.over {
            return true;
        }
        let mut others = self.peers.values().filter(|peer| peer.takes_part() && peer.since <= hold.since);
        others.all(|peer| hold.agreed.contains(&peer.member))
    }

    /// Goes on with the moves that can, and answers those that are over.
    pub(super) fn go_on_moving(&mut self, step: &mut Step<'_>) {
        for mut moving in core::mem::take(&mut self.moves.moving) {
            match self.move_on(step, &mut moving) {
                Some(end) => answer(step, moving.caller, end),
                None => self.moves.moving.push(moving),
            }
        }
        self.answer_drains(step);
    }

    fn move_on(&mut self, step: &mut Step<'_>, moving: &mut Moving) -> Option<Result<Steered, SteerError>> {
        let id = moving.key.id.clone();
        let ours = self.registry.assignment(&moving.key, moving.dot) == Some(&moving.wrote);
        if !ours {
            return Some(Err(SteerError::Superseded(id)));
        }
        let hold = self.moves.holds.of(&moving.key, moving.dot, |held| *held == moving.wrote);
        if moving.stage == Stage::Holding && hold.is_some_and(|hold| self.is_everybody(&hold.agreed)) {
            let copies = self.view.copies();
            let record = self.registry.record(&moving.key)?;
            let owners = record.subject(&moving.key).map(|subject| self.view.owners(&subject)).unwrap_or_default();
            let others = owners.into_iter().filter(|node| **node != moving.to).cloned();
            let nodes = core::iter::once(moving.to.clone()).chain(others).take(copies.max(1)).collect();
            moving.wrote = Assignment { version: moving.wrote.version + 1, nodes, held: false, ..moving.wrote.clone() };
            moving.stage = Stage::Given;
            self.tell_assignment(step, &moving.key, moving.dot, moving.wrote.clone());
        }
        if moving.stage == Stage::Given
            && let Some(record) = self.registry.record(&moving.key)
        {
            let serves = |row: &&crate::registry::Row| {
                row.state == RowState::Running
                    && self.registry.is_visible(row.host)
                    && *self.registry.node_of(row) == moving.to
            };
            if let Some(row) = record.rows().iter().find(serves) {
                return Some(Ok(Steered::Migrated(self.registry.pid(row))));
            }
        }
        if moving.deadline > step.now {
            return None;
        }
        if moving.stage == Stage::Holding {
            // Somebody has not answered: the child goes on as before.
            let released = Assignment { version: moving.wrote.version + 1, held: false, ..moving.wrote.clone() };
            self.tell_assignment(step, &moving.key, moving.dot, released);
            return Some(Err(SteerError::Unanswered(id)));
        }
        Some(Err(SteerError::Timeout(id)))
    }

    /// Whether a child waits for a move that an earlier life of this node began: nobody else can call that off while this
    /// node is there.
    pub(super) fn holds_in_vain(&self, key: &Key, record: &Record) -> bool {
        let Some(start) = record.winner() else { return false };
        let held = |assigned: &Assignment| assigned.held && assigned.by == self.me.node;
        start.assigned.as_deref().is_some_and(held)
            && self.phase == Phase::Ready
            && self.view.is_complete()
            && !self.moves.moving.iter().any(|moving| moving.dot == start.dot && moving.key == *key)
    }

    /// Has a child that is held go on as before.
    pub(super) fn let_go(&mut self, step: &mut Step<'_>, key: &Key) {
        let Some(start) = self.registry.record(key).and_then(Record::winner) else { return };
        let (dot, Some(held)) = (start.dot, start.assigned.as_deref().cloned()) else { return };
        self.tell_assignment(step, key, dot, Assignment { version: held.version + 1, held: false, ..held });
    }

    /// This node takes no part any more: moves go on without it, as far as they have been told.
    pub(super) fn abandon_moves(&mut self, step: &mut Step<'_>) {
        let moving = core::mem::take(&mut self.moves.moving).into_iter().map(|moving| moving.caller);
        let draining = core::mem::take(&mut self.moves.draining).into_iter().map(|(caller, _)| caller);
        for caller in moving.chain(draining) {
            answer(step, caller, Err(SteerError::Leaving));
        }
    }

    fn answer_drains(&mut self, step: &mut Step<'_>) {
        let over = !self.attributes.draining
            || (self.supervisor.is_empty() && self.view.is_complete() && self.work.is_empty());
        let left = self.supervisor.len() as u64;
        for (caller, deadline) in core::mem::take(&mut self.moves.draining) {
            if over || deadline <= step.now {
                answer(step, caller, Ok(Steered::Drained(left)));
            } else {
                self.moves.draining.push((caller, deadline));
            }
        }
    }

    // ---- cordons

    /// Whether a child that this node owns is another's to start, because this node is given nothing new. What failed
    /// here is nothing new, nor is what was given to this very node.
    pub(super) fn spares(&self, key: &Key, record: &Record) -> bool {
        // Who has its own idea of who owns a child would give it away over and over.
        #[cfg(feature = "sabotage")]
        if matches!(
            self.config.sabotage,
            Some(crate::config::Sabotage::RingInJoinOrder | crate::config::Sabotage::FlipFlop)
        ) {
            return false;
        }
        let mine = |assigned: &Assignment| assigned.nodes.contains(&self.me.node);
        self.attributes.cordoned
            && self.config.distribution == Distribution::ConsistentHashing
            && !self.supervisor.is_restart(key)
            && !record.winner().and_then(|start| start.assigned.as_deref()).is_some_and(mine)
    }

    /// Gives a child that would be new to this node to the next that can take it: whoever runs it, if anybody does.
    /// Without one it waits for a change of the view.
    pub(super) fn pass_over(&mut self, step: &mut Step<'_>, key: &Key) {
        let Some(record) = self.registry.record(key) else { return };
        let (Some(start), Some(subject)) = (record.winner(), record.subject(key)) else { return };
        let runs = |node: &NodeId| record.theirs(&self.registry).any(|row| self.registry.node_of(row) == node);
        let mut candidates = self.view.takers(&subject);
        candidates.retain(|node| **node != self.me.node);
        let mut nodes: Vec<NodeId> =
            self.view.owners(&subject).into_iter().filter(|node| **node != self.me.node).cloned().collect();
        candidates.retain(|node| !nodes.contains(node));
        let next = candidates.iter().find(|node| runs(node)).or(candidates.first()).copied().cloned();
        let Some(next) = next else { return self.work.wait(key) };
        nodes.push(next);
        drop(candidates);
        let version = start.assigned.as_deref().map_or(0, |assigned| assigned.version + 1);
        let dot = start.dot;
        self.tell_assignment(step, key, dot, Assignment { version, by: self.me.node.clone(), nodes, held: false });
    }

    /// Whether this node's copy of a child that belongs elsewhere stays all the same: rebalancing is paused, or its
    /// owner takes nothing new. Of several such copies only as many stay as are wanted, those on the owners first.
    pub(super) fn stays(&self, key: &Key) -> bool {
        let Some(record) = self.registry.record(key) else { return false };
        let Some(subject) = record.subject(key) else { return false };
        if !self.view.members().get(&self.me.node).is_some_and(crate::view::Seat::owns) {
            return false;
        }
        let owners = self.view.owners(&subject);
        let cordoned = |node: &&NodeId| {
            self.config.distribution == Distribution::ConsistentHashing
                && self.view.members().get(*node).is_some_and(|seat| seat.attributes.cordoned)
        };
        let spared = start_is_free(record) && self.heir(key).is_some_and(|heir| cordoned(&heir));
        if !(self.is_paused() || spared) {
            return false;
        }
        let before_us = record.theirs(&self.registry).filter(|row| {
            let node = self.registry.node_of(row);
            row.state != RowState::Standby && (owners.contains(&node) || *node < self.me.node)
        });
        before_us.count() < self.view.copies()
    }

    // ---- pauses

    /// Whether copies stay where they are although they belong elsewhere.
    pub(crate) fn is_paused(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.paused)
    }

    fn set_pause(&mut self, step: &mut Step<'_>, paused: bool) {
        if self.is_paused() == paused {
            return;
        }
        let version = self.pause.as_ref().map_or(0, |pause| pause.version + 1);
        let pause = Pause { version, by: self.me.node.clone(), paused };
        self.outbox.pause(pause.clone());
        self.pause_told(step, pause);
    }

    /// Somebody has paused rebalancing, or resumed it.
    pub(super) fn pause_told(&mut self, step: &mut Step<'_>, pause: Pause) {
        if pause.version >= 1 << 48 || self.pause.as_ref().is_some_and(|known| *known >= pause) {
            return;
        }
        let was = self.is_paused();
        self.pause = Some(pause);
        if was != self.is_paused() {
            step.fx.push(Effect::ViewChanged { hub: Some(self.config.id.clone()) });
        }
        if was && !self.is_paused() {
            self.work.add_ranges([(0, u64::MAX)], Job::Reconcile);
        }
    }
}

/// Whether nobody has given the child to nodes of their choice.
fn start_is_free(record: &Record) -> bool {
    record.winner().is_some_and(|start| start.assigned.is_none())
}

fn answer(step: &mut Step<'_>, id: RequestId, reply: Result<Steered, SteerError>) {
    step.fx.push(Effect::Reply { id, reply: Reply::Steered(reply) });
}
