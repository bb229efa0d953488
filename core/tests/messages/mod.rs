//! One message of each sort, every field with something in it.

use std::sync::Arc;

use bytes::Bytes;
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId, Token};
use process_hub_core::message::{
    Assignment, Attributes, Batch, HandoverStep, Hello, HubMessage, Known, Mark, Pause, Phase, RowState, Snapshot,
    Standing, StateUse, WireAssign, WireContext, WireDot, WireEntry, WireFailure, WireGone, WireLife, WireLoss,
    WireMemory, WireRow, WireSeen, WireStop,
};
use process_hub_core::request::CallError;
use process_hub_core::spec::{ChildSpec, MetaValue, Metadata, Restart, Role};
use process_hub_core::{LoadSample, Message};

pub(crate) fn hub() -> HubId {
    HubId::new("demo").unwrap()
}

pub(crate) fn child(name: &str) -> ChildId {
    ChildId::new(name).unwrap()
}

pub(crate) fn member(name: &str) -> Member {
    Member { node: NodeId::new(name).unwrap(), boot: Boot(1_763_841_600_000) }
}

pub(crate) fn spec(name: &str, args: &[u8]) -> ChildSpec {
    let mut metadata = Metadata::new().with("tag", "blue");
    metadata.insert("more".into(), MetaValue::Json("[1,2]".into()));
    ChildSpec::new(child(name), Kind::new("counter").unwrap(), Bytes::copy_from_slice(args))
        .restart(Restart::Transient)
        .metadata(metadata)
        .requires(["ssd"])
}

fn dot(counter: u64) -> WireDot {
    WireDot { origin: 1, counter }
}

fn context() -> WireContext {
    let gaps = WireSeen { origin: member("n1"), upto: 300, beyond: vec![302, 70_000] };
    let seen = vec![gaps, WireSeen { origin: member("n2"), upto: u64::MAX, beyond: vec![] }];
    WireContext { seen, lives: 9, names: vec![life()] }
}

fn assign(version: u64) -> WireAssign {
    let nodes = vec![member("n2").node, member("n1").node];
    let assignment = Assignment { version, by: member("n3").node, nodes, held: version > 0 };
    WireAssign { id: child("c1"), dot: dot(1), assignment }
}

fn batch() -> Batch {
    Batch {
        origins: vec![member("n1"), member("n2")],
        starts: vec![WireEntry { dot: dot(1), spec: Arc::new(spec("c1", &[1, 2, 3])) }],
        stops: vec![WireStop { id: child("c2"), dots: vec![dot(2), dot(3)] }],
        rows: [RowState::Starting, RowState::Running, RowState::Stopping, RowState::Standby, RowState::Kept]
            .map(|state| WireRow {
                id: child("c1"),
                dot: dot(1),
                sequence: 5,
                lineage: 1,
                token: 9,
                role: Role::Passive,
                state,
            })
            .to_vec(),
        gone: vec![WireGone { id: child("c3"), sequence: 4 }],
        failures: vec![WireFailure { id: child("c4"), dot: dot(4), reason: "no such kind".into() }],
        snapshot: Snapshot::Last,
        phase: Some(Phase::Leaving),
        installed: Some(Mark { view: u64::MAX, number: 300, ballot: 2 }),
        assigns: vec![assign(1), assign(0)],
        pause: Some(Pause { version: 4, by: member("n2").node, paused: true }),
        attributes: Some(attributes()),
        log: 300,
        restarted: vec![5],
    }
}

fn attributes() -> Attributes {
    Attributes {
        version: 3,
        weight: 2,
        labels: ["ssd", "zone=a"].into_iter().collect(),
        cordoned: true,
        term: 4,
        draining: true,
        seniority: 6,
    }
}

fn known() -> Known {
    Known { epoch: 1, size: 5, lineage: 2, ballot: 70_000 }
}

fn memory() -> WireMemory {
    let losses = vec![WireLoss { node: member("n3").node, ago: 1_500_000 }];
    WireMemory { known: known(), names: vec![member("n1").node, member("n2").node], losses }
}

fn hello() -> Hello {
    Hello {
        config: 0x0123_4567_89ab_cdef,
        fields: vec![("distribution".into(), "consistent_hashing".into())],
        phase: Phase::Joining,
        minted: Boot(7),
        position: Some((3, 4)),
        told: (5, 6),
        answer: true,
        attributes: attributes(),
        memory: memory(),
        known: Some(life()),
    }
}

fn life() -> WireLife {
    WireLife { member: member("n3"), mints: Boot(6), forgotten: true }
}

fn listing() -> HubMessage {
    HubMessage::Listing {
        round: 4,
        from: 1,
        to: u64::MAX,
        context: context(),
        origins: vec![member("n1"), member("n2")],
        dots: vec![dot(8)],
        entries: vec![WireEntry { dot: dot(9), spec: Arc::new(spec("c5", &[])) }],
        assigns: vec![assign(2)],
    }
}

fn reply(reply: Result<Bytes, CallError>) -> HubMessage {
    HubMessage::CallReply { number: 11, reply }
}

fn handover(step: HandoverStep) -> HubMessage {
    HubMessage::Handover { id: child("c1"), source: 5, to: 300, attempt: 2, step }
}

fn token() -> Token {
    Token { lineage: 1, counter: 9, node: member("n2").node, boot: member("n2").boot }
}

fn rumor() -> HubMessage {
    let (origin, told) = (member("n2"), Bytes::from_static(&[0b101]));
    HubMessage::Rumor { origin, view: 7, told, batch: Arc::new(batch()) }
}

fn bodies() -> Vec<HubMessage> {
    let call = HubMessage::Call {
        number: 11,
        id: child("c1"),
        sequence: 5,
        reply: true,
        payload: Bytes::from_static(b"add 3"),
    };
    vec![
        HubMessage::Hello(hello()),
        HubMessage::Batch { epoch: 2, number: 77, batch: Arc::new(batch()) },
        HubMessage::BatchAck { epoch: 2, number: 77, told: (3, 8) },
        HubMessage::Resync { epoch: 2 },
        HubMessage::Pull { round: 4, root: 5, lives: 6 },
        HubMessage::Same { round: 4, context: context() },
        HubMessage::Digests { round: 4, context: context(), buckets: vec![0, 250, 251, 65_536, u64::MAX] },
        HubMessage::PullRange { round: 4, from: 0, to: 1 << 60, context: context() },
        listing(),
        call,
        reply(Ok(Bytes::from_static(b"3"))),
        reply(Err(CallError::NotFound(child("c1")))),
        reply(Err(CallError::UnknownHub(hub()))),
        reply(Err(CallError::Overloaded(child("c1")))),
        reply(Err(CallError::TooLarge { len: 600_000, limit: 524_288 })),
        reply(Err(CallError::Timeout(child("c1")))),
        reply(Err(CallError::Gone(child("c1")))),
        reply(Err(CallError::Failed(child("c1"), "no such message".into()))),
        rumor(),
        reply(Err(CallError::Locked(hub()))),
        HubMessage::LeaseAsk { round: 9, ballot: 3, known: known() },
        HubMessage::LeaseGrant { round: 9, granted: true, mark: 300, standing: Standing::Waited, known: known() },
        HubMessage::LeaseRelease { round: 9 },
        HubMessage::Memory(memory()),
        HubMessage::Reset(memory()),
        handover(HandoverStep::Offer { len: 1 << 26, checksum: u64::MAX, why: StateUse::Handover }),
        handover(HandoverStep::Offer { len: 0, checksum: 7, why: StateUse::Merge { token: token() } }),
        handover(HandoverStep::Chunk { offset: 1 << 18, bytes: Bytes::from_static(b"state") }),
        handover(HandoverStep::Ack { upto: 1 << 18, granted: 1 << 20 }),
        handover(HandoverStep::Taken(Ok(()))),
        handover(HandoverStep::Taken(Err("no thanks".into()))),
        handover(HandoverStep::Commit),
        handover(HandoverStep::Abort),
        HubMessage::Load(LoadSample { cpu_permille: 250, run_queue: 3, children: 40_000, memory_bytes: 1 << 33 }),
        HubMessage::Bye,
    ]
}

/// One message of each sort with its name, for golden files.
pub(crate) fn one_of_each() -> Vec<(String, Message)> {
    let ack = || HubMessage::BatchAck { epoch: 2, number: 77, told: (3, 8) };
    let mut messages = vec![
        Message::Keepalive,
        Message::Swim(Bytes::from_static(&[1, 2, 3])),
        Message::Refused { member: member("n9") },
        Message::Relay { to: member("n3"), hub: hub(), body: ack() },
        Message::Relayed { origin: member("n3"), hub: hub(), body: ack() },
        Message::RelayFailed { to: member("n3") },
    ];
    messages.extend(bodies().into_iter().map(|body| Message::Hub { hub: hub(), body }));
    messages.into_iter().map(|message| (name(&message), message)).collect()
}

/// A new sort of message does not compile here: give it a line above, and write the golden file anew.
fn name(message: &Message) -> String {
    match message {
        Message::Keepalive => "keepalive".into(),
        Message::Swim(_) => "swim".into(),
        Message::Refused { .. } => "refused".into(),
        Message::Relay { .. } => "relay".into(),
        Message::Relayed { .. } => "relayed".into(),
        Message::RelayFailed { .. } => "relay_failed".into(),
        Message::Hub { body, .. } => format!("hub.{}", body_name(body)),
    }
}

fn step_name(step: &HandoverStep) -> &'static str {
    match step {
        HandoverStep::Offer { why: StateUse::Handover, .. } => "offer",
        HandoverStep::Offer { why: StateUse::Merge { .. }, .. } => "offer_to_merge",
        HandoverStep::Chunk { .. } => "chunk",
        HandoverStep::Ack { .. } => "ack",
        HandoverStep::Taken(Ok(())) => "taken",
        HandoverStep::Taken(Err(_)) => "refused",
        HandoverStep::Commit => "commit",
        HandoverStep::Abort => "abort",
    }
}

fn body_name(body: &HubMessage) -> String {
    match body {
        HubMessage::Hello(_) => "hello".into(),
        HubMessage::Batch { .. } => "batch".into(),
        HubMessage::BatchAck { .. } => "batch_ack".into(),
        HubMessage::Resync { .. } => "resync".into(),
        HubMessage::Pull { .. } => "pull".into(),
        HubMessage::Same { .. } => "same".into(),
        HubMessage::Digests { .. } => "digests".into(),
        HubMessage::PullRange { .. } => "pull_range".into(),
        HubMessage::Listing { .. } => "listing".into(),
        HubMessage::Call { .. } => "call".into(),
        HubMessage::Rumor { .. } => "rumor".into(),
        HubMessage::LeaseAsk { .. } => "lease_ask".into(),
        HubMessage::LeaseGrant { .. } => "lease_grant".into(),
        HubMessage::LeaseRelease { .. } => "lease_release".into(),
        HubMessage::Memory(_) => "memory".into(),
        HubMessage::Reset(_) => "reset".into(),
        HubMessage::Load(_) => "load".into(),
        HubMessage::Bye => "bye".into(),
        HubMessage::Handover { step, .. } => format!("handover.{}", step_name(step)),
        HubMessage::CallReply { reply: Ok(_), .. } => "call_reply.ok".into(),
        HubMessage::CallReply { reply: Err(error), .. } => {
            let words = format!("{error:?}");
            format!("call_reply.{}", words.split(['(', ' ']).next().unwrap_or_default().to_lowercase())
        }
    }
}
