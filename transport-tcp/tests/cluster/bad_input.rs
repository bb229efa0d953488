//! Bad input: a clear error that says what to do, no panic, nothing lost.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::{CHILDREN, add, agreed, cluster, meet, start_counters};
use crate::support::process::{Node, run};

/// Runs the program; it must fail with this status, and say these words on standard error.
fn fails(args: &[&str], status: i32, words: &[&str]) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{args:?} said {said}");
    for word in words {
        assert!(said.contains(word), "{args:?} said {said:?}, which lacks {word:?}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn refused(node: &Node, children: Value, status: u16, code: &str, words: &[&str]) {
    let (got, body) = node.post(CHILDREN, &json!({ "children": children }));
    assert_eq!((got, &body["error"]["code"]), (status, &json!(code)), "{body}");
    let said = body.to_string();
    for word in words {
        assert!(said.contains(word), "{said} lacks {word:?}");
    }
}

#[test]
fn a_batch_with_something_wrong_starts_nothing() {
    let node = Node::start("n1", &[]);
    start_counters(&node, "c", 3);
    let good = json!({"id": "good", "kind": "counter"});
    let with = |bad: Value| json!([good, bad]);
    refused(&node, with(json!({"id": "x", "kind": "zebra"})), 400, "unknown_kind", &["`zebra`", "counter", "echo"]);
    refused(&node, with(json!({"id": "good", "kind": "echo"})), 400, "duplicate_id", &["`good` stands twice"]);
    refused(&node, with(json!({"id": "y".repeat(257), "kind": "echo"})), 400, "bad_id", &["at most 256 bytes"]);
    refused(&node, with(json!({"id": "", "kind": "echo"})), 400, "bad_id", &["must not be empty"]);
    refused(&node, with(json!({"id": "a\nb", "kind": "echo"})), 400, "bad_id", &["control characters"]);
    refused(&node, with(json!({"id": "x", "kind": ""})), 400, "bad_kind", &["must not be empty"]);
    refused(&node, with(json!({"id": "x", "kind": "counter", "args": "ten"})), 400, "bad_args", &["counter", "ten"]);
    refused(&node, with(json!({"id": "x", "kind": "echo", "args": {"a": 1}})), 400, "bad_args", &["echo"]);
    refused(&node, with(json!({"id": "x", "kind": "echo", "restart": "never"})), 400, "malformed_request", &["never"]);
    let large = json!({"text": "m".repeat(20_000)});
    refused(
        &node,
        with(json!({"id": "x", "kind": "echo", "metadata": large})),
        400,
        "too_large",
        &["metadata", "16384"],
    );
    refused(&node, with(json!({"id": "c1", "kind": "echo"})), 409, "already_started", &["`c1`", "check_existing"]);
    let (status, body) = node.post("/v1/hubs/other/children", &json!({"children": [good]}));
    assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_hub")), "{body}");
    assert!(body["error"]["hint"].as_str().unwrap().contains("demo"), "{body}");
    agreed(&[&node], 3);
    assert_eq!(add(&node, "c1", 1), 1);
}

#[test]
fn a_taken_port_is_named_and_the_first_owner_is_unharmed() {
    let node = Node::start("n1", &[]);
    let admin = node.admin.strip_prefix("http://").unwrap();
    let (listen, free) = (node.listen.as_str(), "127.0.0.1:0");
    fails(&["node", "--name", "n2", "--listen", listen, "--admin", free], 1, &[listen, "in use", "another port"]);
    fails(&["node", "--name", "n2", "--listen", free, "--admin", admin], 1, &[admin, "in use", "--admin off"]);
    assert_eq!(node.get("/v1/health").0, 200);
}

#[test]
fn addresses_that_cannot_be_are_refused_before_anything_starts() {
    let node = |more: &[&str], words: &[&str]| {
        let args = ["node", "--name", "n1", "--admin", "off", "--listen", "127.0.0.1:0"];
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        // Later flags win where one is given twice; so what is tested comes last.
        let output = run(&args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        for word in words {
            assert!(said.contains(word), "{args:?} said {said:?}, which lacks {word:?}");
        }
    };
    node(&["--join", "nowhere"], &["`nowhere`", "HOST:PORT"]);
    node(&["--join", "127.0.0.1:99999"], &["65535"]);
    node(&["--advertise", "127.0.0.1:0"], &["port 0"]);
    node(&["--hub", ""], &["hub name must not be empty"]);
    let args = ["node", "--name", "n1", "--admin", "off", "--listen"];
    let listen = |addr| args.iter().copied().chain([addr]).collect::<Vec<&str>>();
    fails(&listen("0.0.0.0:0"), 2, &["other machines", "plaintext"]);
    fails(&listen("nonsense"), 2, &["`nonsense`", "HOST:PORT"]);
    fails(&[&listen("0.0.0.0:0")[..], &["--accept-plaintext"]].concat(), 2, &["no cookie", "secret"]);
    fails(&["node", "--name", "", "--admin", "off", "--listen", "127.0.0.1:0"], 2, &["must not be empty"]);
    fails(&["node", "--name", "n1", "--admin", "banana"], 2, &["--admin banana", "HOST:PORT"]);
    let admin = ["node", "--name", "n1", "--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"];
    fails(&admin, 2, &["not a loopback address", "--admin-token-file"]);
    fails(&["node", "--name", "n1", "--cookie-file", "/does/not/exist"], 2, &["/does/not/exist", "openssl rand"]);
    fails(&["node", "--name", "n1", "--log", "=,="], 2, &["--log"]);
    fails(&["node"], 2, &["--name"]);
}

#[test]
fn a_malformed_manifest_starts_neither_node_nor_child() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("children.toml");
    let file = path.to_str().unwrap();
    let running = Node::start("n1", &[]);
    let good = "[[child]]\nid = \"ok\"\nkind = \"counter\"\n\n";
    for (bad, words) in [
        ("[[child]]\nid = \"ok\"\nkind = \"counter\"\n", vec!["line 6", "`ok`", "twice"]),
        ("[[child]]\nid = 7\nkind = \"counter\"\n", vec!["line 6", "string"]),
        ("[[child]\n", vec!["line 5"]),
        ("[[child]]\nkind = \"counter\"\n", vec!["id"]),
        ("[[children]]\nid = \"x\"\n", vec!["children"]),
    ] {
        std::fs::write(&path, format!("{good}{bad}")).unwrap();
        fails(&["node", "--name", "n2", "--listen", "127.0.0.1:0", "--admin", "off", "--children", file], 2, &words);
        fails(&["start", "--file", file, "--admin", &running.admin], 2, &words);
    }
    std::fs::write(&path, format!("{good}[[child]]\nid = \"x\"\nkind = \"zebra\"\n")).unwrap();
    fails(&["start", "--file", file, "--admin", &running.admin], 1, &["`zebra`", "counter"]);
    agreed(&[&running], 0);
}

/// Strategies and the configuration file are read before anything starts; what is wrong is said, and how to mend it.
#[test]
fn strategies_that_make_no_sense_start_nothing() {
    let node = |args: &[&'static str]| [&["node", "--name", "n1", "--admin", "off"], args].concat();
    for (args, words) in [
        (&["--distribution", "ring"][..], &["--distribution", "use one of consistent-hashing, guided"][..]),
        (&["--redundancy", "replication:many"], &["--redundancy", "`many` is no whole number"]),
        (&["--redundancy", "replication:65"], &["redundancy.replication_factor = 65", "from 1 to 64"]),
        (&["--migration", "warm"], &["--migration", "use one of cold, hot, autonomous"]),
        (&["--migration", "autonomous", "--handover"], &["has none: use cold or hot"]),
        (
            &["--handover", "--redundancy", "replication:2"],
            &["handover moves the state of one copy", "use Singularity"],
        ),
        (&["--sync", "gossip:recipients=0"], &["synchronization.recipients = 0"]),
        (&["--partition", "dynamic:101%"], &["partition.quorum_size = 101", "from 1 to 100"]),
        (&["--partition", "static"], &["partition.quorum_size = 0"]),
        (&["--config", "/nowhere/config.toml"], &["cannot read /nowhere/config.toml"]),
        (&["--set", "lease"], &["--set lease", "--set lease=2s"]),
        (&["--set", "colour=red"], &["--set colour=red", "use distribution, redundancy"]),
        (&["--weight", "1000"], &["weight", "64"]),
    ] {
        fails(&node(args), 2, words);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let path = path.to_str().unwrap();
    for (text, words) in [
        ("[hub\n", &["makes no sense"][..]),
        ("[hob]\n", &["unknown field `hob`"]),
        ("[hub]\nstop_timeout = \"5\"\n", &["[hub] stop_timeout", "write it as 10s"]),
        ("[hubs.x]\npartition = { strategy = \"static\", size = 3 }\n", &["[hubs.x] partition", "no option `size`"]),
    ] {
        std::fs::write(path, text).unwrap();
        fails(&[&["node", "--name", "n1", "--admin", "off", "--config"][..], &[path]].concat(), 2, words);
    }
}

/// Nodes with one file are of one mind, and the file's hubs are taken part in.
#[test]
fn nodes_are_configured_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let text = "[hub]\nsynchronization = { strategy = \"pubsub\", sync_interval = \"2s\" }\n\
                [hubs.demo]\nmax_restarts = 7\n[hubs.orders]\n[membership]\nsuspicion = \"1s\"\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let n1 = Node::start("n1", &["--config", path, "--distribution", "consistent-hashing"]);
    let n2 = Node::start("n2", &["--config", path, "--join", &n1.listen, "--partition", "divergence"]);
    meet(&[&n1, &n2]);
    start_counters(&n1, "c", 10);
    agreed(&[&n1, &n2], 10);
    let (_, health) = n2.get("/v1/health");
    assert_eq!(health["hubs"], json!(["demo", "orders"]), "{health}");
}

#[test]
fn garbage_on_the_port_of_a_node_harms_nobody() {
    let [n1, n2] = cluster(["n1", "n2"]);
    start_counters(&n1, "c", 20);
    let before = agreed(&[&n1, &n2], 20);
    let mut shapes: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64 << 10],
        vec![0; 64 << 10],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0x7f, 0xff, 0xff, 0xff],
        Vec::new(),
    ];
    // The same bytes on every run, without a generator: what a stranger may send has no end.
    shapes.push((0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect());
    for bytes in &shapes {
        for node in [&n1, &n2] {
            let mut stream = TcpStream::connect(&node.listen).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
            // The other end may hang up at any byte.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.len() < 8_192, "a stranger got {} bytes", answer.len());
        }
    }
    meet(&[&n1, &n2]);
    assert_eq!(agreed(&[&n1, &n2], 20), before);
    for node in [&n1, &n2] {
        assert!(node.log().iter().all(|line| !line.contains("panicked")), "{:#?}", node.log());
    }
}

#[test]
fn a_node_that_joins_through_something_else_says_so_and_goes_on() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = web.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in web.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let mut node = Node::start("n1", &["--join", &addr, "--join-timeout", "1"]);
    start_counters(&node, "c", 3);
    agreed(&[&node], 3);
    assert!(node.runs());
}
