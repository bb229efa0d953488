//! Carrying out what the core wants done.

use std::sync::{PoisonError, RwLockWriteGuard};

use process_hub_core::id::{HubId, Member, RequestId};
use process_hub_core::request::Reply;
use process_hub_core::{ChildEvent, Effect, Input, Lane, LinkEvent, Message, Time};

use crate::driver::{Caller, Driver};
use crate::error::OpenHubError;
use crate::events::HubEvent;
use crate::handle::HubSlot;
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
            Effect::Start { hub, spec, pid, token, role } => {
                if let Err(reason) = self.children.start(&hub, spec, &pid, token, role) {
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
                if let Err((Some(call), words)) = self.children.deliver(&hub, sequence, payload, call) {
                    let event = ChildEvent::Replied { call, reply: Err(words) };
                    self.later.push(Input::Child { hub, sequence, event });
                }
            }
            Effect::Reply { id, reply } => self.reply(id, reply),
            Effect::Hook { hub, event } => self.tell(&hub, || HubEvent::Hook(event)),
            Effect::RegistryChanged { hub, id } => {
                if let (Some(hub), Some(core)) = (self.children.hub(&hub), self.node.hub(&hub)) {
                    hub.shared().view.apply(&id, core.registry().lookup(&id));
                }
            }
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
            hub.shared().view.install(members.clone(), &shown);
            hub.shared().view.lock(core.is_locked());
        }
        self.tell(id, || HubEvent::View(members));
    }

    fn tell(&self, hub: &HubId, event: impl FnOnce() -> HubEvent) {
        let Some(hub) = self.children.hub(hub) else { return };
        let events = &hub.shared().events;
        if events.receiver_count() > 0 {
            // Fails only if the last receiver has just gone.
            let _ = events.send(event());
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        match (self.callers.remove(&id), reply) {
            // A caller that no longer waits is no error: the operation goes on without it.
            (Some(Caller::Handle(answer)), reply) => drop(answer.send(reply)),
            (Some(Caller::Open(_, answer)), Reply::Opened(Ok(()))) => drop(answer.send(Ok(()))),
            (Some(Caller::Open(hub, answer)), Reply::Opened(Err(error))) => {
                self.hubs_mut().remove(hub.id());
                self.children.forget(hub.id());
                let _ = answer.send(Err(OpenHubError::Config(error)));
            }
            (Some(Caller::Open(..)), _) | (None, _) => tracing::error!(request = id.0, "a reply that nobody asked for"),
        }
    }

    pub(super) fn hubs_mut(&self) -> RwLockWriteGuard<'_, HubSlot> {
        self.shared.hubs.write().unwrap_or_else(PoisonError::into_inner)
    }
}
