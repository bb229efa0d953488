//! What happens: one file an event, and the only place that turns facts into effects.
//!
//! Every flow reads from top to bottom and calls another only as its last act, or one of the named common parts:
//! `refresh_view`, `reconcile`, `declare`, `undeclare`.

mod alter;
mod apply;
mod assign;
mod balance;
mod call;
mod child;
mod copies;
mod give;
mod gossip;
mod hello;
mod leave;
mod lives;
mod member;
mod migrate;
mod pull;
mod quorum;
mod reconcile;
mod restore;
mod role;
#[cfg(feature = "sabotage")]
mod sabotage;
mod settle;
mod start;
mod steer;
mod stop;
mod stream;
mod take;
mod tick;
mod view;

use alloc::vec::Vec;

use smol_str::SmolStr;

use crate::effect::{Effect, Effects, Lane};
use crate::hook::{HookEvent, TopologyChange};
use crate::hub::{Hub, HubInput};
use crate::id::{ChildId, Member, NodeId};
use crate::message::{HubMessage, Message};
use crate::request::{Reply, Request};
use crate::time::Time;

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// Over a link to its sender.
    Direct,
    /// Through another member.
    Relayed,
}

/// One step of a hub: when it is, and what it leads to.
pub(crate) struct Step<'a> {
    pub(crate) now: Time,
    pub(crate) fx: &'a mut Effects,
    /// Instances to be started, gathered so that they are announced as one batch.
    starting: Vec<Effect>,
    /// Children of this node that have ended so that another node can start them.
    moved: Vec<(NodeId, ChildId)>,
    /// Children of this node that are told to end for the same reason, where the effects of that begin, and which way the
    /// view has changed.
    moving: Vec<(NodeId, ChildId)>,
    moving_at: (usize, Option<TopologyChange>),
    /// Children whose state the copies on other nodes have taken over.
    delivered: Vec<(NodeId, ChildId)>,
    /// Children that were to be started here and belong to another node before they were up.
    forwarded: Vec<(NodeId, ChildId)>,
    /// A view was installed.
    installed: bool,
}

impl Hub {
    /// Takes one input and appends what is to be done. Total: any input is fine in any state.
    pub fn handle(&mut self, now: Time, input: HubInput, effects: &mut Effects) {
        let step = &mut Step {
            now,
            fx: effects,
            starting: Vec::new(),
            moved: Vec::new(),
            moving: Vec::new(),
            moving_at: (0, None),
            delivered: Vec::new(),
            forwarded: Vec::new(),
            installed: false,
        };
        let tick = matches!(input, HubInput::Tick);
        self.review(step);
        match input {
            HubInput::Tick => self.tick(step),
            HubInput::MemberUp(member) => self.member_up(step, member),
            HubInput::MemberDown(member) => self.member_down(step, &member),
            HubInput::Reachable(member) => self.reachable(step, &member),
            HubInput::Raised(me) => self.raised(step, me),
            HubInput::Message { from, body } => self.message(step, from, body, Delivery::Direct),
            HubInput::Relayed { origin, body } => self.message(step, origin, body, Delivery::Relayed),
            HubInput::Request { id, request } => match request {
                Request::Start { children, options, .. } => self.start(step, id, children, options),
                Request::Stop { ids, options, .. } => self.stop(step, id, ids, options),
                Request::Call { to, payload, timeout, .. } => self.call(step, id, to, payload, timeout),
                Request::Cast { to, payload, .. } => self.cast(step, id, to, payload),
                Request::ResetClusterSize { size, .. } => self.reset_cluster_size(step, id, size),
                Request::Steer { act, .. } => self.steer(step, id, act),
                Request::Explain { id: child, .. } => {
                    step.fx.push(Effect::Reply { id, reply: Reply::Explained(self.explain(&child)) });
                }
                Request::Plan { change, .. } => {
                    step.fx.push(Effect::Reply { id, reply: Reply::Planned(self.plan(&change)) });
                }
                Request::Restore { part, .. } => {
                    let restored = self.restore(step, *part);
                    step.fx.push(Effect::Reply { id, reply: Reply::Restored(restored) });
                }
                // A node's own affairs; its hubs hear of them in other words.
                Request::OpenHub(_) | Request::LeaveHub { .. } | Request::Leave { .. } => {}
            },
            HubInput::Child { sequence, event } => self.child(step, sequence, event),
            HubInput::Load(sample) => self.load(step, sample),
            HubInput::Leave => self.leave(step),
            HubInput::Close => return self.close(step),
            HubInput::Congested(member) => self.congested(&member),
            HubInput::Drained(member) => self.drained(step, &member),
            HubInput::Altering { wanted } => self.alters.set_wanted(wanted),
        }
        self.finish(step, tick);
    }

    /// What every step ends with: a slice of the waiting work, and whatever this step has made ready.
    ///
    /// Changes are told to the others by ticks alone, which are due at once when there is something to tell: a driver
    /// that takes many inputs before it ticks sends one batch for them all.
    fn finish(&mut self, step: &mut Step<'_>, tick: bool) {
        self.stop_locked(step);
        self.join(step);
        self.request_slice(step);
        self.work_slice(step);
        self.complete_view(step);
        self.go_on_migrating(step);
        self.release_lease(step);
        self.answer_requests(step);
        self.go_on_moving(step);
        self.go_on_settling(step);
        self.announce_starts(step);
        self.announce_moves(step);
        if tick {
            self.flush(step);
        }
        // After the telling: where nobody is left to acknowledge it, nothing else would come to look at it again.
        self.part();
        self.begin_pull(step);
    }

    /// Whether the next slice can be taken at once.
    pub(crate) fn has_work(&self) -> bool {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::NeverRest) {
            return true;
        }
        let waiting = !self.work.is_empty() || self.has_requests_to_look_at() || self.has_moves_to_begin();
        (!self.acks.is_empty() && self.outbox.is_empty()) || self.locking || (waiting && !self.is_congested())
    }

    /// Whether there are changes that the others have not been told of.
    pub(crate) fn has_something_to_tell(&self) -> bool {
        !self.outbox.is_empty() || self.has_rows_to_list()
    }

    fn message(&mut self, step: &mut Step<'_>, from: Member, body: HubMessage, delivery: Delivery) {
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::AcceptOldBoot)
            && let (Some(peer), HubMessage::Batch { batch, .. }) = (self.peers.get(&from.node), &body)
            && peer.member != from
        {
            return self.apply(step, &from.node, batch);
        }
        #[cfg(feature = "sabotage")]
        if self.is_sabotaged(crate::config::Sabotage::Hoard) {
            self.hoard.push(body.clone());
        }
        // A message of another life of that name, or of nobody we know to be up, is no message.
        if self.peers.get(&from.node).is_none_or(|peer| peer.member != from) {
            return;
        }
        if self.lives.is_past(&from) {
            return self.turn_away(step, &from, &body);
        }
        match body {
            HubMessage::Hello(hello) => self.hello(step, &from.node, hello, delivery),
            HubMessage::Bye => self.member_down(step, &from),
            _ if !self.peers.get(&from.node).is_some_and(crate::peer::Peer::is_accepted) => (),
            HubMessage::Batch { epoch, number, batch } => self.batch(step, &from.node, epoch, number, &batch),
            HubMessage::BatchAck { epoch, number, told } => self.batch_ack(step, &from.node, (epoch, number), told),
            HubMessage::Resync { epoch } => self.begin_epoch(step, &from.node, epoch),
            HubMessage::Pull { round, root, lives } => self.pull_asked(step, &from, round, (root, lives)),
            HubMessage::Same { round, context } => self.pull_same(step, &from, round, &context),
            HubMessage::Digests { round, context, buckets } => {
                self.pull_digests(step, &from, round, &context, &buckets);
            }
            HubMessage::PullRange { round, from: first, to, context } => {
                self.pull_range_asked(step, &from, round, (first, to), &context);
            }
            HubMessage::Listing { round, from: first, to, context, origins, dots, entries, assigns } => {
                let listing = pull::Listing { range: (first, to), context, origins, dots, entries, assigns };
                self.pull_listing(step, &from, round, listing);
            }
            HubMessage::Call { number, id, sequence, reply, payload } => {
                self.call_arrived(step, &from, number, &id, sequence, reply, payload);
            }
            HubMessage::CallReply { number, reply } => self.call_answered(step, &from, number, reply),
            HubMessage::Rumor { origin, view, told, batch } => {
                self.rumor(step, &from, &origin, (view, &told), &batch);
            }
            HubMessage::LeaseAsk { round, ballot, known } => self.lease_asked(step, &from, round, ballot, known),
            HubMessage::LeaseGrant { round, granted, mark, standing, known } => {
                let answer = crate::quorum::Answer { granted, mark, standing };
                self.lease_answered(step, &from, round, answer, known);
            }
            HubMessage::LeaseRelease { round } => self.lease_released(step, &from, round),
            HubMessage::Memory(memory) => self.remember(step, &memory),
            HubMessage::Reset(memory) => self.reset_told(step, &memory),
            HubMessage::Load(sample) => self.load_told(step, &from.node, &sample),
            HubMessage::Handover { id, source, to, attempt, step: said } => {
                self.handover_said(step, &from, &id, source, to, attempt, said);
            }
        }
    }

    fn send(&self, step: &mut Step<'_>, to: &Member, body: HubMessage) {
        let message = Message::Hub { hub: self.config.id.clone(), body };
        step.fx.push(Effect::Send { to: to.clone(), lane: Lane::Bulk, message });
    }

    /// Sends what must not wait behind changes.
    fn send_first(&self, step: &mut Step<'_>, to: &Member, body: HubMessage) {
        let message = Message::Hub { hub: self.config.id.clone(), body };
        step.fx.push(Effect::Send { to: to.clone(), lane: Lane::Probe, message });
    }

    fn hook(&self, step: &mut Step<'_>, event: HookEvent) {
        step.fx.push(Effect::Hook { hub: self.config.id.clone(), event });
    }

    fn changed(&self, step: &mut Step<'_>, id: &ChildId) {
        step.fx.push(Effect::RegistryChanged { hub: self.config.id.clone(), id: id.clone() });
    }
}

/// A reason of bounded length, so that a child's words cannot outgrow a frame.
fn bounded(reason: SmolStr) -> SmolStr {
    const MOST: usize = 1_024;
    if reason.len() <= MOST {
        return reason;
    }
    let end = (0..=MOST).rev().find(|&at| reason.is_char_boundary(at)).unwrap_or(0);
    SmolStr::new(&reason[..end])
}
