//! A node: membership, and the hubs it takes part in.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::{ConfigError, NodeConfig};
use crate::effect::{Effect, Effects, Lane};
use crate::hub::Hub;
use crate::id::{Addr, Boot, HubId, Member, NodeId};
use crate::input::Input;
use crate::membership::{Fact, Membership};
use crate::message::Message;
use crate::time::Time;

/// What a member is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It answers.
    Up,
    /// It did not answer lately and has yet to refute that it is down.
    Suspect,
    /// It is taken to be dead; it is tried again for ever.
    Down,
    /// It said goodbye.
    Left,
}

/// What this node knows of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberInfo {
    /// Who.
    pub member: Member,
    /// Where it listens.
    pub addr: Addr,
    /// What it is.
    pub state: MemberState,
}

/// One node of a cluster, as a state machine.
#[derive(Debug)]
pub struct Node {
    membership: Membership,
    hubs: BTreeMap<HubId, Hub>,
}

impl Node {
    /// A node in the life `boot`, which must be higher than that of any earlier life of its name as far as the
    /// embedder can tell (wall-clock milliseconds and random bits will do). `seed` feeds its random decisions.
    ///
    /// # Errors
    /// When `config` has a field out of its range.
    pub fn new(config: NodeConfig, boot: Boot, seed: u64) -> Result<Node, ConfigError> {
        config.check()?;
        Ok(Node { membership: Membership::new(&config, boot, seed), hubs: BTreeMap::new() })
    }

    /// Takes one input and appends what is to be done. Total: any input is fine in any state.
    pub fn handle(&mut self, now: Time, input: Input, effects: &mut Effects) {
        let mut facts = Vec::new();
        match input {
            Input::Tick => self.membership.tick(now, &mut facts),
            Input::Link(event) => self.membership.link(now, event, &mut facts),
            Input::Message { from, message } => {
                self.membership.heard(now, &from);
                match message {
                    Message::Swim(bytes) => self.membership.swim(now, &from, &bytes, &mut facts),
                    Message::Refused { member } => self.membership.refused(now, &from, &member, &mut facts),
                    Message::RelayFailed { to } => self.membership.relay_failed(now, &from, &to),
                    _ => {}
                }
            }
            _ => {}
        }
        for fact in facts {
            self.membership_fact(fact, effects);
        }
    }

    /// What follows from a fact of membership.
    fn membership_fact(&mut self, fact: Fact, effects: &mut Effects) {
        match fact {
            Fact::Send { to, message } => effects.push(Effect::Send { to, lane: Lane::Probe, message }),
            Fact::Dial { addr } => effects.push(Effect::Dial { addr }),
            Fact::Hangup { member, reason } => effects.push(Effect::Hangup { member, reason }),
            Fact::Changed => effects.push(Effect::ViewChanged { hub: None }),
            // For the hubs.
            Fact::Up(_) | Fact::Down(_) | Fact::Left(_) | Fact::Raised(_) | Fact::LinkUp(_) | Fact::LinkDown(_) => {}
        }
    }

    /// When [`Input::Tick`] is wanted next; a time that has passed means at once.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Time> {
        self.membership.next_timeout()
    }

    /// Itself, in its present life.
    #[must_use]
    pub fn member(&self) -> &Member {
        self.membership.me()
    }

    /// Every member it knows of, itself included, sorted by name.
    #[must_use]
    pub fn members(&self) -> Vec<MemberInfo> {
        self.membership.members()
    }

    /// The highest boot it knows of a name: goes into the hello of a link to that name.
    #[must_use]
    pub fn known_boot(&self, node: &NodeId) -> Option<Boot> {
        self.membership.known_boot(node)
    }

    /// How many datagrams of the membership protocol were refused: malformed, or not from whom they claim.
    #[must_use]
    pub fn refused_datagrams(&self) -> u64 {
        self.membership.refused_datagrams()
    }

    /// A hub it takes part in.
    #[must_use]
    pub fn hub(&self, id: &HubId) -> Option<&Hub> {
        self.hubs.get(id)
    }

    /// The hubs it takes part in, sorted by name.
    pub fn hubs(&self) -> impl Iterator<Item = &Hub> {
        self.hubs.values()
    }
}
