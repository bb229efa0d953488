//! The format, the recorder and the page, without a browser; `.ci/viewer` opens the page in one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/bodies/trace_load.rs"]
mod trace_load;

use std::collections::BTreeMap;

use process_hub_core::config::{HubConfig, NodeConfig};
use process_hub_core::id::{Boot, HubId, Member, NodeId, RequestId};
use process_hub_core::request::{Request, StartOptions};
use process_hub_core::spec::ChildSpec;
use process_hub_core::{ChildEvent, Effect, Effects, Input, Message, Node, Time};
use process_hub_viewer::{About, Act, Fate, History, HistoryError, Recorder, What};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("fixtures/example.json");

/// One node under a recorder, each input a millisecond after the one before.
struct Watched {
    node: Node,
    recorder: Recorder,
    now: u64,
}

impl Watched {
    fn new(most_steps: usize) -> Self {
        let lanes = vec![("n1".to_owned(), false), ("n2".to_owned(), true)];
        let about = About {
            title: "a test".to_owned(),
            key: "t".to_owned(),
            late_after: 500,
            lanes,
            most_steps,
            ..About::default()
        };
        let name = NodeId::new("n1").unwrap();
        let node = Node::new(NodeConfig::new(name, "n1:1"), Boot(7), 1).unwrap();
        let mut this = Self { node, recorder: Recorder::new(about), now: 0 };
        this.recorder.happens(0, 0, What::Boot, "boots", None);
        this.hand(Input::Request { id: RequestId(1), request: Request::OpenHub(HubConfig::new(hub())) });
        this
    }

    fn hand(&mut self, input: Input) -> Vec<Effect> {
        self.now += 1_000;
        self.recorder.begin(self.now, 0, &input);
        let mut effects = Effects::new();
        self.node.handle(Time(self.now), input, &mut effects);
        for effect in &effects {
            self.recorder.effect(effect);
        }
        self.recorder.end(Some(&self.node));
        effects.into_iter().collect()
    }

    /// Starts a child and lets it come up.
    fn start(&mut self, number: u64) {
        let child = ChildSpec::new(format!("c{number}").parse().unwrap(), "kind".parse().unwrap(), vec![]);
        let request = Request::Start { hub: hub(), children: vec![child], options: StartOptions::default() };
        let effects = self.hand(Input::Request { id: RequestId(number + 1), request });
        for effect in effects {
            if let Effect::Start { pid, .. } = effect {
                self.hand(Input::Child { hub: hub(), sequence: pid.sequence, event: ChildEvent::Started });
            }
        }
    }
}

fn hub() -> HubId {
    HubId::new("hub").unwrap()
}

/// The state of a lane after all steps.
fn last_state(history: &History, lane: u32) -> BTreeMap<String, String> {
    let mut state = history.lanes[lane as usize].state.clone();
    for step in history.steps.iter().filter(|step| step.lane == lane) {
        for (name, value) in &step.state {
            match value {
                Some(value) => state.insert(name.clone(), value.clone()),
                None => state.remove(name),
            };
        }
    }
    state
}

#[test]
fn the_example_is_read_and_written_as_it_is() {
    let history = History::read(EXAMPLE).unwrap();
    assert_eq!(History::read(&history.json().unwrap()).unwrap(), history);
    let fates = history.messages.iter().map(|message| message.fate).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(fates.len(), 5, "one of everything that a simulator tells, for the browser's test");
}

#[test]
fn what_is_no_history_is_refused_with_words() {
    let message = |text: &str| History::read(text).unwrap_err().to_string();
    assert!(message("").contains("this is no history"));
    assert!(message("{\"format\": \"x\", \"version\": 1}").contains("this is a `x`"));
    let newer = EXAMPLE.replacen("\"version\": 1", "\"version\": 2", 1);
    assert!(message(&newer).contains("version 2, this program reads version 1"), "{}", message(&newer));
    let dangling = EXAMPLE.replacen("\"handled\": 8", "\"handled\": 8000", 1);
    assert!(
        matches!(History::read(&dangling), Err(HistoryError::Dangling { number: 8_000, .. })),
        "{}",
        message(&dangling)
    );
}

#[test]
fn a_page_asks_nobody_and_no_text_ends_its_script() {
    let mut history = History::read(EXAMPLE).unwrap();
    history.title = "<b>&".to_owned();
    history.about = "</script><script>alert(1)</script> {{data}}".to_owned();
    let page = history.page().unwrap();
    assert!(page.contains("<title>&lt;b>&amp;"));
    assert!(!page.contains("</script><script>alert"));
    assert_eq!(page.matches("</script>").count(), 2, "its own two");
    for outside in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    let data = page.split_once("id=\"history\">").unwrap().1.split_once("</script>").unwrap().0;
    assert_eq!(History::read(data).unwrap(), history, "what is in the page is the history");
}

#[test]
fn steps_tell_what_a_node_did_and_what_changed() {
    let mut watched = Watched::new(100);
    watched.start(1);
    let history = watched.recorder.finish(9_000);
    let starts: Vec<_> =
        history.steps.iter().flat_map(|step| &step.acts).filter(|act| matches!(act, Act::Start { .. })).collect();
    let [Act::Start { child, role, .. }] = starts[..] else { panic!("{starts:?}") };
    assert_eq!((child.as_str(), role.as_str()), ("c1", "active"));
    let state = last_state(&history, 0);
    assert_eq!(state["phase"], "ready");
    assert!(state["child c1"].starts_with("runs n1/7/1 active"), "{state:?}");
    assert!(history.steps.iter().any(|step| step.what == What::Started && step.seq == Some(1)));
}

#[test]
fn messages_are_followed_to_their_end() {
    let mut watched = Watched::new(100);
    let other = Member { node: NodeId::new("n2").unwrap(), boot: Boot(1) };
    let recorder = &mut watched.recorder;
    let [quick, slow, lost] = [1_900, 0, 0].map(|t| recorder.sent(t, 1, 0, &Message::Keepalive));
    recorder.lost(300, lost, "no way");
    for number in [quick, slow, quick] {
        watched.recorder.arriving(number);
        watched.hand(Input::Message { from: other.clone(), message: Message::Keepalive });
    }
    let under_way = watched.recorder.sent(watched.now, 0, 1, &Message::Keepalive);
    let history = watched.recorder.finish(9_000);
    let fate = |number: u64| history.messages[usize::try_from(number).unwrap()].fate;
    assert_eq!(
        [fate(quick), fate(slow), fate(lost), fate(under_way)],
        [Fate::Arrived, Fate::Late, Fate::Lost, Fate::Unknown]
    );
    assert_eq!(history.messages.iter().filter(|message| message.fate == Fate::Copy).count(), 1);
    assert!(history.messages.iter().all(|message| message.sort == "keepalive" && message.chatter));
    History::read(&history.json().unwrap()).unwrap();
}

#[test]
fn what_was_forgotten_is_what_the_lanes_begin_with() {
    let (mut all, mut few) = (Watched::new(10_000), Watched::new(7));
    for watched in [&mut all, &mut few] {
        for number in 1..=20 {
            watched.start(number);
            watched.recorder.cut(watched.now, 0, 1, number % 2 == 0);
        }
        watched.recorder.violation(watched.now, Some(0), "S0", Some("c1"), "for a test");
    }
    let (all, few) = (all.recorder.finish(99_000), few.recorder.finish(99_000));
    assert_eq!(few.steps.len(), 7);
    assert_eq!(few.first_step + 7, all.steps.len() as u64, "numbers count from the beginning of the run");
    assert_eq!(few.steps[..], all.steps[all.steps.len() - 7..]);
    assert_eq!(last_state(&few, 0), last_state(&all, 0));
    assert!(few.lanes[0].up && few.lanes[0].instances.len() >= 17, "{:?}", few.lanes[0].instances);
    assert!(few.lanes[0].instances.iter().all(|instance| instance.up));
    assert_eq!(few.violations[0].step, all.violations[0].step);
    History::read(&few.json().unwrap()).unwrap();
}

proptest! {
    #[test]
    fn no_text_can_do_harm(text in ".{0,200}") {
        trace_load::run(text.as_bytes());
    }

    /// The example with one piece of it cut out, or said again.
    #[test]
    fn no_change_of_a_good_history_can_do_harm(at in any::<prop::sample::Index>(), len in 1..40_usize, twice in any::<bool>()) {
        let at = at.index(EXAMPLE.len() - len);
        let piece = if twice { &EXAMPLE[at..at + len] } else { "" };
        let changed = [&EXAMPLE[..at], piece, piece, &EXAMPLE[at + len..]].concat();
        trace_load::run(changed.as_bytes());
    }
}
