//! The flight recorder of real nodes: recorded over TCP, killed, done again, shown.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::cluster::{agreed, meet, sees, start_counters};
use crate::support::process::{Node, run};

fn replay(args: &[&str]) -> (i32, String, String) {
    let output = run(&[&["replay"], args].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn outcome(dir: &str) -> Value {
    let (status, said, errors) = replay(&["--json", dir]);
    assert_eq!(status, 0, "{said} {errors}");
    serde_json::from_str(&said).unwrap()
}

/// The files of a directory, in order, and their sizes.
fn files(dir: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.path().display().to_string(), entry.metadata().unwrap().len())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_killed_node_is_done_again_to_the_last_effect_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (records, page) = (dir.path().join("records"), dir.path().join("page.html"));
    let (records, page) = (records.to_str().unwrap(), page.to_str().unwrap());
    let n1 = Node::start("n1", &[]);
    let n2 = Node::start("n2", &["--join", &n1.listen, "--record", records]);
    meet(&[&n1, &n2]);
    start_counters(&n1, "c", 200);
    agreed(&[&n1, &n2], 200);
    n2.kill();
    sees(&n1, &["n1"]);

    let done = outcome(records);
    assert_eq!((&done["node"], &done["equal"], &done["missing"]), (&json!("n2"), &json!(true), &json!(0)));
    assert!(done["replayed"].as_u64().unwrap() > 50, "{done}");
    let (status, said, _) = replay(&[records, "--html", page]);
    assert!(status == 0 && said.contains("all with the effects that were recorded"), "{said}");
    let html = std::fs::read_to_string(page).unwrap();
    assert!(
        html.contains("flight record of n2/") && html.contains("\"act\":\"start\",\"child\":\"c1"),
        "the page tells what happened"
    );

    // Killed as it began its next file, it would have left a part of that file's first bytes, or none.
    let next = files(Path::new(records)).remove(0).0.replace("000000.phrec", "000001.phrec");
    for begun in ["", "PHREC", "PHRECORD"] {
        std::fs::write(&next, begun).unwrap();
        let again = outcome(records);
        assert_eq!((&again["replayed"], &again["equal"]), (&done["replayed"], &json!(true)), "{begun:?}: {again}");
        assert!(again["ends_early"].as_str().unwrap().contains("ends in the middle"), "{again}");
    }
    std::fs::remove_file(&next).unwrap();

    // One bit of it is another: it is found, and what stands before it is done again.
    let (file, size) = files(Path::new(records)).remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[usize::try_from(size).unwrap() / 2] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let (status, said, errors) = replay(&[&file]);
    assert!(status == 1 && errors.contains("its checksum does not match"), "{said} {errors}");
    assert!(said.contains("were done again"), "{said}");
}

#[test]
fn records_are_bounded_and_what_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let records = dir.path().to_str().unwrap();
    let node = Node::start("n1", &["--record", records, "--record-mb", "1"]);
    // Each is a request and its reply, of a quarter of the limit together.
    let pad = "x".repeat(12_000);
    for batch in 0..40 {
        let children: Vec<_> = (0..20)
            .map(|n| json!({"id": format!("{batch}-{n}"), "kind": "echo", "args": null, "metadata": {"pad": pad}}))
            .collect();
        let (status, said) = node.post("/v1/hubs/demo/children", &json!({"children": children}));
        assert_eq!(status, 200, "{said}");
    }
    node.kill();
    let kept = files(dir.path());
    let sum: u64 = kept.iter().map(|(_, size)| size).sum();
    assert!(sum <= (1 << 20) * 3 / 2, "{kept:?}");
    assert!(kept.len() > 4 && kept[0].0.ends_with("000000.phrec"), "the beginning is kept: {kept:?}");
    let done = outcome(records);
    assert!(done["replayed"].as_u64().unwrap() > 0 && done["missing"].as_u64().unwrap() > 0, "{done}");
    assert!(done["not_replayed"].as_u64().unwrap() > 0 && done["equal"] == true, "{done}");
    let (status, _, errors) = replay(&[&kept.last().unwrap().0]);
    assert!(status == 2 && errors.contains("the record's first file is missing"), "{errors}");
}

#[test]
fn what_cannot_be_recorded_or_replayed_is_refused_with_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "no record at all").unwrap();
    let (dir, file) = (dir.path().to_str().unwrap(), file.to_str().unwrap());
    for (args, words) in [
        (&[file][..], "this is no flight record"),
        (&[dir], "holds no flight records"),
        (&["/nowhere/at/all"], "cannot be read"),
    ] {
        let (status, _, errors) = replay(args);
        assert!(status == 2 && errors.contains(words), "{args:?}: {errors}");
    }
    let output = run(&["node", "--name", "n1", "--listen", "127.0.0.1:0", "--admin", "off", "--record", file]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && errors.contains("name a directory that can be written to"), "{errors}");
}
