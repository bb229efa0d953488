//! What can happen next, and what comes of it: the driver, the network and the memberships of all nodes.

use std::sync::Arc;
use std::time::Duration;

use process_hub_core::id::{Boot, ChildId, Kind, Member, RequestId};
use process_hub_core::message::{HubMessage, Message};
use process_hub_core::request::{Request, StartOptions, StopOptions};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{ChildEvent, Effect, Effects, ExitReason, Hub, HubInput};

use crate::cluster::{Ask, Cluster, node};
use crate::state::{Instance, Knows, Letter, Life, NODES, Side, State};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The oldest message of one node to another arrives. Of a node's former life: its number and [`NODES`].
    Deliver { from: usize, to: usize },
    /// What is first on the agenda goes to its end.
    Delay,
    /// It is lost.
    Lose { from: usize, to: usize },
    /// It arrives, and will once more.
    Repeat { from: usize, to: usize },
    /// The one behind it arrives first.
    Overtake { from: usize, to: usize },
    /// A node's next timer fires.
    Wake { at: usize },
    /// An instance is up.
    Up { at: usize, sequence: u64 },
    /// An instance that was told to end has ended.
    Ended { at: usize, sequence: u64 },
    /// The client asks for the next thing.
    Ask,
    /// A node stops for good; what it sent last may still arrive.
    Crash { at: usize },
    /// A node begins a life, knowing nothing.
    Boot { at: usize },
    /// A node is cut off from all others; what was on its way is lost.
    Cut { at: usize },
    /// All links are back.
    Heal,
    /// A node's membership says that another is down.
    Down { at: usize, of: usize },
    /// A node's membership says that another is up, or within reach again.
    Meet { at: usize, with: usize },
}

/// Changes are told a little later than they are made, so that many go together; here that time always passes at once.
const SOON: Duration = Duration::from_millis(2);

impl Cluster {
    /// Lets it happen.
    pub(crate) fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Deliver { from, to } => {
                // Where there is an agenda, the next message of this link comes behind all others.
                state.agenda.retain(|next| *next != action);
                if let Some(letter) = take(state, (from, to), 0) {
                    self.deliver(state, from, to, &letter);
                }
            }
            Action::Delay => {
                state.left.delays -= 1;
                state.agenda.rotate_left(1);
            }
            Action::Lose { from, to } => {
                state.left.losses -= 1;
                take(state, (from, to), 0);
            }
            Action::Repeat { from, to } => {
                state.left.repeats -= 1;
                if let Some(letter) = state.wires.get(&(from, to)).and_then(|letters| letters.front()).cloned() {
                    self.deliver(state, from, to, &letter);
                }
            }
            Action::Overtake { from, to } => {
                state.left.overtakes -= 1;
                if let Some(letter) = take(state, (from, to), 1) {
                    self.deliver(state, from, to, &letter);
                }
            }
            Action::Wake { at } => {
                state.left.wakes = state.left.wakes.saturating_sub(1);
                if let Some(side) = &mut state.sides[at] {
                    side.now = side.hub.next_timeout().map_or(side.now, |due| due.max(side.now));
                }
                self.feed(state, at, HubInput::Tick);
            }
            Action::Up { at, sequence } => {
                if let Some(instance) = instance(state, at, sequence) {
                    instance.life = Life::Serving;
                }
                self.feed(state, at, HubInput::Child { sequence, event: ChildEvent::Started });
            }
            Action::Ended { at, sequence } => self.ended(state, at, sequence),
            Action::Ask => self.ask(state),
            Action::Crash { at } => {
                state.left.crashes -= 1;
                state.sides[at] = None;
                part(state, at, false);
            }
            Action::Boot { at } => self.begin_life(state, at),
            Action::Cut { at } => {
                state.left.cuts -= 1;
                part(state, at, true);
            }
            Action::Heal => state.linked = [[true; NODES]; NODES],
            Action::Down { at, of } => {
                state.knows[at][of] = Knows::Down;
                state.wires.remove(&(of, at));
                self.feed(state, at, HubInput::MemberDown(member(state, of)));
            }
            Action::Meet { at, with } => {
                let before = std::mem::replace(&mut state.knows[at][with], Knows::Up);
                let other = member(state, with);
                let input =
                    if before == Knows::Broken { HubInput::Reachable(other) } else { HubInput::MemberUp(other) };
                self.feed(state, at, input);
            }
        }
        self.look(state);
    }

    fn deliver(&self, state: &mut State, from: usize, to: usize, letter: &Letter) {
        // A link is between two lives.
        if state.sides[to].is_some() && letter.boots.0 == state.boots[to] {
            let from = Member { node: node(from % NODES), boot: letter.boots.1 };
            self.feed(state, to, HubInput::Message { from, body: letter.body.clone() });
        }
    }

    fn ended(&self, state: &mut State, at: usize, sequence: u64) {
        let gone = state.sides[at].as_mut().and_then(|side| side.instances.remove(&sequence));
        let event = match gone.map(|instance| instance.life) {
            Some(Life::Ending { was_up: false }) => ChildEvent::StartFailed { reason: "was told to end".into() },
            _ => ChildEvent::Exited { reason: ExitReason::Shutdown },
        };
        self.feed(state, at, HubInput::Child { sequence, event });
    }

    fn ask(&self, state: &mut State) {
        let Some(ask) = self.scenario.script.get(state.asked).copied() else { return };
        let id = RequestId(state.asked as u64);
        state.asked += 1;
        let hub = self.scenario.config.id.clone();
        let child = |name: &str| ChildId::new(name).unwrap();
        let patient = Duration::from_secs(24 * 3_600);
        let request = match ask {
            Ask::Leave(at) => return self.feed(state, at, HubInput::Leave),
            Ask::Start(_, name) => Request::Start {
                hub,
                children: vec![ChildSpec::new(child(name), Kind::new("k").unwrap(), [])],
                options: StartOptions { timeout: patient, ..StartOptions::default() },
            },
            Ask::Stop(_, name) => Request::Stop {
                hub,
                ids: vec![child(name)],
                options: StopOptions { timeout: patient, ..StopOptions::default() },
            },
        };
        self.feed(state, ask.at(), HubInput::Request { id, request });
    }

    fn begin_life(&self, state: &mut State, at: usize) {
        state.left.restarts -= 1;
        state.boots[at] = Boot(state.boots[at].0 + 1);
        let boot = state.boots[at];
        state.sides[at] = Some(self.boot(at, boot, false));
        for other in (0..NODES).filter(|other| *other != at) {
            (state.linked[at][other], state.linked[other][at]) = (true, true);
            state.knows[at][other] = Knows::Down;
            // Whoever still believes in the former life is told of the new one.
            state.knows[other][at] = Knows::Down;
            state.wires.remove(&(other, at));
            // What its former life sent last may come by another way than what it will say now, and at any time.
            if let Some(late) = state.wires.remove(&(at, other)) {
                state.wires.insert((at + NODES, other), late);
            }
        }
    }

    /// A step of a node, and what follows at once.
    fn feed(&self, state: &mut State, at: usize, input: HubInput) {
        let Some(side) = &state.sides[at] else { return };
        let (mut hub, mut now) = (Hub::clone(&side.hub), side.now);
        let mut effects = Effects::new();
        hub.handle(now, input, &mut effects);
        self.carry_out(state, at, &hub, &mut effects);
        let soon = now + SOON;
        while let Some(due) = hub.next_timeout().filter(|due| *due <= soon) {
            now = now.max(due);
            hub.handle(now, HubInput::Tick, &mut effects);
            self.carry_out(state, at, &hub, &mut effects);
        }
        self.note_removed(state, at, &hub);
        if let Some(side) = &mut state.sides[at] {
            side.advance(hub, now);
        }
    }

    fn carry_out(&self, state: &mut State, at: usize, hub: &Hub, effects: &mut Effects) {
        let members = hub.view();
        let sees = (0..NODES).filter(|&other| members.contains(&member(state, other)));
        let sees = sees.fold(0, |sees, other| sees | 1 << other);
        if let Some(side) = &mut state.sides[at] {
            side.sees = sees;
        }
        self.look(state);
        let locked = hub.is_locked();
        for effect in effects.drain() {
            match effect {
                Effect::Send { to, message: Message::Hub { body, .. }, .. } => self.send(state, at, &to, body),
                Effect::Start { spec, pid, role, .. } => {
                    if locked {
                        state.broken.insert("S6");
                    }
                    self.begin_instance(state, at, (pid.sequence, &spec.id), role);
                }
                Effect::Stop { sequence, .. } => {
                    if let Some(instance) = instance(state, at, sequence) {
                        instance.life = Life::Ending { was_up: instance.life == Life::Serving };
                    }
                }
                Effect::SetRole { sequence, role, .. } => {
                    let promoted = instance(state, at, sequence).is_some_and(|instance| instance.role != role);
                    if promoted && role == Role::Active {
                        self.activate(state, at, sequence);
                    }
                    if let Some(instance) = instance(state, at, sequence) {
                        instance.role = role;
                    }
                }
                Effect::Reply { id, .. } => {
                    let answers = state.answers.entry(id.0).or_default();
                    *answers += 1;
                    if *answers > 1 {
                        state.broken.insert("S21");
                    }
                }
                _ => {}
            }
        }
    }

    fn send(&self, state: &mut State, at: usize, to: &Member, body: HubMessage) {
        let Some(side) = &state.sides[at] else { return };
        if let HubMessage::Listing { entries, .. } = &body
            && entries.iter().any(|entry| side.removed.contains(&entry.spec.id))
        {
            state.broken.insert("S7");
        }
        let Some(other) = (0..NODES).find(|&other| node(other) == to.node) else { return };
        if state.linked[at][other] && state.sides[other].is_some() {
            let letter = Letter::new(body, (to.boot, state.boots[at]));
            state.wires.entry((at, other)).or_default().push_back(Arc::new(letter));
        }
    }

    fn begin_instance(&self, state: &mut State, at: usize, (sequence, child): (u64, &ChildId), role: Role) {
        let beside = mutual(state, at);
        let claims = |side: &Side, other: usize| {
            side.instances_of(child).filter(|instance| other == at || instance.beside & (1 << at) != 0).count()
        };
        let here = state.sides[at].as_ref().map_or(0, |side| claims(side, at));
        let elsewhere: usize =
            state.alive().filter(|(other, _)| *other != at).map(|(other, side)| claims(side, other)).sum();
        if here > 0 {
            state.broken.insert("S1");
        }
        if elsewhere >= self.copies() {
            state.broken.insert("S14");
        }
        let Some(side) = &mut state.sides[at] else { return };
        if side.removed.contains(child) {
            state.broken.insert("S7");
        }
        let instance = Instance { child: child.clone(), life: Life::Starting, role, beside, active_beside: beside };
        side.instances.insert(sequence, instance);
        if role == Role::Active && self.has_one_active() {
            self.activate(state, at, sequence);
        }
    }

    /// A copy becomes the active one.
    fn activate(&self, state: &mut State, at: usize, sequence: u64) {
        let beside = mutual(state, at);
        let Some(mine) = instance(state, at, sequence) else { return };
        mine.active_beside = beside;
        let child = mine.child.clone();
        let other_active = state.alive().filter(|(other, _)| *other != at).any(|(_, side)| {
            let mut copies = side.instances_of(&child);
            copies.any(|copy| copy.role == Role::Active && copy.active_beside & (1 << at) != 0)
        });
        if other_active {
            state.broken.insert("S13");
        }
    }

    /// Which children a node has learnt the stop of, in this step or before.
    fn note_removed(&self, state: &mut State, at: usize, hub: &Hub) {
        let Some(side) = &mut state.sides[at] else { return };
        let is_declared = |hub: &Hub, child| hub.registry().lookup(child).is_some_and(|found| found.spec.is_some());
        for child in &self.children {
            if is_declared(hub, child) {
                if side.removed.contains(child) {
                    state.broken.insert("S7");
                }
            } else if is_declared(&side.hub, child) {
                side.removed.insert(child.clone());
            }
        }
    }

    /// After each step: who has been in whose view throughout.
    fn look(&self, state: &mut State) {
        for at in 0..NODES {
            let beside = mutual(state, at);
            let Some(side) = &mut state.sides[at] else { continue };
            for instance in side.instances.values_mut() {
                instance.beside &= beside;
                instance.active_beside &= beside;
            }
        }
    }
}

/// The nodes that a node and they have each other in view, one bit each.
fn mutual(state: &State, at: usize) -> u8 {
    (0..NODES).filter(|&other| other != at && state.is_mutual(at, other)).fold(0, |mask, other| mask | 1 << other)
}

fn instance(state: &mut State, at: usize, sequence: u64) -> Option<&mut Instance> {
    state.sides[at].as_mut()?.instances.get_mut(&sequence)
}

fn member(state: &State, at: usize) -> Member {
    Member { node: node(at), boot: state.boots[at] }
}

fn take(state: &mut State, ends: (usize, usize), place: usize) -> Option<Arc<Letter>> {
    let letters = state.wires.get_mut(&ends)?;
    let letter = letters.remove(place);
    if letters.is_empty() {
        state.wires.remove(&ends);
    }
    letter
}

/// Breaks the links of a node. `both`: what it sent and has not arrived is lost, too.
fn part(state: &mut State, at: usize, both: bool) {
    for other in (0..NODES).filter(|other| *other != at) {
        (state.linked[at][other], state.linked[other][at]) = (false, false);
        state.wires.remove(&(other, at));
        if both {
            state.wires.remove(&(at, other));
        }
        for (a, b) in [(at, other), (other, at)] {
            if state.knows[a][b] == Knows::Up {
                state.knows[a][b] = Knows::Broken;
            }
        }
    }
}
