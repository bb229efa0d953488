//! Operators move children while faults go on.

use std::time::Duration;

use process_hub_core::id::{ChildId, HubId, NodeId};
use process_hub_core::request::{Reply, Request};
use process_hub_core::steering::{Steer, Steered};
use process_hub_simtests::scenario::Cluster;

fn migrate(child: &str, to: &str) -> Request {
    let (Ok(id), Ok(to), Ok(hub)) = (ChildId::new(child), NodeId::new(to), HubId::new("hub")) else {
        panic!("{child} or {to} is no name");
    };
    Request::Steer { hub, act: Steer::Migrate { id, to, timeout: Duration::from_secs(30) } }
}

/// Found by simulation (S5 under a quorum): all had confirmed that the child was about to be moved, and the node that it
/// was given to had yet to hear of the copy that another had started before. Each confirms to the mover, not to the heir.
#[test]
fn a_child_is_started_by_its_new_node_only_when_that_knows_of_all_copies() {
    let mut c = Cluster::new(3);
    let owner = c.owners("n1", "a").remove(0);
    let others: Vec<String> = c.up().into_iter().filter(|node| *node != owner).collect();
    let (mover, heir) = (&others[0], &others[1]);
    c.cut_one_way(&owner, heir);
    c.declare(mover, &["a"]);
    c.run_for(Duration::from_millis(20));
    assert_eq!(c.placed()["a"].len(), 1, "it runs at its owner, of which the heir has not heard");
    let moved = c.ask(mover, migrate("a", heir));
    // An overlap would be S14's affair.
    c.run_for(Duration::from_millis(200));
    c.heal();
    assert!(matches!(c.answer(mover, moved), Reply::Steered(Ok(Steered::Migrated(pid))) if pid.node.as_str() == heir));
    c.settle();
    c.assert_converged();
}
