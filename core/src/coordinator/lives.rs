//! What was seen of lives that are gone is compacted once all have seen the same, and operators forget names
//! (`docs/ALGORITHM.md`, section 3).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Step;
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::{Boot, Member, NodeId};
use crate::lives::Life;
use crate::message::{HubMessage, WireContext, WireLife};
use crate::registry::{ALL, Dot, Key, print_of_seen};
use crate::requests::Open;
use crate::steering::SteerError;

impl Hub {
    /// Another member knows of these lives. What it says of a name that is up here counts only as far as it leaves that member
    /// what it is: that a member is over is for membership to say, and what it mints with for itself.
    pub(super) fn lives_told(&mut self, from: &NodeId, told: &[WireLife]) {
        for WireLife { member: Member { node, boot }, mints, forgotten } in told {
            if *node == self.me.node || (*boot).max(*mints) > Boot::MAX {
                continue;
            }
            let is_its_own = node == from;
            let taken = match self.peers.get(node) {
                Some(up) if up.member.boot < *boot => false,
                Some(up) if up.member.boot == *boot => !forgotten && (is_its_own || !up.is_accepted()),
                _ => true,
            };
            if taken {
                self.lives.meet(node, Life { boot: *boot, mints: *mints, forgotten: *forgotten });
            }
        }
    }

    /// The names with lives that are over and still count one by one, so many as are to count so left out: each with the last
    /// of these, and one number over what was seen of them.
    fn past(&self) -> Vec<(NodeId, Boot, u64)> {
        let is_past = |member: &Member| self.lives.get(&member.node).is_some_and(|life| life.is_past(member.boot));
        let spared = if self.compacts_early() { 0 } else { self.config.past_lives as usize };
        self.registry.past(spared, is_past)
    }

    /// Whether nobody is waited for, and nothing spared: a deliberate defect.
    fn compacts_early(&self) -> bool {
        #[cfg(feature = "sabotage")]
        return self.is_sabotaged(crate::config::Sabotage::CompactEarly);
        #[cfg(not(feature = "sabotage"))]
        false
    }

    /// A member has told what it has seen. Where that is what this node has seen of lives that are over, and both know of
    /// the same lives, it has acknowledged it.
    pub(super) fn acknowledged(&mut self, from: &NodeId, theirs: &WireContext) {
        if theirs.lives != self.lives.print() {
            return;
        }
        let past = self.past();
        if past.is_empty() {
            return;
        }
        let upto: BTreeMap<&NodeId, Boot> = past.iter().map(|(node, upto, _)| (node, *upto)).collect();
        let mut told: BTreeMap<&NodeId, (Option<Boot>, u64)> = BTreeMap::new();
        for seen in &theirs.seen {
            let of = told.entry(&seen.origin.node).or_default();
            if seen.upto == ALL {
                of.0 = Some(seen.origin.boot);
            } else if upto.get(&seen.origin.node).is_some_and(|upto| seen.origin.boot <= *upto) {
                of.1 = of.1.wrapping_add(print_of_seen(seen.origin.boot, seen.upto, &seen.beyond));
            }
        }
        for (node, _, seen) in &past {
            if told.get(node) == Some(&(self.registry.context().closed(node), *seen)) {
                self.lives.acknowledge(node, *seen, from);
            }
        }
    }

    /// Of lives that are over, and of which all have seen the same, one number a name is kept.
    pub(super) fn compact(&mut self) {
        for (node, upto, seen) in self.past() {
            if self.compacts_early() || self.lives.is_acknowledged(&self.me.node, &node, seen) {
                self.registry.close(&node, upto);
                self.lives.settled(&node);
            }
        }
        if self.open_requests() == 0 && !self.pulls.keeps_context() {
            let (registry, seen) = (&self.registry, self.registry.context());
            let declared = |key: &Key, dot| registry.record(key).is_some_and(|record| record.has(dot));
            self.moves.holds.retain(|key, dot| declared(key, dot) || !seen.covers(dot));
            let kept = |dot| !registry.is_closed(dot);
            self.former.retain(kept);
            self.words.retain(kept);
            // What a life was known by here is given to another one, and a batch in the making says what each stands for.
            self.outbox.close();
            self.registry.reclaim();
        }
    }

    /// All starts of a life with the very boot that this node mints with, or with a higher one, count as seen elsewhere: its
    /// clock was set back. What it has declared goes on under a boot above that.
    pub(super) fn mint_above(&mut self, closed: Boot) {
        let member = |boot| Member { node: self.me.node.clone(), boot };
        let former = member(self.mints);
        let new = member(Boot(closed.0.max(self.me.boot.0).saturating_add(1)));
        self.mints = new.boot;
        self.lives.meet(&self.me.node, Life { boot: self.me.boot, mints: self.mints, forgotten: false });
        self.outbox.close();
        let Some((live, known_as)) = self.registry.rename_origin(&former, &new) else { return };
        for (key, dot) in live {
            self.op += 1;
            let Some(record) = self.registry.record(&key) else { continue };
            let Some(start) = record.starts().iter().find(|start| start.dot == dot) else { continue };
            self.outbox.start(&self.registry, dot, start.spec.clone());
            if let Some(assignment) = start.assigned.as_deref() {
                self.outbox.assign(&self.registry, &key.id, dot, assignment.clone());
            }
            self.outbox.stop(&self.registry, &key.id, &[Dot::new(known_as, dot.counter())]);
            if let Some(row) = record.mine().filter(|row| row.published && row.dot() == dot) {
                self.outbox.row(&self.registry, &key.id, row);
            }
        }
        let op = self.op;
        self.requests.restate(|open| {
            if let Open::Start(start) = open {
                start.op = op;
            }
        });
    }

    /// A member whose life is over still speaks, or one of a forgotten name does: it is told, and not listened to.
    pub(super) fn turn_away(&mut self, step: &mut Step<'_>, from: &Member, body: &HubMessage) {
        if matches!(body, HubMessage::Hello(hello) if hello.answer) {
            self.say_hello(step, &from.node, false);
        }
    }

    /// Another member says that this life is over. If there was a later one, this node goes on as a life above that; if an
    /// operator has forgotten it, only a new start of the node helps.
    pub(super) fn turned_away(&mut self, step: &mut Step<'_>, from: &NodeId, known: &WireLife) {
        if known.member.node != self.me.node || known.member.boot < self.me.boot || known.member.boot > Boot::MAX {
            return;
        }
        if known.member.boot > self.me.boot {
            self.outlived = self.outlived.max(Some(known.member.boot));
        } else if known.forgotten && !core::mem::replace(&mut self.forgotten, true) {
            self.hook(step, HookEvent::NameForgotten { by: from.clone() });
        }
    }

    /// An operator says that nothing of a name's last life will come back.
    pub(super) fn forget_name(&mut self, node: &NodeId) -> Result<(), SteerError> {
        if *node == self.me.node || self.peers.contains_key(node) {
            return Err(SteerError::StillHere(node.clone()));
        }
        if self.lives.get(node).is_none_or(|life| life.forgotten) {
            return Err(SteerError::UnknownName(node.clone()));
        }
        self.lives.forget(node);
        self.compact();
        Ok(())
    }
}
