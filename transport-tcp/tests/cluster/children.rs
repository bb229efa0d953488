//! Children that start, are found, called and stopped, from any node.

use serde_json::json;

use crate::support::cluster::{CHILDREN, add, agreed, call, cluster, meet, places, start_counters};
use crate::support::process::Node;
use crate::support::{until, when};

#[test]
fn children_are_found_and_called_from_every_node() {
    let nodes = cluster(["n1", "n2", "n3"]);
    let all: Vec<&Node> = nodes.iter().collect();
    start_counters(&nodes[1], "c", 60);
    let places = agreed(&all, 60);
    for node in &all {
        let share = places.values().filter(|(at, _)| *at == node.name).count();
        assert!(share >= 5, "{} runs {share} of 60", node.name);
    }
    for (turn, id) in places.keys().enumerate() {
        let through = |step: usize| &nodes[(turn + step) % 3];
        assert_eq!(add(through(0), id, 2), 2);
        assert_eq!(add(through(1), id, 3), 5);
        let (status, row) = through(2).get(&format!("{CHILDREN}/{id}"));
        assert_eq!((status, &row["spec"]["kind"]), (200, &json!("counter")));
        assert_eq!(row["placements"][0]["pid"], json!(places[id].1));
    }
}

#[test]
fn an_awaited_start_is_visible_where_it_was_asked() {
    let nodes = cluster(["n1", "n2", "n3"]);
    for turn in 0..12 {
        let (node, id) = (&nodes[turn % 3], format!("c{turn}"));
        start_counters(node, &id, 1);
        let (status, row) = node.get(&format!("{CHILDREN}/{id}0"));
        assert_eq!((status, row["placements"].as_array().unwrap().len()), (200, 1), "{row}");
    }
}

#[test]
fn a_stop_names_the_nodes_that_confirm_it() {
    let nodes = cluster(["n1", "n2"]);
    start_counters(&nodes[0], "c", 10);
    let places = agreed(&[&nodes[0], &nodes[1]], 10);
    let (status, result) = nodes[1].delete(&format!("{CHILDREN}/c3"), &json!(null));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    assert_eq!(result["stopped"], json!([{"id": "c3", "nodes": [places["c3"].0]}]));
    let (status, result) = nodes[0].delete(CHILDREN, &json!({"ids": ["c1", "c2", "nobody"], "await": true}));
    assert_eq!((status, &result["status"]), (200, &json!("error")), "{result}");
    assert_eq!(result["stopped"].as_array().unwrap().len(), 2);
    assert_eq!(result["errors"][0]["id"], json!("nobody"));
    assert_eq!(result["errors"][0]["reason"], json!("not_found"));
    let left = agreed(&[&nodes[0], &nodes[1]], 7);
    assert!(!left.contains_key("c1") && !left.contains_key("c2") && !left.contains_key("c3"));
}

#[test]
fn what_is_not_awaited_is_done_all_the_same() {
    let nodes = cluster(["n1", "n2"]);
    let body = json!({"children": [{"id": "later", "kind": "echo"}], "await": false});
    let (status, answer) = nodes[0].post(CHILDREN, &body);
    assert_eq!((status, answer), (200, json!({"status": "initiated"})));
    agreed(&[&nodes[0], &nodes[1]], 1);
    assert_eq!(call(&nodes[1], "later", &json!([1, {"a": null}])), (200, json!([1, {"a": null}])));
    let (status, answer) = nodes[1].delete(&format!("{CHILDREN}/later?await=false"), &json!(null));
    assert_eq!((status, answer), (200, json!({"status": "initiated"})));
    agreed(&[&nodes[0], &nodes[1]], 0);
}

#[test]
fn a_batch_can_be_rolled_back() {
    let nodes = cluster(["n1", "n2"]);
    start_counters(&nodes[0], "old", 1);
    agreed(&[&nodes[0], &nodes[1]], 1);
    let body = json!({
        "children": [{"id": "new", "kind": "counter"}, {"id": "old0", "kind": "counter"}],
        "check_existing": false,
        "on_failure": "rollback",
    });
    let (status, result) = nodes[1].post(CHILDREN, &body);
    assert_eq!((status, &result["status"], &result["rollback"]), (200, &json!("error"), &json!(true)), "{result}");
    assert_eq!(result["errors"][0]["reason"], json!("already_started"));
    let left = agreed(&[&nodes[0], &nodes[1]], 1);
    assert!(left.contains_key("old0"), "a rollback must not stop what ran before");
}

#[test]
fn the_same_manifest_on_two_nodes_runs_each_child_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("children.toml");
    std::fs::write(&file, "[[child]]\nid = \"m{n}\"\ncount = 20\nkind = \"counter\"\nargs = 7\n").unwrap();
    let file = file.to_str().unwrap();
    let n1 = Node::start("n1", &["--children", file]);
    let n2 = Node::start("n2", &["--children", file, "--join", &n1.listen]);
    meet(&[&n1, &n2]);
    agreed(&[&n1, &n2], 20);
    until("n2 has dealt with its manifest", || {
        let said = n2.log().iter().any(|line| line.contains("manifest's children were started"));
        when(said, ()).map_err(|()| n2.log())
    });
    assert_eq!(places(&n1).unwrap().len(), 20);
    assert_eq!(add(&n1, "m20", 1), 8);
}

#[test]
fn ids_and_hubs_of_any_letters_can_be_said() {
    let node = Node::start("n1", &["--hub", "demo", "--hub", "Zweiter/Hub"]);
    let id = "a/b c%2Fd?ü#.json";
    let path = "/v1/hubs/Zweiter%2FHub/children";
    let (status, result) = node.post(path, &json!({"children": [{"id": id, "kind": "counter", "args": 5}]}));
    assert_eq!((status, &result["status"]), (200, &json!("ok")), "{result}");
    let one = format!("{path}/a%2Fb%20c%252Fd%3F%C3%BC%23.json");
    let (status, row) = node.get(&one);
    assert_eq!((status, &row["spec"]["id"]), (200, &json!(id)), "{row}");
    assert_eq!(node.post(&format!("{one}/call"), &json!({"get": null})), (200, json!({"value": 5})));
    assert_eq!(node.get("/v1/hubs/demo/registry"), (200, json!({})), "hubs of one node are apart");
    assert_eq!(node.delete(&one, &json!(null)).0, 200);
    assert_eq!(node.get(&one).0, 404);
}
