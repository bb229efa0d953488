//! The view changes, is completed by the others, or is kept from it by one that is silent.

use alloc::vec::Vec;

use super::Step;
use crate::config::Migration;
use crate::effect::Effect;
use crate::hook::{HookEvent, TopologyChange};
use crate::hub::Hub;
use crate::id::{Member, NodeId};
use crate::message::Phase;
use crate::peer::Peer;
use crate::registry::Key;
use crate::view::{Members, Seat};
use crate::work::Job;

impl Hub {
    /// Installs the view anew if its members have changed, and tells the others. Nothing is started or stopped for it
    /// before all have done the same.
    pub(super) fn refresh_view(&mut self, step: &mut Step<'_>) {
        let mut members = Members::new();
        let mut new = 0;
        for Peer { member, phase, attributes, .. } in self.peers.values().filter(|peer| peer.takes_part()) {
            let Some(phase) = *phase else { continue };
            if self.quorum.has_room_for(&member.node, new) {
                new += usize::from(!self.quorum.memory.names().contains(&member.node));
                let seat = Seat { boot: member.boot, phase, attributes: attributes.clone() };
                members.insert(member.node.clone(), seat);
            }
        }
        let mine = Seat { boot: self.me.boot, phase: self.phase, attributes: self.attributes.clone() };
        members.insert(self.me.node.clone(), mine);
        if members == *self.view.members() {
            return;
        }
        let owners = |members: &Members| -> Vec<Member> {
            let owning = members.iter().filter(|(_, seat)| seat.owns());
            owning.map(|(node, seat)| Member { node: node.clone(), boot: seat.boot }).collect()
        };
        let (before, after) = (owners(self.view.members()), owners(&members));
        let came: Vec<Member> = after.iter().filter(|member| !before.contains(member)).cloned().collect();
        let went: Vec<Member> = before.iter().filter(|member| !after.contains(member)).cloned().collect();
        self.announce_change(step, &came, &went);
        let lost = self.lost_without(&members);
        let ring = self.view.ring().clone();
        self.view.install(members, step.now + self.barrier());
        if self.config.migration == Migration::Autonomous {
            // Nobody is waited for.
            let ranges = self.view.moved_since(&ring, self.registry.has_exceptions());
            self.work.add_ranges(ranges, Job::Reconcile);
        }
        step.installed = true;
        self.note_members(step, &lost);
        self.came.extend(came);
        self.went.extend(went);
        step.fx.push(Effect::ViewChanged { hub: Some(self.config.id.clone()) });
        self.claim_unpublished();
        self.quorum.marked = None;
        self.mark_view(step);
        self.requests.acked();
        self.review(step);
    }

    /// How long a member may keep a view from completing: under leases it may have to wait before it can mark it.
    fn barrier(&self) -> core::time::Duration {
        let fence = self.quorum.needed().map_or(core::time::Duration::ZERO, |_| self.quorum.lease.spans().fence);
        self.config.barrier_timeout + fence
    }

    /// The members of the installed view that are not among these, and had not said that they leave.
    fn lost_without(&self, members: &Members) -> Vec<Member> {
        let view = self.view.members().iter();
        let lost = view.filter(|(node, seat)| !members.contains_key(*node) && seat.phase != Phase::Leaving);
        lost.map(|(node, seat)| Member { node: node.clone(), boot: seat.boot }).collect()
    }

    fn announce_change(&mut self, step: &mut Step<'_>, came: &[Member], went: &[Member]) {
        for node in came {
            self.hook(step, HookEvent::PreNodeJoin { node: node.clone() });
        }
        for node in went {
            self.hook(step, HookEvent::PreNodeLeave { node: node.clone() });
        }
        for (event, nodes) in [(TopologyChange::NodeUp, came), (TopologyChange::NodeDown, went)] {
            if !nodes.is_empty() {
                let nodes = names(nodes);
                self.hook(step, HookEvent::PreRedistribution { event, nodes });
            }
        }
    }

    /// Instances that are still starting are claims, too: whoever counts on "all rows as of this view" must know.
    fn claim_unpublished(&mut self) {
        let starting: Vec<Key> = self.supervisor.starting().cloned().collect();
        for key in starting {
            self.claim_unheard(&key);
        }
    }

    /// Every member has installed this view: what it moves can be moved.
    pub(super) fn complete_view(&mut self, step: &mut Step<'_>) {
        if !self.view.is_complete() && self.silent().next().is_none() && self.confirms_view(step) {
            let ranges = self.view.completed(self.registry.has_exceptions());
            let waiting = self.work.take_waiting();
            self.work.add_ranges(ranges.into_iter().chain(waiting), Job::Reconcile);
            if self.config.redundancy.is_several() && self.requests.awaits_starts() {
                // Whoever waits for all copies of a child may have got fewer owners to wait for.
                self.work.add_ranges([(0, u64::MAX)], Job::Reconcile);
            }
        }
        if self.view.is_complete() && self.work.is_empty() && !(self.came.is_empty() && self.went.is_empty()) {
            self.announce_redistributed(step);
        }
    }

    fn announce_redistributed(&mut self, step: &mut Step<'_>) {
        let (came, went) = (core::mem::take(&mut self.came), core::mem::take(&mut self.went));
        for (event, nodes) in [(TopologyChange::NodeUp, &came), (TopologyChange::NodeDown, &went)] {
            if !nodes.is_empty() {
                self.hook(step, HookEvent::PostRedistribution { event, nodes: names(nodes) });
            }
        }
        for node in came {
            self.hook(step, HookEvent::PostNodeJoin { node });
        }
        for node in went {
            self.hook(step, HookEvent::PostNodeLeave { node });
        }
    }

    /// A member has dropped this node, or what it said may have been missed: in between it may have acted in views that
    /// this node never saw. Until it says anew that it has installed the view, behind all its rows, nothing counts as
    /// this node's own.
    pub(super) fn doubt_view(&mut self, step: &Step<'_>, member: &NodeId) {
        if self.view.members().contains_key(member) {
            self.view.doubt(step.now + self.barrier());
        }
    }

    /// The members that have not said that they have installed this view.
    pub(crate) fn silent(&self) -> impl Iterator<Item = &NodeId> {
        let installed =
            |node: &NodeId| self.peers.get(node).is_some_and(|peer| peer.inb.has_installed(self.view.hash()));
        self.view.members().keys().filter(move |node| **node != self.me.node && !installed(node))
    }

    /// Members that keep the view from being completed leave it until they say hello again.
    pub(super) fn expire_view(&mut self, step: &mut Step<'_>) {
        if self.phase == Phase::Joining || self.view.deadline().is_none_or(|deadline| deadline > step.now) {
            return;
        }
        self.view.extend(step.now + self.barrier());
        let silent: Vec<NodeId> = self.silent().cloned().collect();
        for node in silent {
            let Some(peer) = self.peers.get_mut(&node) else { continue };
            let heard = peer.heard_op();
            let (rows, member) = (peer.reset(step.now), peer.member.clone());
            self.doubt_stops(&member.node, heard);
            self.forget_rows(&rows, &member);
            self.say_hello(step, &node, true);
        }
        self.refresh_view(step);
    }
}

fn names(members: &[Member]) -> Vec<NodeId> {
    members.iter().map(|member| member.node.clone()).collect()
}
