//! Changes are told to some members, who pass them on.
//!
//! Every member's stream to every other exists under gossip, too, and has the same batches at the same places; a rumor is
//! another way for one of them to arrive. It says its place among all changes of its origin, which differs from its place
//! in the stream to this member by a number that the end of the stream's listing has told. So order, acknowledgement and
//! repair are those of the stream, and a rumor that is lost costs time only.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Step;
use crate::config::Synchronization;
use crate::gossip::{Told, choose};
use crate::hub::Hub;
use crate::id::{Member, NodeId};
use crate::message::{Batch, HubMessage};
use crate::stream::{Arrival, Outbound};
use crate::view::candidate;

impl Hub {
    /// Gives a batch of this node's to the streams of all, and sends it to some. Those who are still told what was before
    /// the stream began are told themselves.
    pub(super) fn spread(&mut self, step: &mut Step<'_>, nodes: &[NodeId], batch: &Arc<Batch>, bytes: usize) {
        let synchronization = &self.config.synchronization;
        let most = if synchronization.passes_on() { synchronization.recipients().unwrap_or(0) } else { usize::MAX };
        let ready =
            |node: &&NodeId| self.peers.get(*node).and_then(|peer| peer.out.as_ref()).is_some_and(Outbound::is_listed);
        let (told_by_others, told_by_us): (Vec<&NodeId>, Vec<&NodeId>) = nodes.iter().partition(ready);
        if told_by_others.len() <= most {
            for node in nodes {
                self.push(step, node, batch, bytes);
            }
            return;
        }
        for node in told_by_us {
            self.push(step, node, batch, bytes);
        }
        let (op, now) = (self.op, step.now);
        for node in told_by_others {
            if let Some(out) = self.peers.get_mut(node).and_then(|peer| peer.out.as_mut()) {
                out.push_untold(batch, bytes, op, now);
            }
        }
        let me = self.me.clone();
        let told = self.told_so_far(&[&me.node]);
        self.pass_on(step, &me, told, batch, &me.node);
    }

    /// A change of `origin`'s has come through `from`.
    pub(super) fn rumor(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        origin: &Member,
        told: (u64, &[u8]),
        batch: &Arc<Batch>,
    ) {
        let Some(peer) = self.peers.get(&origin.node).filter(|peer| peer.member == *origin && peer.is_accepted())
        else {
            return;
        };
        let Some((epoch, number)) = peer.inb.place_of(batch.log) else { return };
        let news = match peer.inb.arrival(epoch, number) {
            Arrival::Next => true,
            // What is not kept is not passed on either: it would be news each time it comes back.
            Arrival::Gap => peer.inb.would_hold(number),
            _ => false,
        };
        if news {
            let (view, bits) = told;
            let known = (view == self.view.hash()).then(|| Told::from_wire(bits, self.view.members().len())).flatten();
            let mut told = self.told_so_far(&[&self.me.node, &from.node, &origin.node]);
            if let Some(known) = known {
                (0..self.view.members().len()).filter(|at| known.has(*at)).for_each(|at| told.add(at));
            }
            self.pass_on(step, origin, told, batch, &from.node);
        }
        self.batch(step, &origin.node, epoch, number, batch);
    }

    /// Sends a batch of `origin`'s to some members that were not told.
    fn pass_on(&mut self, step: &mut Step<'_>, origin: &Member, mut told: Told, batch: &Arc<Batch>, from: &NodeId) {
        let open = |(at, node): (usize, &NodeId)| {
            let peer = self.peers.get(node).filter(|peer| peer.is_accepted() && node != from)?;
            (!told.has(at)).then(|| (node.clone(), (at, peer.member.clone())))
        };
        let candidates: Vec<(NodeId, (usize, Member))> =
            self.view.members().keys().enumerate().filter_map(open).collect();
        let chosen = self.chosen(candidates, batch.log);
        for (_, (at, _)) in &chosen {
            told.add(*at);
        }
        let (view, told) = (self.view.hash(), Bytes::from(told.into_bytes()));
        for (_, (_, to)) in chosen {
            let (origin, told, batch) = (origin.clone(), told.clone(), batch.clone());
            self.send(step, &to, HubMessage::Rumor { origin, view, told, batch });
        }
    }

    /// Those of `candidates` whom this node tells of a change.
    fn chosen(&self, candidates: Vec<(NodeId, (usize, Member))>, change: u64) -> Vec<(NodeId, (usize, Member))> {
        let members = self.view.members();
        let (Synchronization::Custom(own), Some(me)) =
            (&self.config.synchronization, members.get_key_value(&self.me.node))
        else {
            let most = self.config.synchronization.recipients().unwrap_or(0);
            return choose(candidates, &self.me.node, change, most);
        };
        let open: Vec<_> =
            candidates.iter().filter_map(|(node, _)| members.get_key_value(node)).map(candidate).collect();
        let wanted = own.recipients(&candidate(me), change, &open);
        candidates.into_iter().filter(|(node, _)| wanted.contains(node)).collect()
    }

    fn told_so_far(&self, nodes: &[&NodeId]) -> Told {
        let members = self.view.members();
        let mut told = Told::nobody(members.len());
        for (at, node) in members.keys().enumerate() {
            if nodes.contains(&node) {
                told.add(at);
            }
        }
        told
    }
}
