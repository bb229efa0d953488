//! The flight recorder: what a node was handed can be done again, to the last effect; and what cannot, says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

#[path = "../../fuzz/bodies/persist_load.rs"]
mod persist_load;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use process_hub::core::config::{HubConfig, NodeConfig};
use process_hub::core::id::{Boot, HubId, NodeId, RequestId};
use process_hub::core::request::Request;
use process_hub::core::wire::record::{Beginning, Entry, Fingerprint};
use process_hub::core::{Effects, Input, Node, Time};
use process_hub::record::{
    Head, Item, Piece, RecordError, RecordSink, Replay, ReplayError, Replayed, Segment, SegmentWriter, Sink,
};
use process_hub::{NodeOptions, SpecExt, core::spec::ChildSpec};
use proptest::prelude::*;
use support::{Ask, Counter, Network, TestRuntime, hub, id, node, options, until};

/// Keeps what it is given, while it takes anything.
#[derive(Clone, Default)]
struct Kept {
    pieces: Arc<Mutex<Vec<Piece>>>,
    full: Arc<AtomicBool>,
}

impl RecordSink for Kept {
    fn put(&self, piece: Piece) -> Result<(), Piece> {
        if self.full.load(Ordering::Acquire) {
            return Err(piece);
        }
        self.pieces.lock().unwrap().push(piece);
        Ok(())
    }
}

impl Kept {
    fn options(&self, name: &str, join: &[&str]) -> NodeOptions {
        let mut options = options(name, join);
        options.record = Some(Sink::new(self.clone()));
        options
    }

    fn file(&self) -> Vec<u8> {
        file(0, &self.pieces.lock().unwrap())
    }
}

/// A file with these pieces, of which the first is the beginning.
fn file(segment: u32, pieces: &[Piece]) -> Vec<u8> {
    let [Piece::Beginning(beginning), rest @ ..] = pieces else { panic!("{:?}", pieces.first()) };
    let head = Head { program: "a test".to_owned(), segment, first: 0, beginning: Beginning::clone(beginning) };
    let mut writer = SegmentWriter::begin(Vec::new(), &head).unwrap();
    for piece in rest {
        match piece {
            Piece::Steps { first, count, bytes } => writer.steps(*first, *count, bytes).unwrap(),
            Piece::Gap { first, count } => writer.gap(*first, *count).unwrap(),
            Piece::Beginning(_) => panic!("a second beginning"),
        }
    }
    let written = writer.written();
    let bytes = writer.into_inner();
    assert_eq!(written, bytes.len() as u64);
    bytes
}

fn replay(bytes: &[u8]) -> Result<(Replayed, Option<RecordError>), ReplayError> {
    let segment = Segment::open(bytes).unwrap();
    let mut replay = Replay::begin(segment.head())?;
    for item in segment {
        match item {
            Ok(item) => replay.take(item, &mut |_, _, _| {})?,
            Err(error) => return Ok((replay.progress(), Some(error))),
        }
    }
    Ok((replay.progress(), None))
}

/// A cluster of three does this and that, one of them under the recorder.
async fn life(kept: &Kept) -> Vec<process_hub::NodeHandle> {
    let network = Network::default();
    let recorded = process_hub::start(kept.options("n1", &[]), TestRuntime::current(), network.clone()).await.unwrap();
    let mut nodes = vec![recorded];
    for name in ["n2", "n3"] {
        nodes.push(node(&network, name, &["n1"]).await);
    }
    let mut hubs = Vec::new();
    for node in &nodes {
        hubs.push(hub(node).await);
    }
    until("all views are complete", || hubs.iter().all(|hub| hub.nodes(true).len() == 3)).await;
    let specs = (0..40).map(|number| ChildSpec::of::<Counter>(format!("c{number}"), number).unwrap());
    hubs[0].start_children(specs).await.unwrap();
    for number in 0..40 {
        hubs[2].call::<Counter>(&id(&format!("c{number}")), Ask::Add(1)).await.unwrap();
    }
    hubs[1].stop_children((0..10).map(|number| id(&format!("c{number}")))).await.unwrap();
    nodes.pop().unwrap().leave(Duration::from_secs(5)).await.unwrap();
    until("the third is gone", || hubs[0].nodes(true).len() == 2).await;
    nodes
}

#[tokio::test(start_paused = true)]
async fn what_a_node_did_is_done_again_to_the_last_effect() {
    let kept = Kept::default();
    let nodes = life(&kept).await;
    nodes[0].leave(Duration::from_secs(5)).await.unwrap();
    until("the node has ended", || !nodes[0].is_alive()).await;
    let (progress, error) = replay(&kept.file()).unwrap();
    assert_eq!(error, None);
    assert!(progress.steps > 100, "{progress:?}");
    assert_eq!((progress.missing, progress.beyond), (0, 0));
    assert_eq!(progress.steps, nodes[0].stats().inputs, "each input of the node was recorded");
}

#[tokio::test(start_paused = true)]
async fn a_sink_without_room_makes_a_gap_and_the_replay_ends_there() {
    let kept = Kept::default();
    let nodes = life(&kept).await;
    let before = replay(&kept.file()).unwrap().0;
    kept.full.store(true, Ordering::Release);
    tokio::time::sleep(Duration::from_secs(3)).await;
    kept.full.store(false, Ordering::Release);
    tokio::time::sleep(Duration::from_secs(3)).await;
    nodes[0].leave(Duration::from_secs(5)).await.unwrap();
    until("the node has ended", || !nodes[0].is_alive()).await;
    let (progress, error) = replay(&kept.file()).unwrap();
    assert_eq!(error, None);
    assert_eq!(progress.steps, before.steps, "what came before the gap is done again");
    assert!(progress.missing > 0 && progress.beyond > 0, "{progress:?}");
    assert_eq!(progress.steps + progress.missing + progress.beyond, nodes[0].stats().inputs, "nothing is lost unseen");
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_is_found_out() {
    let kept = Kept::default();
    life(&kept).await;
    let good = kept.file();
    let (whole, _) = replay(&good).unwrap();

    let mut wrong = good.clone();
    let at = wrong.len() / 2;
    wrong[at] ^= 1;
    let (progress, error) = replay(&wrong).unwrap();
    let Some(RecordError::Damaged { at: block, what }) = error else { panic!("{error:?}") };
    assert_eq!(what, "its checksum does not match");
    assert!(block < at && progress.steps < whole.steps, "what stands before it is done again");

    let torn = &good[..good.len() - 3];
    let (progress, error) = replay(torn).unwrap();
    assert!(matches!(error, Some(RecordError::Torn { .. })) && progress.steps < whole.steps, "{error:?}");

    // A later step with an input that is another one, and a checksum that matches.
    let mut pieces = kept.pieces.lock().unwrap().clone();
    let dropped = pieces.iter().position(|piece| matches!(piece, Piece::Steps { first, .. } if *first > 60)).unwrap();
    let Piece::Steps { count, .. } = pieces.remove(dropped) else { panic!("it was one") };
    for piece in &mut pieces[dropped..] {
        if let Piece::Steps { first, .. } = piece {
            *first -= u64::from(count);
        }
    }
    let error = replay(&file(0, &pieces)).unwrap_err();
    assert!(matches!(error, ReplayError::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("its effects are not those that were recorded"));

    let error = replay(&file(3, &pieces)).unwrap_err();
    assert!(matches!(error, ReplayError::NoBeginning { segment: 3, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_breaks_the_limits_leaves_the_record_whole() {
    let kept = Kept::default();
    let nodes = life(&kept).await;
    let hub = nodes[0].hubs().remove(0);
    let huge = ChildSpec::new(id("huge"), "counter".parse().unwrap(), vec![7; 2 << 20]);
    hub.start_child(huge).await.unwrap_err();
    hub.call::<Counter>(&id("c20"), Ask::Get).await.unwrap();
    nodes[0].leave(Duration::from_secs(5)).await.unwrap();
    until("the node has ended", || !nodes[0].is_alive()).await;
    let (progress, error) = replay(&kept.file()).unwrap();
    assert_eq!((error, progress.missing), (None, 0));
    assert_eq!(progress.steps + 1, nodes[0].stats().inputs, "the refused one was left out");
}

#[derive(Debug)]
struct FirstOfAll;

impl process_hub::core::strategy::Distribute for FirstOfAll {
    fn name(&self) -> &str {
        "first-of-all"
    }
    fn owners(
        &self,
        _: &ChildSpec,
        candidates: &[process_hub::core::strategy::Candidate],
        copies: usize,
    ) -> Vec<NodeId> {
        candidates.iter().take(copies).map(|candidate| candidate.node.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategy_of_ones_own_is_a_gap() {
    let kept = Kept::default();
    let node = process_hub::start(kept.options("n1", &[]), TestRuntime::current(), Network::default()).await.unwrap();
    let mut config = HubConfig::new(HubId::new("own").unwrap());
    config.distribution = process_hub::core::config::Distribution::Custom(Arc::new(FirstOfAll));
    node.hub(config).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.leave(Duration::from_secs(1)).await.unwrap();
    until("the node has ended", || !node.is_alive()).await;
    let (progress, error) = replay(&kept.file()).unwrap();
    assert_eq!((error, progress.missing), (None, 1), "{progress:?}");
    assert!(progress.beyond > 0, "{progress:?}");
}

/// The record of a short life of one node, by hand: no driver, no clock, no randomness.
fn small() -> Vec<u8> {
    let config = NodeConfig::new(NodeId::new("n1").unwrap(), "127.0.0.1:7401");
    let beginning = Beginning { config: config.clone(), boot: Boot(7), seed: 9 };
    let mut node = Node::new(config, Boot(7), 9).unwrap();
    let hub = HubConfig::new(HubId::new("demo").unwrap());
    let (mut bytes, mut fingerprint, mut effects) = (Vec::new(), Fingerprint::default(), Effects::new());
    let inputs = [(5, Input::Request { id: RequestId(1), request: Request::OpenHub(hub) }), (9, Input::Tick)];
    for (now, input) in inputs {
        Entry::open(Time(now), &input, &mut bytes).unwrap();
        drop(effects.drain());
        node.handle(Time(now), input, &mut effects);
        fingerprint.add(&effects);
        Entry::close(fingerprint.value(), &mut bytes);
    }
    let steps = Piece::Steps { first: 0, count: 2, bytes };
    file(0, &[Piece::Beginning(Box::new(beginning)), steps, Piece::Gap { first: 2, count: 5 }])
}

/// A record of this format is read by every version that claims to. Where the format has to change, its version does,
/// too, and this file with it: `UPDATE_GOLDEN=1 cargo test -p process-hub --test record`.
#[test]
fn the_format_is_what_it_was() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/small.phrec");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, small()).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    let items: Vec<_> = Segment::open(&golden).unwrap().collect::<Result<_, _>>().unwrap();
    let [Item::Step(0, opened), Item::Step(1, tick), Item::Gap { first: 2, count: 5 }] = &items[..] else {
        panic!("{items:?}")
    };
    assert!(
        matches!(&opened.input, Input::Request { request: Request::OpenHub(config), .. } if config.id.as_str() == "demo")
    );
    assert_eq!((opened.now, tick.now, &tick.input), (Time(5), Time(9), &Input::Tick));
    assert_eq!(Segment::open(&golden).unwrap().head().beginning.config.name.as_str(), "n1");
    assert_eq!(golden, small(), "the same is written today");
}

#[test]
fn files_that_are_none_are_refused_with_words() {
    let good = small();
    assert_eq!(Segment::open(b"").unwrap_err(), RecordError::Torn { at: 0 });
    assert_eq!(Segment::open(b"PHRECORE").unwrap_err(), RecordError::Mark);
    assert_eq!(Segment::open(b"{\"format\": 1, \"a\": 2}").unwrap_err(), RecordError::Mark);
    let mut newer = good.clone();
    newer[8] = 2;
    let said = Segment::open(&newer).unwrap_err().to_string();
    assert!(said.contains("format 2.3, this program reads 1.3"), "{said}");
    for cut in 0..good.len() {
        match Segment::open(&good[..cut]) {
            Err(RecordError::Torn { .. }) => {}
            Ok(segment) => {
                let last = segment.last();
                let whole = matches!(last, None | Some(Ok(_)) | Some(Err(RecordError::Torn { .. })));
                assert!(whole, "cut at {cut}: {last:?}");
            }
            Err(other) => panic!("cut at {cut}: {other}"),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_can_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        persist_load::run(&bytes);
    }

    #[test]
    fn no_change_of_a_good_file_can_do_harm(at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let mut bytes = small();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        persist_load::run(&bytes);
        persist_load::run(&[&[1], &bytes[..]].concat());
    }
}
