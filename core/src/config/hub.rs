//! What a hub is told at its start.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::strategy::{Distribution, Migration, Partition, Redundancy, Synchronization};
use super::{ConfigError, as_text, positive};
use crate::hashing::stable_hash;
use crate::id::HubId;

/// What a hub is told at its start. Two nodes speak for the same hub only if all of it is equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HubConfig {
    /// Its name.
    pub id: HubId,
    /// Which node each child belongs to.
    #[serde(with = "as_text")]
    pub distribution: Distribution,
    /// How many copies run.
    #[serde(with = "as_text")]
    pub redundancy: Redundancy,
    /// How a child moves.
    #[serde(with = "as_text")]
    pub migration: Migration,
    /// How changes reach the other members.
    #[serde(with = "as_text")]
    pub synchronization: Synchronization,
    /// What happens while the cluster is in parts.
    #[serde(with = "as_text")]
    pub partition: Partition,
    /// How many children may be on their way from this node to others at one time, at least 1: each until it serves elsewhere.
    /// Default 256. Lower it where a move is dear. Children of a node that is lost, and moves under `Autonomous`, wait for nobody.
    pub concurrent_moves: u32,
    /// How many restarts of one child are allowed within `restart_window`. Default 100.
    pub max_restarts: u32,
    /// The window of the restart intensity. Default 4 s.
    pub restart_window: Duration,
    /// The first restart of a child is immediate; later ones within the window wait this long, doubling. Default 10 ms.
    pub restart_backoff: Duration,
    /// How long an instance has to end when it is told to. Default 5 s.
    pub stop_timeout: Duration,
    /// How long a member may keep a view from completing before it leaves this hub's view until it answers again.
    /// Default 5 s.
    pub barrier_timeout: Duration,
    /// How long a node may serve after it has asked a quorum, under a quorum that has leases. Default 3 s. A member that
    /// is lost is replaced after this, `stop_timeout` and `pause_bound` together; a third of it must be enough for a
    /// message and its answer.
    pub lease: Duration,
    /// The longest time that a node's process may stand still without two nodes serving one child. Default 1 s.
    pub pause_bound: Duration,
    /// How much faster or slower than another a node's clock may run, in millionths. Default 200.
    pub clock_drift_ppm: u32,
    /// Whether no node of this name was ever a member of the hub before. A node that was and has forgotten all counts in
    /// no quorum before it has waited and been told. Not compared between nodes. Default false.
    pub first_start: bool,
    /// How many earlier lives of a node's name, of those in which it has declared children, are remembered start by start; what
    /// was seen of older ones becomes one number. A start that was told only to nodes which the others meet for the first
    /// time after so many more lives is lost. Some 30 bytes each. Not compared between nodes. Default 8.
    pub past_lives: u32,
    /// How long a node that has restored what was declared waits for the others to be back, before it starts children; it
    /// waits for nothing where a member takes part. Not compared between nodes. Default 10 s.
    pub recovery_grace: Duration,
    /// A deliberate defect.
    #[cfg(feature = "sabotage")]
    #[serde(skip)]
    pub sabotage: Option<Sabotage>,
}

/// A deliberate defect of a hub, to show that an oracle catches it. Each has been the defect of a known system.
#[cfg(feature = "sabotage")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sabotage {
    /// Merging with a peer forgets that a start was removed.
    ForgetRemoval,
    /// Who owns a child depends on the order in which this node met the members.
    RingInJoinOrder,
    /// Batches of an earlier life of a member are applied as if the present one had sent them.
    AcceptOldBoot,
    /// A member that is taken to be down has its rows removed for good: its stream goes on where it was when it is back,
    /// as if they had only been hidden.
    RetractInsteadOfFilter,
    /// What was seen of a life that is over is compacted although others may have seen more of it.
    CompactEarly,
    /// A copy whose state was taken goes on handling messages.
    SnapshotBeforeFreeze,
    /// The old copy is ended when the time of its move is up, whatever has become of the new one.
    EndOnUnknownOutcome,
    /// A copy that stood by in a move that was given up stays, and is given the state of the next.
    ReuseStandby,
    /// A copy that has ended takes its state with it.
    ForgetState,
    /// A node that acts by itself starts a copy that it has just ended, and does not own.
    FlipFlop,
    /// A child is started twice on its node.
    StartTwice,
    /// An owner starts its copy whatever copies others have.
    IgnoreClaims,
    /// A copy that belongs elsewhere is never ended.
    NeverYield,
    /// A temporary child is restarted.
    RestartTemporary,
    /// Half of a quorum is enough.
    HalfAQuorum,
    /// A hub that has its quorum back stays locked.
    NeverUnlock,
    /// Each copy is given the token of the one before.
    RepeatTokens,
    /// A first owner promotes its copy while another one is active.
    PromoteEarly,
    /// Nobody's copy is ever promoted.
    NeverPromote,
    /// A child whose nodes were named goes where the ring says.
    IgnoreMapping,
    /// The end of a copy is not told.
    SilentEnd,
    /// Rows of members that are gone are shown until they are swept.
    ShowGone,
    /// What opens a stream replaces what is newer.
    OlderRowsWin,
    /// A node tells rows of others as its own.
    Parrot,
    /// A stop removes all starts of a name, those too that it cannot have seen.
    StopUnseen,
    /// A request is answered twice.
    AnswerTwice,
    /// A start is answered as soon as the child is about to start.
    AnswerEarly,
    /// That children are about to start is told after they were started.
    HookLate,
    /// A child that is up is told of twice.
    HookTwice,
    /// A child that was stopped goes on where it runs.
    NeverStop,
    /// A message is handed to its child twice.
    DeliverTwice,
    /// A node tells everybody what it remembers whenever it looks at its clock.
    Chatter,
    /// A tick tells of the same change thousands of times.
    Shout,
    /// There is always something left to do.
    NeverRest,
    /// What has come already is applied again.
    ApplyAgain,
    /// What a node has granted to members that are gone is forgotten at once.
    ForgetGrants,
    /// A copy that stands by goes on doing so although its move was given up.
    KeepStandby,
    /// What runs where the lease has run out is let run.
    NeverLock,
    /// A copy whose move has failed is not let go on.
    StayFrozen,
    /// A node ends and starts a child now and then although nothing has changed.
    Unrest,
    /// A node keeps all that it was ever told.
    Hoard,
    /// A start is answered before anybody else knows of it.
    AnswerAlone,
    /// When a node compares depends on what other nodes of the same process have done.
    OutsideState,
    /// Whoever has other settings of the hub is let in.
    LetIn,
    /// What was lost of a state on its way is not said again.
    SayOnce,
}

#[cfg(feature = "sabotage")]
impl Sabotage {
    /// All of them.
    pub const ALL: [Sabotage; 45] = [
        Sabotage::ForgetRemoval,
        Sabotage::RingInJoinOrder,
        Sabotage::AcceptOldBoot,
        Sabotage::RetractInsteadOfFilter,
        Sabotage::CompactEarly,
        Sabotage::SnapshotBeforeFreeze,
        Sabotage::EndOnUnknownOutcome,
        Sabotage::ReuseStandby,
        Sabotage::ForgetState,
        Sabotage::FlipFlop,
        Sabotage::StartTwice,
        Sabotage::IgnoreClaims,
        Sabotage::NeverYield,
        Sabotage::RestartTemporary,
        Sabotage::HalfAQuorum,
        Sabotage::NeverUnlock,
        Sabotage::RepeatTokens,
        Sabotage::PromoteEarly,
        Sabotage::NeverPromote,
        Sabotage::IgnoreMapping,
        Sabotage::SilentEnd,
        Sabotage::ShowGone,
        Sabotage::OlderRowsWin,
        Sabotage::Parrot,
        Sabotage::StopUnseen,
        Sabotage::AnswerTwice,
        Sabotage::AnswerEarly,
        Sabotage::HookLate,
        Sabotage::HookTwice,
        Sabotage::NeverStop,
        Sabotage::DeliverTwice,
        Sabotage::Chatter,
        Sabotage::Shout,
        Sabotage::NeverRest,
        Sabotage::ApplyAgain,
        Sabotage::ForgetGrants,
        Sabotage::KeepStandby,
        Sabotage::NeverLock,
        Sabotage::StayFrozen,
        Sabotage::Unrest,
        Sabotage::Hoard,
        Sabotage::AnswerAlone,
        Sabotage::OutsideState,
        Sabotage::LetIn,
        Sabotage::SayOnce,
    ];
}

impl HubConfig {
    /// The defaults.
    #[must_use]
    pub fn new(id: HubId) -> Self {
        Self {
            id,
            distribution: Distribution::default(),
            redundancy: Redundancy::default(),
            migration: Migration::default(),
            synchronization: Synchronization::default(),
            partition: Partition::default(),
            concurrent_moves: 256,
            max_restarts: 100,
            restart_window: Duration::from_secs(4),
            restart_backoff: Duration::from_millis(10),
            stop_timeout: Duration::from_secs(5),
            barrier_timeout: Duration::from_secs(5),
            lease: Duration::from_secs(3),
            pause_bound: Duration::from_secs(1),
            clock_drift_ppm: 200,
            first_start: false,
            past_lives: 8,
            recovery_grace: Duration::from_secs(10),
            #[cfg(feature = "sabotage")]
            sabotage: None,
        }
    }

    /// # Errors
    /// Names the first field that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.distribution.check()?;
        self.redundancy.check()?;
        self.migration.check()?;
        self.synchronization.check()?;
        self.partition.check()?;
        if self.migration.hands_over() && self.redundancy != Redundancy::Singularity {
            let value = format!("{:?}", self.redundancy);
            let problem = "handover moves the state of one copy: use Singularity, or a migration without handover";
            return Err(ConfigError::new("redundancy", value, problem));
        }
        if self.concurrent_moves == 0 {
            return Err(ConfigError::new("concurrent_moves", 0, "must be at least 1: nothing could ever move"));
        }
        positive("restart_window", self.restart_window)?;
        positive("restart_backoff", self.restart_backoff)?;
        positive("stop_timeout", self.stop_timeout)?;
        positive("barrier_timeout", self.barrier_timeout)?;
        positive("lease", self.lease)?;
        positive("pause_bound", self.pause_bound)?;
        if self.clock_drift_ppm > 100_000 {
            let problem = "must be at most 100000: no clock is off by more than a tenth";
            return Err(ConfigError::new("clock_drift_ppm", self.clock_drift_ppm, problem));
        }
        Ok(())
    }

    /// Every field that two nodes must agree on, by name, with its value as text.
    #[must_use]
    pub fn fields(&self) -> Vec<(SmolStr, SmolStr)> {
        let field = |name: &str, value: alloc::string::String| (SmolStr::new(name), SmolStr::new(value));
        alloc::vec![
            field("distribution", self.distribution.to_string()),
            field("redundancy", self.redundancy.to_string()),
            field("migration", self.migration.to_string()),
            field("synchronization", self.synchronization.to_string()),
            field("partition", self.partition.to_string()),
            field("concurrent_moves", self.concurrent_moves.to_string()),
            field("max_restarts", self.max_restarts.to_string()),
            field("restart_window", format!("{:?}", self.restart_window)),
            field("restart_backoff", format!("{:?}", self.restart_backoff)),
            field("stop_timeout", format!("{:?}", self.stop_timeout)),
            field("barrier_timeout", format!("{:?}", self.barrier_timeout)),
            field("lease", format!("{:?}", self.lease)),
            field("pause_bound", format!("{:?}", self.pause_bound)),
            field("clock_drift_ppm", self.clock_drift_ppm.to_string()),
        ]
    }

    /// One number for all of [`HubConfig::fields`].
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.fields().iter().fold(0, |digest, (name, value)| {
            let text = format!("{digest:016x}{name}={value}");
            stable_hash(text.as_bytes())
        })
    }
}
