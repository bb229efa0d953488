//! The codec and the frames: golden bytes, hostile bytes, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod messages;

use process_hub_core::Message;
use process_hub_core::config::limits;
use process_hub_core::message::{Batch, HubMessage, WireContext, WireDot, WireEntry, WireSeen, WireStop};
use process_hub_core::wire::{
    DecodeError, ENCODING, EncodeError, FrameError, FrameReader, decode, encode, write_frame,
};
use proptest::prelude::*;

use messages::{child, hub, member, one_of_each};

#[path = "../../fuzz/bodies/frame_codec.rs"]
mod frame_codec;
#[path = "../../fuzz/bodies/wire_decode.rs"]
mod wire_decode;

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines of `tests/data/messages.txt`: the name of a message of [`one_of_each`], and its bytes. A difference here is a
/// change of protocol: nodes of the two builds do not understand each other.
#[test]
fn encoding_never_changes() {
    let golden = include_str!("data/messages.txt");
    let expected: Vec<_> = golden.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let messages = one_of_each();
    let names: Vec<_> = messages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for ((name, message), (_, bytes)) in messages.iter().zip(expected) {
        assert_eq!(hex(&encoded(message)), bytes, "{name}");
        assert_eq!(decode(&encoded(message)).as_ref(), Ok(message), "{name}");
    }
}

/// Writes the golden file anew: only for a deliberate change of protocol.
#[test]
fn golden_file_is_written_on_request() {
    if std::env::var_os("PROCESS_HUB_WRITE_GOLDEN").is_none() {
        return;
    }
    let core = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut lines = String::new();
    for (name, message) in one_of_each() {
        let bytes = encoded(&message);
        lines += &format!("{name} {}\n", hex(&bytes));
        // Where the fuzzer begins.
        std::fs::write(core.join("../fuzz/seeds/wire_decode").join(name), bytes).unwrap();
    }
    std::fs::write(core.join("tests/data/messages.txt"), lines).unwrap();
}

/// Bytes near to those of a message: cut, lengthened, changed in places, joined to another's.
fn near_messages() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = one_of_each().iter().map(|(_, message)| encoded(message)).collect();
    let one = proptest::sample::select(all.clone());
    let other = proptest::sample::select(all);
    (
        one,
        other,
        any::<proptest::sample::Index>(),
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        0..4,
    )
        .prop_map(|(mut bytes, other, at, changes, how)| {
            let at = at.index(bytes.len());
            match how {
                0 => bytes.truncate(at),
                1 => {
                    bytes.truncate(at);
                    bytes.extend_from_slice(other.get(at..).unwrap_or_default());
                }
                2 => bytes.extend_from_slice(&other),
                _ => {}
            }
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn near_messages_decode_or_fail_cleanly(bytes in near_messages()) {
        wire_decode::run(&bytes);
    }

    #[test]
    fn any_bytes_decode_or_fail_cleanly(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        wire_decode::run(&bytes);
        bytes.insert(0, ENCODING);
        wire_decode::run(&bytes);
    }

    #[test]
    fn any_stream_is_the_same_however_it_is_cut(bytes in proptest::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..600)) {
        frame_codec::run(&bytes);
    }

    #[test]
    fn streams_of_frames_are_the_same_however_they_are_cut(seed: u8, frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8), tail in proptest::collection::vec(any::<u8>(), 0..8)) {
        let mut stream = vec![seed];
        for frame in &frames {
            write_frame(frame, &mut stream).unwrap();
        }
        stream.extend(tail);
        frame_codec::run(&stream);
    }
}

#[test]
fn the_whole_of_the_bytes_is_the_message() {
    for (name, message) in one_of_each() {
        let mut bytes = encoded(&message);
        bytes.push(0);
        assert_eq!(decode(&bytes), Err(DecodeError::Trailing(1)), "{name}");
        bytes.truncate(bytes.len() - 2);
        assert!(decode(&bytes).is_err(), "{name}");
    }
    assert_eq!(decode(&[]), Err(DecodeError::Truncated));
    assert_eq!(decode(&[ENCODING + 1, 0]), Err(DecodeError::Version(ENCODING + 1)));
    assert_eq!(decode(&vec![ENCODING; limits::FRAME + 1]), Err(DecodeError::TooLarge(limits::FRAME + 1)));
}

/// A hub's message in bytes, with everything after the hub's name replaced by `tail`.
fn forged(tail: &[u8]) -> Vec<u8> {
    let honest =
        encoded(&Message::Hub { hub: hub(), body: HubMessage::BatchAck { epoch: 0, number: 0, told: (0, 0) } });
    let mut bytes = honest[..honest.len() - 3].to_vec();
    bytes.extend_from_slice(tail);
    bytes
}

const MANY: [u8; 9] = [253, 255, 255, 255, 255, 255, 255, 255, 127];

#[test]
fn lengths_that_lie_are_refused() {
    // Digests, one peer's context empty, then a list that claims 2^63 - 1 elements.
    let digests = encoded(&Message::Hub {
        hub: hub(),
        body: HubMessage::Digests { round: 0, context: WireContext::default(), buckets: vec![] },
    });
    let mut claims = digests[..digests.len() - 1].to_vec();
    claims.extend_from_slice(&MANY);
    assert!(matches!(decode(&claims), Err(DecodeError::Malformed(_))));
    // A text and a byte string that claim as much.
    let mut text = vec![ENCODING, 3];
    text.extend_from_slice(&MANY);
    assert!(decode(&text).is_err());
    let mut swim = vec![ENCODING, 1];
    swim.extend_from_slice(&MANY);
    assert!(decode(&swim).is_err());
    assert!(decode(&forged(&MANY)).is_err());
}

/// The same bytes, with one more `element` in the list, text or byte string that has `len` of them.
fn one_more(bytes: &[u8], len: usize, element: u8) -> Vec<u8> {
    let written = |len: usize| [&[251][..], &u16::try_from(len).unwrap().to_le_bytes()].concat();
    let at = bytes.windows(3).position(|window| window == written(len)).unwrap();
    [&bytes[..at], &written(len + 1), &[element], &bytes[at + 3..]].concat()
}

#[test]
fn a_list_over_its_limit_is_neither_sent_nor_taken() {
    let digests = |count: usize| {
        let body = HubMessage::Digests { round: 0, context: WireContext::default(), buckets: vec![0; count] };
        Message::Hub { hub: hub(), body }
    };
    let longest = encoded(&digests(limits::BATCH));
    assert!(decode(&longest).is_ok());
    assert!(matches!(decode(&one_more(&longest, limits::BATCH, 0)), Err(DecodeError::Malformed(_))));
    let refused = encode(&digests(limits::BATCH + 1), &mut Vec::new());
    assert!(matches!(refused, Err(EncodeError::Unsupported(_))));
}

#[test]
fn a_spec_over_its_limits_is_neither_sent_nor_taken() {
    let declare = |spec| {
        let entry = WireEntry { dot: WireDot { origin: 0, counter: 1 }, spec: std::sync::Arc::new(spec) };
        let batch = Batch { origins: vec![member("n1")], starts: vec![entry], ..Batch::default() };
        let body = HubMessage::Batch { epoch: 0, number: 0, batch: std::sync::Arc::new(batch) };
        Message::Hub { hub: hub(), body }
    };
    let with_args = |len: usize| declare(messages::spec("c", &vec![7; len]));
    let room = limits::SPEC - messages::spec("c", &[]).size();
    let largest = encoded(&with_args(room));
    assert!(decode(&largest).is_ok());
    assert!(matches!(decode(&one_more(&largest, room, 7)), Err(DecodeError::Malformed(_))));
    assert!(matches!(encode(&with_args(room + 1), &mut Vec::new()), Err(EncodeError::Unsupported(_))));

    let with_metadata = |len: usize| {
        let mut spec = messages::spec("c", &[]);
        spec.metadata = spec.metadata.with("k", &"x".repeat(len));
        declare(spec)
    };
    let room = limits::METADATA - messages::spec("c", &[]).metadata.size() - "k".len();
    let largest = encoded(&with_metadata(room));
    assert!(decode(&largest).is_ok());
    assert!(matches!(decode(&one_more(&largest, room, b'x')), Err(DecodeError::Malformed(_))));
    assert!(matches!(encode(&with_metadata(room + 1), &mut Vec::new()), Err(EncodeError::Unsupported(_))));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sent() {
    let mut out = vec![1, 2, 3];
    let swim = |len| Message::Swim(vec![0; len].into());
    assert_eq!(encode(&swim(limits::FRAME), &mut out), Err(EncodeError::TooLarge));
    assert_eq!(out, [1, 2, 3], "nothing stays of it");
    let overhead = encoded(&swim(limits::FRAME / 2)).len() - limits::FRAME / 2;
    let largest = encoded(&swim(limits::FRAME - overhead));
    assert_eq!(largest.len(), limits::FRAME);
    assert!(decode(&largest).is_ok());
    assert_eq!(encode(&swim(limits::FRAME - overhead + 1), &mut out), Err(EncodeError::TooLarge));
}

#[test]
fn what_a_child_is_told_and_answers_has_a_bound_of_its_own() {
    let told = |len| {
        let payload = vec![0; len].into();
        let body = HubMessage::Call { number: 1, id: child("c"), sequence: 1, reply: true, payload };
        Message::Hub { hub: hub(), body }
    };
    let answered = |len| {
        let body = HubMessage::CallReply { number: 1, reply: Ok(vec![0; len].into()) };
        Message::Hub { hub: hub(), body }
    };
    assert!(decode(&encoded(&told(limits::PAYLOAD))).is_ok());
    assert!(matches!(encode(&told(limits::PAYLOAD + 1), &mut Vec::new()), Err(EncodeError::Unsupported(_))));
    assert!(decode(&encoded(&answered(limits::PAYLOAD))).is_ok());
    assert!(matches!(decode(&encoded(&answered(limits::PAYLOAD + 1))), Err(DecodeError::Malformed(_))));
}

/// The library's own limit counts a small number as eight bytes, so that one of a frame's size would refuse this.
#[test]
fn a_frame_full_of_small_numbers_is_understood() {
    let dots = vec![WireDot { origin: 1, counter: 1 }; limits::BATCH];
    let stops = vec![WireStop { id: child("c"), dots }; 120];
    let batch = Batch { origins: vec![member("n1")], stops, ..Batch::default() };
    let seen = vec![WireSeen { origin: member("n1"), upto: 1, beyond: vec![1; limits::BATCH] }; 250];
    let bodies = [
        HubMessage::Batch { epoch: 1, number: 1, batch: std::sync::Arc::new(batch) },
        HubMessage::Same { round: 1, context: WireContext { seen, ..WireContext::default() } },
    ];
    for body in bodies {
        let message = Message::Hub { hub: hub(), body };
        let bytes = encoded(&message);
        assert!(bytes.len() > limits::FRAME * 9 / 10);
        assert_eq!(decode(&bytes), Ok(message));
    }
}

#[test]
fn frames_have_bounds() {
    let mut out = vec![9];
    assert_eq!(write_frame(&[], &mut out), Err(FrameError::Empty));
    let large = vec![0; limits::FRAME + 1];
    let refused = FrameError::TooLarge { len: limits::FRAME + 1, limit: limits::FRAME };
    assert_eq!(write_frame(&large, &mut out), Err(refused));
    assert_eq!(out, [9]);

    let mut reader = FrameReader::new();
    reader.push(&[0, 16, 0, 1]);
    assert_eq!(reader.next(), Err(refused), "the length alone is enough");
    reader.push(&[0, 0, 0, 1, 7]);
    assert_eq!((reader.next(), reader.buffered()), (Err(refused), 0), "and final");

    let mut reader = FrameReader::with_limit(4);
    reader.push(&[0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 5, 1]);
    assert_eq!(reader.next().unwrap().unwrap(), &[1, 2, 3, 4][..]);
    reader.set_limit(5);
    assert_eq!(reader.next(), Ok(None));
    reader.push(&[2, 3, 4, 5]);
    assert_eq!(reader.next().unwrap().unwrap(), &[1, 2, 3, 4, 5][..]);
}

#[test]
fn a_claimed_frame_takes_no_room() {
    let mut reader = FrameReader::new();
    reader.push(&[0, 15, 255, 255, 1]);
    assert_eq!((reader.next(), reader.buffered()), (Ok(None), 5));
}
