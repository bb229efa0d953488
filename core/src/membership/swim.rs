//! The membership protocol itself: the library, its settings, and what it wants done.

use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU8, NonZeroUsize};
use core::time::Duration;

use bytes::Bytes;
use foca::{Config, Foca, NoCustomBroadcast, Notification, PeriodicParams, State, Timer};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::datagram::{Codec, LARGEST};
use super::identity::Id;
use crate::config::MembershipConfig;
use crate::id::NodeId;

/// What the protocol found out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    Up(Id),
    Down(Id),
    Renamed(Id, Id),
    /// It had been declared down itself and is back with a new generation.
    Rejoined,
}

/// What the protocol wants done, in three lists that keep their room between calls.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) sends: Vec<(Id, Bytes)>,
    pub(super) timers: Vec<(Duration, Timer<Id>)>,
    pub(super) events: Vec<Event>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.timers.is_empty() && self.events.is_empty()
    }
}

impl foca::Runtime<Id> for Outbox {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        self.events.push(match notification {
            Notification::MemberUp(id) => Event::Up(id.clone()),
            Notification::MemberDown(id) => Event::Down(id.clone()),
            Notification::Rename(old, new) => Event::Renamed(old.clone(), new.clone()),
            Notification::Rejoin(_) => Event::Rejoined,
            // Joining and being alone need nothing here: the dials and the beat go on in any case.
            Notification::Active | Notification::Idle | Notification::Defunct => return,
        });
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.sends.push((to, Bytes::copy_from_slice(data)));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.timers.push((after, event));
    }
}

/// The protocol's state. Every call may fill [`Swim::outbox`].
pub(super) struct Swim {
    foca: Foca<Id, Codec, ChaCha8Rng, NoCustomBroadcast>,
    pub(super) outbox: Outbox,
    /// Errors of the library. It stays usable after each.
    errors: u64,
}

impl fmt::Debug for Swim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swim")
            .field("id", self.foca.identity())
            .field("members", &self.foca.iter_membership_state().collect::<Vec<_>>())
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

fn settings(config: &MembershipConfig) -> Config {
    Config {
        probe_period: config.probe_period,
        probe_rtt: config.probe_rtt,
        num_indirect_probes: count(3),
        max_transmissions: NonZeroU8::new(10).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: config.suspicion,
        // Never by time: forgetting is a matter of room, decided here.
        remove_down_after: None,
        max_packet_size: count(LARGEST),
        notify_down_members: true,
        periodic_announce: Some(PeriodicParams { frequency: config.suspicion * 5, num_members: count(1) }),
        // Members that are down are dialled, and announced to when a link to them is open: see the beat.
        periodic_announce_to_down_members: None,
        periodic_gossip: Some(PeriodicParams { frequency: config.probe_period / 3, num_members: count(3) }),
    }
}

impl Swim {
    pub(super) fn new(id: Id, config: &MembershipConfig, seed: u64) -> Self {
        let foca = Foca::new(id, settings(config), ChaCha8Rng::seed_from_u64(seed), Codec);
        Self { foca, outbox: Outbox::default(), errors: 0 }
    }

    pub(super) fn id(&self) -> &Id {
        self.foca.identity()
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        let result = self.foca.handle_data(bytes, &mut self.outbox);
        self.note(result);
    }

    pub(super) fn timer(&mut self, timer: Timer<Id>) {
        let result = self.foca.handle_timer(timer, &mut self.outbox);
        self.note(result);
    }

    pub(super) fn announce(&mut self, to: Id) {
        let result = self.foca.announce(to, &mut self.outbox);
        self.note(result);
    }

    /// Takes it as true that `id` is in `state`, and tells the others if that is news.
    pub(super) fn apply(&mut self, id: Id, incarnation: u16, state: State) {
        let update = foca::Member::new(id, incarnation, state);
        let result = self.foca.apply_many(core::iter::once(update), true, &mut self.outbox);
        self.note(result);
    }

    pub(super) fn gossip(&mut self) {
        let result = self.foca.gossip(&mut self.outbox);
        self.note(result);
    }

    /// Goes on under another identity.
    pub(super) fn become_id(&mut self, id: Id) {
        let result = self.foca.change_identity(id, &mut self.outbox);
        self.note(result);
    }

    /// What an active member is taken to be.
    pub(super) fn active(&self, node: &NodeId) -> Option<&foca::Member<Id>> {
        self.foca.iter_members().find(|member| member.id().node == *node)
    }

    pub(super) fn suspects(&self) -> impl Iterator<Item = &NodeId> {
        self.foca.iter_members().filter(|member| member.state() == State::Suspect).map(|member| &member.id().node)
    }

    /// Drops what is remembered of a name that is not active.
    pub(super) fn forget(&mut self, node: &NodeId) {
        let known = self.foca.iter_membership_state().find(|member| member.id().node == *node);
        if let Some(id) = known.map(|member| member.id().clone()) {
            self.timer(Timer::RemoveDown(id));
        }
    }

    fn note(&mut self, result: Result<(), foca::Error>) {
        self.errors += u64::from(result.is_err());
    }
}
