//! Links: opened, watched, and opened again.

use alloc::vec::Vec;
use core::time::Duration;

use foca::State;
use smol_str::SmolStr;

use super::identity::Id;
use super::{Due, Fact, Membership};
use crate::id::{Addr, Boot, Member, NodeId};
use crate::input::{DialFailure, LinkEvent};
use crate::message::Message;
use crate::time::Time;

/// How often an address is dialled behind which there is, as it turned out, a member that has a link under another.
const ALIAS: Duration = Duration::from_secs(30);

/// How long after an unexplained mention of our own boot the explanation may come.
const DOUBT: Duration = Duration::from_millis(100);

pub(super) const RAISED: &str = "one end of this link goes on under a higher boot";
pub(super) const OUTLIVED: &str = "a later life of this name is known";

impl Membership {
    /// A link came, went, or could not be made.
    pub(crate) fn link(&mut self, now: Time, event: LinkEvent, facts: &mut Vec<Fact>) {
        self.it_is(now);
        if self.left {
            return;
        }
        match event {
            LinkEvent::Up { member, addr, dialled, known } => self.linked(member, addr, dialled, known, facts),
            LinkEvent::Down { member } => {
                if self.names.has_link(&member) {
                    self.unlink(&member.node, facts);
                }
            }
            LinkEvent::Failed { addr, reason, node } => self.dial_failed(&addr, reason, node, facts),
            LinkEvent::Congested { member } => facts.push(Fact::Congested(member)),
            LinkEvent::Drained { member } => facts.push(Fact::Drained(member)),
        }
        self.settle(facts);
        self.report_change(facts);
    }

    /// Somebody knows of a later life of this name than this one goes by.
    pub(crate) fn outlived(&mut self, now: Time, known: Boot, facts: &mut Vec<Fact>) {
        self.it_is(now);
        if self.left || known < self.me.boot {
            return;
        }
        self.raise(known, facts);
        self.settle(facts);
        self.report_change(facts);
    }

    /// A frame arrived on the link to `from`.
    pub(crate) fn heard(&mut self, now: Time, from: &Member) {
        self.it_is(now);
        let link = self.names.get_mut(&from.node).and_then(|name| name.link.as_mut());
        if let Some(link) = link.filter(|link| link.boot == from.boot) {
            link.heard = self.now;
        }
    }

    fn linked(
        &mut self,
        member: Member,
        addr: Addr,
        dialled: Option<Addr>,
        known: Option<Boot>,
        facts: &mut Vec<Fact>,
    ) {
        let id = Id::new(&member, &addr);
        if let Some(reason) = self.unwelcome(&id, known) {
            facts.push(Fact::Hangup { member, reason: SmolStr::new_static(reason) });
            if let Some(dialled) = dialled {
                self.dials.failed(&dialled, None, self.now, &mut self.queue);
            }
            return;
        }
        self.drop_link(&member.node, facts);
        self.dials.linked(&addr, &mut self.queue);
        if let Some(alias) = dialled.filter(|dialled| *dialled != addr) {
            self.dials.linked(&alias, &mut self.queue);
            self.dials.answered(&alias, &member.node);
        }
        if self.names.get(&member.node).is_some_and(|name| name.id.boot > member.boot) {
            // Its hello told it of the later life: it comes back with a higher boot.
            let reason = SmolStr::new_static(OUTLIVED);
            facts.push(Fact::Hangup { member, reason });
            self.dials.failed(&addr, None, self.now, &mut self.queue);
            return;
        }
        match known {
            Some(known) if known > self.me.boot => {
                facts.push(Fact::Hangup { member, reason: SmolStr::new_static(RAISED) });
                self.dials.at(&addr, self.now, &mut self.queue);
                return self.raise(known, facts);
            }
            Some(known) if known == self.me.boot => self.doubt(),
            _ => self.introduced = true,
        }
        if let Some(name) = self.names.get_mut(&member.node) {
            name.linked(member.boot, self.now);
            if name.id.addr != addr {
                name.id.addr = addr;
                self.changed = true;
            }
        }
        // In the lowest generation this can revive nothing; a new life it makes known at once.
        self.swim.apply(id, 0, State::Alive);
        self.settle(facts);
        facts.push(Fact::LinkUp(member.clone()));
        self.greet(&member.node);
        if !self.beating {
            self.beating = true;
            self.queue.push(self.now + self.config.keepalive / 2, Due::Beat);
        }
    }

    /// Why a link with this one cannot be. Otherwise its name is known afterwards.
    fn unwelcome(&mut self, id: &Id, known: Option<Boot>) -> Option<&'static str> {
        if id.node == self.me.node {
            return Some("this is the name of the node at this end");
        }
        if id.boot > Boot::MAX || known.is_some_and(|known| known > Boot::MAX) {
            return Some("a boot is less than 2^62");
        }
        if known == Some(Boot::MAX) && self.me.boot < Boot::MAX {
            return Some("a life of this node's name is known above which there can be none");
        }
        if id.addr.is_empty() || id.addr.len() > 256 || id.addr.chars().any(char::is_control) {
            return Some("an address is 1 to 256 bytes without control characters");
        }
        if !self.learn(id) {
            return Some("the cluster is full");
        }
        None
    }

    /// Makes sure that a name is known, forgetting another where there is no room. Says whether it is.
    pub(super) fn learn(&mut self, id: &Id) -> bool {
        if self.names.get(&id.node).is_some() {
            return true;
        }
        if !self.names.has_room() {
            let Some(other) = self.names.dispensable() else { return false };
            self.swim.forget(&other);
            self.names.forget(&other);
        }
        self.names.learn(id.clone(), self.now);
        self.changed = true;
        true
    }

    /// Somebody knows of a life with this very boot. It may have heard of this one from another whose link is not
    /// reported here yet; if no such other turns up, it was an earlier life.
    fn doubt(&mut self) {
        if !self.introduced && !self.doubtful {
            self.doubtful = true;
            self.queue.push(self.now + DOUBT, Due::Doubt);
        }
    }

    /// The doubt has lasted long enough.
    pub(super) fn resolve_doubt(&mut self, facts: &mut Vec<Fact>) {
        self.doubtful = false;
        if !self.introduced {
            self.raise(self.me.boot, facts);
        }
    }

    /// Goes on as a life above `known`, unless there is none. The links were made by the earlier one, and are made anew.
    /// By how much above is this life's own: two that rise above the same boot, the second without knowing of the first,
    /// must not take each other's place.
    fn raise(&mut self, known: Boot, facts: &mut Vec<Fact>) {
        let above = |by: u64| Some(Boot(known.0.checked_add(by)?)).filter(|boot| *boot <= Boot::MAX);
        let Some(boot) = above(1 + self.stride).or_else(|| above(1)) else { return };
        self.me.boot = boot;
        self.changed = true;
        facts.push(Fact::Raised(boot));
        let linked: Vec<Member> = self.linked_members().collect();
        for member in linked {
            self.hang_up(&member, RAISED, facts);
        }
        self.swim.become_id(Id::new(&self.me, &self.addr));
    }

    fn linked_members(&self) -> impl Iterator<Item = Member> {
        self.names.linked().filter_map(|(node, name)| {
            let boot = name.link.as_ref()?.boot;
            Some(Member { node: node.clone(), boot })
        })
    }

    /// Forgets the link to `node`, if there is one, and says so.
    fn drop_link(&mut self, node: &NodeId, facts: &mut Vec<Fact>) -> Option<(Addr, Duration)> {
        let name = self.names.get_mut(node)?;
        let link = name.link.take()?;
        facts.push(Fact::LinkDown(Member { node: node.clone(), boot: link.boot }));
        Some((name.id.addr.clone(), self.now.since(link.since)))
    }

    /// The link to `node` is no more: another is wanted.
    fn unlink(&mut self, node: &NodeId, facts: &mut Vec<Fact>) {
        let Some((addr, life)) = self.drop_link(node, facts) else { return };
        if self.names.get(node).is_some_and(|name| !name.id.has_left()) {
            self.dials.unlinked(&addr, life, self.now, &mut self.queue);
            for alias in self.dials.aliases_of(node) {
                self.dials.later(&alias, self.now, &mut self.queue);
            }
        }
        if self.names.linked().next().is_none() {
            self.dials.hurry_seeds(self.now, &mut self.queue);
        }
    }

    /// Closes a link, to open another.
    pub(super) fn hang_up(&mut self, member: &Member, reason: &'static str, facts: &mut Vec<Fact>) {
        facts.push(Fact::Hangup { member: member.clone(), reason: SmolStr::new_static(reason) });
        self.unlink(&member.node, facts);
    }

    /// Tells a member with a link who we are; its answer tells who is up.
    pub(super) fn greet(&mut self, node: &NodeId) {
        if let Some(name) = self.names.get(node) {
            self.swim.announce(name.id.clone());
        }
    }

    pub(super) fn dial(&mut self, addr: &Addr, facts: &mut Vec<Fact>) {
        let wanted = self.is_wanted(addr);
        if self.dials.due(addr, wanted, self.now, &mut self.queue) {
            facts.push(Fact::Dial { addr: addr.clone() });
        }
    }

    /// Whether somebody who is not linked may listen there.
    fn is_wanted(&self, addr: &Addr) -> bool {
        if *addr == self.addr {
            return false;
        }
        let mut linked = false;
        for (_, name) in self.names.iter().filter(|(_, name)| name.id.addr == *addr) {
            if name.link.is_none() && !name.id.has_left() {
                return true;
            }
            linked |= name.link.is_some();
        }
        linked |=
            self.dials.who_answered(addr).and_then(|node| self.names.get(node)).is_some_and(|name| name.link.is_some());
        !linked && self.dials.is_seed(addr)
    }

    fn dial_failed(&mut self, addr: &Addr, reason: DialFailure, node: Option<NodeId>, facts: &mut Vec<Fact>) {
        let here = self.names.iter().filter(|(_, name)| name.id.addr == *addr && name.link.is_none());
        let here: Vec<NodeId> = here.map(|(node, _)| node.clone()).collect();
        match reason {
            DialFailure::Myself => return self.dials.is_myself(addr, &mut self.queue),
            DialFailure::Refused => here.iter().for_each(|node| self.was_refused(node, facts)),
            DialFailure::Unreachable => here.iter().for_each(|node| self.suspect(node)),
            DialFailure::Rejected | DialFailure::Duplicate => {}
        }
        let alias = reason == DialFailure::Duplicate && here.is_empty();
        if let Some(node) = node.filter(|_| alias) {
            self.dials.answered(addr, &node);
        }
        self.dials.failed(addr, alias.then_some(ALIAS), self.now, &mut self.queue);
    }

    /// Keeps every link busy, and closes those on which nothing arrives: a link works in both directions or not at
    /// all.
    pub(super) fn beat(&mut self, facts: &mut Vec<Fact>) {
        let Self { names, swim, config, now, .. } = self;
        let half = config.keepalive / 2;
        let mut silent = Vec::new();
        for (node, name) in names.iter_mut() {
            let Some(link) = &mut name.link else { continue };
            let member = || Member { node: node.clone(), boot: link.boot };
            if now.since(link.heard) >= config.keepalive * 3 {
                silent.push(member());
                continue;
            }
            if now.since(link.sent) + half > config.keepalive {
                facts.push(Fact::Send { to: member(), message: Message::Keepalive });
                link.sent = *now;
            }
            if name.up.is_none() && !name.id.has_left() {
                // Its answer, or ours, tells one of us to come back.
                swim.announce(name.id.clone());
            }
        }
        for member in silent {
            self.hang_up(&member, "silent for three keep-alive periods", facts);
            self.suspect(&member.node);
        }
        self.beating = self.names.linked().next().is_some();
        if self.beating {
            self.queue.push(self.now + half, Due::Beat);
        }
    }
}
