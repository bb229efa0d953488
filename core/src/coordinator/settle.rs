//! Two starts of one child that belong to different nodes: before one is carried out, all know that the other is not.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Step;
use crate::config::{Distribution, Migration};
use crate::hashing::Subject;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::registry::{Dot, Key, Record, Start};
use crate::rivals::FORMER;
use crate::spec::ChildSpec;
use crate::time::Time;

impl Hub {
    /// Whether this node may carry out the start of a child as far as other starts of it are concerned. Where these belong
    /// to other nodes, those nodes are told first what this one knows, and this one hears what they have made of it until
    /// then; the child is looked at again after that.
    pub(super) fn may_carry_out(&mut self, step: &mut Step<'_>, key: &Key) -> bool {
        let Some(record) = self.registry.record(key) else { return false };
        let Some(winner) = record.winner().map(|start| start.dot) else { return false };
        if let Some(by) = self.gives_another(key, winner).cloned() {
            self.pulls.want(&by);
            self.supervisor.hold(key, step.now + FORMER);
            return false;
        }
        let others = self.rivals(key, record);
        if others.is_empty() {
            return true;
        }
        if !self.view.is_complete() && self.config.migration != Migration::Autonomous {
            self.work.wait(key);
            return false;
        }
        if !self.words.are_told(key, winner, &others) {
            self.op += 1;
            let mut told = core::mem::take(&mut self.outbox);
            self.put_word(&mut told, key, winner, &others);
            self.outbox = told;
            self.words.tell(key, winner, others.clone(), self.op);
            if self.is_confirmed(self.op) {
                // Nobody else is there.
                self.words.known(self.op);
            }
        }
        self.words.are_known(key, winner, &others)
    }

    /// A member that gives a start of a child to nodes that has yet to arrive here, and would be the one to be carried out.
    /// Whoever was compared with since does not know of it any more: it has been removed, or that was an earlier life.
    fn gives_another(&self, key: &Key, winner: Dot) -> Option<&NodeId> {
        let knows = |(dot, by, since): &(Dot, &NodeId, Time)| {
            let may_know = |peer: &Peer| peer.takes_part() && peer.compared_at <= *since;
            self.registry.is_before(*dot, winner) && self.peers.get(*by).is_some_and(may_know)
        };
        self.registry.early(key).find(knows).map(|(_, by, _)| by)
    }

    /// A start is told that is known. One that was removed here somebody has yet to hear the removal of.
    pub(super) fn declared_already(&mut self, step: &Step<'_>, key: &Key, dot: Dot, spec: Arc<ChildSpec>) {
        let removed = !self.registry.record(key).is_some_and(|record| record.has(dot));
        if removed {
            self.former.remember(key, dot, Some(Start { dot, spec, assigned: None }), step.now);
        }
    }

    /// Whether two starts of one child may belong to different nodes, as those of a ring never do.
    pub(super) fn has_exceptions(&self) -> bool {
        self.config.distribution != Distribution::ConsistentHashing || self.registry.has_exceptions()
    }

    /// Other starts of a child, declared or removed, that belong to other nodes or may be given to others.
    fn rivals(&self, key: &Key, record: &Record) -> Vec<Dot> {
        let Some(winner) = record.winner() else { return Vec::new() };
        let declared = record.starts().iter().skip(1).map(|start| (start.dot, Some(start)));
        let removed = self.former.of(key).map(|removed| (removed.dot, removed.start.as_ref()));
        let mut owners = None;
        let is_rival = |(_, start): &(Dot, Option<&Start>)| {
            let Some(start) = start else { return true };
            let subject = subject(key, start);
            let owners = owners.get_or_insert_with(|| self.view.owners(&self::subject(key, winner)));
            let elsewhere = |node: &&_| **node != self.me.node && !owners.contains(node);
            let theirs = self.view.owners(&subject);
            // Where nodes are chosen by somebody and none are known here, the word of that may be on its way still.
            self.view.is_held(&subject) || theirs.is_empty() || theirs.iter().any(elsewhere)
        };
        let given = self.registry.early(key).map(|(dot, ..)| dot);
        declared.chain(removed).filter(is_rival).map(|(dot, _)| dot).chain(given).collect()
    }

    /// Forgets the removed starts that no member can carry out any more: all have seen the removal, and what they told before
    /// that has been heard, which their acknowledgement of a change that this node tells after that shows.
    pub(super) fn forget_former(&mut self, now: Time) {
        let taking_part = self.peers.values().filter(|peer| peer.takes_part());
        let last = taking_part.min_by_key(|peer| peer.same_at);
        let seen = last.map_or(now, |peer| peer.same_at);
        if let Some(last) = last.filter(|_| self.former.is_any_before(now)) {
            // Those that are compared with are chosen at random where not all are.
            self.pulls.want(&last.member.node);
        }
        if self.releasing.is_none() && self.former.is_any_before(seen) {
            self.op += 1;
            self.outbox.phase(self.phase);
            self.releasing = Some((self.op, seen));
        }
        self.former.forget(Time(0), now);
    }

    /// Says which start of a child is to be carried out, and which are removed.
    fn put_word(&self, outbox: &mut Outbox, key: &Key, winner: Dot, others: &[Dot]) {
        let Some(record) = self.registry.record(key) else { return };
        let Some(start) = record.starts().iter().find(|start| start.dot == winner) else { return };
        if let Some(assignment) = start.assigned.as_deref() {
            outbox.assign(&self.registry, &key.id, winner, assignment.clone());
        }
        outbox.start(&self.registry, winner, start.spec.clone());
        let removed: Vec<Dot> = others.iter().copied().filter(|dot| self.registry.context().covers(*dot)).collect();
        let removed: Vec<Dot> = removed.into_iter().filter(|dot| !record.has(*dot)).collect();
        if !removed.is_empty() {
            outbox.stop(&self.registry, &key.id, &removed);
        }
    }

    /// What all members are being told, for one whose stream begins anew.
    pub(super) fn restate_words(&self, opening: &mut Outbox) {
        for (key, winner, others) in self.words.waiting() {
            self.put_word(opening, key, winner, others);
        }
    }

    /// Looks again at the children of which all members know by now what is to be carried out.
    pub(super) fn go_on_settling(&mut self, step: &mut Step<'_>) {
        if let Some((op, seen)) = self.releasing
            && self.is_confirmed(op)
        {
            self.releasing = None;
            self.former.forget(seen, step.now);
        }
        while let Some(op) = self.words.first().filter(|op| self.is_confirmed(*op)) {
            if let Some(key) = self.words.known(op) {
                self.reconcile(step, &key);
            }
        }
    }
}

fn subject<'a>(key: &Key, start: &'a Start) -> Subject<'a> {
    Subject { hash: key.hash, spec: Some(&start.spec), assigned: start.assigned.as_deref() }
}
