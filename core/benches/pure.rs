//! The ring and the codec: what a lookup, a change of the members, a message and a handshake cost.

#![allow(clippy::unwrap_used, reason = "a benchmark")]
#![allow(missing_docs, reason = "the macros make public functions")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use process_hub_core::Message;
use process_hub_core::hashing::{Ring, moved, stable_hash};
use process_hub_core::id::{Boot, ChildId, HubId, Kind, Member, NodeId};
use process_hub_core::message::{Batch, HubMessage, WireDot, WireEntry};
use process_hub_core::spec::ChildSpec;
use process_hub_core::wire::{Cookie, Handshake, HandshakeConfig, Step, decode, encode};

fn node(number: usize) -> NodeId {
    NodeId::new(format!("node-{number}")).unwrap()
}

fn ring(bench: &mut Criterion) {
    for size in [10, 100] {
        let mut group = bench.benchmark_group(format!("ring of {size}"));
        let before = Ring::new((0..size).map(|number| (node(number), 1)));
        let joiner = node(size);
        let after = before.with(&joiner, 1);
        let mut hash = 1_u64;
        group.bench_function("owner", |b| {
            b.iter(|| {
                hash = hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                after.owner_index(black_box(hash))
            });
        });
        group.bench_function("join", |b| b.iter(|| before.with(&joiner, 1)));
        group.bench_function("leave", |b| b.iter(|| after.without(&joiner)));
        group.bench_function("moved", |b| b.iter(|| moved(&before, &after).len()));
        group.finish();
    }
    bench.bench_function("hash of a child id", |b| b.iter(|| stable_hash(black_box(b"session:0123456789"))));
}

fn messages() -> Vec<(&'static str, Message)> {
    let hub = HubId::new("demo").unwrap();
    let id = |number: usize| ChildId::new(format!("child-{number}")).unwrap();
    let entry = |number: usize| WireEntry {
        dot: WireDot { origin: 0, counter: 100_000 + number as u64 },
        spec: Arc::new(ChildSpec::new(id(number), Kind::new("counter").unwrap(), vec![0; 8])),
    };
    let origins = vec![Member { node: node(1), boot: Boot(1_763_841_600_000) }];
    let batch = Batch { origins, starts: (0..30).map(entry).collect(), ..Batch::default() };
    let call = HubMessage::Call { number: 9, id: id(7), sequence: 12, reply: true, payload: vec![0; 64].into() };
    vec![
        ("keepalive", Message::Keepalive),
        ("call of 64 B", Message::Hub { hub: hub.clone(), body: call }),
        ("30 starts", Message::Hub { hub, body: HubMessage::Batch { epoch: 1, number: 2, batch: Arc::new(batch) } }),
    ]
}

fn codec(bench: &mut Criterion) {
    let mut group = bench.benchmark_group("codec");
    for (name, message) in messages() {
        let mut bytes = Vec::new();
        encode(&message, &mut bytes).unwrap();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut out = Vec::with_capacity(bytes.len());
        group.bench_function(BenchmarkId::new("encode", name), |b| {
            b.iter(|| {
                out.clear();
                encode(black_box(&message), &mut out)
            });
        });
        group.bench_function(BenchmarkId::new("decode", name), |b| b.iter(|| decode(black_box(&bytes))));
    }
    group.finish();
}

fn handshake(bench: &mut Criterion) {
    let cookie = Cookie::new([7; 32]).unwrap();
    let config = |number| {
        let member = Member { node: node(number), boot: Boot(1) };
        HandshakeConfig::new(member, "127.0.0.1:7401", "default", &cookie).unwrap()
    };
    let sent = |step| match step {
        Step::Send(said) | Step::Done { send: Some(said), .. } => said,
        Step::Done { send: None, .. } => Vec::new(),
    };
    bench.bench_function("handshake, both sides", |b| {
        b.iter(|| {
            let (mut initiator, hello) = Handshake::initiator(config(1), [1; 32]).unwrap();
            let mut responder = Handshake::responder(config(2), [2; 32]);
            let hello = sent(responder.handle(&hello, |_| None).unwrap());
            let proof = sent(initiator.handle(&hello, |_| None).unwrap());
            let proof = sent(responder.handle(&proof, |_| None).unwrap());
            initiator.handle(&proof, |_| None).unwrap()
        });
    });
}

criterion_group!(benches, ring, codec, handshake);
criterion_main!(benches);
