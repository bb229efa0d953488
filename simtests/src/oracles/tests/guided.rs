//! Children stay on the nodes that they were given to.

use std::collections::BTreeMap;

use process_hub_core::request::ChildMapping;
use process_hub_core::steering::Steer;

use super::*;

/// The caller of a start maps its child to the node of host 0.
fn mapped() -> Bench {
    let mut bench = Bench::settled(3);
    let mapping: ChildMapping = BTreeMap::from([(child(), vec![member(0).node])]);
    let options = StartOptions { child_mapping: Some(mapping), ..StartOptions::default() };
    let request = Request::Start { hub: hub_id(), children: vec![spec(10)], options };
    bench.input(0, &Input::Request { id: RequestId(1), request });
    bench
}

#[test]
fn s19_a_child_runs_off_its_nodes() {
    let mut bench = mapped();
    bench.run(0, 1, 10);
    bench.assert_quiet();
    let mut bench = mapped();
    bench.run(1, 1, 10);
    bench.assert_fired("S19");
}

#[test]
fn s19_lets_an_operator_move_it() {
    let mut bench = mapped();
    let act = Steer::Migrate { id: child(), to: member(1).node, timeout: Duration::from_secs(10) };
    bench.input(0, &Input::Request { id: RequestId(2), request: Request::Steer { hub: hub_id(), act } });
    bench.run(1, 1, 10);
    assert!(!bench.fired().contains(&"S19"));
}
