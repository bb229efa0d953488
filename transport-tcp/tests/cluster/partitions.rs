//! Links that are cut while the nodes live.

use serde_json::json;

use crate::support::cluster::{CHILDREN, add, agreed, call, meet, sees, start_counters, with_state};
use crate::support::network::Network;
use crate::support::process::Node;
use crate::support::{until, when};

/// Three nodes, each behind a door of its own, and told this.
fn three(network: &Network, told: &[&str]) -> [Node; 3] {
    let names = ["alpha", "bravo", "cedar"];
    let doors = names.map(|name| network.door(name).unwrap());
    let addrs: Vec<String> = doors.iter().map(|door| door.addr.clone()).collect();
    let mut doors = doors.into_iter();
    let nodes = names.map(|name| {
        let door = doors.next().unwrap();
        let mut args = [told, &["--advertise", &door.addr]].concat();
        for addr in addrs.iter().filter(|addr| **addr != door.addr) {
            args.extend(["--join", addr]);
        }
        let node = Node::start(name, &args);
        let listen = node.listen.clone();
        network.open(door, &listen);
        node
    });
    let all: Vec<&Node> = nodes.iter().collect();
    meet(&all);
    nodes
}

#[test]
fn a_cut_link_between_live_nodes_is_no_death_and_calls_find_a_way() {
    let network = Network::default();
    let [alpha, bravo, cedar] = three(&network, &[]);
    start_counters(&cedar, "c", 45);
    let before = agreed(&[&alpha, &bravo, &cedar], 45);
    network.cut(&["alpha"], &["bravo"]);
    // Longer than it would take to declare a death, in calls rather than in time.
    for round in 1..=40 {
        for (id, (node, _)) in before.iter().filter(|(_, (node, _))| node != "cedar").take(6) {
            let through = if node == "alpha" { &bravo } else { &alpha };
            let answer = until(&format!("{id} on {node} answers {}", through.name), || {
                let answer = call(through, id, &json!({"get": null}));
                when(answer.0 == 200, answer)
            });
            assert_eq!(answer.1, json!({"value": 0}));
        }
        for node in [&alpha, &bravo, &cedar] {
            assert_eq!(with_state(node, "down"), Vec::<String>::new(), "{} in round {round}", node.name);
        }
    }
    assert_eq!(agreed(&[&alpha, &bravo, &cedar], 45), before, "nothing has moved");
    start_counters(&alpha, "late", 10);
    agreed(&[&alpha, &bravo, &cedar], 55);
    network.heal();
    meet(&[&alpha, &bravo, &cedar]);
    agreed(&[&alpha, &bravo, &cedar], 55);
}

#[test]
fn what_one_side_of_a_partition_stops_does_not_come_back() {
    let network = Network::default();
    let [alpha, bravo, cedar] = three(&network, &[]);
    start_counters(&alpha, "c", 30);
    agreed(&[&alpha, &bravo, &cedar], 30);
    network.cut(&["alpha"], &["bravo", "cedar"]);
    sees(&alpha, &["alpha"]);
    sees(&bravo, &["bravo", "cedar"]);
    sees(&cedar, &["bravo", "cedar"]);
    agreed(&[&alpha], 30);
    agreed(&[&bravo, &cedar], 30);
    let some: Vec<String> = (0..10).map(|n| format!("c{n}")).collect();
    let (status, result) = bravo.delete(CHILDREN, &json!({ "ids": some }));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    let (status, result) = alpha.delete(CHILDREN, &json!({"ids": ["c10"]}));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    start_counters(&cedar, "theirs", 5);
    start_counters(&alpha, "ours", 5);
    agreed(&[&bravo, &cedar], 25);
    agreed(&[&alpha], 34);
    network.heal();
    meet(&[&alpha, &bravo, &cedar]);
    let healed = agreed(&[&alpha, &bravo, &cedar], 29);
    assert!(some.iter().chain(&["c10".to_owned()]).all(|id| !healed.contains_key(id)), "{healed:?}");
    for (id, node) in healed.keys().zip([&alpha, &bravo, &cedar].into_iter().cycle()) {
        add(node, id, 1);
    }
}

/// I6 of the reference's list: what was never announced to a node arrives by comparison.
#[test]
fn under_gossip_what_either_side_of_a_partition_missed_arrives_after_the_heal() {
    let network = Network::default();
    let [alpha, bravo, cedar] = three(&network, &["--sync", "gossip:recipients=1:sync_interval=1s"]);
    start_counters(&bravo, "c", 30);
    agreed(&[&alpha, &bravo, &cedar], 30);
    network.cut(&["alpha"], &["bravo", "cedar"]);
    sees(&alpha, &["alpha"]);
    meet(&[&bravo, &cedar]);
    agreed(&[&alpha], 30);
    start_counters(&alpha, "alone", 100);
    let (status, result) = cedar.delete(CHILDREN, &json!({"ids": ["c0", "c1", "c2"]}));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    network.heal();
    meet(&[&alpha, &bravo, &cedar]);
    let healed = agreed(&[&alpha, &bravo, &cedar], 127);
    assert!(["c0", "c1", "c2"].iter().all(|id| !healed.contains_key(*id)), "{healed:?}");
    for (id, node) in healed.keys().zip([&alpha, &bravo, &cedar].into_iter().cycle()) {
        add(node, id, 1);
    }
}
