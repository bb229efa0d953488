//! The view: the members a hub's decisions are made on, and how far the others are with it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::hashing::{Ring, moved, stable_hash};
use crate::id::{Boot, Member, NodeId};
use crate::message::Phase;
use crate::time::Time;

/// The members of a view: each in one life, owning or leaving.
pub(crate) type Members = BTreeMap<NodeId, (Boot, Phase)>;

/// The installed view and the right to act on it.
///
/// A node acts on a change of owners only once every member has said that it has installed the same view (and with
/// that, has told all its rows): the view is then *complete* here. What a node owned in the last complete view and in
/// every view since, it may start at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct View {
    me: NodeId,
    members: Members,
    hash: u64,
    ring: Ring,
    /// This node's place among the ring's, if it owns anything.
    mine: Option<usize>,
    complete: bool,
    /// The ring of the last complete view, then that of each view installed since, the present one included.
    since: Vec<Ring>,
    /// Whether a complete view is known and none was left out of `since`.
    continuous: bool,
    deadline: Time,
    /// A deliberate defect: owners by the order in which members were met.
    #[cfg(feature = "sabotage")]
    pub(crate) in_join_order: bool,
    #[cfg(feature = "sabotage")]
    met: Vec<NodeId>,
}

/// Views between two complete ones that are remembered; beyond, everything waits for the next complete one.
const MAX_SINCE: usize = 8;

impl View {
    pub(crate) fn new(me: NodeId) -> Self {
        let ring = Ring::new([]);
        Self {
            me,
            members: Members::new(),
            hash: 0,
            since: Vec::new(),
            ring,
            mine: None,
            complete: false,
            continuous: false,
            deadline: Time::ZERO,
            #[cfg(feature = "sabotage")]
            in_join_order: false,
            #[cfg(feature = "sabotage")]
            met: Vec::new(),
        }
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn has(&self, member: &Member) -> bool {
        self.members.get(&member.node).is_some_and(|(boot, _)| *boot == member.boot)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// When a member that has not installed this view by then is to be left out.
    pub(crate) fn deadline(&self) -> Option<Time> {
        (!self.complete).then_some(self.deadline)
    }

    pub(crate) fn extend(&mut self, deadline: Time) {
        self.deadline = deadline;
    }

    /// Installs the view of these members. It is not complete.
    pub(crate) fn install(&mut self, members: Members, deadline: Time) {
        let owning = |members: &Members| -> Vec<NodeId> {
            members.iter().filter(|(_, (_, phase))| *phase == Phase::Ready).map(|(node, _)| node.clone()).collect()
        };
        let (before, after) = (owning(&self.members), owning(&members));
        for gone in before.iter().filter(|node| !after.contains(node)) {
            self.ring = self.ring.without(gone);
        }
        for came in after.iter().filter(|node| !before.contains(node)) {
            self.ring = self.ring.with(came, 1);
        }
        #[cfg(feature = "sabotage")]
        {
            self.met.retain(|node| after.contains(node));
            self.met.extend(after.iter().filter(|node| !before.contains(node)).cloned());
        }
        self.hash = hash_of(&members);
        self.members = members;
        self.mine = self.ring.nodes().binary_search(&self.me).ok();
        self.complete = false;
        self.deadline = deadline;
        if before != after {
            self.since.push(self.ring.clone());
        }
        if self.since.len() > MAX_SINCE {
            self.since.clear();
            self.continuous = false;
        }
    }

    /// Every member has installed the view. Returns the hash ranges whose owner may have changed since the last
    /// complete one.
    pub(crate) fn completed(&mut self) -> Vec<(u64, u64)> {
        self.complete = true;
        let ranges = match self.since.first() {
            Some(last) if self.continuous => {
                moved(last, &self.ring).into_iter().map(|range| (range.from, range.to)).collect()
            }
            _ => alloc::vec![(0, u64::MAX)],
        };
        self.since.clear();
        self.since.push(self.ring.clone());
        self.continuous = true;
        ranges
    }

    pub(crate) fn owner(&self, hash: u64) -> Option<&NodeId> {
        #[cfg(feature = "sabotage")]
        if self.in_join_order {
            return self.met.get(usize::try_from(hash >> 8).unwrap_or(0) % self.met.len().max(1));
        }
        self.ring.owner(hash)
    }

    pub(crate) fn is_mine(&self, hash: u64) -> bool {
        #[cfg(feature = "sabotage")]
        if self.in_join_order {
            return self.owner(hash) == Some(&self.me);
        }
        self.mine.is_some() && self.ring.owner_index(hash) == self.mine
    }

    /// Whether this node may start a child that nobody else claims.
    pub(crate) fn may_start(&self, hash: u64) -> bool {
        self.is_mine(hash)
            && (self.complete || (self.continuous && self.since.iter().all(|ring| ring.owner(hash) == Some(&self.me))))
    }

    /// Whether `node` owned a hash in the last complete view, so that the next one leads to a look at it if it does not
    /// any more.
    pub(crate) fn owned_before(&self, hash: u64, node: &NodeId) -> bool {
        !self.continuous || self.since.first().and_then(|ring| ring.owner(hash)) == Some(node)
    }

    /// The ranges that `node` owns in the installed ring.
    pub(crate) fn arcs_of(&self, node: &NodeId) -> Vec<(u64, u64)> {
        self.ring.arcs(node)
    }
}

/// Equal for equal sets of members, and for no others in practice.
fn hash_of(members: &Members) -> u64 {
    let mut text = String::new();
    for (node, (boot, phase)) in members {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}:{node}/{boot}/{};", node.as_str().len(), u8::from(*phase == Phase::Ready));
    }
    stable_hash(text.as_bytes())
}
