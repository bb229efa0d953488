//! Everything nodes say to each other. No type here is recursive, and every list is bounded while it is decoded.

mod quorum;
mod seen;

use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::id::{Boot, ChildId, HubId, Member, NodeId, Token};
use crate::input::LoadSample;
use crate::request::CallError;
use crate::spec::{ChildSpec, Labels, Role};
use crate::wire::bounded;

pub use quorum::{Known, Mark, Standing, WireLoss, WireMemory};
pub use seen::{WireContext, WireLife, WireSeen};

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// Nothing, so that the link is not idle.
    Keepalive,
    /// A datagram of the membership protocol.
    Swim(#[serde(deserialize_with = "bounded::bytes")] Bytes),
    /// "My link to this member closed and its host refuses a new one."
    Refused {
        /// Who refuses.
        member: Member,
    },
    /// For a hub of the receiver.
    Hub {
        /// Which hub.
        hub: HubId,
        /// What.
        body: HubMessage,
    },
    /// Please pass this on: the sender has no link to `to`.
    Relay {
        /// For whom it is.
        to: Member,
        /// For which hub there.
        hub: HubId,
        /// What.
        body: HubMessage,
    },
    /// Passed on for a member that has no link to the receiver.
    Relayed {
        /// Who said it.
        origin: Member,
        /// For which hub.
        hub: HubId,
        /// What.
        body: HubMessage,
    },
    /// "I have no link to that member either."
    RelayFailed {
        /// Whom it was for.
        to: Member,
    },
}

/// What a member says of itself: what others count on when they decide what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// How often they have changed in this life; of two the one with the higher number holds.
    pub version: u64,
    /// Its share relative to the others': 1 is normal, 0 owns nothing by consistent hashing.
    pub weight: u32,
    /// What children can ask for.
    pub labels: Labels,
    /// Whether it is to be given nothing new.
    pub cordoned: bool,
    /// How often it has been locked in this life: whoever was is another member afterwards.
    pub term: u32,
    /// Whether it gives its children away and is to be given none.
    pub draining: bool,
    /// One more than the highest that it knew of when it began to take part, or 0 before: of two members the one with
    /// the lower number has been here for longer. No clock has a say in it.
    pub seniority: u64,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { version: 0, weight: 1, labels: Labels::new(), cordoned: false, term: 0, draining: false, seniority: 0 }
    }
}

/// How far a member is with a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It has yet to learn what is declared; it owns nothing.
    Joining,
    /// It takes part.
    Ready,
    /// It hands its children over; it owns nothing.
    Leaving,
}

/// What one member says to another about a hub they share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HubMessage {
    /// The first thing said, and said again on every change of phase.
    Hello(Hello),
    /// One message of the sender's numbered stream of changes.
    Batch {
        /// Which stream of the sender's to the receiver: a new one begins from nothing.
        epoch: u32,
        /// Its place in the stream, from 0, without gaps.
        number: u64,
        /// The changes.
        batch: Arc<Batch>,
    },
    /// All of the stream up to and with `number` was applied.
    BatchAck {
        /// Which stream.
        epoch: u32,
        /// How far.
        number: u64,
        /// How far the sender's own stream to the receiver was by then, which may come later than this: its epoch, and
        /// the number of its next batch. Nothing where there is none.
        told: (u32, u64),
    },
    /// "I cannot follow your stream: begin a new one, above `epoch`."
    Resync {
        /// The newest stream of the receiver's that the sender has seen.
        epoch: u32,
    },
    /// "What is declared, in brief?" The receiver answers with [`HubMessage::Digests`], or with
    /// [`HubMessage::Same`] when `root` is its own.
    Pull {
        /// The asker's mark.
        round: u32,
        /// The digest over all that the asker has declared.
        root: u64,
        /// One number over the lives of all names that the asker knows of.
        lives: u64,
    },
    /// "The same as you have." With what the answerer has seen.
    Same {
        /// The asker's mark.
        round: u32,
        /// The answerer's causal context.
        context: WireContext,
    },
    /// What is declared, in brief.
    Digests {
        /// The asker's mark.
        round: u32,
        /// The answerer's causal context at this moment.
        context: WireContext,
        /// One digest a bucket.
        #[serde(with = "bounded::list")]
        buckets: Vec<u64>,
    },
    /// "What is declared there, in full, as far as I have not seen it?"
    PullRange {
        /// The asker's mark.
        round: u32,
        /// The first hash of the range.
        from: u64,
        /// The last hash of the range.
        to: u64,
        /// The asker's causal context.
        context: WireContext,
    },
    /// All that is declared from `from` to `to`, which may lie before the end that was asked for.
    Listing {
        /// The asker's mark.
        round: u32,
        /// The first hash of the range.
        from: u64,
        /// The last hash of the range that this listing is complete for.
        to: u64,
        /// The answerer's causal context at this moment.
        context: WireContext,
        /// The members that `dots` and `entries` refer to.
        #[serde(with = "bounded::list")]
        origins: Vec<Member>,
        /// What the asker has seen already.
        #[serde(with = "bounded::list")]
        dots: Vec<WireDot>,
        /// What it has not.
        #[serde(with = "bounded::list")]
        entries: Vec<WireEntry>,
        /// The assignments of both.
        #[serde(with = "bounded::list")]
        assigns: Vec<WireAssign>,
    },
    /// A message to a child there.
    Call {
        /// The caller's number for it; never used twice.
        number: u64,
        /// The child.
        id: ChildId,
        /// The instance's sequence there.
        sequence: u64,
        /// Whether an answer is wanted.
        reply: bool,
        /// The message.
        #[serde(with = "bounded::payload")]
        payload: Bytes,
    },
    /// The answer to a [`HubMessage::Call`].
    CallReply {
        /// The caller's number.
        number: u64,
        /// The answer.
        #[serde(deserialize_with = "bounded::reply")]
        reply: Result<Bytes, CallError>,
    },
    /// One batch of `origin`'s stream, as it reaches members that are told by others.
    Rumor {
        /// Whose changes. Only its own rows are in them.
        origin: Member,
        /// The view that `told` is by.
        view: u64,
        /// One bit a member of that view, by name: it was told, or is being told.
        #[serde(deserialize_with = "bounded::bytes")]
        told: Bytes,
        /// The changes, with their place among the origin's.
        batch: Arc<Batch>,
    },
    /// "May I serve?" Said to every member of the view in numbered rounds, under a quorum that has leases.
    LeaseAsk {
        /// The asker's number for the round, in ascending order.
        round: u64,
        /// The ballot whose tokens the asker is about to hand out, to be recorded.
        ballot: u64,
        /// What the asker knows.
        known: Known,
    },
    /// The answer to a [`HubMessage::LeaseAsk`].
    LeaseGrant {
        /// The asker's number.
        round: u64,
        /// Whether it may, as far as the answerer is concerned.
        granted: bool,
        /// The installation of a view that the answerer is at and has marked; zero if it has not.
        mark: u64,
        /// What the answerer counts for.
        standing: Standing,
        /// What the answerer knows.
        known: Known,
    },
    /// "Nothing runs at my end that rounds up to this one let me serve, nor will it."
    LeaseRelease {
        /// The sender's last round.
        round: u64,
    },
    /// What the sender remembers has changed: names became members.
    Memory(WireMemory),
    /// How busy the sender is.
    Load(LoadSample),
    /// The sender takes no part in the hub any more, in this life.
    Bye,
    /// A step in the move of a child's state from one instance to another.
    Handover {
        /// The child.
        id: ChildId,
        /// The sequence of the instance whose state it is, at its node.
        source: u64,
        /// The sequence of the instance that it is for, at its node.
        to: u64,
        /// The mark under which the state was taken.
        attempt: u32,
        /// Which step.
        step: HandoverStep,
    },
    /// An operator has reset the size at the sender, and vouches for whoever lives now: what earlier lives have granted or handed
    /// out is not to be waited for. Said once, to the lives that are there, so that it is no word to those that come later.
    Reset(WireMemory),
}

impl HubMessage {
    /// Whether its sender takes part no more by it, or not for long.
    pub(crate) fn is_farewell(&self) -> bool {
        match self {
            HubMessage::Bye => true,
            HubMessage::Hello(hello) => hello.phase == Phase::Leaving,
            HubMessage::Batch { batch, .. } => batch.phase == Some(Phase::Leaving),
            _ => false,
        }
    }
}

/// A step in the move of a child's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HandoverStep {
    /// "I have its state for your instance." Answered by `Ack`, or by `Taken` where all of it has come before.
    Offer {
        /// How large it is, in bytes.
        len: u64,
        /// Its checksum (XXH3, 64 bits).
        checksum: u64,
        /// What it is for.
        why: StateUse,
    },
    /// A part of it.
    Chunk {
        /// Where it begins, in bytes.
        offset: u64,
        /// What it is, at most [`crate::config::limits::CHUNK`].
        #[serde(with = "bounded::payload")]
        bytes: Bytes,
    },
    /// "I have all up to there, and room as far as granted."
    Ack {
        /// Up to where, in bytes.
        upto: u64,
        /// Up to where more may be sent.
        granted: u64,
    },
    /// "My instance has taken it over", or why not.
    Taken(Result<(), SmolStr>),
    /// "Mine will not serve any more unless yours is lost: let it serve." Answered by the row of that instance.
    Commit,
    /// "Mine serves on: end yours."
    Abort,
}

/// What a member says first about a hub.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// The digest of its configuration of the hub.
    pub config: u64,
    /// That configuration, so that a mismatch can be named.
    #[serde(with = "bounded::list")]
    pub fields: Vec<(SmolStr, SmolStr)>,
    /// How far it is.
    pub phase: Phase,
    /// The boot that its life began with: the one in its pids and starts. (Its member's boot may have been raised.)
    pub minted: Boot,
    /// What it has of the receiver's stream: the epoch, and the number it expects next.
    pub position: Option<(u32, u64)>,
    /// How far the sender's stream to the receiver was by then: its epoch, and the number of its next batch. Nothing where
    /// there is none.
    pub told: (u32, u64),
    /// Whether it wants a hello back.
    pub answer: bool,
    /// What it says of itself.
    pub attributes: Attributes,
    /// What it remembers for the sake of the quorum.
    pub memory: WireMemory,
    /// What it knows of the receiver's name, where that says that the receiver's life is over: the receiver is not
    /// listened to.
    pub known: Option<WireLife>,
}

/// One start: the index of its origin in the message's table, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WireDot {
    /// Index into the table of origins.
    pub origin: u16,
    /// Its number.
    pub counter: u64,
}

/// One start with what it declared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireEntry {
    /// Which start.
    pub dot: WireDot,
    /// What it declared.
    #[serde(with = "bounded::spec")]
    pub spec: Arc<ChildSpec>,
}

/// Whether rebalancing is paused in the whole hub. Of two, the higher in the order of the fields holds, on every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pause {
    /// A change takes one more than the one it replaces.
    pub version: u64,
    /// Who wrote it.
    pub by: NodeId,
    /// Whether copies stay where they are although they belong elsewhere.
    pub paused: bool,
}

/// Which nodes a start was given to, first owner first: by its caller, by the load balancer, or by an operator.
///
/// Of two, the higher in the order of the fields holds, on every node. It is attached to a start and goes with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Assignment {
    /// 0 with the start itself; a change takes one more than the one it replaces.
    pub version: u64,
    /// Who wrote it.
    pub by: NodeId,
    /// The nodes. Those that cannot own anything in a view are passed over in it.
    #[serde(with = "bounded::list")]
    pub nodes: Vec<NodeId>,
    /// A change is about to follow: until then, as long as its writer is in the view, no new copy is started.
    pub held: bool,
}

impl Assignment {
    /// About how many bytes it takes in a message.
    pub(crate) fn size(&self) -> usize {
        let names = self.nodes.iter().map(|node| node.as_str().len() + 1);
        names.sum::<usize>() + self.by.as_str().len() + 12
    }
}

/// An assignment of a start that was told before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireAssign {
    /// Of which child.
    pub id: ChildId,
    /// Which start.
    pub dot: WireDot,
    /// To which nodes.
    pub assignment: Assignment,
}

/// One stop: the starts it observed and removes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireStop {
    /// Of which child.
    pub id: ChildId,
    /// Which starts.
    #[serde(with = "bounded::list")]
    pub dots: Vec<WireDot>,
}

/// What the state of another copy is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StateUse {
    /// The instance is the successor of that copy: it goes on from there.
    Handover,
    /// That copy lost to the instance when two parts of the cluster met: it may take into its own state what it can use.
    Merge {
        /// The token of the copy that lost. A state is merged at most once for each.
        token: Token,
    },
}

/// What one instance of the sender is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RowState {
    /// It is not up yet. Told only when somebody must know that the sender has a claim.
    Starting,
    /// It serves.
    Running,
    /// It was told to end.
    Stopping,
    /// It is up and handles nothing: it waits for the state of the copy that it succeeds.
    Standby,
    /// It has ended, and its state is kept for its successor.
    Kept,
}

/// One row of the sender's placements.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireRow {
    /// The child.
    pub id: ChildId,
    /// The start that it carries out.
    pub dot: WireDot,
    /// The instance's sequence.
    pub sequence: u64,
    /// Its token's lineage.
    pub lineage: u32,
    /// Its token's counter.
    pub token: u64,
    /// The part it plays.
    pub role: Role,
    /// What it is doing.
    pub state: RowState,
}

/// A row of the sender's placements that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireGone {
    /// The child.
    pub id: ChildId,
    /// The instance's sequence.
    pub sequence: u64,
}

/// A start that the sender, its owner, could not carry out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WireFailure {
    /// The child.
    pub id: ChildId,
    /// Which start.
    pub dot: WireDot,
    /// Why.
    pub reason: SmolStr,
}

/// Where a stream's first messages, which list all rows of the sender, begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Snapshot {
    /// This batch has only changes.
    #[default]
    Not,
    /// Part of the listing; more follows.
    Part,
    /// The last part: rows of older streams that no part named are gone.
    Last,
}

/// Changes, in the order in which they are to be applied: starts, stops, rows, rows that are gone, failures, marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Batch {
    /// The members that dots refer to.
    #[serde(with = "bounded::list")]
    pub origins: Vec<Member>,
    /// Children declared.
    #[serde(with = "bounded::list")]
    pub starts: Vec<WireEntry>,
    /// Children removed.
    #[serde(with = "bounded::list")]
    pub stops: Vec<WireStop>,
    /// The sender's rows that appeared or changed.
    #[serde(with = "bounded::list")]
    pub rows: Vec<WireRow>,
    /// The sender's rows that are gone.
    #[serde(with = "bounded::list")]
    pub gone: Vec<WireGone>,
    /// Starts the sender could not carry out.
    #[serde(with = "bounded::list")]
    pub failures: Vec<WireFailure>,
    /// Whether the rows are part of the stream's listing.
    pub snapshot: Snapshot,
    /// How far the sender is with the hub, where that has changed.
    pub phase: Option<Phase>,
    /// "With this, you have all my rows as of this view, which I have installed."
    pub installed: Option<Mark>,
    /// Starts, of this batch or before, that were given to nodes. Applied behind the starts and before the stops.
    #[serde(with = "bounded::list")]
    pub assigns: Vec<WireAssign>,
    /// What the sender says of itself, where that has changed.
    pub attributes: Option<Attributes>,
    /// Under gossip, its place among the sender's changes, from 1, without gaps, the same for all members; in a listing's
    /// last part, the place up to which changes came before it. Else 0.
    pub log: u64,
    /// The sequences of those of `rows` whose children ended by themselves and run again.
    #[serde(with = "bounded::list")]
    pub restarted: Vec<u64>,
    /// Whether rebalancing is paused, where that has changed.
    pub pause: Option<Pause>,
}
