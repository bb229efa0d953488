//! What a member may say, true or not: every sort of message, drawn from bytes.

use std::sync::Arc;

use bytes::Bytes;
use process_hub_core::LoadSample;
use process_hub_core::config::HubConfig;
use process_hub_core::id::{Member, Token};
use process_hub_core::message::{
    Assignment, Attributes, Batch, HandoverStep, Hello, HubMessage, Known, Mark, Message, Pause, Phase, RowState,
    Snapshot, Standing, StateUse, WireAssign, WireContext, WireDot, WireEntry, WireFailure, WireGone, WireLife,
    WireLoss, WireMemory, WireRow, WireSeen, WireStop,
};
use process_hub_core::request::CallError;
use process_hub_core::wire::encode;

use super::draw::{Draw, hub};

impl Draw<'_> {
    /// Any message; hub messages most of all.
    pub(crate) fn message(&mut self, config: &HubConfig, me: &Member) -> Message {
        match self.below(12) {
            0 => Message::Keepalive,
            1 => Message::Swim(self.datagram(me)),
            2 => Message::Refused { member: self.member() },
            3 => Message::Relay { to: self.member(), hub: hub(), body: self.said(config) },
            4 => Message::Relayed { origin: self.member(), hub: hub(), body: self.said(config) },
            5 => Message::RelayFailed { to: self.member() },
            _ => Message::Hub { hub: hub(), body: self.said(config) },
        }
    }

    /// Bytes that were a message once, or never.
    pub(crate) fn frame(&mut self, config: &HubConfig, me: &Member) -> Vec<u8> {
        if self.coin() {
            return self.raw(64);
        }
        let mut bytes = Vec::new();
        // What cannot be said cannot be garbled either.
        let _ = encode(&self.message(config, me), &mut bytes);
        match self.below(3) {
            0 => bytes.truncate(self.byte().into()),
            1 => bytes.extend(self.raw(8)),
            _ => {
                let at = self.below(bytes.len().clamp(1, 256));
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (at & 7));
            }
        }
        bytes
    }

    /// A datagram of the membership protocol: from whom, to whom, which, and what it says of others.
    fn datagram(&mut self, me: &Member) -> Bytes {
        let mut bytes = Vec::new();
        self.identity(None, &mut bytes);
        bytes.extend([0, self.byte() % 3]);
        let to = self.coin().then(|| me.clone());
        self.identity(to, &mut bytes);
        let tag = self.byte() % 11;
        bytes.push(tag);
        if (2..=5).contains(&tag) {
            self.identity(None, &mut bytes);
        }
        if tag < 6 {
            bytes.push(self.byte() % 4);
        }
        let updates = self.below(3);
        bytes.extend([0, updates as u8]);
        for _ in 0..updates {
            self.identity(None, &mut bytes);
            bytes.extend([0, self.byte() % 3, self.byte() % 3]);
        }
        bytes.into()
    }

    fn identity(&mut self, who: Option<Member>, out: &mut Vec<u8>) {
        let Member { node, boot } = who.unwrap_or_else(|| self.member());
        let node = node.as_str().as_bytes();
        out.push(node.len() as u8);
        out.extend(node);
        out.extend(boot.0.to_be_bytes());
        out.extend(u32::from(self.byte() / 64).to_be_bytes());
        out.extend([0, node.len() as u8]);
        out.extend(node);
    }

    /// Any message of a hub.
    pub(crate) fn said(&mut self, config: &HubConfig) -> HubMessage {
        match self.below(22) {
            0..3 => HubMessage::Hello(self.hello(config)),
            3..7 => HubMessage::Batch { epoch: self.short(), number: self.number(), batch: self.batch().into() },
            7 => {
                HubMessage::BatchAck { epoch: self.short(), number: self.number(), told: (self.short(), self.number()) }
            }
            8 => HubMessage::Resync { epoch: self.short() },
            9 => HubMessage::Pull { round: self.short(), root: self.number(), lives: self.number() },
            10 => HubMessage::Same { round: self.short(), context: self.context() },
            11 => {
                let buckets = if self.coin() { vec![self.number(); 1_024] } else { self.some(Self::number) };
                HubMessage::Digests { round: self.short(), context: self.context(), buckets }
            }
            12 => {
                let (from, to) = if self.coin() { (0, u64::MAX) } else { (self.number(), self.number()) };
                HubMessage::PullRange { round: self.short(), from, to, context: self.context() }
            }
            13 => self.listing(),
            14 => {
                let (number, id, sequence) = (self.number(), self.child(), self.number());
                HubMessage::Call { number, id, sequence, reply: self.coin(), payload: self.raw(4).into() }
            }
            15 => {
                let errors = [CallError::NotFound, CallError::Overloaded, CallError::Timeout, CallError::Gone];
                let error = self.one(&errors)(self.child());
                let reply = if self.coin() { Ok(self.raw(4).into()) } else { Err(error) };
                HubMessage::CallReply { number: self.number(), reply }
            }
            16 => {
                let (origin, view, told) = (self.member(), self.number(), self.raw(2).into());
                HubMessage::Rumor { origin, view, told, batch: self.batch().into() }
            }
            17 => HubMessage::LeaseAsk { round: self.number(), ballot: self.number(), known: self.known() },
            18 => {
                let standing = self.one(&[Standing::Counted, Standing::Counted, Standing::Waiting, Standing::Waited]);
                let (round, granted, mark) = (self.number(), self.coin(), self.number());
                HubMessage::LeaseGrant { round, granted, mark, standing, known: self.known() }
            }
            19 => HubMessage::LeaseRelease { round: self.number() },
            20 => match self.below(4) {
                0 => HubMessage::Memory(self.memory()),
                1 => HubMessage::Reset(self.memory()),
                2 => HubMessage::Load(LoadSample {
                    cpu_permille: self.short(),
                    run_queue: self.short(),
                    children: self.short(),
                    memory_bytes: self.number(),
                }),
                _ => HubMessage::Bye,
            },
            _ => self.handover(),
        }
    }

    fn handover(&mut self) -> HubMessage {
        let why = match self.coin() {
            true => StateUse::Handover,
            false => StateUse::Merge { token: self.token() },
        };
        let step = match self.below(7) {
            0 => HandoverStep::Offer { len: self.number(), checksum: self.number(), why },
            1 => HandoverStep::Chunk { offset: self.number(), bytes: self.raw(4).into() },
            2 => HandoverStep::Ack { upto: self.number(), granted: self.number() },
            3 => HandoverStep::Taken(Ok(())),
            4 => HandoverStep::Taken(Err("no".into())),
            5 => HandoverStep::Commit,
            _ => HandoverStep::Abort,
        };
        let (id, source, to) = (self.child(), self.number(), self.number());
        HubMessage::Handover { id, source, to, attempt: self.short(), step }
    }

    fn token(&mut self) -> Token {
        let Member { node, boot } = self.member();
        Token { lineage: self.short(), counter: self.number(), node, boot }
    }

    fn hello(&mut self, config: &HubConfig) -> Hello {
        let honest = self.byte() > 15;
        Hello {
            config: if honest { config.digest() } else { self.number() },
            fields: if honest { config.fields() } else { self.some(|_| ("a".into(), "b".into())) },
            phase: self.phase(),
            minted: self.boot(),
            position: self.coin().then(|| (self.short(), self.number())),
            told: (self.short(), self.number()),
            answer: self.coin(),
            attributes: self.attributes(),
            memory: self.memory(),
            known: (self.byte() > 239).then(|| self.life()),
        }
    }

    fn phase(&mut self) -> Phase {
        self.one(&[Phase::Ready, Phase::Ready, Phase::Ready, Phase::Joining, Phase::Leaving])
    }

    fn attributes(&mut self) -> Attributes {
        Attributes {
            version: self.number(),
            weight: self.one(&[1, 1, 0, 3, u32::MAX]),
            labels: self.labels(),
            cordoned: self.byte() > 223,
            term: self.short(),
            draining: self.byte() > 223,
            seniority: self.number(),
        }
    }

    fn known(&mut self) -> Known {
        Known { epoch: self.short(), size: self.short(), lineage: self.short(), ballot: self.number() }
    }

    fn memory(&mut self) -> WireMemory {
        let losses = self.some(|draw| WireLoss { node: draw.node(), ago: draw.number() });
        WireMemory { known: self.known(), names: self.some(Self::node), losses }
    }

    fn life(&mut self) -> WireLife {
        WireLife { member: self.member(), mints: self.boot(), forgotten: self.coin() }
    }

    fn context(&mut self) -> WireContext {
        let seen =
            |draw: &mut Self| WireSeen { origin: draw.member(), upto: draw.number(), beyond: draw.some(Self::number) };
        WireContext { seen: self.some(seen), lives: self.number(), names: self.some(Self::life) }
    }

    fn dot(&mut self) -> WireDot {
        WireDot { origin: u16::from(self.byte() % 3), counter: self.number() }
    }

    fn entry(&mut self) -> WireEntry {
        let args = vec![self.byte()];
        WireEntry { dot: self.dot(), spec: Arc::new(self.spec(args)) }
    }

    fn assign(&mut self) -> WireAssign {
        let nodes = self.some(Self::node);
        let assignment = Assignment { version: self.number(), by: self.node(), nodes, held: self.coin() };
        WireAssign { id: self.child(), dot: self.dot(), assignment }
    }

    fn listing(&mut self) -> HubMessage {
        let (from, to) = if self.coin() { (0, u64::MAX) } else { (self.number(), self.number()) };
        HubMessage::Listing {
            round: self.short(),
            from,
            to,
            context: self.context(),
            origins: vec![self.member(), self.member()],
            dots: self.some(Self::dot),
            entries: self.some(Self::entry),
            assigns: self.some(Self::assign),
        }
    }

    fn row(&mut self) -> WireRow {
        let states = [RowState::Running, RowState::Starting, RowState::Stopping, RowState::Standby, RowState::Kept];
        WireRow {
            id: self.child(),
            dot: self.dot(),
            sequence: self.number(),
            lineage: self.short(),
            token: self.number(),
            role: self.role(),
            state: self.one(&states),
        }
    }

    fn batch(&mut self) -> Batch {
        let mark = |draw: &mut Self| Mark { view: draw.number(), number: draw.number(), ballot: draw.number() };
        Batch {
            origins: vec![self.member(), self.member()],
            starts: self.some(Self::entry),
            stops: self.some(|draw| WireStop { id: draw.child(), dots: draw.some(Self::dot) }),
            rows: self.some(Self::row),
            gone: self.some(|draw| WireGone { id: draw.child(), sequence: draw.number() }),
            failures: self.some(|draw| WireFailure { id: draw.child(), dot: draw.dot(), reason: "no".into() }),
            snapshot: self.one(&[Snapshot::Not, Snapshot::Part, Snapshot::Last, Snapshot::Last]),
            phase: self.coin().then(|| self.phase()),
            installed: self.coin().then(|| mark(self)),
            assigns: self.some(Self::assign),
            attributes: (self.byte() > 191).then(|| self.attributes()),
            log: self.number(),
            restarted: self.some(Self::number),
            pause: (self.byte() > 223).then(|| Pause { version: self.number(), by: self.node(), paused: self.coin() }),
        }
    }
}
