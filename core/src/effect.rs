//! Everything a node can want done. Effects are carried out in order.

use alloc::sync::Arc;
use alloc::vec::{self, Vec};
use core::fmt::{self, Write};
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;
use smol_str::SmolStr;
use xxhash_rust::xxh3::Xxh3;

use crate::hook::HookEvent;
use crate::id::{Addr, ChildId, HubId, Member, Pid, RequestId, Token};
use crate::input::CallKey;
use crate::message::{Message, StateUse};
use crate::request::Reply;
use crate::spec::{ChildSpec, Role};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send on the open link to `to`; where there is none (any more), drop it.
    Send {
        /// To whom.
        to: Member,
        /// In which queue.
        lane: Lane,
        /// What.
        message: Message,
    },
    /// Try once to open a link. Answered by [`crate::LinkEvent::Up`] or [`crate::LinkEvent::Failed`].
    Dial {
        /// Where.
        addr: Addr,
    },
    /// Close the link to `member`, if one is open. Answered by [`crate::LinkEvent::Down`] if it was.
    Hangup {
        /// To whom.
        member: Member,
        /// For the log of both ends.
        reason: SmolStr,
    },
    /// Run an instance. Answered by [`crate::ChildEvent::Started`] or [`crate::ChildEvent::StartFailed`].
    Start {
        /// Its hub.
        hub: HubId,
        /// Its recipe.
        spec: Arc<ChildSpec>,
        /// What it is: `pid.sequence` is its key in both directions.
        pid: Pid,
        /// Its ownership token.
        token: Token,
        /// The part it plays.
        role: Role,
        /// Whether it stands by: it comes up and handles nothing, neither messages nor timers of its own, until an
        /// [`Effect::Serve`]. It is given nothing to deliver before that, but maybe a state ([`Effect::GiveState`]).
        standby: bool,
    },
    /// Freeze a running instance and take its state: once it has handled the message in hand, it prepares its state for
    /// a successor, and handles nothing more until an [`Effect::Serve`]. Answered by [`crate::ChildEvent::State`] with
    /// what waits in its mailbox; from then on nothing is delivered to it.
    ///
    /// An instance stays frozen whatever it answers; it may be told to end (by an [`Effect::Stop`]) like any other. An
    /// `Effect::Serve` calls off what has not been answered: an answer that is on its way nevertheless is heard, and its
    /// state not used.
    TakeState {
        /// Its hub.
        hub: HubId,
        /// Its child.
        id: ChildId,
        /// Its sequence.
        sequence: u64,
        /// To be repeated in the answer.
        attempt: u32,
        /// How long the core waits for the answer; then it has the instance serve again.
        deadline: Duration,
    },
    /// Hand an instance that stands by the state of its predecessor, or a serving one that of a copy which lost to it.
    /// Answered by [`crate::ChildEvent::StateTaken`]. There is one at a time for an instance.
    GiveState {
        /// Its hub.
        hub: HubId,
        /// Its child.
        id: ChildId,
        /// Its sequence.
        sequence: u64,
        /// What the other copy's [`crate::ChildEvent::State`] held.
        state: Bytes,
        /// What it is to do with it.
        why: StateUse,
        /// How long the core waits for the answer; then the state counts as refused.
        deadline: Duration,
    },
    /// An instance that stands by, or was frozen, handles messages from here on.
    Serve {
        /// Its hub.
        hub: HubId,
        /// Its child.
        id: ChildId,
        /// Its sequence.
        sequence: u64,
        /// Its ownership token: maybe another than before.
        token: Token,
    },
    /// Ask the user's alter handlers what an instance is to be started with. Only told while there are such handlers
    /// ([`crate::Input::Altering`]). Answered by [`crate::ChildEvent::Altered`]; without an answer in time the instance
    /// is started as it was declared, and a later answer changes nothing.
    Alter {
        /// Its hub.
        hub: HubId,
        /// What the instance will be: `pid.sequence` is the key of the answer.
        pid: Pid,
        /// The recipe as it was declared.
        spec: Arc<ChildSpec>,
    },
    /// End an instance, also one that is still starting. Answered by [`crate::ChildEvent::Exited`] (or `StartFailed`,
    /// where it never came up), at the latest `deadline` from now: one that does not end is abandoned as `Killed`.
    Stop {
        /// Its hub.
        hub: HubId,
        /// Its child.
        id: ChildId,
        /// Its sequence.
        sequence: u64,
        /// Why, for the child and the log.
        why: StopReason,
        /// How long it may take.
        deadline: Duration,
    },
    /// Tell a running instance which part it plays from here on (or, as it starts, from the beginning).
    SetRole {
        /// Its hub.
        hub: HubId,
        /// Its child.
        id: ChildId,
        /// Its sequence.
        sequence: u64,
        /// Its part.
        role: Role,
        /// Its ownership token: a new one where it was promoted.
        token: Token,
    },
    /// Hand a message to a running instance. When `call` is given, answered by [`crate::ChildEvent::Replied`].
    Deliver {
        /// Its hub.
        hub: HubId,
        /// Its child.
        id: ChildId,
        /// Its sequence.
        sequence: u64,
        /// The mark to answer under, if an answer is wanted.
        call: Option<CallKey>,
        /// The message.
        payload: Bytes,
    },
    /// Answer a caller on this node.
    Reply {
        /// The caller's mark.
        id: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Tell the user.
    Hook {
        /// In which hub.
        hub: HubId,
        /// What happened.
        event: HookEvent,
    },
    /// What `hub(hub).lookup(id)` answers may have changed: mirror it.
    RegistryChanged {
        /// In which hub.
        hub: HubId,
        /// Of which child.
        id: ChildId,
    },
    /// This node takes no part in a hub any more: abandon the instances of it that are left, without an answer.
    HubClosed {
        /// Which hub.
        hub: HubId,
    },
    /// Find out how busy this node is. Answered by [`crate::Input::Load`]; without an answer the hub's load balancer
    /// takes the node to be half busy.
    SampleLoad {
        /// The hub that wants to know.
        hub: HubId,
    },
    /// What `members()`, or what the view or the `steering()` of hub `hub`, answers has changed. Rows of members that are
    /// no longer in the view must not be served from a mirror from here on.
    ViewChanged {
        /// In which hub; `None` for the node's own list of members.
        hub: Option<HubId>,
    },
}

/// Which queue of a link a message goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Probes, keep-alives and leases: small, and never behind the others.
    Probe,
    /// Everything else, in order.
    Bulk,
}

/// Why an instance is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopReason {
    /// The child was stopped by a user (or is a temporary or transient one that is done).
    Stopped,
    /// It belongs to another node now.
    Moved,
    /// Another copy of the child is to live instead.
    Superseded,
    /// Its start was rolled back.
    RolledBack,
    /// The hub has lost its quorum.
    Locked,
    /// The node is going away and nobody is left to take it.
    Leaving,
    /// It stood by for another copy, which goes on instead.
    NotNeeded,
}

/// The effects of one step, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more, after the others.
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    /// Those from the place `begin` on, to be changed.
    pub(crate) fn since(&mut self, begin: usize) -> impl Iterator<Item = &mut Effect> {
        self.0.iter_mut().skip(begin)
    }

    /// One more, in front of those from `at` on.
    pub(crate) fn insert(&mut self, at: usize, effect: Effect) {
        self.0.insert(at.min(self.0.len()), effect);
    }

    /// Takes them out in order; the room stays for the next step.
    pub fn drain(&mut self) -> vec::Drain<'_, Effect> {
        self.0.drain(..)
    }

    /// Those there are, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Effect> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a Effects {
    type Item = &'a Effect;
    type IntoIter = core::slice::Iter<'a, Effect>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = vec::IntoIter<Effect>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A rolling hash over effects: equal exactly if all of them were, in practice.
#[derive(Clone, Default)]
pub struct Fingerprint(Xxh3);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({:016x})", self.value())
    }
}

impl Fingerprint {
    /// The effects of one more step.
    pub fn add(&mut self, effects: &Effects) {
        self.0.write_u64(effects.len() as u64);
        for effect in effects {
            match effect {
                Effect::Send { to, lane, message } => (to, lane, message).hash(&mut self.0),
                // The others are few beside messages; what is printed of them is all of them.
                // Writing into a hash cannot fail.
                other => drop(write!(Words(&mut self.0), "{other:?}")),
            }
        }
    }

    /// The hash so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.digest()
    }
}

struct Words<'a>(&'a mut Xxh3);

impl Write for Words<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}
