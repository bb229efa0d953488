//! Steering through the admin API and the commands: where children run, and why.

use serde_json::{Value, json};

use crate::support::cluster::{CHILDREN, add, agreed, cluster, meet, places, start_counters};
use crate::support::http::refused;
use crate::support::process::{Node, client, says};
use crate::support::{until, when};

const HUB: &str = "/v1/hubs/demo";

/// How many run on `name`, as `node` sees it; an error while some are on their way.
fn count_on(node: &Node, name: &str) -> Result<usize, String> {
    Ok(places(node)?.values().filter(|(at, _)| at == name).count())
}

#[test]
fn a_child_is_given_to_a_node_and_stays_there() {
    let [n1, n2] = cluster(["n1", "n2"]);
    start_counters(&n1, "c", 10);
    let before = agreed(&[&n1, &n2], 10);
    let (id, _) = before.iter().find(|(_, (at, _))| at == "n1").unwrap();
    let (status, moved) = n1.post(&format!("{CHILDREN}/{id}/migrate"), &json!({"to": "n2"}));
    assert_eq!((status, &moved["status"], &moved["node"]), (200, &json!("ok"), &json!("n2")), "{moved}");
    let after = agreed(&[&n1, &n2], 10);
    assert_eq!((after[id].0.as_str(), json!(after[id].1)), ("n2", moved["pid"].clone()));
    assert!(before.iter().all(|(other, place)| other == id || after[other] == *place), "another one moved");
    assert_eq!(add(&n1, id, 2), 2);
    says(&n2, &["explain", id], "it was given to n2 through n1");
    says(&n2, &["explain", id], "it is where it belongs");
    says(&n2, &["migrate", id, "n1"], &format!("{id} runs on n1"));
    let migrate = |id: &str, to: &str| n1.post(&format!("{CHILDREN}/{id}/migrate"), &json!({ "to": to }));
    refused(&migrate(id, "n1"), 409, "same_node");
    refused(&migrate(id, "n9"), 409, "not_a_member");
    refused(&migrate("nobody", "n2"), 404, "unknown_child");
    refused(&migrate(id, ""), 400, "bad_name");
    refused(&n1.post(&format!("{CHILDREN}/{id}/migrate"), &json!({})), 400, "malformed_request");
    refused(&n1.get(&format!("{CHILDREN}/nobody/explain")), 404, "unknown_child");
    assert_eq!(client(&n1, &["migrate", id, "n9"]).0, 1);
}

#[test]
fn a_drained_node_runs_nothing_and_takes_its_share_again() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n1, "c", 60);
    let before = agreed(&[&n1, &n2, &n3], 60);
    let on_n3 = before.values().filter(|(at, _)| at == "n3").count();
    let (_, plan) = client(&n1, &["plan", "leave", "n3", "--json"]);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["total"], json!(on_n3), "{plan}");
    says(&n1, &["plan", "leave", "n3"], &format!("if n3 went, {on_n3} children would belong elsewhere"));
    assert_eq!(agreed(&[&n1, &n2, &n3], 60), before, "a plan changes nothing");
    says(&n3, &["drain"], "none runs there any more");
    let drained = agreed(&[&n1, &n2, &n3], 60);
    assert_eq!(drained.values().filter(|(at, _)| at == "n3").count(), 0);
    for planned in plan["moves"].as_array().unwrap() {
        let id = planned["id"].as_str().unwrap();
        assert_eq!(json!([drained[id].0]), planned["to"], "{id} went elsewhere than planned");
    }
    meet(&[&n1, &n2, &n3]);
    says(&n1, &["hubs"], "nothing (draining)");
    refused(&n3.post(&format!("{HUB}/drain"), &json!({})), 409, "draining");
    assert_eq!(add(&n3, "c1", 1), 1, "it still takes requests");
    says(&n3, &["undrain"], "n3 is given children again");
    until("n3 has its share again", || {
        let own = count_on(&n1, "n3")?;
        when(own == on_n3, own).map_err(|own| format!("{own} of {on_n3}"))
    });
    assert_eq!(agreed(&[&n1, &n2, &n3], 60).keys().count(), 60);
}

#[test]
fn a_node_leaves_one_hub_and_keeps_the_other() {
    let both = ["--hub", "demo", "--hub", "other"];
    let n1 = Node::start("n1", &both);
    let n2 = Node::start("n2", &[&both[..], &["--join", &n1.listen]].concat());
    meet(&[&n1, &n2]);
    start_counters(&n1, "c", 30);
    agreed(&[&n1, &n2], 30);
    says(&n2, &["leave-hub", "--hub", "demo"], "n2 takes part in hub demo no more");
    let after = agreed(&[&n1], 30);
    assert!(after.values().all(|(at, _)| at == "n1"), "{after:?}");
    refused(&n2.get(&format!("{HUB}/registry")), 404, "unknown_hub");
    assert_eq!(n2.get("/v1/hubs/other/registry"), (200, json!({})));
    assert_eq!(client(&n2, &["leave-hub", "--hub", "demo"]).0, 1);
}

#[test]
fn the_last_node_cannot_be_drained() {
    let n1 = Node::start("n1", &[]);
    start_counters(&n1, "c", 3);
    refused(&n1.post(&format!("{HUB}/drain"), &json!({})), 409, "no_target_nodes");
    let (status, said) = client(&n1, &["drain"]);
    assert!(status == 1 && said.contains("start or undrain one first"), "{said}");
    agreed(&[&n1], 3);
}

#[test]
fn a_cordoned_node_keeps_what_it_has_and_is_given_nothing_new() {
    let [n1, n2] = cluster(["n1", "n2"]);
    start_counters(&n1, "old", 20);
    let before = agreed(&[&n1, &n2], 20);
    says(&n2, &["cordon"], "n2 is given nothing new");
    until("n1 has heard of it", || {
        let (_, steering) = n1.get(&format!("{HUB}/steering"));
        when(steering["nodes"]["n2"]["cordoned"] == json!(true), steering)
    });
    says(&n1, &["hubs"], "nothing new (cordoned)");
    start_counters(&n1, "new", 20);
    let after = agreed(&[&n1, &n2], 40);
    assert!(after.iter().all(|(id, (at, _))| id.starts_with("old") || at == "n1"), "{after:?}");
    assert!(before.iter().all(|(id, place)| after[id] == *place), "what it has it keeps");
    says(&n2, &["uncordon"], "n2 is given its share again");
}

#[test]
fn a_paused_hub_moves_nothing_until_it_is_resumed() {
    let [n1, n2] = cluster(["n1", "n2"]);
    start_counters(&n1, "c", 60);
    let before = agreed(&[&n1, &n2], 60);
    says(&n1, &["pause"], "nothing is moved");
    until("n2 has heard of it", || {
        let (_, steering) = n2.get(&format!("{HUB}/steering"));
        when(steering["paused"] == json!(true), steering)
    });
    let n3 = Node::start("n3", &["--join", &n1.listen]);
    meet(&[&n1, &n2, &n3]);
    assert_eq!(agreed(&[&n1, &n2, &n3], 60), before);
    let waits = until("a child waits for the pause to end", || {
        let stuck = before.keys().find(|id| {
            let (_, why) = n1.get(&format!("{CHILDREN}/{id}/explain"));
            why["owners"] == json!(["n3"]) && why["obstacles"].to_string().contains("paused")
        });
        stuck.ok_or("nobody belongs to n3")
    });
    says(&n1, &["explain", waits], "rebalancing is paused");
    says(&n1, &["hubs"], "paused: nothing is moved");
    says(&n2, &["resume"], "what belongs elsewhere moves");
    until("n3 has its share", || {
        let own = count_on(&n1, "n3")?;
        when(own >= 8, own).map_err(|own| format!("{own} of 8"))
    });
    agreed(&[&n1, &n2, &n3], 60);
}

#[test]
fn the_move_budget_of_a_running_hub_can_be_read() {
    let node = Node::start("n1", &["--set", "concurrent_moves=7"]);
    let (status, steering) = node.get(&format!("{HUB}/steering"));
    assert_eq!((status, &steering["concurrent_moves"]), (200, &json!(7)), "{steering}");
    says(&node, &["hubs"], "at most 7 at a time are on their way from a node");
}

#[test]
fn a_node_that_is_gone_for_good_is_forgotten() {
    let [n1, n2, n3] = cluster(["n1", "n2", "n3"]);
    start_counters(&n1, "c", 30);
    agreed(&[&n1, &n2, &n3], 30);
    let forget = |name: &str| n1.post(&format!("{HUB}/forget"), &json!({ "node": name }));
    refused(&forget("n2"), 409, "still_here");
    refused(&forget("n1"), 409, "still_here");
    refused(&forget("n9"), 404, "unknown_name");
    refused(&forget(""), 400, "bad_name");
    refused(&n1.post(&format!("{HUB}/forget"), &json!({})), 400, "malformed_request");
    let (status, said) = client(&n1, &["forget", "n2"]);
    assert!(status == 1 && said.contains("stop it, and forget it when it is down"), "{said}");
    n3.kill();
    meet(&[&n1, &n2]);
    says(&n1, &["forget", "n3"], "nothing is kept for the sake of n3 any more");
    refused(&forget("n3"), 404, "unknown_name");
    agreed(&[&n1, &n2], 30);
    // Started anew, it takes part like any other.
    let n3 = Node::start("n3", &["--join", &n1.listen]);
    meet(&[&n1, &n2, &n3]);
    agreed(&[&n1, &n2, &n3], 30);
    refused(&forget("n3"), 409, "still_here");
}

#[test]
fn weights_and_labels_can_be_said_at_the_start_and_later() {
    let n1 = Node::start("n1", &["--label", "disk", "--weight", "2"]);
    let n2 = Node::start("n2", &["--join", &n1.listen]);
    meet(&[&n1, &n2]);
    let ssd = json!({"children": [{"id": "s", "kind": "counter", "requires": ["ssd"]}], "await": false});
    assert_eq!(n1.post(CHILDREN, &ssd).0, 200);
    says(&n2, &["explain", "s"], "belongs to nobody");
    says(&n2, &["explain", "s"], "no node that could own it is there, or has what it requires");
    says(&n2, &["set-labels", "ssd", "gpu"], "n2 has ssd gpu");
    until("s runs on n2", || {
        let (_, row) = n1.get(&format!("{CHILDREN}/s"));
        when(row["placements"][0]["node"] == json!("n2"), row)
    });
    says(&n1, &["get", "s"], "requires  ssd");
    says(&n1, &["start", "d", "--kind", "counter", "--requires", "disk"], "n1");
    let (_, steering) = n2.get(&format!("{HUB}/steering"));
    assert_eq!(steering["nodes"]["n1"], json!({"weight": 2, "labels": ["disk"], "cordoned": false, "draining": false}));
    says(&n1, &["plan", "weight", "n1", "0"], "if n1 had weight 0");
    says(&n1, &["set-weight", "0"], "n1 has weight 0");
    refused(&n1.post(&format!("{HUB}/weight"), &json!({"weight": 1_000})), 400, "bad_weight");
    refused(&n1.post(&format!("{HUB}/labels"), &json!({"labels": ["x".repeat(10_000)]})), 400, "bad_labels");
}

#[test]
fn a_guided_child_runs_on_its_nodes_and_mappings_that_make_no_sense_are_refused() {
    let n1 = Node::start("n1", &["--distribution", "guided"]);
    let n2 = Node::start("n2", &["--distribution", "guided", "--join", &n1.listen]);
    meet(&[&n1, &n2]);
    let child = |id: &str| json!({"id": id, "kind": "counter"});
    let start = |body: Value| n1.post(CHILDREN, &body);
    let two = json!([child("a"), child("b")]);
    refused(&start(json!({ "children": two })), 400, "missing_child_mapping");
    refused(&start(json!({"children": two, "child_mapping": {"a": ["n1"]}})), 400, "child_mapping_mismatch");
    let both = json!({"a": ["n1", "n2"], "b": ["n2"]});
    refused(&start(json!({"children": two, "child_mapping": both})), 400, "child_replication_mismatch");
    refused(&start(json!({"children": two, "child_mapping": {"a": [""], "b": ["n2"]}})), 400, "bad_name");
    refused(&start(json!({"children": two, "child_mapping": ["n1"]})), 400, "malformed_request");
    agreed(&[&n1, &n2], 0);
    let (status, result) = start(json!({"children": two, "child_mapping": {"a": ["n2"], "b": ["n1"]}}));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    says(&n1, &["start", "c", "--kind", "echo", "--on", "n2"], "n2");
    let places = agreed(&[&n1, &n2], 3);
    assert_eq!(["a", "b", "c"].map(|id| places[id].0.as_str()), ["n2", "n1", "n2"]);
    says(&n2, &["explain", "a"], "its start named n2");
    let other = Node::start("n9", &[]);
    let body = json!({"children": two, "child_mapping": {"a": ["n9"], "b": ["n9"]}});
    refused(&other.post(CHILDREN, &body), 400, "invalid_child_mapping");
}

#[test]
fn a_manifest_says_where_guided_children_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("children.toml");
    let text = "[[child]]\nid = \"w-{n}\"\ncount = 5\nkind = \"counter\"\nnodes = [\"n2\"]\n\
                [[child]]\nid = \"x\"\nkind = \"echo\"\nnodes = [\"n1\"]\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let n1 = Node::start("n1", &["--distribution", "guided"]);
    let n2 = Node::start("n2", &["--distribution", "guided", "--join", &n1.listen, "--children", path]);
    meet(&[&n1, &n2]);
    let places = agreed(&[&n1, &n2], 6);
    assert_eq!(places.values().filter(|(at, _)| at == "n2").count(), 5);
    assert_eq!(places["x"].0, "n1");
}

#[test]
fn the_size_of_a_cluster_is_reset_only_where_it_counts() {
    let n1 = Node::start("n1", &[]);
    refused(&n1.post(&format!("{HUB}/cluster-size"), &json!({"size": 3})), 409, "no_quorum");
    let alone =
        Node::start("alone", &["--partition", "majority:3", "--set", "lease=500ms", "--set", "stop_timeout=500ms"]);
    refused(&alone.post(&format!("{HUB}/cluster-size"), &json!({"size": 0})), 400, "bad_size");
    until("it is locked", || {
        let (_, hubs) = alone.get("/v1/hubs");
        when(hubs[0]["locked"] == json!(true), hubs)
    });
    says(&alone, &["hubs"], "locked: it has no quorum");
    says(&alone, &["reset-cluster-size", "1"], "the cluster is taken to have 1 nodes");
    until("it serves", || {
        let (_, hubs) = alone.get("/v1/hubs");
        when(hubs[0].get("locked").is_none(), hubs)
    });
    start_counters(&alone, "c", 2);
}
