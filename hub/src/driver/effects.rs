//! Carrying out what the core wants done.

use std::sync::{Arc, PoisonError, RwLockWriteGuard};

use process_hub_core::hook::{HookEvent, HookKind};
use process_hub_core::id::{HubId, Member, RequestId};
use process_hub_core::message::Phase;
use process_hub_core::request::Reply;
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, Effect, Input, Lane, LinkEvent, LoadSample, Message, Time};

use smol_str::SmolStr;

use crate::driver::{Caller, Driver};
use crate::error::{Closed, OpenHubError};
use crate::events::HubEvent;
use crate::handle::HubSlot;
use crate::hooks::{Change, HookError};
use crate::instance::mailbox::Take;
use crate::session::outbox::Pushed;

impl Driver {
    pub(super) fn carry_out(&mut self, now: Time, effect: Effect) {
        match effect {
            Effect::Send { to, lane, message } => self.send(to, lane, message),
            Effect::Dial { addr } => self.dialler.dial(addr),
            Effect::Hangup { member, reason } => {
                if self.links.hang_up(&member) {
                    self.link_down(member, &reason);
                }
            }
            Effect::TakeState { hub, sequence, attempt, deadline, .. } => {
                self.children.freeze(&hub, sequence, attempt, now + deadline);
            }
            Effect::GiveState { hub, sequence, state, why, deadline, .. } => {
                self.children.give(&hub, sequence, Take { state, why, until: now + deadline });
            }
            Effect::Serve { hub, sequence, token, .. } => self.children.serve(&hub, sequence, token),
            Effect::Start { hub, spec, pid, token, role, standby } => {
                if let Err(reason) = self.children.start(&hub, spec, &pid, (token, role), standby) {
                    self.later.push(Input::Child {
                        hub,
                        sequence: pid.sequence,
                        event: ChildEvent::StartFailed { reason },
                    });
                }
            }
            Effect::Stop { hub, sequence, why, deadline, .. } => self.children.stop(&hub, sequence, why, now, deadline),
            Effect::SetRole { hub, sequence, role, token, .. } => self.children.set_role(&hub, sequence, role, token),
            Effect::Deliver { hub, sequence, call, payload, .. } => {
                if let Err(Some(call)) = self.children.deliver(&hub, sequence, payload, call) {
                    let event = ChildEvent::Refused { call };
                    self.later.push(Input::Child { hub, sequence, event });
                }
            }
            Effect::Reply { id, reply } => self.reply(id, reply),
            Effect::Alter { hub, pid, spec } => self.alter(now, hub, pid.sequence, spec),
            Effect::Hook { hub, event } => self.hook(&hub, event),
            Effect::RegistryChanged { hub, id } => {
                if let (Some(hub), Some(core)) = (self.children.hub(&hub), self.node.hub(&hub)) {
                    let view = &hub.shared().view;
                    if core.is_locked() {
                        view.lock(true);
                    }
                    view.apply(&id, core.registry().lookup(&id));
                }
            }
            Effect::SampleLoad { hub } => {
                let children = u32::try_from(self.children.count()).unwrap_or(u32::MAX);
                let sample = LoadSample { children, ..self.shared.runtime.load() };
                self.later.push(Input::Load { hub, sample });
            }
            Effect::HubClosed { hub } => self.close_hub(&hub),
            Effect::ViewChanged { hub: None } => {
                self.shared.members.send_replace(self.node.members().into());
            }
            Effect::ViewChanged { hub: Some(hub) } => self.install_view(&hub),
        }
    }

    fn send(&mut self, to: Member, lane: Lane, message: Message) {
        match self.links.send(&to, lane, message) {
            Some(Pushed::Queued) => {}
            Some(Pushed::Overflowed) => {
                self.shared.stats.messages_dropped.one();
                tracing::warn!(peer = %to, "the peer is slow: changes to it are dropped and repaired later");
                self.later.push(Input::Link(LinkEvent::Congested { member: to }));
            }
            Some(Pushed::Dropped) => self.shared.stats.messages_dropped.one(),
            None => self.shared.stats.messages_unsent.one(),
        }
    }

    fn install_view(&mut self, id: &HubId) {
        let Some(core) = self.node.hub(id) else { return };
        let members = core.view();
        if let Some(hub) = self.children.hub(id) {
            let shown: Vec<_> = core.registry().shown().collect();
            let view = &hub.shared().view;
            if core.is_locked() {
                view.lock(true);
            }
            view.install(members.clone(), &shown);
            view.lock(core.is_locked());
            view.steer(core.steering());
            hub.shared().phase.send_if_modified(|phase| {
                let changed = *phase != Some(core.phase());
                *phase = Some(core.phase());
                changed
            });
        }
        self.tell(id, || HubEvent::View(members));
    }

    /// Ends what is left of a hub that this node has left; its handles answer that it is gone.
    fn close_hub(&mut self, id: &HubId) {
        self.children.close(id);
        let Some(hub) = self.hubs_mut().remove(id) else { return };
        hub.shared().view.install(Vec::new(), &[]);
        hub.shared().phase.send_replace(None);
    }

    fn tell(&self, hub: &HubId, event: impl FnOnce() -> HubEvent) {
        if let Some(hub) = self.children.hub(hub) {
            hub.shared().tell(event);
        }
    }

    fn hook(&mut self, hub: &HubId, event: HookEvent) {
        self.children.hook(hub, &event);
        self.tell(hub, || HubEvent::Hook(event));
    }

    fn alter(&mut self, now: Time, hub: HubId, sequence: u64, spec: Arc<ChildSpec>) {
        if !self.children.alter(&hub, sequence, spec.clone(), now) {
            self.later.push(Input::Child { hub, sequence, event: ChildEvent::Altered { spec } });
        }
    }

    /// Registers or cancels handlers, and lets the core know whether any may alter what is started.
    pub(super) fn change_hooks(&mut self, now: Time, hub: HubId, change: Change) -> Result<(), HookError> {
        let Some(shared) = self.children.hub(&hub).map(|hub| hub.shared().clone()) else { return Err(Closed.into()) };
        let before = shared.hooks.wants(HookKind::ChildDataAlter);
        shared.hooks.change(change)?;
        let wanted = shared.hooks.wants(HookKind::ChildDataAlter);
        if wanted != before {
            self.handle(now, Input::Altering { hub, wanted });
        }
        Ok(())
    }

    /// Tells whoever has not heard it yet that the hubs end with the node.
    pub(super) fn announce_end(&mut self) {
        let hubs: Vec<HubId> = self.hubs_mut().values().map(|hub| hub.id().clone()).collect();
        for hub in hubs {
            let leaving = self.node.hub(&hub).is_some_and(|hub| hub.phase() == Phase::Leaving);
            if !leaving {
                self.hook(&hub, HookEvent::CoordinatorShutdown { reason: SmolStr::new_static("shutdown") });
            }
            if let Some(hub) = self.children.hub(&hub) {
                hub.shared().phase.send_replace(None);
            }
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        match (self.callers.remove(&id), reply) {
            // A caller that no longer waits is no error: the operation goes on without it.
            (Some(Caller::Handle(answer)), reply) => drop(answer.send(reply)),
            (Some(Caller::Open(hub, answer)), Reply::Opened(Ok(()))) => {
                // A hub that has yet to find its quorum is locked from its first step on, and no view tells of that.
                hub.shared().view.lock(self.node.hub(hub.id()).is_some_and(process_hub_core::Hub::is_locked));
                drop(answer.send(Ok(())));
            }
            (Some(Caller::Open(hub, answer)), Reply::Opened(Err(error))) => {
                self.hubs_mut().remove(hub.id());
                self.children.forget(hub.id());
                let _ = answer.send(Err(OpenHubError::Config(error)));
            }
            (Some(Caller::Restore(_)), Reply::Restored(Ok(()))) => {}
            (Some(Caller::Restore(hub)), Reply::Restored(Err(error))) => {
                tracing::error!(%hub, %error, "what was saved is not restored in whole; it is left as it is, and nothing is saved from here on: stop the node, move the hub's data away or put a copy in its place, and start it again");
                if let Some(saver) = &mut self.saver {
                    saver.spoil(hub);
                }
            }
            (Some(Caller::Open(..) | Caller::Restore(_)), _) | (None, _) => {
                tracing::error!(request = id.0, "a reply that nobody asked for")
            }
        }
    }

    pub(super) fn hubs_mut(&self) -> RwLockWriteGuard<'_, HubSlot> {
        self.shared.hubs.write().unwrap_or_else(PoisonError::into_inner)
    }
}
