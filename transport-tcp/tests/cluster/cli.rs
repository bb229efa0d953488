//! The client commands: what they print, and how they end.

use serde_json::{Value, json};

use crate::support::cluster::{agreed, cluster, start_counters};
use crate::support::process::{Node, run};
use crate::support::{until, when};

/// Runs a client command against `node`: its status and its standard output.
fn client(node: &Node, args: &[&str]) -> (i32, String) {
    let output = run(&[args, &["--admin", &node.admin]].concat());
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn one_child_from_start_to_stop() {
    let [n1, n2] = cluster(["n1", "n2"]);
    let start =
        ["start", "c 1/x", "--kind", "counter", "--args", "5", "--restart", "transient", "--metadata", "tag=blue"];
    let (status, said) = client(&n1, &start);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("c 1/x") && said.contains("1 started"), "{said}");
    agreed(&[&n1, &n2], 1);
    assert_eq!(client(&n2, &["call", "c 1/x", "{\"add\":3}"]), (0, "{\"value\":8}\n".to_owned()));
    let (status, said) = client(&n2, &["get", "c 1/x"]);
    assert_eq!(status, 0);
    for word in ["counter", "transient", "tag=blue", "active"] {
        assert!(said.contains(word), "{said} lacks {word}");
    }
    let (_, said) = client(&n2, &["get", "c 1/x", "--json"]);
    assert_eq!(json_of(&said)["spec"]["args"], json!(5));
    assert_eq!(client(&n1, &start).0, 1, "it exists already");
    let (status, said) = client(&n2, &["stop", "c 1/x"]);
    assert!(status == 0 && said.contains("stopped"), "{said}");
    assert_eq!(client(&n1, &["stop", "c 1/x"]).0, 1, "it is gone");
    assert_eq!(client(&n1, &["get", "c 1/x"]).0, 1);
}

#[test]
fn listings_for_people_and_for_programs() {
    let [n1, n2] = cluster(["n1", "n2"]);
    let (status, said) = client(&n1, &["ls"]);
    assert!(status == 0 && said.contains("no children in hub demo"), "{said}");
    start_counters(&n1, "c", 12);
    let places = agreed(&[&n1, &n2], 12);
    let (_, said) = client(&n2, &["members"]);
    assert!(said.starts_with("NAME"), "{said}");
    assert_eq!(said.lines().filter(|line| line.contains(" up ")).count(), 2, "{said}");
    assert_eq!(json_of(&client(&n2, &["members", "--json"]).1).as_array().unwrap().len(), 2);
    let (_, said) = client(&n1, &["ls"]);
    assert!(said.lines().next().unwrap().starts_with("ID") && said.contains("12 of 12 children"), "{said}");
    let (_, said) = client(&n1, &["ls", "--json", "--node", "n2"]);
    let on_n2 = places.values().filter(|(node, _)| node == "n2").count();
    assert_eq!(json_of(&said).as_object().unwrap().len(), on_n2);
    assert_eq!(json_of(&client(&n1, &["ls", "--json", "--limit", "5"]).1).as_object().unwrap().len(), 5);
    assert_eq!(json_of(&client(&n1, &["ls", "--json", "--tag", "none"]).1), json!({}));
}

#[test]
fn a_manifest_can_be_started_and_its_result_read() {
    let node = Node::start("n1", &[]);
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/children.toml");
    let (status, said) = client(&node, &["start", "--file", manifest, "--json"]);
    let result = json_of(&said);
    assert_eq!((status, &result["status"]), (0, &json!("ok")));
    assert_eq!(result["started"].as_array().unwrap().len(), 300);
    let (_, said) = client(&node, &["ls", "--tag", "mirrors", "--json"]);
    assert_eq!(json_of(&said).as_object().unwrap().len(), 10);
    assert_eq!(client(&node, &["start", "--file", manifest]).0, 1, "they exist already");
    let (status, said) = client(&node, &["start", "--file", manifest, "--skip-existing-check", "--json"]);
    assert_eq!((status, json_of(&said)["errors"].as_array().unwrap().len()), (1, 300));
}

#[test]
fn children_that_do_not_start_are_left_out_of_the_log_if_that_is_asked() {
    let node = Node::start("n1", &[]);
    start_counters(&node, "c", 2);
    let again = |id: &str, more: &[&str]| {
        let args = [&["start", id, "--kind", "counter", "--skip-existing-check"], more].concat();
        assert_eq!(client(&node, &args).0, 1, "it exists already");
    };
    again("c0", &["--disable-logging"]);
    again("c1", &[]);
    let logged = || -> Vec<String> { node.log().into_iter().filter(|line| line.contains("was not started")).collect() };
    until("the second one is logged", || when(!logged().is_empty(), ()));
    assert!(matches!(logged().as_slice(), [one] if one.contains("c1")), "{:?}", logged());
}

#[test]
fn the_exit_status_says_what_went_wrong() {
    let node = Node::start("n1", &["--hub", "one", "--hub", "two"]);
    let ends = |args: &[&str], status: i32, words: &str| {
        let output = run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?} said {said:?}, which lacks {words:?}");
    };
    let admin = ["--admin", node.admin.as_str()];
    let at = |args: &[&'static str]| [args, &admin].concat();
    ends(&at(&["ls"]), 2, "one, two");
    ends(&at(&["ls", "--hub", "three"]), 1, "it takes part in: one, two");
    ends(&at(&["get", "nobody", "--hub", "one"]), 1, "nobody");
    ends(&at(&["call", "nobody", "{", "--hub", "one"]), 2, "not JSON");
    ends(&at(&["start", "x", "--kind", "zebra", "--hub", "one"]), 1, "this node knows");
    ends(&at(&["start", "x"]), 2, "--kind");
    ends(&at(&["start", "x", "--kind", "echo", "--restart", "never"]), 2, "permanent, transient or temporary");
    ends(&at(&["start", "x", "--kind", "echo", "--metadata", "tag"]), 2, "tag=blue");
    ends(&["members", "--admin", "http://127.0.0.1:1"], 3, "check that the node runs");
    ends(&["members", "--admin", "https://127.0.0.1:1"], 2, "`https`");
    ends(&["members", "--admin", "http://not a url"], 2, "HOST:PORT");
    let (status, said) = client(&node, &["members", "--json"]);
    assert_eq!((status, json_of(&said)[0]["name"].clone()), (0, json!("n1")));
}
