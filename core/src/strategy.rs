//! Strategies of one's own: a trait an axis.
//!
//! A strategy is a pure function of what it is given: it is asked again and again, on every node, and all nodes must
//! come to the same answer. It is compared by its name and version, here and between nodes, so a change of what it
//! answers is a new version. It must not panic (the async face of a hub contains it if it does; the core alone does not).

use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::config::{Migration, Model, Signal};
use crate::id::{Member, NodeId};
use crate::spec::{ChildSpec, Labels};

/// A member that can own children.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Its name.
    pub node: NodeId,
    /// Its share relative to the others': 1 is normal.
    pub weight: u32,
    /// What it has.
    pub labels: Labels,
}

/// Which nodes a child belongs to.
pub trait Distribute: Send + Sync {
    /// Its name: with its version, what it is known by.
    fn name(&self) -> &str;

    /// Its version. Default 1.
    fn version(&self) -> u32 {
        1
    }

    /// The nodes that a child belongs to, the first owner first, from `members`, which are sorted by name. Of more than
    /// `copies` the first count. A node that is no member, or lacks a label that the child asks for, is passed over, and
    /// one that is named twice counts once; while nobody is left the child runs nowhere.
    fn owners(&self, child: &ChildSpec, members: &[Candidate], copies: usize) -> Vec<NodeId>;
}

/// How many copies of a child run, and which of them serve.
pub trait Replicate: Send + Sync {
    /// Its name: with its version, what it is known by.
    fn name(&self) -> &str;

    /// Its version. Default 1.
    fn version(&self) -> u32 {
        1
    }

    /// How many copies run where so many members can own children. 0 counts as 1; more than there are members, as that
    /// many.
    fn copies(&self, members: usize) -> usize;

    /// Which copies serve. Default all.
    fn model(&self) -> Model {
        Model::ActiveActive
    }

    /// Which copies are told their role when they start. Default none.
    fn signal(&self) -> Signal {
        Signal::None
    }
}

/// Whether a part of a cluster may serve.
pub trait Tolerate: Send + Sync {
    /// Its name: with its version, what it is known by.
    fn name(&self) -> &str;

    /// Its version. Default 1.
    fn version(&self) -> u32 {
        1
    }

    /// Whether the part of the cluster that has these members may serve. `lost` are those that went without a goodbye and
    /// have not come back, as far as this node knows. Both are sorted by name. There are no leases behind such a rule:
    /// for as long as two parts have not found out about each other, both may serve.
    fn holds(&self, members: &[Member], lost: &[Member]) -> bool;
}

/// How changes reach the other members.
///
/// A change is a batch of what has happened on one node: it is told by that node to some members, and by each of them to
/// some that have not been told. Whoever is left out hears of it from its origin after a while, and once an interval every
/// member compares what it knows with every other: so whatever such a strategy answers can make changes slow, and loses none.
pub trait Synchronize: Send + Sync {
    /// Its name: with its version, what it is known by.
    fn name(&self) -> &str;

    /// Its version. Default 1.
    fn version(&self) -> u32 {
        1
    }

    /// How often every member compares what it knows with the others. Always the same, and more than nothing. Default 15 s.
    fn sync_interval(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// Whom `teller`, which is this node, tells of a change: some of `open`, which are the members that it does not know to
    /// have been told, sorted by name. `change` is another number for each change of a node. A node that is not in `open`
    /// is passed over, and one that is named twice is told once.
    fn recipients(&self, teller: &Candidate, change: u64, open: &[Candidate]) -> Vec<NodeId>;
}

/// How each child moves.
pub trait Migrate: Send + Sync {
    /// Its name: with its version, what it is known by.
    fn name(&self) -> &str;

    /// Its version. Default 1.
    fn version(&self) -> u32 {
        1
    }

    /// How this child moves: one of `ColdSwap` and `HotSwap`, with what options it likes. What is answered instead of one of
    /// these two counts as cold swap without handover, no time as a millisecond, and handover where several copies run as none.
    fn way(&self, child: &ChildSpec) -> Migration;
}

macro_rules! known_by_name {
    ($strategy:ident) => {
        impl fmt::Debug for dyn $strategy {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} v{}", self.name(), self.version())
            }
        }

        impl PartialEq for dyn $strategy {
            fn eq(&self, other: &Self) -> bool {
                (self.name(), self.version()) == (other.name(), other.version())
            }
        }

        impl Eq for dyn $strategy {}

        impl Hash for dyn $strategy {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (self.name(), self.version()).hash(state);
            }
        }
    };
}

known_by_name!(Distribute);
known_by_name!(Replicate);
known_by_name!(Migrate);
known_by_name!(Tolerate);
known_by_name!(Synchronize);
