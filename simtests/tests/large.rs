//! What the original fails at with many children: registries that do not agree after a join or a loss, and work that grows
//! faster than the number of children.

use process_hub_core::request::Status;
use process_hub_simtests::scenario::Cluster;

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

const MANY: usize = 15_000;

/// What has been done since `before`, per thousand of `children`.
fn per_mille(now: u64, before: u64, children: usize) -> u64 {
    (now - before) * 1_000 / children as u64
}

/// Failures 1 to 3: with many children a node joins and one is killed. The registries agree each time, the work is in
/// proportion to what moves, and whoever is idle says nothing of its children.
#[test]
fn f1_f2_f3_many_children_agree_after_a_join_and_a_loss_and_cost_little() {
    let mut c = Cluster::unbooted(4, |_| {});
    ["n1", "n2", "n3"].iter().for_each(|node| c.boot(node));
    c.settle();
    let children = names("c", MANY);
    let (inputs, messages) = (c.inputs(), c.messages());
    let started = c.start("n1", &children);
    assert_eq!((started.status, started.started.len()), (Status::Ok, MANY));
    c.settle();
    c.assert_converged();
    // Each child comes up by one input, and many are told in one message.
    let (inputs, messages) = (per_mille(c.inputs(), inputs, MANY), per_mille(c.messages(), messages, MANY));
    println!("start: {inputs} inputs and {messages} messages a thousand children");
    assert!(inputs < 2_000 && messages < 500, "{inputs} inputs, {messages} messages");

    let idle = c.messages();
    c.run_for_secs(30);
    let idle = (c.messages() - idle) / 30;
    println!("idle: {idle} messages a second");
    assert!(idle < 60, "{idle} messages a second between three idle nodes");

    let mut moves = |what: &str, change: fn(&mut Cluster), most: u64| {
        let (inputs, messages, runs) = (c.inputs(), c.messages(), c.started());
        change(&mut c);
        let took = c.settle();
        c.assert_converged();
        let moved = c.started() - runs;
        assert!((MANY / 6..MANY / 3).contains(&moved), "{what}: {moved} moved");
        let (inputs, messages) = (per_mille(c.inputs(), inputs, moved), per_mille(c.messages(), messages, moved));
        println!("{what}: {took:?}, {moved} moved, {inputs} inputs and {messages} messages a thousand of them");
        assert!(inputs < most && messages < 1_000, "{what}: {inputs} inputs, {messages} messages");
    };
    moves("join", |c| c.boot("n4"), 4_000);
    moves("loss", |c| c.crash("n2"), 3_000);
    for node in c.up() {
        assert_eq!(c.declared(&node), MANY);
    }
}

/// Failure 7: a start of ten times as many children is no more than ten times the work.
#[test]
fn f7_a_large_start_is_no_more_work_a_child_than_a_small_one() {
    let work = |children: usize| {
        let mut c = Cluster::new(3);
        let (inputs, messages) = (c.inputs(), c.messages());
        assert_eq!(c.start("n1", &names("c", children)).status, Status::Ok);
        (per_mille(c.inputs(), inputs, children), per_mille(c.messages(), messages, children))
    };
    let (small, large) = (work(500), work(5_000));
    println!("inputs and messages a thousand children: {small:?} of 500, {large:?} of 5000");
    assert!(large.0 <= small.0 * 11 / 10 && large.1 <= small.1 * 11 / 10, "{small:?}, then {large:?}");
}
