//! A second hub on every node, beside the one that is looked at: it shares links, membership and clock with it, has children of its
//! own, and neither may be of any concern to the other. Its children do nothing and never fail.

use bytes::Bytes;
use process_hub_core::config::HubConfig;
use process_hub_core::id::{ChildId, HubId};
use process_hub_core::request::{Request, StartOptions};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, Effect, ExitReason, Hub, Input, Message};

use super::event::HostId;
use super::host::Arrival;
use super::world::World;
use crate::client::counter;
use crate::oracles::ledger;

/// How many children it has.
const CHILDREN: usize = 6;

fn name() -> HubId {
    match HubId::new("neighbour") {
        Ok(id) => id,
        Err(error) => unreachable!("a short name: {error}"),
    }
}

/// Its children, each a little different to a hub of the same strategies.
fn children() -> Vec<ChildSpec> {
    let id = |number: usize| match ChildId::new(format!("neighbour-{number}")) {
        Ok(id) => id,
        Err(error) => unreachable!("a short name: {error}"),
    };
    (0..CHILDREN).map(|number| ChildSpec::new(id(number), counter(), ledger::args(0))).collect()
}

impl World {
    /// Opens it on a node that has just come up, and has its children started, unless they are.
    pub(super) fn open_neighbour(&mut self, host: HostId, config: HubConfig) {
        if !self.has_neighbour {
            return;
        }
        self.ask_neighbour(host, Request::OpenHub(HubConfig { id: name(), ..config }));
        self.start_neighbours_children(host);
    }

    /// Has its children started, where they are not; a hub that is locked, or wants to be told where they go, refuses.
    pub(crate) fn start_neighbours_children(&mut self, host: HostId) {
        if !self.has_neighbour {
            return;
        }
        let options = StartOptions { wait: false, check_existing: true, ..StartOptions::default() };
        self.ask_neighbour(host, Request::Start { hub: name(), children: children(), options });
    }

    fn ask_neighbour(&mut self, host: HostId, request: Request) {
        let id = self.request(host, request);
        self.of_neighbour.insert(id);
    }

    /// The second hub of a node, if there is one.
    pub(crate) fn neighbour(&self, host: HostId) -> Option<&Hub> {
        self.node(host)?.hub(&name())
    }

    /// Whether an input is the second hub's, and of no concern to whoever looks at the first.
    pub(super) fn is_for_neighbour(&self, input: &Input) -> bool {
        self.has_neighbour
            && match input {
                Input::Message { message, .. } => is_of_neighbour(message),
                Input::Request { id, .. } => self.of_neighbour.contains(id),
                Input::Child { hub, .. } | Input::Altering { hub, .. } | Input::Load { hub, .. } => *hub == name(),
                _ => false,
            }
    }

    /// The same of an effect.
    pub(super) fn is_by_neighbour(&self, effect: &Effect) -> bool {
        self.has_neighbour
            && match effect {
                Effect::Send { message, .. } => is_of_neighbour(message),
                Effect::Reply { id, .. } => self.of_neighbour.contains(id),
                Effect::ViewChanged { hub } => hub.as_ref().is_some_and(|hub| *hub == name()),
                Effect::Dial { .. } | Effect::Hangup { .. } => false,
                Effect::Start { hub, .. }
                | Effect::TakeState { hub, .. }
                | Effect::GiveState { hub, .. }
                | Effect::Serve { hub, .. }
                | Effect::Alter { hub, .. }
                | Effect::Stop { hub, .. }
                | Effect::SetRole { hub, .. }
                | Effect::Deliver { hub, .. }
                | Effect::Hook { hub, .. }
                | Effect::RegistryChanged { hub, .. }
                | Effect::HubClosed { hub }
                | Effect::SampleLoad { hub } => *hub == name(),
            }
    }

    /// Carries out an effect of the second hub, at once and without a fault.
    pub(super) fn carry_for_neighbour(&mut self, host: HostId, life: u32, effect: Effect) {
        let (sequence, event) = match effect {
            Effect::Start { pid, .. } => (pid.sequence, ChildEvent::Started),
            Effect::Stop { sequence, .. } => (sequence, ChildEvent::Exited { reason: ExitReason::Shutdown }),
            Effect::TakeState { sequence, attempt, .. } => {
                (sequence, ChildEvent::State { attempt, state: Ok(Bytes::new()), queued: Vec::new() })
            }
            Effect::GiveState { sequence, .. } => (sequence, ChildEvent::StateTaken { result: Ok(()) }),
            effect @ (Effect::Send { .. } | Effect::SampleLoad { .. }) => {
                return self.carry(host, life, effect, &mut Vec::new());
            }
            // Its children have no mailboxes, and nobody calls them.
            _ => return,
        };
        self.count("second_hub");
        self.defer(host, Arrival::Child { hub: name(), sequence, event });
    }

    /// Why the second hub has not converged in the core, if there is one and it has not.
    pub(crate) fn neighbour_lacks(&self, core: &[HostId]) -> Option<String> {
        if !self.has_neighbour {
            return None;
        }
        let hubs: Option<Vec<&Hub>> = core.iter().map(|host| self.neighbour(*host)).collect();
        let Some(hubs) = hubs else { return Some("some node does not have it".to_owned()) };
        let first = hubs.first()?;
        // Nobody resets its size where all have forgotten what a quorum knew.
        if hubs.iter().any(|hub| hub.is_locked()) {
            return None;
        }
        let state = |hub: &Hub| (hub.view_hash(), hub.registry().declared_digest());
        if let Some(odd) = hubs.iter().find(|hub| state(hub) != state(first)) {
            return Some(format!(
                "{:?} is at {:?}, and {:?} at {:?}",
                odd.view(),
                state(odd),
                first.view(),
                state(first)
            ));
        }
        let wanted: usize = first.registry().iter().map(|(id, _)| first.owners(id).len()).sum();
        let runs: usize = hubs.iter().map(|hub| hub.local_len()).sum();
        // None, where it was locked or wanted to be told where they go whenever it was asked.
        let declared = first.registry().iter().count();
        let at_rest = hubs.iter().all(|hub| hub.is_settled());
        let right = at_rest && runs == wanted && (declared == 0 || declared == CHILDREN);
        (!right).then(|| format!("{runs} of {wanted} copies of {declared} children run, or some hub is not at rest"))
    }
}

fn is_of_neighbour(message: &Message) -> bool {
    match message {
        Message::Hub { hub, .. } | Message::Relay { hub, .. } | Message::Relayed { hub, .. } => *hub == name(),
        _ => false,
    }
}
