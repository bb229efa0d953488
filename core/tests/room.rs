//! What decoding may take: room for a small multiple of what has arrived, whatever the bytes claim. Alone in its
//! program, since other tests would take room at the same time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use peak_alloc::PeakAlloc;
use process_hub_core::Message;
use process_hub_core::config::limits;
use process_hub_core::id::{Boot, ChildId, HubId, Member, NodeId};
use process_hub_core::message::{
    Attributes, Batch, Hello, HubMessage, Phase, WireContext, WireDot, WireMemory, WireSeen, WireStop,
};
use process_hub_core::wire::{ENCODING, FrameReader, decode, encode};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Bytes of room that `work` takes at its peak.
fn room<T>(work: impl FnOnce() -> T) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = work();
    let room = ALLOCATOR.peak_usage().saturating_sub(before);
    drop(result);
    room
}

fn encoded(body: HubMessage) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&Message::Hub { hub: HubId::new("h").unwrap(), body }, &mut bytes).unwrap();
    bytes
}

fn origin() -> Member {
    Member { node: NodeId::new("n").unwrap(), boot: Boot(1) }
}

/// The messages that take the most room for their bytes.
fn dearest() -> Vec<(&'static str, Vec<u8>)> {
    let fields = vec![("".into(), "".into()); limits::BATCH / 2 + 1];
    let (attributes, memory) = (Attributes::default(), WireMemory::default());
    let (phase, minted) = (Phase::Ready, Boot(1));
    let hello = Hello {
        config: 0,
        fields,
        phase,
        minted,
        position: None,
        told: (0, 0),
        answer: false,
        attributes,
        memory,
        known: None,
    };
    let dots = vec![WireDot { origin: 0, counter: 1 }; limits::BATCH / 2 + 1];
    let stops = vec![WireStop { id: ChildId::new("c").unwrap(), dots }; 200];
    let empty = vec![WireStop { id: ChildId::new("c").unwrap(), dots: vec![] }; limits::BATCH / 2 + 1];
    let seen = vec![WireSeen { origin: origin(), upto: 1, beyond: vec![1; limits::BATCH / 2 + 1] }; 400];
    let batch = |stops| HubMessage::Batch { epoch: 0, number: 0, batch: Arc::new(Batch { stops, ..Batch::default() }) };
    vec![
        ("pairs of empty texts", encoded(HubMessage::Hello(hello))),
        ("stops of nothing", encoded(batch(empty))),
        ("stops of many starts", encoded(batch(stops))),
        ("gaps", encoded(HubMessage::Same { round: 0, context: WireContext { seen, ..WireContext::default() } })),
    ]
}

#[test]
fn room_is_made_for_what_has_arrived_and_not_for_claims() {
    // Claims of 2^31 and 2^62, wherever a length can stand in front of nothing.
    for tag in 0..=u8::MAX {
        for claim in [&[252, 0, 0, 0, 128][..], &[253, 0, 0, 0, 0, 0, 0, 0, 64]] {
            let mut bytes = vec![ENCODING, tag];
            bytes.extend_from_slice(claim);
            assert!(room(|| decode(&bytes)) < 4_096, "sort {tag}");
            let mut bytes = vec![ENCODING, 3, 1, b'h', tag];
            bytes.extend_from_slice(claim);
            assert!(room(|| decode(&bytes)) < 4_096, "sort {tag} of a hub's");
        }
    }
    for (what, bytes) in dearest() {
        assert!(decode(&bytes).is_ok());
        let room = room(|| decode(&bytes));
        println!("{what}: {room} bytes of room for {}, {:.1} each", bytes.len(), room as f64 / bytes.len() as f64);
        assert!(room < bytes.len() * 96, "{what}");
        // A list that doubles moves once more than it holds in the end.
        assert!(room < limits::FRAME * 20, "{what}");
    }
    let mut reader = FrameReader::new();
    assert!(room(|| reader.push(&[0, 16, 0, 0, 7])) < 4_096, "a frame's length is a claim too");
    assert_eq!(reader.next(), Ok(None));
}
