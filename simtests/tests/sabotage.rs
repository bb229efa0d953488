//! A sweep over a core that was broken on purpose finds it, and says so by the right invariant. `docs/oracles.md` is made of the
//! table below, and held to it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use process_hub_core::config::Sabotage;
use process_hub_simtests::decisions::Script;
use process_hub_simtests::{Options, oracles, replay, sweep};

/// What these defects are defects of. With all strategies drawn, most seeds do not come near: half of them have a quorum,
/// under which a restarted node waits before it takes part.
const STRATEGIES: [&str; 5] = ["consistent-hashing", "singularity", "cold-swap", "pubsub", "divergence"];

/// How a defect is known.
enum By {
    /// Each of these oracles finds it.
    Each(&'static [&'static str]),
    /// One of these does.
    AnyOf(&'static [&'static str]),
    /// This one does, in a run that is written for it.
    Scripted(&'static str),
}

use By::{AnyOf, Each, Scripted};

/// Runs seeds until the defect is found by whatever is to find it.
fn caught(defect: Sabotage, strategy: &str, by: &By) {
    let named = |options: Options, name: &str| options.with(name).unwrap_or_else(|error| panic!("{error}"));
    let more = Some(strategy).filter(|strategy| !strategy.is_empty());
    let base = STRATEGIES.into_iter().chain(more).fold(Options::default(), named);
    let mut found = BTreeSet::new();
    for seed in 0..1_000 {
        let mut options = base;
        (options.seed, options.sabotage) = (seed, Some(defect));
        let failed = sweep(seed..seed + 1, &options, 1, |_| {}).failed;
        found.extend(failed.iter().flat_map(|report| &report.violations).map(|violation| violation.oracle));
        let done = match by {
            Each(oracles) => oracles.iter().all(|oracle| found.contains(oracle)),
            AnyOf(oracles) => oracles.iter().any(|oracle| found.contains(oracle)),
            Scripted(oracle) => found.contains(oracle),
        };
        if done {
            return;
        }
    }
    panic!("{defect:?} is not caught as it should be, but by {found:?}");
}

macro_rules! defects {
    ($($test:ident: $defect:ident, $words:literal, $strategy:literal, $by:expr;)*) => {
        /// Each defect: what it is, under which strategy beside the usual ones, and what catches it.
        const DEFECTS: &[(Sabotage, &str, &str, By)] = &[$((Sabotage::$defect, $words, $strategy, $by)),*];

        $(#[test]
        fn $test() {
            caught(Sabotage::$defect, $strategy, &$by);
        })*
    };
}

defects! {
    forgetting_a_removal_in_a_merge_is_caught: ForgetRemoval, "merging with a peer forgets that a start was removed", "", Each(&["S7"]);
    a_ring_in_join_order_is_caught: RingInJoinOrder, "owners depend on the order in which members were met", "", Each(&["S20", "L1"]);
    a_row_of_an_old_boot_is_caught: AcceptOldBoot, "batches of an earlier life are applied", "",
        AnyOf(&["S9", "S10", "S11", "L1", "S22", "S21"]);
    retracting_instead_of_filtering_is_caught: RetractInsteadOfFilter, "rows of a member that is taken to be down are removed for good", "",
        AnyOf(&["L1", "L2", "S3", "S12", "S14"]);
    compacting_what_others_have_not_seen_is_caught: CompactEarly, "what was seen of a life is compacted although others saw more", "",
        AnyOf(&["L1", "L2", "R6", "S7", "S8"]);
    a_snapshot_before_the_freeze_is_caught: SnapshotBeforeFreeze, "a copy goes on handling messages after its state was taken",
        "hot-handover", Each(&["S15"]);
    ending_a_copy_on_an_unknown_outcome_is_caught: EndOnUnknownOutcome, "the old copy is ended whatever became of the new one",
        "hot-handover", AnyOf(&["S15", "S17"]);
    a_copy_that_is_given_a_second_state_is_caught: ReuseStandby, "a copy that stood by is given the state of the next move",
        "hot-handover", AnyOf(&["S15", "S16"]);
    a_state_that_goes_with_its_copy_is_caught: ForgetState, "a copy that has ended takes its state with it", "cold-handover", Each(&["S16"]);
    a_node_that_undoes_what_it_did_is_caught: FlipFlop, "a node starts again what it has just ended, and does not own", "autonomous",
        Each(&["S18", "S2"]);
    a_child_that_is_started_twice_is_caught: StartTwice, "a child is started twice on its node", "", Each(&["S1", "S23"]);
    a_start_beside_other_copies_is_caught: IgnoreClaims, "an owner starts its copy whatever copies others have", "", Each(&["S14"]);
    a_copy_that_never_yields_is_caught: NeverYield, "a copy that belongs elsewhere is never ended", "", Each(&["S3", "L2"]);
    a_temporary_child_that_is_restarted_is_caught: RestartTemporary, "a temporary child is restarted", "", Each(&["S25"]);
    half_a_quorum_is_caught: HalfAQuorum, "half of a quorum is enough", "static-quorum", Each(&["S6"]);
    a_hub_that_stays_locked_is_caught: NeverUnlock, "a hub that has its quorum back stays locked", "majority-quorum", Each(&["L5", "L6"]);
    repeated_tokens_are_caught: RepeatTokens, "each copy is given the token of the one before", "majority-quorum", Each(&["S5", "PID"]);
    an_early_promotion_is_caught: PromoteEarly, "a copy is promoted while another one is active", "active-passive", Each(&["S13"]);
    a_promotion_that_never_comes_is_caught: NeverPromote, "no copy is ever promoted", "active-passive", Each(&["L4"]);
    a_mapping_that_is_ignored_is_caught: IgnoreMapping, "a child whose nodes were named goes where the ring says", "guided", Each(&["S19"]);
    an_end_that_is_not_told_is_caught: SilentEnd, "the end of a copy is not told", "", Each(&["L1", "S24", "L9"]);
    rows_of_members_that_are_gone_are_caught: ShowGone, "rows of members that are gone are shown", "", Each(&["S11"]);
    older_rows_that_win_are_caught: OlderRowsWin, "what opens a stream replaces what is newer", "gossip", Each(&["S24"]);
    rows_of_others_told_as_ones_own_are_caught: Parrot, "a node tells rows of others as its own", "", Each(&["S10"]);
    a_stop_of_what_it_has_not_seen_is_caught: StopUnseen, "a stop removes starts that it cannot have seen", "", Each(&["S8", "MIR"]);
    a_second_answer_is_caught: AnswerTwice, "a request is answered twice", "", Each(&["S21"]);
    an_early_answer_is_caught: AnswerEarly, "a start is answered before the child is up", "", Each(&["S22"]);
    a_hook_that_comes_late_is_caught: HookLate, "that children are about to start is told after they were started", "", Each(&["S23"]);
    a_hook_that_comes_twice_is_caught: HookTwice, "a child that is up is told of twice", "", Each(&["S24"]);
    a_stop_that_is_not_carried_out_is_caught: NeverStop, "a child that was stopped goes on where it runs", "", Each(&["L3", "S3"]);
    a_message_that_is_handed_over_twice_is_caught: DeliverTwice, "a message is handed to its child twice", "", Each(&["AMO"]);
    chatter_is_caught: Chatter, "a node tells all it remembers at each look at its clock", "", Each(&["L8"]);
    a_step_without_bound_is_caught: Shout, "a tick tells of one change thousands of times", "", Each(&["S26"]);
    work_without_end_is_caught: NeverRest, "there is always something left to do", "", Each(&["S27"]);
    what_is_applied_again_is_caught: ApplyAgain, "what has come already is applied again", "", Each(&["S9"]);
    grants_that_are_forgotten_are_caught: ForgetGrants, "what was granted to members that are gone is forgotten at once", "static-quorum",
        AnyOf(&["S4", "S5"]);
    a_lease_that_has_run_out_and_binds_nobody_is_caught: NeverLock, "what runs where the lease has run out is let run", "static-quorum",
        Each(&["S4"]);
    a_copy_that_stands_by_for_nothing_is_caught: KeepStandby, "a copy that stands by goes on doing so although its move was given up",
        "hot-handover", Each(&["S12"]);
    a_copy_that_is_not_let_go_on_is_caught: StayFrozen, "a copy whose move has failed is not let go on", "hot-handover", Each(&["S17"]);
    restlessness_is_caught: Unrest, "a node ends and starts a child now and then although nothing has changed", "", Each(&["L7"]);
    a_memory_without_end_is_caught: Hoard, "a node keeps all that it was ever told", "", Each(&["L10"]);
    what_depends_on_more_than_the_seed_is_caught: OutsideState, "when a node compares depends on what others of its process have done", "",
        Each(&["S28"]);
    a_member_with_other_settings_is_caught: LetIn, "whoever has other settings of the hub is let in", "", Each(&["CFG"]);
    a_state_that_is_said_once_is_caught: SayOnce, "what was lost of a state on its way is not said again", "cold-handover", Each(&["DROP"]);
}

/// Defects that a script shows.
const IN_SCRIPTS: [(Sabotage, &str, &str, By); 1] =
    [(Sabotage::AnswerAlone, "a start is answered before anybody else knows of it", "the script's", Scripted("R6"))];

/// Two nodes; a start at the first is answered, and its machine is switched off before a word of it is at the other.
#[test]
fn an_answer_before_anybody_else_knows_is_caught() {
    let mut script = Script::new(1, 2);
    script.setup(|setup| setup.sabotage = Some(format!("{:?}", Sabotage::AnswerAlone)));
    script.at(0).boot("n1").boot("n2");
    script.at(5_000_000).cut("n1", "n2");
    for child in ["c0", "c1", "c2", "c3", "c4", "c5"] {
        script.start("n1", &[child]);
    }
    script.at(5_002_000).switch_off("n1");
    script.at(6_000_000).heal(&["n2"]);
    let mut decisions = script.decisions().clone();
    let report = replay(&decisions, false).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.violations.iter().any(|violation| violation.oracle == "R6"), "{:?}", report.violations);
    decisions.setup.sabotage = None;
    let report = replay(&decisions, false).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.violations, [], "and only with the defect");
}

/// The table as Markdown.
fn table() -> String {
    let mut page = String::from(
        "# Oracles and defects\n\nEach line is a defect that is built into the core on purpose (`--features sabotage`, in no release), and the\n\
         invariants by which the simulator finds it. `cargo test -p process-hub-simtests --features sabotage --test sabotage`\n\
         shows each, and holds this page to its table; `process-hub-sim sweep --seeds 0..100 --sabotage NAME`, built with that\n\
         feature, does it by hand. Beside that each oracle fires on a trace that was made by hand (`simtests/src/oracles/tests`).\n\n\
         | defect | what is wrong | strategy | found by |\n|---|---|---|---|\n",
    );
    for (defect, words, strategy, by) in DEFECTS.iter().chain(&IN_SCRIPTS) {
        let by = match by {
            Each(oracles) => oracles.join(", "),
            AnyOf(oracles) => format!("one of {}", oracles.join(", ")),
            Scripted(oracle) => format!("{oracle}, in a script"),
        };
        let strategy = if strategy.is_empty() { "the usual" } else { strategy };
        let _ = writeln!(page, "| `{defect:?}` | {words} | {strategy} | {by} |");
    }
    page
}

#[test]
fn each_defect_is_in_the_table_and_each_oracle_has_a_defect_or_a_reason() {
    let defects: BTreeSet<Sabotage> = DEFECTS.iter().chain(&IN_SCRIPTS).map(|(defect, ..)| *defect).collect();
    assert_eq!(defects, Sabotage::ALL.into_iter().collect());
    let certain = DEFECTS.iter().chain(&IN_SCRIPTS).map(|(.., by)| match by {
        Each(oracles) => oracles.to_vec(),
        Scripted(oracle) => vec![*oracle],
        AnyOf(_) => Vec::new(),
    });
    let shown: BTreeSet<&str> = certain.flatten().collect();
    let missing: Vec<_> = oracles().into_iter().filter(|oracle| !shown.contains(oracle)).collect();
    assert!(missing.is_empty(), "no defect, and no reason: {missing:?}");
}

/// `UPDATE_GOLDEN=1` writes the page.
#[test]
fn the_page_of_oracles_is_this_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/oracles.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, table()).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), table(), "UPDATE_GOLDEN=1 writes it");
}
