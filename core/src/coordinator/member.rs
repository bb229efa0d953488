//! A member comes, goes, or is within reach again.

use super::Step;
use crate::hub::Hub;
use crate::id::{Member, NodeId};
use crate::lives::Life;
use crate::peer::Peer;
use crate::registry::HostIx;
use crate::request::CallError;
use crate::stream::Inbound;
use crate::work::Job;

impl Hub {
    /// Somebody is up: find out whether it runs this hub.
    pub(super) fn member_up(&mut self, step: &mut Step<'_>, member: Member) {
        if member.node == self.me.node {
            return;
        }
        match self.peers.get(&member.node) {
            Some(peer) if peer.member.boot >= member.boot => return,
            Some(peer) => {
                let before = peer.member.clone();
                self.drop_peer(step, &before);
            }
            None => {}
        }
        let node = member.node.clone();
        #[cfg(feature = "sabotage")]
        let retracted = self
            .retracted
            .remove(&member)
            .map(|inbound| (inbound, self.registry.add_host(member.clone(), member.boot)));
        self.peers.insert(node.clone(), Peer::new(member, step.now));
        #[cfg(feature = "sabotage")]
        if let (Some((mut inbound, host)), Some(peer)) = (retracted, self.peers.get_mut(&node)) {
            inbound.rows = Some(host);
            inbound.staged = None;
            peer.inb = inbound;
        }
        self.say_hello(step, &node, true);
        self.refresh_view(step);
    }

    /// Somebody is gone: its rows are invisible from here on, and what it owned is owned by others.
    pub(super) fn member_down(&mut self, step: &mut Step<'_>, member: &Member) {
        if self.drop_peer(step, member) {
            self.refresh_view(step);
        }
    }

    fn drop_peer(&mut self, step: &mut Step<'_>, member: &Member) -> bool {
        if self.peers.get(&member.node).is_none_or(|peer| peer.member != *member) {
            return false;
        }
        let Some(peer) = self.peers.remove(&member.node) else { return false };
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::RetractInsteadOfFilter) {
            self.retracted.insert(member.clone(), peer.inb.clone());
        }
        self.doubt_stops(&member.node, peer.heard_op());
        self.forget_rows(&peer.inb, member);
        self.pulls.forget(&member.node);
        self.balancer.forget(&member.node);
        self.calls.caller_is_gone(member);
        self.abandon_calls(step, member);
        self.requests.acked();
        true
    }

    /// Hides a member's rows and has them swept: its own arcs first, where they nearly all are.
    pub(super) fn forget_rows(&mut self, inbound: &Inbound, member: &Member) {
        for host in [inbound.rows, inbound.staged].into_iter().flatten() {
            self.retire(host, member);
        }
    }

    pub(super) fn retire(&mut self, host: HostIx, member: &Member) {
        self.registry.retire(host);
        if self.registry.rows_of(host) > 0 {
            self.work.add_ranges(self.view.arcs_of(&member.node), Job::Sweep(host));
            self.work.add_ranges([(0, u64::MAX)], Job::Sweep(host));
        }
    }

    /// Whether messages on their way to a member that is gone were handled is unknown.
    fn abandon_calls(&mut self, step: &mut Step<'_>, member: &Member) {
        for number in self.calls.sent_to(member) {
            if let Some(call) = self.calls.remove(number) {
                let id = call.key.id.clone();
                Self::answer_call(step, &call, Err(CallError::Gone(id)));
            }
        }
    }

    /// A way to a member is open again: what was on its way is sent again at once.
    pub(super) fn reachable(&mut self, step: &mut Step<'_>, member: &Member) {
        let Some(peer) = self.peers.get(&member.node).filter(|peer| peer.member == *member) else { return };
        if peer.is_accepted() {
            self.release(&member.node);
            self.resend(step, &member.node);
            self.pulls.again(&member.node);
        } else {
            self.say_hello(step, &member.node, true);
        }
    }

    /// What is sent to a member is dropped for now.
    pub(super) fn congested(&mut self, member: &Member) {
        if let Some(peer) = self.peers.get_mut(&member.node).filter(|peer| peer.member == *member) {
            peer.held = true;
        }
    }

    /// What is sent to a member arrives again: what was held back goes to it by and by.
    pub(super) fn drained(&mut self, step: &mut Step<'_>, member: &Member) {
        let held = self.peers.get(&member.node).is_some_and(|peer| peer.member == *member && peer.held);
        if held {
            self.release(&member.node);
            self.retry(step, &member.node);
        }
    }

    fn release(&mut self, node: &NodeId) {
        if let Some(peer) = self.peers.get_mut(node) {
            peer.held = false;
        }
    }

    /// This node goes by a higher boot from now on. What it minted before keeps the one it was minted in.
    pub(super) fn raised(&mut self, step: &mut Step<'_>, me: Member) {
        self.registry.rename_me(me.clone());
        self.lives.meet(&me.node, Life { boot: me.boot, mints: self.mints, forgotten: false });
        self.me = me;
        self.refresh_view(step);
    }
}
