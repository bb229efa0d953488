//! The view: the members a hub's decisions are made on, who owns what by it, and how far the others are with it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use smallvec::SmallVec;

use crate::config::{Distribution, HubConfig, Migration, Redundancy};
use crate::hashing::{Ring, Subject, moved_owners, stable_hash};
use crate::id::{Boot, Member, NodeId};
use crate::message::{Attributes, Phase};
use crate::registry::Key;
use crate::spec::Labels;
use crate::strategy::Candidate;
use crate::time::Time;

/// The members of a view: each in one life.
pub(crate) type Members = BTreeMap<NodeId, Seat>;

/// What a view knows of one member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub(crate) boot: Boot,
    pub(crate) phase: Phase,
    pub(crate) attributes: Attributes,
}

impl Seat {
    /// Whether children can belong to it.
    pub(crate) fn owns(&self) -> bool {
        self.phase == Phase::Ready && !self.attributes.draining
    }
}

/// The nodes that a child belongs to, the first owner first.
pub(crate) type Owners<'a> = SmallVec<[&'a NodeId; 4]>;

/// The installed view and the right to act on it.
///
/// A node acts on a change of owners only once every member has said that it has installed the same view (and with
/// that, has told all its rows): the view is then *complete* here. What a node owned in the last complete view and in
/// every view since, it may start at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct View {
    me: NodeId,
    distribution: Distribution,
    redundancy: Redundancy,
    /// An owner may start before the view is complete.
    at_once: bool,
    members: Members,
    /// Those that can own children, for a distribution of somebody's own; else empty.
    candidates: Vec<Candidate>,
    hash: u64,
    /// How many views were installed so far.
    number: u64,
    ring: Ring,
    /// This node's place among the ring's, if it owns anything.
    mine: Option<usize>,
    complete: bool,
    /// The ring of the last complete view, then that of each view installed since, the present one included.
    since: Vec<Ring>,
    /// Whether a complete view is known and none was left out of `since`.
    continuous: bool,
    /// What this node owned so far counts for nothing until the view is complete once more.
    doubted: bool,
    /// Children that members who are gone claimed when they went, since the last complete view, as far as this node may have
    /// owned them.
    left_behind: BTreeSet<Key>,
    deadline: Time,
    /// A deliberate defect: owners by the order in which members were met.
    #[cfg(feature = "sabotage")]
    pub(crate) in_join_order: bool,
    /// A deliberate defect: this node starts what it does not own.
    #[cfg(feature = "sabotage")]
    pub(crate) flips: bool,
    /// A deliberate defect: the nodes that were named for a child do not matter.
    #[cfg(feature = "sabotage")]
    unmapped: bool,
    #[cfg(feature = "sabotage")]
    met: Vec<NodeId>,
}

/// Views between two complete ones that are remembered; beyond, everything waits for the next complete one.
const MAX_SINCE: usize = 8;

impl View {
    pub(crate) fn new(me: NodeId, config: &HubConfig) -> Self {
        let ring = Ring::new([]);
        Self {
            me,
            distribution: config.distribution.clone(),
            redundancy: config.redundancy.clone(),
            // A quorum with leases promises that one side serves, which only a confirmed view can keep.
            at_once: config.migration == Migration::Autonomous && !config.partition.is_leased(),
            members: Members::new(),
            candidates: Vec::new(),
            hash: 0,
            number: 0,
            since: Vec::new(),
            ring,
            mine: None,
            complete: false,
            continuous: false,
            doubted: false,
            left_behind: BTreeSet::new(),
            deadline: Time::ZERO,
            #[cfg(feature = "sabotage")]
            in_join_order: false,
            #[cfg(feature = "sabotage")]
            flips: config.sabotage == Some(crate::config::Sabotage::FlipFlop),
            #[cfg(feature = "sabotage")]
            unmapped: config.sabotage == Some(crate::config::Sabotage::IgnoreMapping),
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

    /// Which installation of a view this is, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The view has to be completed once more.
    pub(crate) fn reopen(&mut self) {
        self.complete = false;
    }

    /// The view has to be completed once more, and until then nothing is this node's by what it owned before.
    pub(crate) fn doubt(&mut self, deadline: Time) {
        self.complete = false;
        self.doubted = true;
        self.deadline = deadline;
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// A member that is gone claimed this child when it went.
    pub(crate) fn leave_behind(&mut self, key: &Key) {
        if !self.complete {
            self.left_behind.insert(key.clone());
        }
    }

    /// Whether a member that has gone since the last complete view claimed this child, as far as was seen yet.
    pub(crate) fn is_left_behind(&self, key: &Key) -> bool {
        !self.complete && self.left_behind.contains(key)
    }

    /// What this node owned so far counts for nothing, and every child is looked at anew.
    pub(crate) fn forget(&mut self) {
        self.complete = false;
        self.continuous = false;
        self.since.clear();
    }

    pub(crate) fn has(&self, member: &Member) -> bool {
        self.members.get(&member.node).is_some_and(|seat| seat.boot == member.boot)
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
        let before = self.ring.clone();
        let gone: Vec<NodeId> =
            before.nodes().iter().filter(|node| !members.get(*node).is_some_and(Seat::owns)).cloned().collect();
        for node in &gone {
            self.ring = self.ring.without(node);
        }
        for (node, seat) in members.iter().filter(|(_, seat)| seat.owns()) {
            self.ring = self.ring.with(node, seat.attributes.weight);
        }
        #[cfg(feature = "sabotage")]
        {
            self.met.retain(|node| !gone.contains(node));
            self.met.extend(self.ring.nodes().iter().filter(|node| !before.nodes().contains(node)).cloned());
        }
        if matches!(self.distribution, Distribution::Custom(_)) {
            self.candidates = members.iter().filter(|(_, seat)| seat.owns()).map(candidate).collect();
        }
        self.hash = hash_of(&members);
        self.number += 1;
        self.members = members;
        self.mine = self.ring.nodes().binary_search(&self.me).ok();
        self.complete = false;
        self.deadline = deadline;
        if before != self.ring {
            self.since.push(self.ring.clone());
        }
        if self.since.len() > MAX_SINCE {
            self.since.clear();
            self.continuous = false;
        }
    }

    /// The ring, as installed.
    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The hash ranges whose owners may be others than by an earlier ring, as for [`View::completed`].
    pub(crate) fn moved_since(&self, before: &Ring, exceptions: bool) -> Vec<(u64, u64)> {
        if self.distribution == Distribution::ConsistentHashing && !exceptions {
            moved_owners(before, self.copies_on(before), &self.ring, self.copies_on(&self.ring))
        } else {
            alloc::vec![(0, u64::MAX)]
        }
    }

    /// Every member has installed the view. Returns the hash ranges whose owners may have changed since the last
    /// complete one: all, if there are children (`exceptions`) whose owners are more than a matter of the ring.
    pub(crate) fn completed(&mut self, exceptions: bool) -> Vec<(u64, u64)> {
        self.complete = true;
        self.doubted = false;
        self.left_behind.clear();
        let ranges = match self.since.first() {
            Some(last) if self.continuous => self.moved_since(last, exceptions),
            _ => alloc::vec![(0, u64::MAX)],
        };
        self.since.clear();
        self.since.push(self.ring.clone());
        self.continuous = true;
        ranges
    }

    /// How many copies of a child run, if there are as many members that can own it.
    pub(crate) fn copies(&self) -> usize {
        self.copies_on(&self.ring)
    }

    fn copies_on(&self, ring: &Ring) -> usize {
        self.redundancy.copies(ring.nodes().len())
    }

    /// The nodes that a child belongs to, the first owner first: none while nobody can own it.
    pub(crate) fn owners(&self, subject: &Subject<'_>) -> Owners<'_> {
        #[cfg(feature = "sabotage")]
        if self.in_join_order {
            let at = usize::try_from(subject.hash >> 8).unwrap_or(0) % self.met.len().max(1);
            return self.met.iter().cycle().skip(at).take(self.copies().min(self.met.len())).collect();
        }
        let copies = self.copies();
        #[cfg(feature = "sabotage")]
        if self.unmapped {
            return self.on_ring(subject, copies);
        }
        let Some(assigned) = subject.assigned else { return self.by_distribution(subject, copies) };
        let mut owners = self.among(&assigned.nodes, subject.requires(), copies);
        if owners.len() < copies {
            // Whatever is not there is made up for by the distribution, where it can.
            for node in self.by_distribution(subject, self.members.len()) {
                if owners.len() < copies && !owners.contains(&node) {
                    owners.push(node);
                }
            }
        }
        owners
    }

    /// The nodes that a child belongs to if nobody has given it to any.
    fn by_distribution(&self, subject: &Subject<'_>, copies: usize) -> Owners<'_> {
        match &self.distribution {
            Distribution::ConsistentHashing => self.on_ring(subject, copies),
            Distribution::Custom(strategy) => {
                let nodes = subject.spec.map(|spec| strategy.owners(spec, &self.candidates, copies));
                self.among(&nodes.unwrap_or_default(), subject.requires(), copies)
            }
            // Nobody has chosen yet.
            Distribution::Guided | Distribution::CentralizedLoadBalancer(_) => Owners::new(),
        }
    }

    /// Those of `nodes` that can own a child, each once.
    fn among(&self, nodes: &[NodeId], requires: Option<&Labels>, copies: usize) -> Owners<'_> {
        let mut owners = Owners::new();
        for node in nodes {
            if owners.len() == copies {
                break;
            }
            let Some((node, seat)) = self.members.get_key_value(node) else { continue };
            if seat.owns()
                && requires.is_none_or(|labels| seat.attributes.labels.cover(labels))
                && !owners.contains(&node)
            {
                owners.push(node);
            }
        }
        owners
    }

    fn on_ring(&self, subject: &Subject<'_>, copies: usize) -> Owners<'_> {
        let Some(requires) = subject.requires() else { return self.ring.owners(subject.hash, copies).collect() };
        let has = |node: &&NodeId| self.members.get(*node).is_some_and(|seat| seat.attributes.labels.cover(requires));
        self.ring.owners(subject.hash, usize::MAX).filter(has).take(copies).collect()
    }

    /// The first owner.
    pub(crate) fn owner(&self, subject: &Subject<'_>) -> Option<&NodeId> {
        self.owners(subject).first().copied()
    }

    /// The members that a child can be given to, those that the ring prefers first.
    pub(crate) fn takers(&self, subject: &Subject<'_>) -> Owners<'_> {
        let takes = |node: &&NodeId| {
            let fits = |labels| self.members[*node].attributes.labels.cover(labels);
            self.members.get(*node).is_some_and(|seat| seat.owns() && !seat.attributes.cordoned)
                && subject.requires().is_none_or(fits)
        };
        match self.distribution {
            Distribution::ConsistentHashing => self.ring.owners(subject.hash, usize::MAX).filter(takes).collect(),
            _ => self.members.keys().filter(takes).collect(),
        }
    }

    /// Of the members that children can belong to, the one that has been here for longest.
    pub(crate) fn leader(&self) -> Option<&NodeId> {
        let owning = self.members.iter().filter(|(_, seat)| seat.owns());
        owning.min_by_key(|(node, seat)| (seat.attributes.seniority, *node)).map(|(node, _)| node)
    }

    /// Whether a child is about to be given to other nodes, so that no copy is to be started until it is.
    pub(crate) fn is_held(&self, subject: &Subject<'_>) -> bool {
        subject.assigned.is_some_and(|assigned| assigned.held && self.members.contains_key(&assigned.by))
    }

    /// Whether a child's owners are a matter of the ring alone.
    fn is_by_ring(&self, subject: &Subject<'_>) -> bool {
        self.distribution == Distribution::ConsistentHashing
            && subject.assigned.is_none()
            && subject.requires().is_none()
    }

    /// Whether a child belongs to this node, among others or alone.
    pub(crate) fn is_owner(&self, subject: &Subject<'_>) -> bool {
        #[cfg(feature = "sabotage")]
        if self.in_join_order {
            return self.owners(subject).contains(&&self.me);
        }
        let Some(mine) = self.mine else { return false };
        if !self.is_by_ring(subject) {
            return self.owners(subject).contains(&&self.me);
        }
        match self.copies() {
            1 => self.ring.owner_index(subject.hash) == Some(mine),
            copies => self.ring.owners(subject.hash, copies).any(|node| *node == self.me),
        }
    }

    /// Whether a child is not this node's in the installed view, and so cannot have been in every view since the last
    /// complete one.
    pub(crate) fn is_anothers(&self, subject: &Subject<'_>) -> bool {
        self.is_by_ring(subject) && !self.is_owner(subject)
    }

    /// Whether this node may start a copy of a child of which fewer than enough are claimed by others.
    pub(crate) fn may_start(&self, subject: &Subject<'_>) -> bool {
        #[cfg(feature = "sabotage")]
        if self.flips {
            return self.mine.is_some();
        }
        let since = || {
            self.continuous
                && !self.doubted
                && self.is_by_ring(subject)
                && self.since.iter().all(|ring| self.owned_on(ring, subject.hash, &self.me))
        };
        self.is_owner(subject) && (self.complete || self.at_once || since()) && !self.is_held(subject)
    }

    fn owned_on(&self, ring: &Ring, hash: u64, node: &NodeId) -> bool {
        match self.copies_on(ring) {
            1 => ring.owner(hash) == Some(node),
            copies => ring.owners(hash, copies).any(|owner| owner == node),
        }
    }

    /// Whether `node` owned a child in the last complete view, so that the next one leads to a look at it if it does
    /// not any more.
    pub(crate) fn owned_before(&self, subject: &Subject<'_>, node: &NodeId) -> bool {
        !self.continuous
            || !self.is_by_ring(subject)
            || self.since.first().is_some_and(|ring| self.owned_on(ring, subject.hash, node))
    }

    /// The ranges that `node` is the first owner of in the installed ring.
    pub(crate) fn arcs_of(&self, node: &NodeId) -> Vec<(u64, u64)> {
        self.ring.arcs(node)
    }
}

/// A member as strategies of one's own are told of it.
pub(crate) fn candidate((node, seat): (&NodeId, &Seat)) -> Candidate {
    let Attributes { weight, labels, .. } = &seat.attributes;
    Candidate { node: node.clone(), weight: *weight, labels: labels.clone() }
}

/// Equal for equal sets of members, and for no others in practice.
fn hash_of(members: &Members) -> u64 {
    let mut text = String::new();
    for (node, seat) in members {
        let Seat { boot, attributes, .. } = seat;
        // Writing to a String cannot fail.
        let _ = write!(text, "{}:{node}/{boot}/{}", node.as_str().len(), u8::from(seat.owns()));
        // The version, too: a view that comes back to what it was is another one, and what members have said of the
        // former counts no more.
        let _ = write!(text, "/{}/{}/{}", attributes.version, attributes.weight, attributes.seniority);
        let _ = write!(text, "/{}/{}", u8::from(attributes.cordoned), attributes.term);
        for label in attributes.labels.iter() {
            let _ = write!(text, "/{}:{label}", label.len());
        }
        text.push(';');
    }
    stable_hash(text.as_bytes())
}
