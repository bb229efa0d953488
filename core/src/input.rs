//! Everything that can happen to a node. A log of `(now, Input)` replays it exactly.

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::id::{Addr, Boot, HubId, Member, NodeId, RequestId};
use crate::message::Message;
use crate::request::Request;
use crate::spec::ChildSpec;
use crate::wire::bounded;

/// One thing that happened. Its encoding is that of [`crate::wire::record`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// The time that [`crate::Node::next_timeout`] named has come. Too early or too often does no harm.
    Tick,
    /// A message arrived on the link to `from`.
    Message {
        /// The member at the other end of the link, as authenticated by the handshake.
        from: Member,
        /// What it sent.
        message: Message,
    },
    /// The same, not decoded yet. Bytes that do not decode are counted, and the link is hung up.
    Frame {
        /// The member at the other end of the link, as authenticated by the handshake.
        from: Member,
        /// One frame's payload.
        #[serde(deserialize_with = "bounded::any")]
        bytes: Bytes,
    },
    /// A link came, went, or could not be made.
    Link(LinkEvent),
    /// A caller asks for something.
    Request {
        /// The caller's mark.
        id: RequestId,
        /// What it asks.
        request: Request,
    },
    /// Something happened to an instance that an [`crate::Effect::Start`] told the driver to run.
    Child {
        /// Its hub.
        hub: HubId,
        /// Its sequence: the `pid.sequence` of the effect.
        sequence: u64,
        /// What happened.
        event: ChildEvent,
    },
    /// Whether this node's user has handlers that may alter what instances are started with. Default not.
    Altering {
        /// Of which hub.
        hub: HubId,
        /// Whether there are any.
        wanted: bool,
    },
    /// How busy this node is: the answer to an [`crate::Effect::SampleLoad`].
    Load {
        /// The hub that wants to know.
        hub: HubId,
        /// How busy.
        sample: LoadSample,
    },
}

/// How busy a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LoadSample {
    /// The share of the processors' time in use since the last sample, in thousandths of all of it.
    pub cpu_permille: u32,
    /// Tasks that are ready to run and wait.
    pub run_queue: u32,
    /// Instances of children on the node, of all its hubs.
    pub children: u32,
    /// Memory in use by the process, in bytes.
    pub memory_bytes: u64,
}

/// What can happen to the links of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LinkEvent {
    /// An authenticated link to `member` is open, whoever opened it. The driver keeps at most one a member: of two,
    /// the one that the smaller name opened. It replaces, silently, an older link to the same name.
    Up {
        /// Who is at the other end.
        member: Member,
        /// Where it listens.
        addr: Addr,
        /// The address whose dial gave this link; `None` when the member dialled. It may be another name for `addr`.
        dialled: Option<Addr>,
        /// The highest boot it knows of *our* name, from its hello: a restarted node whose clock stepped back raises
        /// its own above this.
        known: Option<Boot>,
    },
    /// The open link to `member` is lost; frames on their way may be lost with it.
    Down {
        /// Who was at the other end.
        member: Member,
    },
    /// A dial that [`crate::Effect::Dial`] asked for gave no link.
    Failed {
        /// Where.
        addr: Addr,
        /// Why.
        reason: DialFailure,
        /// Who answered there, where that is known: it is after [`DialFailure::Duplicate`].
        node: Option<NodeId>,
    },
    /// The queue of the link to `member` is over its mark, and what is sent on it is dropped: changes are held back until
    /// it has drained, or the link is no more.
    Congested {
        /// Who is at the other end.
        member: Member,
    },
    /// The queue of the link to `member` has drained.
    Drained {
        /// Who is at the other end.
        member: Member,
    },
}

/// Why a dial gave no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DialFailure {
    /// The host answered that nobody listens there: the process is gone, the host is not.
    Refused,
    /// No answer in time, or none possible.
    Unreachable,
    /// Somebody answered and the handshake failed (another cluster, another secret, not us at all).
    Rejected,
    /// It turned out to be this very node.
    Myself,
    /// A link to the member that answered was open already and was kept.
    Duplicate,
}

/// What can happen to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChildEvent {
    /// Its start succeeded: it serves, or stands by.
    Started,
    /// Its start failed: there is no instance.
    StartFailed {
        /// The child's own words.
        reason: SmolStr,
    },
    /// It ended, by itself or because it was stopped. Exactly one such event follows each `Started`.
    Exited {
        /// How.
        reason: ExitReason,
    },
    /// Its answer to the call `call` of an [`crate::Effect::Deliver`].
    Replied {
        /// The effect's mark.
        call: CallKey,
        /// What it answered, or why it could not.
        #[serde(deserialize_with = "bounded::any_or_words")]
        reply: Result<Bytes, SmolStr>,
    },
    /// What it is to be started with, in answer to an [`crate::Effect::Alter`]. A recipe of another child, or one
    /// beyond the limits, counts as the declared one.
    Altered {
        /// The recipe for this one instance; what is declared stays as it is.
        spec: Arc<ChildSpec>,
    },
    /// It is frozen, in answer to an [`crate::Effect::TakeState`].
    State {
        /// The effect's mark.
        attempt: u32,
        /// Its state, of at most [`crate::config::limits::STATE`] bytes, or why it gives none: then it goes on where it
        /// is, and is asked again some time later.
        #[serde(deserialize_with = "bounded::any_or_words")]
        state: Result<Bytes, SmolStr>,
        /// What lay in its mailbox, oldest first. None of it was handled, nor will be unless it is delivered again.
        queued: Vec<Queued>,
    },
    /// It has taken over the state of an [`crate::Effect::GiveState`], or why it could not.
    StateTaken {
        /// How that went.
        result: Result<(), SmolStr>,
    },
    /// Too many messages wait for it already: that of the call `call` of an [`crate::Effect::Deliver`] was not handled, nor
    /// will be.
    Refused {
        /// The effect's mark.
        call: CallKey,
    },
}

/// A message that an instance has not handled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Queued {
    /// The mark to answer under, if an answer is wanted.
    pub call: Option<CallKey>,
    /// The message.
    #[serde(deserialize_with = "bounded::any")]
    pub payload: Bytes,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitReason {
    /// It was done.
    Normal,
    /// It was told to stop.
    Shutdown,
    /// It failed or panicked; the text says how.
    Error(SmolStr),
    /// It did not end within the stop time limit and was abandoned or killed.
    Killed,
}

/// The mark of a call on its way to an instance: who asks, and its number there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallKey {
    /// The node where the caller is.
    pub caller: Member,
    /// Its number there; never used twice in that life.
    pub number: u64,
}
