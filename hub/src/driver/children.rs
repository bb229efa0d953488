//! The instances of this node, as the driver keeps them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use process_hub_core::hook::HookEvent;
use process_hub_core::id::{HubId, Pid, Token};
use process_hub_core::spec::{ChildSpec, Role};
use process_hub_core::{CallKey, ChildEvent, ExitReason, StopReason, Time};
use smol_str::{SmolStr, format_smolstr};

use crate::handle::Hub;
use crate::hooks::Queue;
use crate::instance::Job;
use crate::instance::mailbox::{Envelope, Freeze, Mailbox, Take};

/// Every instance that has not ended, by hub and sequence, and when those that were told to end must have.
#[derive(Debug, Default)]
pub(crate) struct Children {
    hubs: BTreeMap<HubId, Local>,
    deadlines: BTreeMap<(Time, HubId, u64), ()>,
}

#[derive(Debug)]
struct Local {
    hub: Hub,
    hooks: Queue,
    instances: HashMap<u64, Instance>,
}

#[derive(Debug)]
struct Instance {
    mailbox: Arc<Mailbox>,
    started: bool,
    /// The attempt for which its state was asked, if it has not been told to serve since.
    frozen: Option<u32>,
    deadline: Option<Time>,
}

impl Local {
    fn kill(self) {
        let stats = &self.hub.shared().node.stats;
        for instance in self.instances.values() {
            instance.mailbox.kill();
            if instance.started {
                stats.children_ended.one();
            }
        }
    }
}

impl Children {
    pub(crate) fn open(&mut self, hub: Hub) {
        let hooks = Queue::open(hub.clone());
        self.hubs.insert(hub.id().clone(), Local { hub, hooks, instances: HashMap::new() });
    }

    pub(crate) fn hub(&self, id: &HubId) -> Option<&Hub> {
        self.hubs.get(id).map(|local| &local.hub)
    }

    pub(crate) fn forget(&mut self, id: &HubId) {
        self.hubs.remove(id);
    }

    /// Has the handlers of an event run.
    pub(crate) fn hook(&mut self, id: &HubId, event: &HookEvent) {
        if let Some(Local { hub, hooks, .. }) = self.hubs.get_mut(id) {
            hooks.tell(hub, event);
        }
    }

    /// Has the alter handlers run over a recipe; false if that is not possible now.
    pub(crate) fn alter(&mut self, id: &HubId, sequence: u64, spec: Arc<ChildSpec>, now: Time) -> bool {
        self.hubs.get(id).is_some_and(|local| local.hooks.alter(sequence, spec, now))
    }

    /// Runs an instance, or has it stand by; what kept it from that, if something did.
    pub(crate) fn start(
        &mut self,
        id: &HubId,
        spec: Arc<ChildSpec>,
        pid: &Pid,
        (token, role): (Token, Role),
        standby: bool,
    ) -> Result<(), SmolStr> {
        let Some(local) = self.hubs.get_mut(id) else {
            return Err(format_smolstr!("this node does not take part in hub `{id}`"));
        };
        let shared = local.hub.shared().clone();
        let Some(kind) = shared.kinds.get(&spec.kind) else {
            return Err(format_smolstr!("unknown kind `{}`, this node knows: {}", spec.kind, shared.kinds.known()));
        };
        let mailbox = Arc::new(Mailbox::default());
        let sequence = pid.sequence;
        let instance = Instance { mailbox: mailbox.clone(), started: false, frozen: None, deadline: None };
        local.instances.insert(sequence, instance);
        let task = kind.task(Job { hub: local.hub.clone(), spec, sequence, token, role, mailbox, standby });
        shared.node.runtime.spawn(task);
        Ok(())
    }

    /// Tells an instance to end by `deadline`.
    pub(crate) fn stop(&mut self, hub: &HubId, sequence: u64, why: StopReason, now: Time, within: Duration) {
        let Some(instance) = self.instance(hub, sequence) else { return };
        if instance.deadline.is_none() {
            let at = now + within;
            instance.deadline = Some(at);
            instance.mailbox.stop(why);
            self.deadlines.insert((at, hub.clone(), sequence), ());
        }
    }

    /// Tells an instance which part it plays, and under which token.
    pub(crate) fn set_role(&mut self, hub: &HubId, sequence: u64, role: Role, token: Token) {
        if let Some(instance) = self.instance(hub, sequence) {
            instance.mailbox.set_role(role, token);
        }
    }

    /// Freezes an instance and asks it for its state by `until`.
    pub(crate) fn freeze(&mut self, hub: &HubId, sequence: u64, attempt: u32, until: Time) {
        if let Some(instance) = self.instance(hub, sequence) {
            instance.frozen = Some(attempt);
            instance.mailbox.freeze(Freeze { attempt, until });
        }
    }

    /// Hands an instance the state of another copy.
    pub(crate) fn give(&mut self, hub: &HubId, sequence: u64, take: Take) {
        if let Some(instance) = self.instance(hub, sequence) {
            instance.mailbox.take(take);
        }
    }

    /// Has an instance handle messages that stood by or was frozen.
    pub(crate) fn serve(&mut self, hub: &HubId, sequence: u64, token: Token) {
        if let Some(instance) = self.instance(hub, sequence) {
            instance.frozen = None;
            instance.mailbox.serve(token);
        }
    }

    /// Hands an instance a message. Where it has no room, or is gone, the call's mark comes back.
    pub(crate) fn deliver(
        &mut self,
        hub: &HubId,
        sequence: u64,
        payload: bytes::Bytes,
        call: Option<CallKey>,
    ) -> Result<(), Option<CallKey>> {
        let Some(local) = self.hubs.get_mut(hub) else { return Err(call) };
        let capacity = local.hub.shared().node.mailbox_capacity;
        let Some(instance) = local.instances.get(&sequence) else { return Err(call) };
        instance.mailbox.push(Envelope { payload, call }, capacity).map_err(|refused| {
            local.hub.shared().node.stats.mailbox_full.one();
            refused.call
        })
    }

    /// Takes note of what an instance reports; whether the core is to hear of it.
    pub(crate) fn report(&mut self, hub: &HubId, sequence: u64, event: &mut ChildEvent) -> bool {
        let Some(local) = self.hubs.get_mut(hub) else { return false };
        if matches!(event, ChildEvent::Altered { .. }) {
            return true;
        }
        let Some(instance) = local.instances.get_mut(&sequence) else { return false };
        match event {
            ChildEvent::Started => {
                instance.started = true;
                local.hub.shared().node.stats.children_started.one();
            }
            // Told to serve meanwhile, it goes on with what waits, as if it had not been asked.
            ChildEvent::State { attempt, .. } if instance.frozen != Some(*attempt) => return false,
            // All that was delivered is in there, and from here on nothing is.
            ChildEvent::State { queued, .. } => *queued = instance.mailbox.drain(),
            ChildEvent::StartFailed { .. } | ChildEvent::Exited { .. } => self.remove(hub, sequence),
            _ => {}
        }
        true
    }

    /// When the next instance must have ended.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines.first_key_value().map(|((at, ..), ())| *at)
    }

    /// Abandons an instance that should have ended by now, and says what the core is to hear of it.
    pub(crate) fn overdue(&mut self, now: Time) -> Option<(HubId, u64, ChildEvent)> {
        if self.next_deadline()? > now {
            return None;
        }
        let ((_, hub, sequence), ()) = self.deadlines.pop_first()?;
        let instance = self.instance(&hub, sequence)?;
        instance.mailbox.kill();
        let event = if instance.started {
            ChildEvent::Exited { reason: ExitReason::Killed }
        } else {
            ChildEvent::StartFailed { reason: SmolStr::new_static("was stopped while it started") }
        };
        self.remove(&hub, sequence);
        Some((hub, sequence, event))
    }

    /// Abandons every instance.
    pub(crate) fn kill_all(&mut self) {
        while let Some((_, local)) = self.hubs.pop_first() {
            local.kill();
        }
        self.deadlines.clear();
    }

    /// Abandons every instance of a hub, and the hub.
    pub(crate) fn close(&mut self, id: &HubId) {
        if let Some(local) = self.hubs.remove(id) {
            local.kill();
        }
        self.deadlines.retain(|(_, hub, _), ()| hub != id);
    }

    /// How many instances there are, in all hubs.
    pub(crate) fn count(&self) -> usize {
        self.hubs.values().map(|local| local.instances.len()).sum()
    }

    fn instance(&mut self, hub: &HubId, sequence: u64) -> Option<&mut Instance> {
        self.hubs.get_mut(hub)?.instances.get_mut(&sequence)
    }

    fn remove(&mut self, hub: &HubId, sequence: u64) {
        let Some(local) = self.hubs.get_mut(hub) else { return };
        let Some(instance) = local.instances.remove(&sequence) else { return };
        if instance.started {
            local.hub.shared().node.stats.children_ended.one();
        }
        if let Some(at) = instance.deadline {
            self.deadlines.remove(&(at, hub.clone(), sequence));
        }
    }
}
