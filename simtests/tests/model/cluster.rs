//! The model: which clusters are explored, how they begin, and what the checker may do next in a state.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use process_hub_core::config::{HubConfig, Redundancy, Synchronization};
use process_hub_core::id::{Boot, ChildId, HubId, Member, NodeId};
use process_hub_core::message::Phase;
use process_hub_core::{Hub, Time};
use stateright::{Model, Property};

use crate::act::Action;
use crate::print::HORIZON;
use crate::properties;
use crate::state::{Knows, Left, Life, NODES, Side, State};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// That this child be started, asked of this node.
    Start(usize, &'static str),
    /// That it be stopped.
    Stop(usize, &'static str),
    /// That this node leave.
    Leave(usize),
}

impl Ask {
    pub(crate) fn at(self) -> usize {
        match self {
            Ask::Start(at, _) | Ask::Stop(at, _) | Ask::Leave(at) => at,
        }
    }
}

/// Something that must happen in some state, or the scenario shows nothing.
pub(crate) type Sometimes = (&'static str, fn(&Cluster, &State) -> bool);

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) config: HubConfig,
    /// How many of the nodes are up, and have met, at the beginning.
    pub(crate) up: usize,
    /// What the client asks before the exploration begins, and in it, in this order.
    pub(crate) before: Vec<Ask>,
    pub(crate) script: Vec<Ask>,
    pub(crate) left: Left,
    /// How often the order of what comes by itself may depart from first come, first served: each time, what is first
    /// goes to the end (Emmi, Qadeer, Rakamarić: "Delay-bounded scheduling", 2011). `None`: all orders there are.
    pub(crate) delays: Option<u8>,
    /// Which nodes may crash, and which may be cut off.
    pub(crate) crashable: Vec<usize>,
    pub(crate) cuttable: Vec<usize>,
    pub(crate) sometimes: Vec<Sometimes>,
}

impl Scenario {
    /// Three nodes that have met, and nothing that can happen to them.
    pub(crate) fn new() -> Self {
        let mut config = HubConfig::new(HubId::new("h").unwrap());
        config.first_start = true;
        // Comparisons come with the hellos; by the clock they would go on for ever.
        config.synchronization = Synchronization::PubSub { sync_interval: Duration::from_secs(300 * 24 * 3_600) };
        Self {
            config,
            up: NODES,
            before: vec![],
            script: vec![],
            left: Left::default(),
            delays: None,
            crashable: vec![],
            cuttable: vec![],
            sometimes: vec![],
        }
    }
}

/// The model of a scenario.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) scenario: Scenario,
    pub(crate) children: BTreeSet<ChildId>,
    begin: State,
}

/// The name of a node.
pub(crate) fn node(at: usize) -> NodeId {
    NodeId::new(["n1", "n2", "n3"][at]).unwrap()
}

impl Cluster {
    /// The cluster at its beginning: those that are up have met, and what is asked before has been done.
    pub(crate) fn new(scenario: Scenario) -> Self {
        let asks = scenario.before.iter().chain(&scenario.script);
        let named = asks.filter_map(|ask| match ask {
            Ask::Start(_, child) | Ask::Stop(_, child) => Some(ChildId::new(child).unwrap()),
            Ask::Leave(_) => None,
        });
        let state = State {
            sides: [const { None }; NODES],
            boots: [Boot(1); NODES],
            linked: [[true; NODES]; NODES],
            knows: [[Knows::Down; NODES]; NODES],
            wires: BTreeMap::new(),
            left: Left::default(),
            asked: 0,
            answers: BTreeMap::new(),
            agenda: VecDeque::new(),
            broken: BTreeSet::new(),
        };
        let mut cluster = Self { children: named.collect(), begin: state.clone(), scenario };
        let mut state = state;
        for at in 0..cluster.scenario.up {
            state.sides[at] = Some(cluster.boot(at, Boot(1), at == 0));
        }
        for (a, b) in pairs() {
            if state.sides[a].is_some() && state.sides[b].is_some() {
                cluster.apply(&mut state, Action::Meet { at: a, with: b });
            }
        }
        cluster.calm(&mut state);
        let script = std::mem::take(&mut cluster.scenario.script);
        cluster.scenario.script.clone_from(&cluster.scenario.before);
        while state.asked < cluster.scenario.script.len() {
            cluster.apply(&mut state, Action::Ask);
            cluster.calm(&mut state);
        }
        cluster.scenario.script.extend(script);
        assert!(state.broken.is_empty(), "before anything has happened: {:?}", state.broken);
        state.left = Left { delays: cluster.scenario.delays.unwrap_or(0), ..cluster.scenario.left };
        cluster.keep_agenda(&mut state);
        cluster.begin = state;
        cluster
    }

    /// A node that begins a life.
    pub(crate) fn boot(&self, at: usize, boot: Boot, alone: bool) -> Side {
        let now = Time::from_millis(3_600_000);
        Side::new(Hub::new(self.scenario.config.clone(), Member { node: node(at), boot }, alone, now).unwrap(), now)
    }

    /// Lets everything happen that has to, in one order, until nothing is left to do.
    fn calm(&self, state: &mut State) {
        for _ in 0..10_000 {
            if self.is_calm(state) {
                return;
            }
            let event = self.reports(state).into_iter().next();
            let message = state.wires.keys().next().map(|&(from, to)| Action::Deliver { from, to });
            let next = message.or(event).unwrap_or_else(|| {
                let due = |at: usize| state.sides[at].as_ref().and_then(|side| Some((side.wait()?, at)));
                let (_, at) = (0..NODES).filter_map(due).min().expect("somebody waits for something");
                Action::Wake { at }
            });
            self.apply(state, next);
        }
        panic!("it never comes to rest");
    }

    fn is_calm(&self, state: &State) -> bool {
        let joined = |side: &Side| side.hub.phase() != Phase::Joining && side.hub.is_settled() && !side.hub.is_locked();
        let agree = |side: &Side| state.alive().all(|(_, other)| other.hub.view_hash() == side.hub.view_hash());
        properties::is_quiet(state) && state.alive().all(|(_, side)| joined(side) && agree(side))
    }

    /// Keeps the agenda: what is no longer due goes, what has become due comes last.
    pub(crate) fn keep_agenda(&self, state: &mut State) {
        if self.scenario.delays.is_none() {
            return;
        }
        let mut due: Vec<Action> = self.reports(state);
        due.extend(
            state.wires.keys().filter(|(from, _)| *from < NODES).map(|&(from, to)| Action::Deliver { from, to }),
        );
        self.news(state, &mut due);
        state.agenda.retain(|action| due.contains(action));
        for action in due {
            if !state.agenda.contains(&action) {
                state.agenda.push_back(action);
            }
        }
    }

    /// What comes by itself: all of it in any order, or, where delays are counted, what is first on the agenda.
    fn course(&self, state: &State, actions: &mut Vec<Action>) {
        if self.scenario.delays.is_none() {
            actions.extend(state.wires.keys().map(|&(from, to)| Action::Deliver { from, to }));
            actions.extend(self.reports(state));
            return self.news(state, actions);
        }
        actions.extend(state.agenda.front());
        let late = state.wires.keys().filter(|(from, _)| *from >= NODES);
        actions.extend(late.map(|&(from, to)| Action::Deliver { from, to }));
        if state.left.delays > 0 && state.agenda.len() > 1 {
            actions.push(Action::Delay);
        }
    }

    /// What children can report.
    fn reports(&self, state: &State) -> Vec<Action> {
        let mut reports = Vec::new();
        for (at, side) in state.alive() {
            for (&sequence, instance) in &side.instances {
                match instance.life {
                    Life::Starting => reports.push(Action::Up { at, sequence }),
                    Life::Ending { .. } => reports.push(Action::Ended { at, sequence }),
                    Life::Serving => {}
                }
            }
        }
        reports
    }

    fn mishaps(&self, state: &State, actions: &mut Vec<Action>) {
        for (&(from, to), letters) in &state.wires {
            if state.left.losses > 0 {
                actions.push(Action::Lose { from, to });
            }
            if state.left.repeats > 0 {
                actions.push(Action::Repeat { from, to });
            }
            if state.left.overtakes > 0 && letters.len() > 1 {
                actions.push(Action::Overtake { from, to });
            }
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let left = &state.left;
        for (at, side) in state.alive() {
            if left.wakes > 0 && side.wait().is_some_and(|wait| wait < HORIZON) {
                actions.push(Action::Wake { at });
            }
            if left.crashes > 0 && self.scenario.crashable.contains(&at) {
                actions.push(Action::Crash { at });
            }
            let linked = (0..NODES).any(|other| other != at && state.sides[other].is_some() && state.linked[at][other]);
            if left.cuts > 0 && linked && self.scenario.cuttable.contains(&at) {
                actions.push(Action::Cut { at });
            }
        }
        for at in 0..NODES {
            if left.restarts > 0 && state.sides[at].is_none() {
                actions.push(Action::Boot { at });
            }
        }
        if pairs().any(|(a, b)| state.is_parted(a, b)) {
            actions.push(Action::Heal);
        }
    }

    /// What memberships can say.
    fn news(&self, state: &State, actions: &mut Vec<Action>) {
        for (at, with) in pairs() {
            if state.sides[at].is_none() {
                continue;
            }
            let reachable = state.sides[with].is_some() && state.linked[at][with];
            match state.knows[at][with] {
                Knows::Up => {}
                Knows::Broken | Knows::Down if reachable => actions.push(Action::Meet { at, with }),
                Knows::Broken => actions.push(Action::Down { at, of: with }),
                Knows::Down => {}
            }
        }
    }
}

/// Every node with each other.
pub(crate) fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..NODES).flat_map(|a| (0..NODES).filter(move |b| *b != a).map(move |b| (a, b)))
}

impl Side {
    /// How long it waits for its next timer.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.hub.next_timeout().map(|due| due.since(self.now))
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.begin.clone()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        // What comes after a broken property is of no interest. (Outside a boundary the checker would not look at it.)
        if !state.broken.is_empty() {
            return;
        }
        self.course(state, actions);
        self.mishaps(state, actions);
        let next = self.scenario.script.get(state.asked);
        if next.is_some_and(|ask| state.sides[ask.at()].is_some()) {
            actions.push(Action::Ask);
        }
        self.faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, action);
        self.keep_agenda(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::always();
        properties.extend(self.scenario.sometimes.iter().map(|(name, holds)| Property::sometimes(name, *holds)));
        properties
    }
}

impl Cluster {
    /// How many copies of each child there may be.
    pub(crate) fn copies(&self) -> usize {
        match &self.scenario.config.redundancy {
            Redundancy::Singularity => 1,
            several => several.copies(NODES),
        }
    }
}
