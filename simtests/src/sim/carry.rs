//! The simulated driver: carries out a node's effects, and hands it what comes in.

use process_hub_core::id::{ChildId, HubId, Member};
use process_hub_core::message::HubMessage;
use process_hub_core::request::Reply;
use process_hub_core::{Effect, Input, Lane, LinkEvent, LoadSample, Message};

use super::event::HostId;
use super::host::{Arrival, Running};
use super::net::{Frame, Letter};
use super::random::{Purpose, Random};
use super::world::{Moment, World};

impl World {
    /// Carries out one effect of a step that is under way.
    pub(crate) fn carry(&mut self, host: HostId, life: u32, effect: Effect, changed: &mut Vec<ChildId>) {
        if self.want_moments {
            self.note_moment(host, &effect);
        }
        match effect {
            Effect::Send { to, lane, message } => self.send(host, &to, lane, message),
            Effect::Dial { addr } => self.dial(host, life, &addr),
            Effect::Hangup { member, .. } => self.hangup(host, &member),
            Effect::Start { hub, pid, spec, standby, .. } => {
                self.start_child(host, life, Running::starting(hub, spec.id.clone(), standby), pid.sequence);
            }
            Effect::Alter { pid, spec, .. } => self.alter_child(host, life, pid.sequence, spec),
            Effect::Stop { sequence, deadline, .. } => self.stop_child(host, life, sequence, deadline),
            // A role is the child's own affair; the oracles see that it was told.
            Effect::SetRole { .. } => {}
            Effect::TakeState { sequence, attempt, .. } => self.take_state(host, life, sequence, attempt),
            Effect::GiveState { sequence, state, why, .. } => self.give_state(host, life, sequence, state, &why),
            Effect::Serve { sequence, .. } => self.serve_child(host, life, sequence),
            Effect::Deliver { hub, sequence, call, payload, .. } => {
                self.deliver(host, life, hub, sequence, call, payload);
            }
            Effect::Reply { id, reply } => self.replied(host, id, reply),
            Effect::Hook { event, .. } => {
                if self.keep_replies {
                    self.hooks.push((self.now, host, event));
                }
            }
            Effect::RegistryChanged { id, .. } => changed.push(id),
            // The host ends with the answer that follows.
            Effect::ViewChanged { .. } | Effect::HubClosed { .. } => {}
            Effect::SampleLoad { hub } => self.sample_load(host, hub),
        }
    }

    /// Nodes are of different sizes and more or less busy: a quarter does not even answer.
    fn sample_load(&mut self, host: HostId, hub: HubId) {
        let mut random = Random::keyed(self.config.seed, Purpose::Load, [self.now, host as u64]);
        if random.chance(250_000) {
            return;
        }
        let children = self.hosts[host].life.as_ref().map_or(0, |life| life.instances.len());
        let sample = LoadSample {
            cpu_permille: u32::try_from(random.between(0, 1_000)).unwrap_or(0),
            run_queue: u32::try_from(random.log_between(1, 200)).unwrap_or(0),
            children: u32::try_from(children).unwrap_or(u32::MAX),
            memory_bytes: random.log_between(1 << 20, 1 << 31),
        };
        self.defer(host, Arrival::Load { hub, sample });
    }

    fn replied(&mut self, host: HostId, id: process_hub_core::id::RequestId, reply: Reply) {
        if matches!(reply, Reply::Left(_) | Reply::HubLeft(Ok(_))) {
            self.left.push(host);
        }
        if self.keep_replies {
            self.replies.insert((host, id), reply);
        }
    }

    /// Something for the driver of a host that it finds once the step under way is over.
    pub(crate) fn defer(&mut self, host: HostId, arrival: Arrival) {
        self.hosts[host].inbox.push_back(arrival);
        let at = self.hosts[host].busy_until.max(self.now);
        self.wake_at(host, at);
    }

    fn send(&mut self, host: HostId, to: &Member, lane: Lane, message: Message) {
        let Some(peer) = self.host_named(&to.node) else { return };
        let number = self.history.as_mut().map_or(0, |history| history.sent(self.now, host, peer, &message));
        let way = self.net.slot(host, peer).and_then(|number| {
            let link = self.net.links.get(&number)?;
            let dir = usize::from(link.ends[0].host != host);
            (link.ends[1 - dir].member == *to).then_some((number, dir))
        });
        let Some((link, dir)) = way else { return self.lose(number, "there was no link") };
        self.sent[host] += 1;
        if let Message::Hub { body: HubMessage::Batch { batch, .. }, .. } = &message
            && !(batch.starts.is_empty() && batch.stops.is_empty() && batch.rows.is_empty() && batch.gone.is_empty())
        {
            self.batches += 1;
        }
        let message = self.forge(host, peer, message);
        let Some(message) = self.code(message) else { return };
        self.enqueue(link, dir, lane, Frame::Message(Letter { number, message }));
    }

    /// A message will not arrive.
    pub(crate) fn lose(&mut self, number: u64, why: &str) {
        if let Some(history) = &mut self.history {
            history.lost(self.now, number, why);
        }
    }

    /// A node is handed a message that was sent to it.
    fn hand_over(&mut self, host: HostId, from: Member, letter: Letter) {
        if let Some(history) = &mut self.history {
            history.arriving(letter.number);
        }
        self.overhear(host, &letter.message);
        self.step(host, Input::Message { from, message: letter.message });
    }

    /// A share of the runs sends every message through its bytes.
    fn code(&mut self, message: Message) -> Option<Message> {
        if !self.net_faults.codec {
            return Some(message);
        }
        self.count("codec_round_trip");
        match super::codec::round_trip(&message) {
            Ok(decoded) => {
                if decoded != message {
                    self.watch.fail("S27", self.now, "a message does not survive its encoding".to_owned());
                }
                Some(decoded)
            }
            Err(error) => {
                self.watch.fail("S27", self.now, format!("a message that was sent does not decode: {error}"));
                None
            }
        }
    }

    /// Hands an arrival to the node of a host, if it still means anything.
    pub(crate) fn take(&mut self, host: HostId, arrival: Arrival) {
        match arrival {
            Arrival::Frame { link, dir, letter } => {
                let Some(from) = self.peer_of(host, link, dir) else {
                    return self.lose(letter.number, "its link was replaced");
                };
                self.hand_over(host, from, letter);
            }
            Arrival::Accept { link, dial } => self.accept(host, link, dial),
            Arrival::Syn { dial } => self.answer(host, dial),
            Arrival::Fin { link, dir } => self.end_of_link(host, link, dir),
            Arrival::DialFailed { dial, reason } => self.dial_failed(host, dial, reason),
            Arrival::Late { from, letter } => {
                // It comes on whatever link there is to the relay by now.
                let Some(link) = self.net.slot(host, from) else { return };
                let Some(member) = self.net.links.get(&link).map(|link| {
                    let dir = usize::from(link.ends[0].host != from);
                    link.ends[dir].member.clone()
                }) else {
                    return;
                };
                self.count("relayed_frame_astray");
                self.hand_over(host, member, letter);
            }
            Arrival::Child { hub, sequence, event } => self.step(host, Input::Child { hub, sequence, event }),
            Arrival::Load { hub, sample } => self.step(host, Input::Load { hub, sample }),
            Arrival::Request { id, request } => self.step(host, Input::Request { id, request }),
            Arrival::Altering => self.step(host, Input::Altering { hub: crate::plan::hub_id(), wanted: true }),
            Arrival::Hungup { member } => self.step(host, Input::Link(LinkEvent::Down { member })),
            Arrival::Congested { link, dir } => {
                let Some(member) = self.peer_of(host, link, 1 - dir) else { return };
                self.count("congestion");
                self.step(host, Input::Link(LinkEvent::Congested { member }));
            }
            Arrival::Drained { link, dir } => {
                let Some(member) = self.peer_of(host, link, 1 - dir) else { return };
                self.step(host, Input::Link(LinkEvent::Drained { member }));
            }
        }
    }

    /// Who is at the sending end of a direction, if `host` holds that link open at the other end.
    fn peer_of(&self, host: HostId, link: u32, dir: usize) -> Option<Member> {
        let ends = &self.net.links.get(&link)?.ends;
        let held = self.net.slot(host, ends[dir].host) == Some(link);
        (held && ends[1 - dir].host == host).then(|| ends[dir].member.clone())
    }

    fn note_moment(&mut self, host: HostId, effect: &Effect) {
        let moment = match effect {
            Effect::Start { .. } => Moment::Start,
            Effect::TakeState { .. } | Effect::GiveState { .. } | Effect::Serve { .. } => Moment::Move,
            Effect::Stop { .. } => Moment::Stop,
            Effect::Reply { reply: Reply::Start(Ok(_)) | Reply::Stop(Ok(_)), .. } => Moment::Answer,
            Effect::Send { message: Message::Hub { body, .. }, .. } => match body {
                HubMessage::Hello(_) => Moment::Hello,
                HubMessage::Batch { .. } => Moment::Batch,
                HubMessage::Listing { .. } => Moment::Listing,
                HubMessage::Handover { .. } => Moment::Move,
                _ => return,
            },
            _ => return,
        };
        self.moments.push((host, moment));
    }
}
