//! The history of a run: it changes nothing, and what it tells fits together.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use process_hub_simtests::{History, Options, run, run_with_history};
use process_hub_viewer::{Fate, What};

fn history(seed: u64) -> History {
    let options = Options { seed, ..Options::default() };
    let (report, history) = run_with_history(&options, 1_000_000);
    assert_eq!(run(&options, false), report, "seed {seed}: to be watched changes nothing");
    History::read(&history.json().unwrap()).unwrap()
}

#[test]
fn a_run_with_a_history_is_the_same_run_and_its_messages_are_followed() {
    let (mut fates, mut whats) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for seed in 0..6 {
        let history = history(seed);
        assert!(history.steps.is_sorted_by_key(|step| step.t), "seed {seed}");
        for message in &history.messages {
            fates.insert(message.fate);
            let handled = message.handled.map(|step| &history.steps[usize::try_from(step).unwrap()]);
            let arrived = matches!(message.fate, Fate::Arrived | Fate::Late | Fate::Copy);
            assert_eq!(handled.is_some(), arrived, "seed {seed}: {message:?}");
            if let Some(step) = handled {
                assert_eq!((step.lane, step.what), (message.to, What::Message), "seed {seed}: {message:?}");
                assert!(step.t >= message.t, "seed {seed}: {message:?}");
            }
        }
        whats.extend(history.steps.iter().map(|step| step.what));
    }
    for fate in [Fate::Arrived, Fate::Late, Fate::Lost] {
        assert!(fates.contains(&fate), "{fate:?} never happened in {fates:?}");
    }
    for what in [What::Boot, What::Crash, What::Pause, What::Resume, What::Cut, What::Heal, What::Up, What::Down] {
        assert!(whats.contains(&what), "{what:?} never happened in {whats:?}");
    }
}

#[test]
fn the_last_part_of_a_run_is_told_as_in_all_of_it() {
    let options = Options { seed: 3, ..Options::default() };
    let (_, all) = run_with_history(&options, 1_000_000);
    let (_, last) = run_with_history(&options, 500);
    assert_eq!(last.steps[..], all.steps[all.steps.len() - 500..]);
    assert_eq!(last.first_step, all.first_step + all.steps.len() as u64 - 500);
    let at = usize::try_from(last.first_message).unwrap();
    assert_eq!(last.messages.len(), all.messages.len() - at);
    History::read(&last.json().unwrap()).unwrap();
}
