//! What is explored, and how many states that has.
//!
//! The counts are those of `counts.txt`: a change of the core that changes what can happen shows there, wanted or not. After
//! a change that is meant, `MODEL_COUNTS=write cargo test -p process-hub-simtests --test model` writes them anew.
//! `MODEL=large` explores the larger spaces of the nightly run instead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use process_hub_core::config::{Factor, Model as Serving, Partition, Redundancy, Signal};
use process_hub_core::message::Phase;
use process_hub_core::spec::Role;
use stateright::{Checker, Model};

use crate::cluster::{Ask, Cluster, Scenario, Sometimes, pairs};
use crate::properties::{all_agree, is_quiet, serving};
use crate::state::{Knows, Left, Life, State};

/// Two children: the first belongs to n3 while n3 is there, the second to n1.
pub(crate) const THEIRS: &str = "d";
const OURS: &str = "a";

/// Explores a scenario, and compares the number of its states.
fn check(name: &str, scenario: Scenario) {
    let checker = Cluster::new(scenario).checker().threads(1).spawn_dfs().join();
    checker.assert_properties();
    println!("{name}: {} states, {} transitions", checker.unique_state_count(), checker.state_count());
    compare(name, checker.unique_state_count());
}

/// Compares with what is known. The larger spaces are what they are, and so are those of hubs that also remember what a
/// deliberate defect needs.
fn compare(name: &str, count: usize) {
    if large() || cfg!(feature = "sabotage") {
        return;
    }
    static FILE: Mutex<()> = Mutex::new(());
    let _one_at_a_time = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/model/counts.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let parse = |line: &str| line.rsplit_once(' ').map(|(name, count)| (name.to_owned(), count.parse().unwrap()));
    let mut counts: BTreeMap<String, usize> = text.lines().filter_map(parse).collect();
    if std::env::var_os("MODEL_COUNTS").is_some_and(|what| what == "write") {
        counts.insert(name.to_owned(), count);
        let lines: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}\n")).collect();
        return std::fs::write(&path, lines.concat()).unwrap();
    }
    assert_eq!(
        counts.get(name),
        Some(&count),
        "{name}: another number of states. If the core was meant to change what can happen, look at the difference and run \
         MODEL_COUNTS=write cargo test -p process-hub-simtests --test model"
    );
}

/// Whether the larger spaces are to be explored.
fn large() -> bool {
    std::env::var_os("MODEL").is_some_and(|size| size == "large")
}

/// So many departures from first come, first served, in the small run; one more in the large one.
fn delays(small: u8) -> Option<u8> {
    Some(small + u8::from(large()))
}

fn starts(child: &'static str) -> Scenario {
    Scenario { before: vec![Ask::Start(0, child)], ..Scenario::new() }
}

/// A child of n3's that is stopped from n1's side while n3 may be cut off.
pub(crate) fn stopped_across_a_cut() -> Scenario {
    Scenario {
        script: vec![Ask::Stop(1, THEIRS)],
        left: Left { cuts: 1, ..Left::default() },
        cuttable: vec![2],
        delays: delays(1),
        sometimes: vec![
            ("stopped on one side, serving on the other", |cluster, state| {
                let learnt = state.alive().any(|(_, side)| !side.removed.is_empty());
                learnt && state.is_parted(0, 2) && cluster.children.iter().any(|child| serving(state, child) == 1)
            }),
            ("both sides serve", |cluster, state| {
                state.is_parted(0, 2) && cluster.children.iter().any(|child| serving(state, child) == 2)
            }),
            ("healed and stopped everywhere", |cluster, state| {
                state.left.cuts == 0
                    && at_rest(state)
                    && cluster.children.iter().all(|child| serving(state, child) == 0)
            }),
        ],
        ..starts(THEIRS)
    }
}

/// A child of n3's while n3 crashes and comes back with nothing.
pub(crate) fn crash_and_restart() -> Scenario {
    Scenario {
        left: Left { crashes: 1, restarts: 1, ..Left::default() },
        crashable: vec![2],
        delays: delays(1),
        sometimes: vec![
            ("taken over", |cluster, state| {
                state.sides[2].is_none() && cluster.children.iter().any(|child| serving(state, child) == 1)
            }),
            ("back where it belongs", |_, state| state.boots[2].0 == 2 && at_rest(state) && serves(state, 2)),
        ],
        ..starts(THEIRS)
    }
}

/// Whether all links are there, all agree, and nothing is on its way.
fn at_rest(state: &State) -> bool {
    all_agree(state) && is_quiet(state) && !state.is_parted(0, 2) && state.alive().count() > 1
}

fn serves(state: &State, at: usize) -> bool {
    let side = state.sides[at].as_ref();
    side.is_some_and(|side| side.instances.values().any(|instance| instance.life == Life::Serving))
}

fn is_active(state: &State, at: usize) -> bool {
    let side = state.sides[at].as_ref();
    side.is_some_and(|side| side.instances.values().any(|copy| copy.life == Life::Serving && copy.role == Role::Active))
}

const STARTED_AND_STOPPED: [Sometimes; 2] = [
    ("it serves", |cluster, state| cluster.children.iter().any(|child| serving(state, child) == 1)),
    ("it was stopped", |cluster, state| {
        state.asked == cluster.scenario.script.len()
            && at_rest(state)
            && state.alive().all(|(_, side)| !side.removed.is_empty())
    }),
];

#[test]
fn a_start_and_a_stop_with_a_message_lost_and_one_repeated() {
    let name = "start, stop, a loss, a repetition, all orders";
    let left = Left { losses: 1, repeats: 1, wakes: u8::from(large()), ..Left::default() };
    let script = vec![Ask::Start(0, THEIRS), Ask::Stop(1, THEIRS)];
    check(name, Scenario { script, left, sometimes: STARTED_AND_STOPPED.into(), ..Scenario::new() });
}

#[test]
fn a_start_and_a_stop_with_a_message_overtaken_and_a_timer_that_fires() {
    let name = "start, stop, an overtaking, a timer";
    let left = Left { overtakes: 1, wakes: 1, ..Left::default() };
    let script = vec![Ask::Start(0, THEIRS), Ask::Stop(1, THEIRS)];
    let sometimes = STARTED_AND_STOPPED.into();
    check(name, Scenario { script, left, sometimes, delays: delays(2), ..Scenario::new() });
}

#[test]
fn two_children_of_two_nodes() {
    let script = vec![Ask::Start(0, THEIRS), Ask::Start(1, OURS), Ask::Stop(1, THEIRS)];
    let left = Left { losses: 1, ..Left::default() };
    let sometimes: [Sometimes; 1] = [("each serves where it belongs", |_, state| serves(state, 0) && serves(state, 2))];
    check(
        "two children, a loss",
        Scenario { script, left, delays: delays(1), sometimes: sometimes.into(), ..Scenario::new() },
    );
}

#[test]
fn a_stop_while_the_owner_crashes() {
    let left = Left { crashes: 1, losses: 1, wakes: u8::from(large()), ..Left::default() };
    let sometimes: [Sometimes; 1] = [("stopped without its node", |cluster, state| {
        state.sides[2].is_none() && at_rest(state) && cluster.children.iter().all(|child| serving(state, child) == 0)
    })];
    let scenario = Scenario {
        script: vec![Ask::Stop(1, THEIRS)],
        left,
        crashable: vec![2],
        sometimes: sometimes.into(),
        ..starts(THEIRS)
    };
    check("stop, crash of the owner, a loss, all orders", scenario);
}

#[test]
fn a_node_crashes_and_comes_back_with_nothing() {
    check("crash and restart", crash_and_restart());
}

#[test]
fn a_child_is_stopped_while_its_node_is_away() {
    let sometimes: [Sometimes; 1] = [("back, and it stays stopped", |cluster, state| {
        state.boots[2].0 == 2 && at_rest(state) && cluster.children.iter().all(|child| serving(state, child) == 0)
    })];
    let scenario = Scenario { script: vec![Ask::Stop(1, THEIRS)], sometimes: sometimes.into(), ..crash_and_restart() };
    check("stop, crash and restart", scenario);
}

#[test]
fn a_child_is_stopped_across_a_cut() {
    check("stop across a cut", stopped_across_a_cut());
}

#[test]
fn a_child_is_started_behind_a_cut() {
    let sometimes: [Sometimes; 2] = [
        ("it serves behind the cut", |_, state| state.is_parted(0, 2) && serves(state, 2)),
        ("healed, it serves where it belongs", |_, state| {
            state.left.cuts == 0 && at_rest(state) && serves(state, 0) && !serves(state, 2)
        }),
    ];
    let scenario = Scenario {
        before: vec![],
        script: vec![Ask::Start(2, OURS)],
        sometimes: sometimes.into(),
        ..stopped_across_a_cut()
    };
    check("start behind a cut", scenario);
}

#[test]
fn a_node_joins_and_is_given_a_child_that_may_be_stopped() {
    let sometimes: [Sometimes; 2] = [
        ("it has moved to the joiner", |_, state| at_rest(state) && serves(state, 2)),
        ("the former copy ends while the joiner waits", |_, state| {
            let ends = |at: usize| {
                state.sides[at]
                    .as_ref()
                    .is_some_and(|side| side.instances.values().any(|copy| matches!(copy.life, Life::Ending { .. })))
            };
            state.asked == 1 && (ends(0) || ends(1)) && state.sides[2].is_some()
        }),
    ];
    let left = Left { restarts: 1, ..Left::default() };
    let script = vec![Ask::Stop(1, THEIRS)];
    check(
        "join, stop",
        Scenario { up: 2, script, left, delays: delays(1), sometimes: sometimes.into(), ..starts(THEIRS) },
    );
}

#[test]
fn a_node_leaves() {
    let sometimes: [Sometimes; 1] = [("another serves before it is gone", |_, state| {
        let leaving = state.sides[2].as_ref().is_some_and(|side| side.hub.phase() == Phase::Leaving);
        leaving && (serves(state, 0) || serves(state, 1))
    })];
    let left = Left { losses: 1, wakes: 1, ..Left::default() };
    let script = vec![Ask::Leave(2)];
    check(
        "leave, a loss, a timer",
        Scenario { script, left, delays: delays(1), sometimes: sometimes.into(), ..starts(THEIRS) },
    );
}

fn pair(mut scenario: Scenario) -> Scenario {
    let (factor, model, signal) = (Factor::Copies(2), Serving::ActivePassive, Signal::All);
    scenario.config.redundancy = Redundancy::Replication { factor, model, signal };
    scenario
}

#[test]
fn of_two_copies_one_is_active_whoever_crashes() {
    let sometimes: [Sometimes; 1] = [("promoted", |_, state| {
        state.sides[2].is_none() && at_rest(state) && (is_active(state, 0) || is_active(state, 1))
    })];
    let left = Left { crashes: 1, losses: 1, wakes: 1, ..Left::default() };
    let scenario =
        Scenario { left, crashable: vec![2], delays: delays(2), sometimes: sometimes.into(), ..starts(THEIRS) };
    check("active and passive, crash, a loss, a timer", pair(scenario));
}

#[test]
fn of_two_copies_one_is_active_on_each_side_of_a_cut_and_one_after_it() {
    let sometimes: [Sometimes; 2] = [
        ("one active a side", |_, state| {
            state.is_parted(0, 2) && is_active(state, 2) && (is_active(state, 0) || is_active(state, 1))
        }),
        ("one stepped back", |_, state| {
            let met = pairs().all(|(a, b)| state.knows[a][b] == Knows::Up);
            state.left.cuts == 0 && met && at_rest(state)
        }),
    ];
    let left = Left { cuts: 1, ..Left::default() };
    let scenario =
        Scenario { left, cuttable: vec![2], delays: delays(2), sometimes: sometimes.into(), ..starts(THEIRS) };
    check("active and passive, cut", pair(scenario));
}

#[test]
fn nothing_starts_without_a_quorum() {
    let sometimes: [Sometimes; 2] = [
        ("locked", |_, state| state.sides[2].as_ref().is_some_and(|side| side.hub.is_locked())),
        ("the others hold", |_, state| {
            let holds = |at: usize| state.sides[at].as_ref().is_some_and(|side| !side.hub.is_locked());
            state.sides[2].as_ref().is_some_and(|side| side.hub.is_locked()) && holds(0) && holds(1)
        }),
    ];
    let left = Left { cuts: 1, wakes: 1, ..Left::default() };
    let mut scenario = Scenario {
        left,
        cuttable: vec![2],
        delays: delays(0),
        sometimes: sometimes.into(),
        script: vec![Ask::Start(2, OURS)],
        ..starts(THEIRS)
    };
    scenario.config.partition = Partition::StaticQuorum { quorum_size: 2, startup_confirm: true };
    check("static quorum, cut, start, a timer", scenario);
}
