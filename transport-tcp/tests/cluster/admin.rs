//! The admin API itself: its shapes, its errors, and whom it lets in.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::cluster::{CHILDREN, start_counters};
use crate::support::http::{Answer, raw};
use crate::support::process::{Node, run};

/// The code of an error, after a look at its shape.
fn code((status, body): &Answer) -> (u16, String) {
    let error = &body["error"];
    let texts = ["code", "message", "hint"].map(|key| error[key].as_str());
    assert!(texts.iter().all(Option::is_some), "{status}: {body} is no error of the API");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    (*status, texts[0].unwrap_or_default().to_owned())
}

fn is(answer: &Answer, status: u16, name: &str) {
    assert_eq!(code(answer), (status, name.to_owned()), "{answer:?}");
}

#[test]
fn the_shapes_are_those_of_the_manual() {
    let node = Node::start("n1", &["--cluster", "blue"]);
    let (status, health) = node.get("/v1/health");
    let boot = health["boot"].as_str().unwrap();
    assert!(boot.parse::<u64>().is_ok());
    let wanted = json!({"status": "ok", "node": "n1", "boot": boot, "cluster": "blue", "hubs": ["demo"]});
    assert_eq!((status, &health), (200, &wanted));
    assert_eq!(node.get("/v1/members"), (200, json!([{"name": "n1", "boot": boot, "state": "up"}])));
    assert_eq!(node.get("/v1/hubs"), (200, json!([{"name": "demo", "nodes": ["n1"], "children": 0, "running": {}}])));

    let child =
        json!({"id": "c1", "kind": "counter", "args": 5, "restart": "transient", "metadata": {"tag": "x", "n": [1]}});
    let body = json!({"children": [child], "on_failure": "continue", "check_existing": true, "timeout_ms": 5000, "await": true});
    let (status, result) = node.post(CHILDREN, &body);
    let pid = result["started"][0]["placements"][0]["pid"].as_str().unwrap();
    assert!(pid.starts_with(&format!("n1/{boot}/")), "{pid}");
    let started = json!([{"id": "c1", "placements": [{"node": "n1", "pid": pid}]}]);
    assert_eq!((status, &result), (200, &json!({"status": "ok", "started": started, "errors": [], "rollback": false})));

    let (status, row) = node.get(&format!("{CHILDREN}/c1"));
    let token = row["placements"][0]["token"].as_str().unwrap();
    let wanted = json!({
        "spec": {"id": "c1", "kind": "counter", "args": 5, "restart": "transient"},
        "metadata": {"tag": "x", "n": [1]},
        "placements": [{"node": "n1", "pid": pid, "role": "active", "token": token}],
    });
    assert_eq!((status, &row), (200, &wanted));
    assert_eq!(node.get("/v1/hubs/demo/registry"), (200, json!({ "c1": row })));
    assert_eq!(node.post(&format!("{CHILDREN}/c1/call"), &json!({"add": 2})), (200, json!({"value": 7})));
    let stopped = json!({"status": "ok", "stopped": [{"id": "c1", "nodes": ["n1"]}], "errors": []});
    assert_eq!(node.delete(&format!("{CHILDREN}/c1"), &Value::Null), (200, stopped));
}

#[test]
fn every_error_is_json_with_a_code() {
    let node = Node::start("n1", &[]);
    let none = Value::Null;
    is(&node.get("/"), 404, "unknown_route");
    is(&node.get("/v1/hubs/demo/nothing"), 404, "unknown_route");
    is(&node.get("/v1/hubs/other/registry"), 404, "unknown_hub");
    is(&node.get(&format!("{CHILDREN}/nobody")), 404, "unknown_child");
    is(&node.delete(&format!("{CHILDREN}/nobody"), &none), 404, "unknown_child");
    is(&node.post(&format!("{CHILDREN}/nobody/call"), &json!({"get": null})), 404, "unknown_child");
    is(&node.get(&format!("{CHILDREN}/%ff")), 400, "malformed_path");
    is(&node.get(&format!("{CHILDREN}/{}", "x".repeat(257))), 400, "bad_id");
    is(&node.get("/v1/hubs/demo/registry?limit=many"), 400, "malformed_query");
    is(&node.post("/v1/health", &json!({})), 405, "wrong_method");
    is(&node.delete("/v1/members", &none), 405, "wrong_method");
    is(&node.post(CHILDREN, &json!({"children": []})), 400, "no_children");
    is(&node.post(CHILDREN, &json!({"childs": []})), 400, "malformed_request");
    is(&node.post(CHILDREN, &json!([1, 2])), 400, "malformed_request");
    is(&node.delete(CHILDREN, &json!({"ids": []})), 400, "no_children");
    is(&node.get("/v1/hubs/other/steering"), 404, "unknown_hub");
    is(&node.post("/v1/hubs/other/drain", &json!({})), 404, "unknown_hub");
    is(&node.post("/v1/hubs/demo/drain?timeout_ms=soon", &json!({})), 400, "malformed_query");
    is(&node.get("/v1/hubs/demo/cordon"), 405, "wrong_method");
    is(&node.post("/v1/hubs/demo/weight", &json!({"weight": -1})), 400, "malformed_request");
    is(&node.post("/v1/hubs/demo/plan", &json!({"explode": {}})), 400, "malformed_request");
    is(&node.post("/v1/hubs/demo/plan", &json!({"leave": {"node": "n9"}})), 409, "not_a_member");
    is(&node.delete(CHILDREN, &json!({"ids": ["a", "a"]})), 400, "duplicate_id");
    let url = format!("{}{CHILDREN}", node.admin);
    let as_json = [("content-type", "application/json")];
    is(&raw("POST", &url, &as_json, Some("{")), 400, "malformed_json");
    is(&raw("POST", &url, &as_json, Some("")), 400, "malformed_json");
    is(&raw("POST", &url, &[("content-type", "text/plain")], Some("{}")), 415, "wrong_content_type");
    assert_eq!(node.get("/v1/hubs/demo/registry"), (200, json!({})), "nothing of this has started anything");
}

#[test]
fn a_message_that_a_kind_does_not_take_is_refused_before_it_is_sent() {
    let node = Node::start("n1", &[]);
    start_counters(&node, "c", 1);
    let path = format!("{CHILDREN}/c0/call");
    for message in
        [json!({"subtract": 1}), json!("add"), json!({"add": "one"}), json!(7), json!({"add": 1, "get": null})]
    {
        is(&node.post(&path, &message), 400, "bad_message");
    }
    assert_eq!(node.post(&path, &json!({"get": null})), (200, json!({"value": 0})));
}

#[test]
fn foreign_pages_and_names_are_kept_out() {
    let node = Node::start("n1", &["--admin-host", "hub.example"]);
    let url = format!("{}/v1/health", node.admin);
    let host = node.admin.strip_prefix("http://").unwrap();
    let get = |headers: &[(&str, &str)]| raw("GET", &url, headers, None);
    is(&get(&[("host", "evil.example")]), 403, "foreign_host");
    is(&get(&[("origin", "http://evil.example")]), 403, "foreign_origin");
    is(&get(&[("origin", "null")]), 403, "foreign_origin");
    assert_eq!(get(&[("host", "hub.example")]).0, 200);
    assert_eq!(get(&[("host", "localhost:1")]).0, 200);
    assert_eq!(get(&[("origin", &format!("http://{host}"))]).0, 200);
}

#[test]
fn a_token_is_asked_for_when_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "a token is 32 visible characters\n").unwrap();
    let path = file.to_str().unwrap();
    let output = run(&["node", "--name", "n1", "--listen", "127.0.0.1:0", "--admin", ":0", "--admin-token-file", path]);
    assert_eq!(output.status.code(), Some(2), "a token with spaces cannot be sent");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef\n").unwrap();
    let node = Node::start("n1", &["--admin-token-file", path]);
    is(&node.get("/v1/health"), 401, "unauthorized");
    is(&node.get("/nothing"), 401, "unauthorized");
    is(
        &raw("GET", &format!("{}/v1/health", node.admin), &[("authorization", "Bearer wrong")], None),
        401,
        "unauthorized",
    );
    let (url, right) = (format!("{}/v1/health", node.admin), "Bearer 0123456789abcdef0123456789abcdef");
    assert_eq!(raw("GET", &url, &[("authorization", right)], None).0, 200);
    assert!(run(&["members", "--admin", &node.admin, "--token-file", path]).status.success());
    let refused = run(&["members", "--admin", &node.admin]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token-file"));
}

#[test]
fn a_large_registry_comes_whole_and_in_pages() {
    let node = Node::start("n1", &[]);
    start_counters(&node, "c", 5_000);
    let (status, whole) = node.get("/v1/hubs/demo/registry");
    let whole: BTreeSet<String> = whole.as_object().unwrap().keys().cloned().collect();
    assert_eq!((status, whole.len()), (200, 5_000));
    let (mut paged, mut after) = (BTreeSet::new(), String::new());
    loop {
        let from = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let (_, page) = node.get(&format!("/v1/hubs/demo/registry?limit=1111{from}"));
        let page = page.as_object().cloned().unwrap();
        let Some(last) = page.keys().max() else { break };
        after.clone_from(last);
        assert!(page.len() <= 1_111);
        paged.extend(page.into_iter().map(|(id, _)| id));
    }
    assert_eq!(paged, whole);
}
