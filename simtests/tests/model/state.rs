//! What one state of the model consists of. All that is large is shared between states and hashed once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use process_hub_core::id::{Boot, ChildId};
use process_hub_core::message::HubMessage;
use process_hub_core::spec::Role;
use process_hub_core::{Hub, Time};

use crate::act::Action;
use crate::print;

/// How many nodes there are.
pub(crate) const NODES: usize = 3;

/// A message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) body: HubMessage,
    /// The life that it was sent to, and the one that sent it.
    pub(crate) boots: (Boot, Boot),
    print: u64,
}

impl Letter {
    pub(crate) fn new(body: HubMessage, boots: (Boot, Boot)) -> Self {
        let print = print::of(&(&body, boots));
        Self { body, boots, print }
    }
}

/// One run of a child, as the driver of its node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Instance {
    pub(crate) child: ChildId,
    pub(crate) life: Life,
    pub(crate) role: Role,
    /// The nodes that have been in the view of its node, and the reverse, ever since it was started: one bit each.
    pub(crate) beside: u8,
    /// The same since it was made active.
    pub(crate) active_beside: u8,
}

/// How far an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Starting,
    Serving,
    /// Told to end: nothing has been reported for it yet.
    Ending {
        /// It was up before.
        was_up: bool,
    },
}

/// One node that is up.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) hub: Arc<Hub>,
    pub(crate) now: Time,
    print: u64,
    /// Which nodes, in their present lives, its view has: one bit each.
    pub(crate) sees: u8,
    pub(crate) instances: BTreeMap<u64, Instance>,
    /// Children whose stop this life has learnt of.
    pub(crate) removed: BTreeSet<ChildId>,
}

impl Side {
    pub(crate) fn new(hub: Hub, now: Time) -> Self {
        let print = print::of_hub(&hub, now);
        Self { hub: Arc::new(hub), now, print, sees: 0, instances: BTreeMap::new(), removed: BTreeSet::new() }
    }

    pub(crate) fn advance(&mut self, hub: Hub, now: Time) {
        self.print = print::of_hub(&hub, now);
        (self.hub, self.now) = (Arc::new(hub), now);
    }

    /// Its instances of a child, whatever they are doing.
    pub(crate) fn instances_of(&self, child: &ChildId) -> impl Iterator<Item = &Instance> {
        self.instances.values().filter(move |instance| instance.child == *child)
    }
}

/// What a node's membership has told its hub of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Knows {
    /// It is up and within reach.
    Up,
    /// The link to it broke; nothing was concluded yet.
    Broken,
    /// It is down.
    Down,
}

/// What may still happen: how often each fault, and how many timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    /// Messages that are lost, although the link stays.
    pub(crate) losses: u8,
    /// Messages that come once more, later.
    pub(crate) repeats: u8,
    /// Messages that come before the one sent before them.
    pub(crate) overtakes: u8,
    /// Timers that fire although something else could still happen first.
    pub(crate) wakes: u8,
    /// Nodes that crash.
    pub(crate) crashes: u8,
    /// Crashed nodes that come back with nothing.
    pub(crate) restarts: u8,
    /// Nodes that are cut off.
    pub(crate) cuts: u8,
    /// Departures from first come, first served.
    pub(crate) delays: u8,
}

/// One state.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) sides: [Option<Side>; NODES],
    pub(crate) boots: [Boot; NODES],
    /// Which nodes have a link, and what each has been told of each other.
    pub(crate) linked: [[bool; NODES]; NODES],
    pub(crate) knows: [[Knows; NODES]; NODES],
    /// Messages on their way, in the order they were sent, by sender and receiver.
    pub(crate) wires: BTreeMap<(usize, usize), VecDeque<Arc<Letter>>>,
    pub(crate) left: Left,
    /// How many of the client's requests were made, and how often each was answered.
    pub(crate) asked: usize,
    pub(crate) answers: BTreeMap<u64, u8>,
    /// What comes by itself, in the order in which it became due; only kept where departures from it are counted.
    pub(crate) agenda: VecDeque<Action>,
    /// Properties of steps that a step has broken.
    pub(crate) broken: BTreeSet<&'static str>,
}

impl State {
    /// The nodes that are up.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (usize, &Side)> {
        self.sides.iter().enumerate().filter_map(|(at, side)| Some((at, side.as_ref()?)))
    }

    /// Whether two nodes that are up have each other in their views.
    pub(crate) fn is_mutual(&self, a: usize, b: usize) -> bool {
        let sees = |from: usize, to: usize| self.sides[from].as_ref().is_some_and(|side| side.sees & (1 << to) != 0);
        sees(a, b) && sees(b, a)
    }

    /// Whether two nodes that are up are parted: neither has a link to the other.
    pub(crate) fn is_parted(&self, a: usize, b: usize) -> bool {
        self.sides[a].is_some() && self.sides[b].is_some() && !self.linked[a][b]
    }
}

// Two states are the same if their prints are. A print has 64 bits and a space some millions of states.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for side in &self.sides {
            side.as_ref().map(|side| (side.print, &side.instances, &side.removed)).hash(hasher);
        }
        (self.boots, self.linked, self.knows, self.left).hash(hasher);
        for (ends, letters) in &self.wires {
            ends.hash(hasher);
            letters.len().hash(hasher);
            letters.iter().for_each(|letter| letter.print.hash(hasher));
        }
        (self.asked, &self.answers, &self.agenda, &self.broken).hash(hasher);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        print::of(self) == print::of(other)
    }
}

impl Eq for State {}
