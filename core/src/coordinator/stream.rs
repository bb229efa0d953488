//! Changes go out to the other members, and their acknowledgements come in.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Step;
use crate::config::limits;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::message::{Batch, HubMessage, Snapshot};
use crate::outbox::Outbox;
use crate::peer::Peer;
use crate::requests::Open;
use crate::stream::{Arrival, Outbound};

impl Hub {
    /// Sends what the steps since the last time have gathered, goes on with listings under way, and acknowledges what
    /// has come: in this order, so that whoever is acknowledged knows what was made of it.
    pub(super) fn flush(&mut self, step: &mut Step<'_>) {
        if self.has_something_to_tell() && step.now >= self.pace.next() {
            self.pace.told(step.now);
            self.tell(step);
        }
        if !self.outbox.is_empty() {
            return;
        }
        for node in core::mem::take(&mut self.acks) {
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            if let Some((epoch, number)) = peer.ack.take() {
                let (to, told) = (peer.member.clone(), peer.told());
                self.send(step, &to, HubMessage::BatchAck { epoch, number, told });
            }
        }
    }

    fn tell(&mut self, step: &mut Step<'_>) {
        if !self.outbox.is_empty() {
            let nodes: Vec<NodeId> = self.listeners().cloned().collect();
            let gossip = self.config.synchronization.passes_on();
            for (mut batch, bytes) in self.outbox.take() {
                self.log += u64::from(gossip);
                batch.log = self.log;
                self.spread(step, &nodes, &Arc::new(batch), bytes);
            }
        }
        if !self.listing.is_empty() {
            for node in self.listing.clone() {
                self.list_rows(step, &node);
            }
        }
    }

    fn listeners(&self) -> impl Iterator<Item = &NodeId> {
        self.peers.iter().filter(|(_, peer)| peer.is_accepted() && peer.out.is_some()).map(|(node, _)| node)
    }

    /// Whether a listing can go on at once.
    pub(super) fn has_rows_to_list(&self) -> bool {
        let out = |node: &NodeId| self.peers.get(node).filter(|peer| peer.is_accepted())?.out.as_ref();
        self.listing.iter().any(|node| out(node).is_some_and(|out| out.listing_from().is_some()))
    }

    pub(super) fn push(&mut self, step: &mut Step<'_>, node: &NodeId, batch: &Arc<Batch>, bytes: usize) {
        let op = self.op;
        let Some(peer) = self.peers.get_mut(node) else { return };
        let Some(out) = peer.out.as_mut() else { return };
        let Some(number) = out.push(batch, bytes, op, step.now) else { return };
        if peer.held {
            return;
        }
        let (to, epoch) = (peer.member.clone(), out.epoch());
        self.send(step, &to, HubMessage::Batch { epoch, number, batch: batch.clone() });
    }

    /// Begins a new stream to a member: all of this node's rows, and whatever open requests wait to be acknowledged.
    /// What else is declared the member asks for.
    pub(super) fn begin_epoch(&mut self, step: &mut Step<'_>, node: &NodeId, above: u32) {
        let Some(peer) = self.peers.get_mut(node) else { return };
        self.epoch = self.epoch.max(above).wrapping_add(1);
        peer.out = Some(Outbound::new(self.epoch, step.now));
        self.listing.insert(node.clone());
        let mut opening = Outbox::default();
        opening.phase(self.phase);
        opening.attributes(self.attributes.clone());
        if let Some(pause) = &self.pause {
            opening.pause(pause.clone());
        }
        self.restate(&mut opening);
        self.restate_holds(&mut opening, step.now);
        self.restate_words(&mut opening);
        for (mut batch, bytes) in opening.take() {
            batch.snapshot = Snapshot::Part;
            self.push(step, node, &Arc::new(batch), bytes);
        }
    }

    /// The changes that requests wait to have acknowledged.
    fn restate(&self, opening: &mut Outbox) {
        for open in self.requests.iter() {
            match open {
                Open::Start(start) => {
                    for (id, dot) in start.dots() {
                        let key = crate::registry::Key::new(id);
                        let starts = self.registry.record(&key).map_or(&[][..], |record| record.starts());
                        if let Some(start) = starts.iter().find(|start| start.dot == dot) {
                            if let Some(assignment) = start.assigned.as_deref() {
                                opening.assign(&self.registry, id, dot, assignment.clone());
                            }
                            opening.start(&self.registry, dot, start.spec.clone());
                        }
                    }
                }
                Open::Stop(stop) => {
                    for slot in stop.slots.iter().filter(|slot| !slot.dots.is_empty()) {
                        opening.stop(&self.registry, &slot.id, &slot.dots);
                    }
                }
            }
        }
    }

    /// The next part of the listing of this node's rows that opens a stream.
    fn list_rows(&mut self, step: &mut Step<'_>, node: &NodeId) {
        let Some(from) = self.peers.get(node).and_then(|peer| peer.out.as_ref()).and_then(Outbound::listing_from)
        else {
            return;
        };
        let mut part = Outbox::default();
        let (mut last, mut count) = (from, 0);
        for (sequence, local) in self.supervisor.after(from).take(limits::BATCH) {
            if let Some(row) = self.registry.record(&local.key).and_then(|record| record.mine()) {
                part.row(&self.registry, &local.key.id, row);
            }
            (last, count) = (sequence, count + 1);
        }
        let complete = count < limits::BATCH;
        if complete {
            // Never nothing: the end of the listing has to be said even where there is no row and no mark yet.
            part.phase(self.phase);
            if let Some(mark) = self.quorum.marked {
                part.installed(mark);
            }
        }
        let mut batches = part.take();
        let end = batches.len().saturating_sub(1);
        for (at, (batch, _)) in batches.iter_mut().enumerate() {
            batch.snapshot = if complete && at == end { Snapshot::Last } else { Snapshot::Part };
            batch.log = if batch.snapshot == Snapshot::Last { self.log } else { 0 };
        }
        for (batch, bytes) in batches {
            self.push(step, node, &Arc::new(batch), bytes);
        }
        if let Some(out) = self.peers.get_mut(node).and_then(|peer| peer.out.as_mut()) {
            out.listed_to((!complete).then_some(last));
        }
        if complete {
            self.listing.remove(node);
        }
    }

    pub(super) fn batch(&mut self, step: &mut Step<'_>, from: &NodeId, epoch: u32, number: u64, batch: &Arc<Batch>) {
        // What a member runs that is not admitted is no business of this hub's; it will say it again if it is.
        if !self.quorum.has_room_for(from, 0) {
            return;
        }
        #[cfg(feature = "sabotage")]
        let again = self.is_sabotaged(crate::config::Sabotage::ApplyAgain);
        let Some(peer) = self.peers.get_mut(from) else { return };
        match peer.inb.arrival(epoch, number) {
            #[cfg(feature = "sabotage")]
            Arrival::Again(_) if again => return self.apply(step, from, batch),
            Arrival::Old => return,
            Arrival::Gap => return peer.inb.hold(epoch, number, batch),
            Arrival::Again(upto) => {
                peer.ack = Some((epoch, upto));
                self.acks.push(from.clone());
                return;
            }
            Arrival::Lost => {
                if peer.inb.may_ask(step.now) {
                    let (to, epoch) = (peer.member.clone(), peer.inb.epoch());
                    self.send(step, &to, HubMessage::Resync { epoch });
                }
                return;
            }
            Arrival::Begin => self.begin_listing(step, from, epoch),
            Arrival::Next => {}
        }
        let mut next = Some((number, batch.clone()));
        while let Some((number, batch)) = next {
            let Some(peer) = self.peers.get_mut(from) else { return };
            peer.inb.applied(&batch);
            peer.ack = Some((epoch, number));
            self.acks.push(from.clone());
            self.apply(step, from, &batch);
            // Applying may have dropped the member, or begun with another life of it.
            next = self.peers.get_mut(from).and_then(|peer| peer.inb.next_held());
        }
        self.heard(from);
    }

    /// A member begins a new stream: its listing is gathered beside the rows known so far, and what it said in between
    /// may have been missed, so the declared sets are compared.
    fn begin_listing(&mut self, step: &Step<'_>, from: &NodeId, epoch: u32) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        peer.heard_out = false;
        let had_installed = peer.inb.installed.is_some();
        let (member, minted) = (peer.member.clone(), peer.minted);
        let staged = self.registry.add_host(member.clone(), minted);
        if let Some(unfinished) = peer.inb.begin(epoch, staged) {
            self.retire(unfinished, &member);
        }
        self.pulls.want_anew(from);
        if had_installed {
            self.doubt_view(step, from);
            // Whoever had to begin anew may wait for that.
            if let Some(mark) = self.quorum.marked {
                self.outbox.installed(mark);
            }
        }
    }

    pub(super) fn batch_ack(
        &mut self,
        step: &mut Step<'_>,
        from: &NodeId,
        (epoch, number): (u32, u64),
        told: (u32, u64),
    ) {
        let Some(out) = self.peers.get_mut(from).and_then(|peer| peer.out.as_mut()) else { return };
        if out.ack(epoch, number, told, step.now) {
            let batches = out.go_on(number);
            self.repeat(step, from, batches);
            self.heard(from);
        }
    }

    /// What a member has made of what it has acknowledged may be known by now.
    pub(super) fn heard(&mut self, from: &NodeId) {
        if self.peers.get_mut(from).is_some_and(Peer::heard) {
            self.requests.acked();
        }
    }

    /// Sends again all that a member has not acknowledged.
    pub(super) fn resend(&mut self, step: &mut Step<'_>, node: &NodeId) {
        let Some(out) = self.peers.get_mut(node).and_then(|peer| peer.out.as_mut()) else { return };
        let batches = out.resend(step.now);
        self.repeat(step, node, batches);
    }

    fn repeat(&self, step: &mut Step<'_>, node: &NodeId, batches: Vec<(u64, Arc<Batch>)>) {
        let Some(peer) = self.peers.get(node).filter(|peer| !peer.held) else { return };
        let Some(epoch) = peer.out.as_ref().map(Outbound::epoch) else { return };
        for (number, batch) in batches {
            self.send(step, &peer.member, HubMessage::Batch { epoch, number, batch });
        }
    }

    /// A member has not acknowledged anything for a while.
    pub(super) fn expire_stream(&mut self, step: &mut Step<'_>, node: &NodeId) {
        if self.peers.get(node).and_then(Peer::deadline).is_some_and(|deadline| deadline <= step.now) {
            self.retry(step, node);
        }
    }

    /// Sends again the oldest of what a member has not acknowledged, or begins anew where that cannot help any more.
    pub(super) fn retry(&mut self, step: &mut Step<'_>, node: &NodeId) {
        let Some(out) = self.peers.get_mut(node).and_then(|peer| peer.out.as_mut()) else { return };
        if out.is_stuck() {
            return self.begin_epoch(step, node, 0);
        }
        let batches = out.retry(step.now);
        self.repeat(step, node, batches);
    }

    /// Whether some member is so far behind that new work should wait for it.
    pub(super) fn is_congested(&self) -> bool {
        self.peers.values().filter_map(|peer: &Peer| peer.out.as_ref()).any(Outbound::is_full)
    }
}
