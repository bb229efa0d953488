//! What is explored, and how many states that has.

use std::path::PathBuf;

use process_hub_core::config::{Factor, Model as Serving, Partition, Redundancy, Signal};
use stateright::{Checker, Model};

use crate::cluster::{Ask, Cluster, Scenario};
use crate::properties::serving;
use crate::state::{Left, NODES, State};

fn children() {
    let cluster = Cluster::new(Scenario::new());
    let state = cluster.init_states().pop().unwrap();
    let hub = &state.sides[0].as_ref().unwrap().hub;
    for c in 'a'..='z' {
        let id = process_hub_core::id::ChildId::new(c.to_string()).unwrap();
        let two: Vec<String> = hub.owners(&id).iter().map(|n| n.to_string()).collect();
        println!("{c} {two:?}");
    }
}

#[test]
fn probe() {
    children();
    let base = Scenario { script: vec![Ask::Start(0, "a"), Ask::Stop(1, "a")], ..Scenario::new() };
    for (name, left) in [
        ("nothing", Left::default()),
        ("wake", Left { wakes: 1, ..Left::default() }),
        ("loss", Left { losses: 1, ..Left::default() }),
        ("loss wake", Left { losses: 1, wakes: 1, ..Left::default() }),
        ("dup", Left { repeats: 1, ..Left::default() }),
        ("over", Left { overtakes: 1, ..Left::default() }),
        ("crash", Left { crashes: 1, ..Left::default() }),
        ("cut", Left { cuts: 1, ..Left::default() }),
    ] {
        let scenario = Scenario { left, crashable: vec![2], cuttable: vec![2], ..base.clone() };
        let began = std::time::Instant::now();
        let checker = Cluster::new(scenario).checker().threads(2).target_state_count(300_000).spawn_dfs().join();
        println!("{name}: {} states, {} unique, depth {}, {:?}", checker.state_count(), checker.unique_state_count(), checker.max_depth(), began.elapsed());
        for (name, path) in checker.discoveries() {
            println!("   {name}: {:?}", path.into_actions());
        }
    }
}
