//! Anti-entropy: two members compare what they have declared, and one takes over what it lacks and drops what the
//! other knows to be removed. The asker drives, the answerer keeps no state.

use alloc::vec::Vec;

use super::Step;
use super::apply::resolve;
use crate::config::limits;
use crate::hub::Hub;
use crate::id::{Boot, Member, NodeId};
use crate::message::{HubMessage, WireAssign, WireContext, WireDot, WireEntry, WireSeen};
use crate::outbox::Table;
use crate::registry::{ALL, BUCKETS, Context, Dot, Registry};

/// Bytes of a listing after which it is cut (one entry may add [`limits::SPEC`]).
pub(super) const LISTING_BYTES: usize = 192 << 10;

/// A listing as it arrived.
pub(super) struct Listing {
    pub(super) range: (u64, u64),
    pub(super) context: WireContext,
    pub(super) origins: Vec<Member>,
    pub(super) dots: Vec<WireDot>,
    pub(super) entries: Vec<WireEntry>,
    pub(super) assigns: Vec<WireAssign>,
}

impl Hub {
    /// Begins the next comparison that is wanted.
    pub(super) fn begin_pull(&mut self, step: &mut Step<'_>) {
        let Some(round) = self.pulls.begin(step.now) else { return };
        let (node, number) = (round.peer.clone(), round.number);
        match self.peers.get(&node).filter(|peer| peer.is_accepted()).map(|peer| peer.member.clone()) {
            Some(to) => {
                let (root, lives) = (self.registry.root(), self.lives.print());
                self.send(step, &to, HubMessage::Pull { round: number, root, lives });
            }
            None => self.pulls.forget(&node),
        }
    }

    pub(super) fn pull_asked(&mut self, step: &mut Step<'_>, from: &Member, round: u32, (root, lives): (u64, u64)) {
        let mut context = self.wire_context();
        if lives != self.lives.print() {
            context.names = self.lives.told();
        }
        let body = if root == self.registry.root() {
            HubMessage::Same { round, context }
        } else {
            HubMessage::Digests { round, context, buckets: self.registry.buckets().to_vec() }
        };
        self.send(step, from, body);
    }

    pub(super) fn pull_same(&mut self, step: &mut Step<'_>, from: &Member, round: u32, context: &WireContext) {
        let context = self.answer_context(&from.node, context);
        if let Some(round) = self.pulls.round(&from.node, round) {
            let same = self.former.all_seen(round.begun, &context).then_some(round.begun);
            round.context = Some(context);
            round.ranges.clear();
            if let (Some(same), Some(peer)) = (same, self.peers.get_mut(&from.node)) {
                peer.same_at = same;
            }
            self.next_range(step, from);
        }
    }

    pub(super) fn pull_digests(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        round: u32,
        context: &WireContext,
        theirs: &[u64],
    ) {
        if theirs.len() != BUCKETS {
            return;
        }
        let context = self.answer_context(&from.node, context);
        let ours = self.registry.buckets();
        let differing = (0..BUCKETS).filter(|&at| ours[at] != theirs[at]).map(Registry::bucket_range);
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (first, last) in differing {
            match ranges.last_mut() {
                Some(range) if range.1.checked_add(1) == Some(first) => range.1 = last,
                _ => ranges.push((first, last)),
            }
        }
        if let Some(round) = self.pulls.round(&from.node, round) {
            round.context = Some(context);
            round.ranges = ranges.into();
            self.next_range(step, from);
        }
    }

    /// Asks for the next range that differs; after the last, all that the other had seen has been compared.
    fn next_range(&mut self, step: &mut Step<'_>, from: &Member) {
        let context = self.wire_context();
        let Some(round) = self.pulls.take(&from.node) else { return };
        let Some(&(first, last)) = round.ranges.front() else {
            if let Some(seen) = &round.context {
                self.registry.join_context(seen);
            }
            self.compact();
            if let Some(peer) = self.peers.get_mut(&from.node) {
                peer.compared = true;
                peer.compared_at = round.begun;
                peer.heard_out |= !round.outdated;
            }
            self.all_heard_out();
            return self.join(step);
        };
        #[cfg(feature = "sabotage")]
        let context =
            if self.is_sabotaged(crate::config::Sabotage::ForgetRemoval) { WireContext::default() } else { context };
        let number = round.number;
        self.pulls.go_on(round, step.now);
        self.send(step, from, HubMessage::PullRange { round: number, from: first, to: last, context });
    }

    pub(super) fn pull_range_asked(
        &mut self,
        step: &mut Step<'_>,
        from: &Member,
        round: u32,
        range: (u64, u64),
        asker: &WireContext,
    ) {
        if range.0 > range.1 {
            return;
        }
        let asker = self.context(asker);
        let part = self.registry.listing(range.0, range.1, &asker, LISTING_BYTES, limits::BATCH / 2);
        let mut table = Table::default();
        let dots = part.seen.iter().map(|dot| table.dot(&self.registry, *dot)).collect();
        let entries = part.unseen.into_iter().map(|start| table.entry(&self.registry, start)).collect();
        let assigns = part.assigned.into_iter().map(|assigned| table.assign(&self.registry, assigned)).collect();
        let context = self.wire_context();
        let origins = table.into_members();
        let body = HubMessage::Listing { round, from: range.0, to: part.to, context, origins, dots, entries, assigns };
        self.send(step, from, body);
    }

    pub(super) fn pull_listing(&mut self, step: &mut Step<'_>, from: &Member, round: u32, listing: Listing) {
        let (first, last) = listing.range;
        let Some(asked) = self.pulls.round(&from.node, round) else { return };
        if !asked.ranges.front().is_some_and(|range| range.0 == first && first <= last && last <= range.1) {
            return;
        }
        if let Some(range) = asked.ranges.pop_front()
            && last < range.1
        {
            asked.ranges.push_front((last + 1, range.1));
        }
        self.take_listing(step, first, last, &listing);
        self.next_range(step, from);
    }

    pub(super) fn take_listing(&mut self, step: &mut Step<'_>, first: u64, last: u64, listing: &Listing) {
        let origins = self.origins(&listing.origins);
        let theirs = self.context(&listing.context);
        let listed = listing.dots.iter().chain(listing.entries.iter().map(|entry| &entry.dot));
        let listed: Vec<Dot> = listed.filter_map(|dot| resolve(&origins, *dot)).collect();
        for (key, dot) in self.registry.removed_at(first, last, &theirs, &listed) {
            self.undeclare(step, &key, dot);
        }
        self.apply_starts(step, &origins, &listing.entries, &listing.assigns);
    }

    /// What this node has seen. Where a list would be too long it is cut: to claim less is always safe.
    pub(super) fn wire_context(&self) -> WireContext {
        let context = self.registry.context();
        let closed = context.all_closed().map(|(node, boot)| WireSeen {
            origin: Member { node: node.clone(), boot },
            upto: ALL,
            beyond: Vec::new(),
        });
        let seen = context.iter().map(|(origin, upto, beyond)| WireSeen {
            origin: self.registry.origin_at(origin).clone(),
            upto,
            beyond: beyond.iter().take(limits::BATCH / 8).copied().collect(),
        });
        let seen = closed.chain(seen).take(limits::BATCH).collect();
        WireContext { seen, lives: self.lives.print(), names: Vec::new() }
    }

    /// What the answerer of a comparison has seen; what that says about lives that are gone is taken note of.
    fn answer_context(&mut self, from: &NodeId, wire: &WireContext) -> Context {
        self.lives_told(from, &wire.names);
        self.acknowledged(from, wire);
        self.context(wire)
    }

    /// What another member has seen.
    pub(super) fn context(&mut self, wire: &WireContext) -> Context {
        let mut context = Context::default();
        for seen in &wire.seen {
            if seen.upto == ALL && seen.origin.boot <= Boot::MAX {
                if seen.origin.node == self.me.node && seen.origin.boot >= self.mints {
                    self.mint_above(seen.origin.boot);
                }
                self.registry.close_in(&mut context, &seen.origin.node, seen.origin.boot);
            }
            if seen.upto >= Dot::END {
                continue;
            }
            let Some(origin) = self.registry.origin(&seen.origin) else { continue };
            context.raise(origin, seen.upto);
            for &counter in seen.beyond.iter().filter(|counter| **counter < Dot::END) {
                context.insert(Dot::new(origin, counter));
            }
            if seen.origin.node == self.me.node && seen.origin.boot == self.mints {
                // Starts of ours that we forgot (no disk, and a boot given twice): never mint their numbers again.
                let last = seen.beyond.last().copied().unwrap_or(0).max(seen.upto);
                self.counter = self.counter.max(last.min(Dot::END - 1));
            }
        }
        context
    }
}
