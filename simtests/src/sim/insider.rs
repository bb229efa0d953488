//! A member that says anything: of what its node sends some is changed on the way, and what it was told is said once more, as
//! its own or in the name of another. The links are its own, so that whoever is told takes it for a member's word.

use process_hub_core::Message;
use process_hub_core::message::HubMessage;

use super::dice::{Occasion, Oddity, Roll};
use super::event::HostId;
use super::world::{World, node_name};

/// How many of its messages are forged, in millionths.
const FORGED: u32 = 200_000;
/// How much of what it was told is remembered.
const REMEMBERED: usize = 64;

impl World {
    /// Remembers what the member was told that says anything.
    pub(super) fn overhear(&mut self, host: HostId, message: &Message) {
        let (Message::Hub { body, .. } | Message::Relayed { body, .. } | Message::Relay { body, .. }) = message else {
            return;
        };
        if self.insider != Some(host) || !self.may_forge(body) {
            return;
        }
        if self.overheard.len() == REMEMBERED {
            self.overheard.pop_front();
        }
        self.overheard.push_back(body.clone());
    }

    /// What a host really says where its node says `message`.
    pub(super) fn forge(&mut self, host: HostId, peer: HostId, message: Message) -> Message {
        if self.insider != Some(host) || self.healed {
            return message;
        }
        let Message::Hub { hub, body } = &message else { return message };
        if !self.may_forge(body) {
            return message;
        }
        let of = node_name(peer);
        let Some(mut roll) = self.dice.roll_for(Oddity::Forged, FORGED, Occasion::Send, host, of.as_str()) else {
            return message;
        };
        let hub = hub.clone();
        let ways = if self.watch.truth.in_all_names { 4 } else { 3 };
        let forged = match roll.some(ways) {
            0 | 1 => changed(&message, &mut roll),
            2 => self.said_before(&mut roll).map(|body| Message::Hub { hub, body }),
            _ => {
                let other = roll.some(self.hosts.len());
                let origin = self.member(other).filter(|_| other != host && other != peer);
                let body = self.said_before(&mut roll);
                origin.zip(body).map(|(origin, body)| Message::Relayed { origin, hub, body })
            }
        };
        if forged.is_some() {
            self.count("forged");
        }
        forged.unwrap_or(message)
    }

    /// Whoever passes on what others say can say anything in their names, and nobody knows better: less is asked of the others
    /// where it does.
    fn may_forge(&self, body: &HubMessage) -> bool {
        self.watch.truth.in_all_names || !speaks_for_others(body)
    }

    fn said_before(&self, roll: &mut Roll) -> Option<HubMessage> {
        let at = roll.some(self.overheard.len().max(1));
        self.overheard.get(at).cloned()
    }
}

/// A message of which some bits are other ones, if that is a message.
fn changed(message: &Message, roll: &mut Roll) -> Option<Message> {
    let changed = super::codec::changed(message, |bytes| {
        for _ in 0..=roll.some(3) {
            let at = roll.some(bytes.len());
            bytes[at] ^= 1 << roll.some(8);
        }
    });
    let same = |changed: &Message| match (changed, message) {
        (Message::Hub { body: new, .. }, Message::Hub { body: old, .. }) => {
            speaks_for_others(new) <= speaks_for_others(old)
        }
        _ => false,
    };
    changed.ok().filter(|changed| same(changed) && changed != message)
}

/// Whether a message holds what is another's: what it tells, or the recipes that it has declared.
fn speaks_for_others(body: &HubMessage) -> bool {
    match body {
        HubMessage::Rumor { .. } => true,
        HubMessage::Batch { batch, .. } => !batch.starts.is_empty(),
        HubMessage::Listing { entries, .. } => !entries.is_empty(),
        _ => false,
    }
}
