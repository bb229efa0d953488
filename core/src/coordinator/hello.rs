//! Two members find out that they speak for the same hub, and where their streams stand.

use super::{Delivery, Step};
use crate::hook::HookEvent;
use crate::hub::Hub;
use crate::id::NodeId;
use crate::lives::Life;
use crate::message::{Hello, HubMessage, Phase, Standing};

impl Hub {
    pub(super) fn say_hello(&mut self, step: &mut Step<'_>, to: &NodeId, answer: bool) {
        let Some(peer) = self.peers.get_mut(to) else { return };
        peer.hello_said(step.now);
        let (member, position, told) = (peer.member.clone(), peer.inb.position(), peer.told());
        let hello = Hello {
            config: self.terms.0,
            fields: self.terms.1.clone(),
            phase: self.phase,
            minted: self.minted,
            position,
            told,
            answer,
            attributes: self.attributes.clone(),
            memory: self.wire_memory(step.now),
            known: self.lives.past(&member),
        };
        self.send(step, &member, HubMessage::Hello(hello));
    }

    pub(super) fn hello(&mut self, step: &mut Step<'_>, from: &NodeId, hello: Hello, delivery: Delivery) {
        if let Some(known) = &hello.known {
            return self.turned_away(step, from, known);
        }
        #[cfg(feature = "sabotage")]
        let hello = Hello {
            config: if self.is_sabotaged(crate::config::Sabotage::LetIn) { self.terms.0 } else { hello.config },
            ..hello
        };
        if hello.config != self.terms.0 {
            return self.refuse(step, from, &hello);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        // A phase is never taken back within a life; a relayed hello may be older than what is known.
        peer.phase = peer.phase.max(Some(hello.phase));
        peer.minted = hello.minted;
        let life = Life { boot: peer.member.boot, mints: hello.minted, forgotten: false };
        self.lives.meet(from, life);
        match delivery {
            // What others have said in its name it cannot outbid: their version may be the highest there is.
            Delivery::Direct => peer.attributes = hello.attributes,
            Delivery::Relayed => {
                peer.describes(hello.attributes);
            }
        }
        if hello.position.is_none() && peer.inb.installed.take().is_some() {
            // It had taken this node in, and has dropped it since.
            self.doubt_view(step, from);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        let resumed = match (&mut peer.out, hello.position) {
            (Some(out), Some((epoch, expected))) => out.resume(epoch, expected, hello.told, step.now),
            _ => false,
        };
        if hello.answer {
            self.say_hello(step, from, false);
        }
        if resumed {
            self.heard(from);
            self.resend(step, from);
        } else {
            self.begin_epoch(step, from, hello.position.map_or(0, |(epoch, _)| epoch));
        }
        // What was asked of it before it had taken this node in, it has not heard.
        self.pulls.again(from);
        self.pulls.want(from);
        self.remember(step, &hello.memory);
        self.refuse_joiner(step, from);
        self.refresh_view(step);
    }

    /// A name too many is told once; it stays out of the view.
    fn refuse_joiner(&mut self, step: &mut Step<'_>, from: &NodeId) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        if !peer.takes_part() || self.quorum.has_room_for(from, 0) || core::mem::replace(&mut peer.refused, true) {
            return;
        }
        let node = peer.member.clone();
        let names = u32::try_from(self.quorum.memory.names().len()).unwrap_or(u32::MAX);
        self.hook(step, HookEvent::JoinerRefused { node, names });
    }

    /// It runs this hub with another configuration: it stays out of the view, and the user is told which fields.
    fn refuse(&mut self, step: &mut Step<'_>, from: &NodeId, hello: &Hello) {
        let ours = self.terms.1.clone();
        let Some(peer) = self.peers.get_mut(from) else { return };
        if peer.is_accepted() {
            let heard = peer.heard_op();
            let (rows, member) = (peer.reset(step.now), peer.member.clone());
            self.doubt_stops(&member.node, heard);
            self.forget_rows(&rows, &member);
            self.refresh_view(step);
        }
        let Some(peer) = self.peers.get_mut(from) else { return };
        if core::mem::replace(&mut peer.mismatch, true) {
            return;
        }
        let differing = ours
            .into_iter()
            .filter_map(|(name, value)| {
                let theirs = hello.fields.iter().find(|(other, _)| *other == name)?.1.clone();
                (theirs != value).then_some((name, value, theirs))
            })
            .collect();
        let node = peer.member.clone();
        self.hook(step, HookEvent::ConfigMismatch { node, fields: differing });
        self.say_hello(step, from, false);
    }

    /// While joining: takes part as soon as it knows what is declared, or knows that nobody can tell it.
    pub(super) fn join(&mut self, step: &mut Step<'_>) {
        if self.phase != Phase::Joining || self.quorum.standing != Standing::Counted {
            return;
        }
        let accepted = || self.peers.values().filter(|peer| peer.is_accepted());
        let knowing = accepted().any(|peer| peer.takes_part());
        let informed = if knowing {
            accepted().any(|peer| peer.compared && peer.takes_part())
        } else {
            accepted().count() > 0 && accepted().all(|peer| peer.compared)
        };
        // Those that know as little may be back soon, too, with what runs there.
        self.grace = self.grace.filter(|until| *until > step.now && !knowing);
        let alone = self.patience.is_none_or(|until| until <= step.now) && accepted().count() == 0;
        if self.grace.is_none() && (informed || alone) {
            self.phase = Phase::Ready;
            self.patience = None;
            self.outbox.phase(Phase::Ready);
            // Told with the phase, so that all that see this node in their view agree on who has been here for longest.
            let highest = self.peers.values().map(|peer| peer.attributes.seniority).max().unwrap_or(0);
            self.describe(step, |attributes| attributes.seniority = highest.saturating_add(1));
            self.refresh_view(step);
        } else if self.patience.is_some_and(|until| until <= step.now) {
            // Somebody is there who has yet to answer; comparing goes on.
            self.patience = None;
        }
    }
}
