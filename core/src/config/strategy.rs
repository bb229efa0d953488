//! The five axes on which hubs differ: one enum each, with every option of the reference and its default.

use alloc::sync::Arc;
use core::time::Duration;

use super::{ConfigError, positive};
use crate::spec::{ChildSpec, Role};
use crate::strategy::{Distribute, Migrate, Replicate, Synchronize, Tolerate};

/// Which node each child belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// A pure function of the child's id and the set of members, with minimal movement.
    #[default]
    ConsistentHashing,
    /// The caller of a start names the nodes of each child. A child runs there or nowhere: it waits for its node and
    /// comes back with it.
    Guided,
    /// The longest-lived member scores the load of all and assigns each child when it is declared, and again when it
    /// has lost its node.
    CentralizedLoadBalancer(LoadBalancer),
    /// One's own.
    Custom(Arc<dyn Distribute>),
}

/// The options of [`Distribution::CentralizedLoadBalancer`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LoadBalancer {
    /// How many samples a node are remembered. Default 30.
    pub max_history_size: u32,
    /// The weight of a sample relative to the one after it, in thousandths. Default 900.
    pub weight_decay_permille: u32,
    /// How often each node tells its load. Default 10 s.
    pub push_interval: Duration,
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self { max_history_size: 30, weight_decay_permille: 900, push_interval: Duration::from_secs(10) }
    }
}

impl Distribution {
    /// # Errors
    /// Names the first option that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Distribution::ConsistentHashing | Distribution::Guided | Distribution::Custom(_) => Ok(()),
            Distribution::CentralizedLoadBalancer(options) => {
                between("distribution.max_history_size", options.max_history_size, 1, 1_000)?;
                between("distribution.weight_decay_permille", options.weight_decay_permille, 1, 1_000)?;
                positive("distribution.push_interval", options.push_interval)
            }
        }
    }
}

/// How many copies of a child run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Redundancy {
    /// One.
    #[default]
    Singularity,
    /// Several, on as many nodes.
    Replication {
        /// How many. Default 2.
        factor: Factor,
        /// Which of them serve. Default all.
        model: Model,
        /// Which of them are told their role when they start. Default none. (A change of role is always told.)
        signal: Signal,
    },
    /// One's own.
    Custom(Arc<dyn Replicate>),
}

/// How many copies of a child [`Redundancy::Replication`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factor {
    /// So many, or one a member where there are fewer members.
    Copies(u32),
    /// One on each member.
    ClusterSize,
}

/// Which copies serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Model {
    /// All of them.
    #[default]
    ActiveActive,
    /// One; the others stand by, and one of them takes over when it is lost.
    ActivePassive,
}

/// Which copies are told their role when they start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Signal {
    /// None.
    #[default]
    None,
    /// The active ones.
    Active,
    /// The passive ones.
    Passive,
    /// All.
    All,
}

impl Redundancy {
    /// Replication with the defaults of the reference and so many copies.
    #[must_use]
    pub fn replication(copies: u32) -> Self {
        Redundancy::Replication { factor: Factor::Copies(copies), model: Model::default(), signal: Signal::default() }
    }

    /// How many copies of a child run in a view with so many owners.
    #[must_use]
    pub fn copies(&self, members: usize) -> usize {
        match self {
            Redundancy::Singularity => 1,
            Redundancy::Replication { factor: Factor::ClusterSize, .. } => members.max(1),
            Redundancy::Replication { factor: Factor::Copies(copies), .. } => *copies as usize,
            Redundancy::Custom(strategy) => strategy.copies(members).clamp(1, members.max(1)),
        }
    }

    /// Whether there may be more than one copy of a child.
    #[must_use]
    pub fn is_several(&self) -> bool {
        *self != Redundancy::Singularity
    }

    /// Which copies serve.
    #[must_use]
    pub fn model(&self) -> Model {
        match self {
            Redundancy::Singularity => Model::ActiveActive,
            Redundancy::Replication { model, .. } => *model,
            Redundancy::Custom(strategy) => strategy.model(),
        }
    }

    /// The role of a copy that starts.
    #[must_use]
    pub fn first_role(&self) -> Role {
        match self.model() {
            Model::ActiveActive => Role::Active,
            Model::ActivePassive => Role::Passive,
        }
    }

    /// Whether a copy that starts in this role is told so.
    #[must_use]
    pub fn signals(&self, role: Role) -> bool {
        let signal = match self {
            Redundancy::Singularity => Signal::None,
            Redundancy::Replication { signal, .. } => *signal,
            Redundancy::Custom(strategy) => strategy.signal(),
        };
        match signal {
            Signal::None => false,
            Signal::All => true,
            Signal::Active => role == Role::Active,
            Signal::Passive => role == Role::Passive,
        }
    }

    /// # Errors
    /// Names the first option that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Redundancy::Replication { factor: Factor::Copies(copies), .. } => {
                between("redundancy.replication_factor", *copies, 1, 64)
            }
            Redundancy::Singularity
            | Redundancy::Replication { factor: Factor::ClusterSize, .. }
            | Redundancy::Custom(_) => Ok(()),
        }
    }
}

/// How a child moves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Migration {
    /// The old copy has ended before the new one starts.
    ColdSwap {
        /// Whether the old copy's state goes to the new one. Default false.
        handover: bool,
        /// How long the state of an ended copy is kept for a new owner to take it. Default 30 s.
        state_ttl: Duration,
        /// How long a copy has to give its state; beyond, it stays where it is and is asked again. Default 5 s.
        state_query_timeout: Duration,
    },
    /// The new copy is up before the old one stops.
    HotSwap {
        /// Whether the old copy's state, and the messages it has not handled, go to the new one. Default false.
        handover: bool,
        /// How long a copy has to give its state; beyond, it goes on serving. Default 5 s.
        state_query_timeout: Duration,
        /// With handover, how long a move may take until it is committed; beyond, it is given up, the old copy goes on
        /// serving, and it is tried again. Default 10 s. Without, there is nothing to give up: the old copy serves until the
        /// new one does.
        child_migration_timeout: Duration,
        /// How long an old copy whose successor's fate is unknown keeps its messages; beyond, their callers are told
        /// that they are not handled. Default 5 s.
        retention: Duration,
    },
    /// Each node starts what belongs to it and ends what does not, without a word to the others: for a moment there may
    /// be no copy, or two.
    Autonomous,
    /// One's own: it chooses a way for each child.
    Custom(Arc<dyn Migrate>),
}

/// What a migration comes to for one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The new copy is up before the old one stops.
    pub(crate) hot: bool,
    pub(crate) hands_over: bool,
    /// How long a copy has to give its state, or to take one.
    pub(crate) query_timeout: Duration,
    /// How long a move may take until it is committed.
    pub(crate) limit: Option<Duration>,
    /// How long an old copy whose successor's fate is unknown keeps its messages.
    pub(crate) retention: Option<Duration>,
    /// How long the state of an ended copy is kept.
    pub(crate) kept_for: Duration,
}

impl Default for Migration {
    fn default() -> Self {
        Migration::cold_swap()
    }
}

impl Migration {
    /// Cold swap without handover, all options at their defaults.
    #[must_use]
    pub const fn cold_swap() -> Self {
        Migration::ColdSwap {
            handover: false,
            state_ttl: Duration::from_secs(30),
            state_query_timeout: Duration::from_secs(5),
        }
    }

    /// Hot swap without handover, all options at their defaults.
    #[must_use]
    pub const fn hot_swap() -> Self {
        Migration::HotSwap {
            handover: false,
            state_query_timeout: Duration::from_secs(5),
            child_migration_timeout: Duration::from_secs(10),
            retention: Duration::from_secs(5),
        }
    }

    /// The same with handover. Autonomous has none, and one's own says that itself.
    #[must_use]
    pub fn with_handover(mut self) -> Self {
        if let Migration::ColdSwap { handover, .. } | Migration::HotSwap { handover, .. } = &mut self {
            *handover = true;
        }
        self
    }

    /// Whether every child's state moves with it. What one's own does is a matter of the child.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        matches!(self, Migration::ColdSwap { handover: true, .. } | Migration::HotSwap { handover: true, .. })
    }

    /// # Errors
    /// Names the first option that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Migration::ColdSwap { state_ttl, state_query_timeout, .. } => {
                positive("migration.state_ttl", *state_ttl)?;
                positive("migration.state_query_timeout", *state_query_timeout)
            }
            Migration::HotSwap { state_query_timeout, child_migration_timeout, retention, .. } => {
                positive("migration.state_query_timeout", *state_query_timeout)?;
                positive("migration.child_migration_timeout", *child_migration_timeout)?;
                positive("migration.retention", *retention)
            }
            Migration::Autonomous | Migration::Custom(_) => Ok(()),
        }
    }

    /// What this comes to for a child, where `child` says which one that is.
    pub(crate) fn way<'a>(&self, child: impl FnOnce() -> Option<&'a ChildSpec>) -> Way {
        let Migration::Custom(own) = self else { return self.for_all() };
        match child().map(|child| own.way(child)) {
            Some(way @ (Migration::ColdSwap { .. } | Migration::HotSwap { .. })) => way.for_all().at_least(SOME),
            _ => COLD,
        }
    }

    fn for_all(&self) -> Way {
        match *self {
            Migration::ColdSwap { handover, state_ttl, state_query_timeout } => {
                Way { hands_over: handover, query_timeout: state_query_timeout, kept_for: state_ttl, ..COLD }
            }
            Migration::HotSwap { handover, state_query_timeout, child_migration_timeout, retention } => Way {
                hot: true,
                hands_over: handover,
                query_timeout: state_query_timeout,
                limit: Some(child_migration_timeout),
                retention: Some(retention),
                kept_for: child_migration_timeout,
            },
            Migration::Autonomous => Way { query_timeout: Duration::ZERO, kept_for: Duration::ZERO, ..COLD },
            Migration::Custom(_) => COLD,
        }
    }
}

/// The least time that a way of one's own may allow for anything.
const SOME: Duration = Duration::from_millis(1);

/// Cold swap without handover.
const COLD: Way = Way {
    hot: false,
    hands_over: false,
    query_timeout: Duration::from_secs(5),
    limit: None,
    retention: None,
    kept_for: Duration::from_secs(30),
};

impl Way {
    fn at_least(self, span: Duration) -> Self {
        Self {
            query_timeout: self.query_timeout.max(span),
            limit: self.limit.map(|limit| limit.max(span)),
            retention: self.retention.map(|retention| retention.max(span)),
            kept_for: self.kept_for.max(span),
            ..self
        }
    }
}

/// How changes reach the other members.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Synchronization {
    /// Every change goes to every member; every interval, whatever was missed is repaired.
    PubSub {
        /// How often. Default 15 s.
        sync_interval: Duration,
    },
    /// A change goes to some members, who pass it on; every interval, each member compares with some others and repairs
    /// what it has missed. (A comparison is between two members, so there is no round that only one may begin.)
    Gossip {
        /// How often. Default 15 s.
        sync_interval: Duration,
        /// How many members each member tells of a change. Default 3.
        recipients: u32,
    },
    /// One's own: it chooses whom each member tells of a change; every interval, each member compares with all others.
    Custom(Arc<dyn Synchronize>),
}

impl Default for Synchronization {
    fn default() -> Self {
        Synchronization::PubSub { sync_interval: Duration::from_secs(15) }
    }
}

impl Synchronization {
    /// Gossip with the options of the reference at their defaults.
    #[must_use]
    pub const fn gossip() -> Self {
        Synchronization::Gossip { sync_interval: Duration::from_secs(15), recipients: 3 }
    }

    /// How many members each member tells of a change, and compares with; `None` is no fixed number: all under
    /// [`Synchronization::PubSub`], and where the strategy is one's own, whom it chooses, and all.
    #[must_use]
    pub fn recipients(&self) -> Option<usize> {
        match self {
            Synchronization::PubSub { .. } | Synchronization::Custom(_) => None,
            Synchronization::Gossip { recipients, .. } => Some(*recipients as usize),
        }
    }

    /// Whether those who are told of a change tell others.
    #[must_use]
    pub fn passes_on(&self) -> bool {
        !matches!(self, Synchronization::PubSub { .. })
    }

    /// How often whatever was missed is repaired.
    #[must_use]
    pub fn sync_interval(&self) -> Duration {
        match self {
            Synchronization::PubSub { sync_interval } | Synchronization::Gossip { sync_interval, .. } => *sync_interval,
            Synchronization::Custom(strategy) => strategy.sync_interval(),
        }
    }

    /// # Errors
    /// Names the first option that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        positive("synchronization.sync_interval", self.sync_interval())?;
        match self {
            Synchronization::PubSub { .. } | Synchronization::Custom(_) => Ok(()),
            Synchronization::Gossip { recipients, .. } => between("synchronization.recipients", *recipients, 1, 1_024),
        }
    }
}

/// What a hub does while the cluster is in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// Each part serves by itself.
    #[default]
    Divergence,
    /// A part with fewer members than this serves nothing.
    StaticQuorum {
        /// How many members a part needs. Safe only for clusters of up to `2 * quorum_size - 1` names: further ones are
        /// not admitted.
        quorum_size: u32,
        /// Whether the quorum is needed from the start. If not, a node that has never seen it serves. Default false.
        startup_confirm: bool,
    },
    /// A part that has lost more than a share of its members within a time serves nothing. Not safe against split
    /// brain: a loss that is slow enough looks like a smaller cluster.
    DynamicQuorum {
        /// The share of members, in percent, that must be connected.
        quorum_size: u32,
        /// How long a lost member counts as lost. Default 30 s.
        threshold_time: Duration,
    },
    /// A part without the majority of the largest cluster ever seen serves nothing.
    MajorityQuorum {
        /// The least size that the cluster is taken to have. Safe only if it is the true one. Default 1.
        initial_cluster_size: u32,
        /// Whether the size grows with the cluster. If not, further members are not admitted. Default true.
        track_max_size: bool,
    },
    /// A rule of one's own.
    Custom(Arc<dyn Tolerate>),
}

impl Partition {
    /// Whether it has leases, so that one side alone serves.
    #[must_use]
    pub fn is_leased(&self) -> bool {
        matches!(self, Partition::StaticQuorum { .. } | Partition::MajorityQuorum { .. })
    }

    /// # Errors
    /// Names the first option that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self {
            Partition::Divergence | Partition::Custom(_) => Ok(()),
            Partition::StaticQuorum { quorum_size, .. } => between("partition.quorum_size", *quorum_size, 1, 1_024),
            Partition::DynamicQuorum { quorum_size, threshold_time } => {
                between("partition.quorum_size", *quorum_size, 1, 100)?;
                positive("partition.threshold_time", *threshold_time)
            }
            Partition::MajorityQuorum { initial_cluster_size, .. } => {
                between("partition.initial_cluster_size", *initial_cluster_size, 1, 1_024)
            }
        }
    }
}

fn between(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(field, value, &alloc::format!("must be from {least} to {most}")))
}
