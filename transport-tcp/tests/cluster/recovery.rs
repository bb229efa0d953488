//! Clusters that end as a whole, and what is on their disks.

use std::fs;
use std::path::{Path, PathBuf};

use process_hub::saved::{SavedFile, SavedPart};
use rustix::process::Signal;
use serde_json::json;

use crate::support::cluster::{CHILDREN, add, agreed, meet, places, start_counters};
use crate::support::process::{Node, run};
use crate::support::{until, when};

const NAMES: [&str; 3] = ["n1", "n2", "n3"];

/// The file of the one hub in a directory.
fn file(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "phsaved"))
}

/// How many children are on a disk.
fn kept(dir: &Path) -> usize {
    let read = file(dir).and_then(|path| fs::read(path).ok()).map(|bytes| SavedFile::read(&bytes).unwrap());
    read.map_or(0, |file| file.parts.iter().map(SavedPart::len).sum())
}

struct Disks(tempfile::TempDir);

impl Disks {
    fn dir(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, name: &str, args: &[&str]) -> Node {
        let dir = self.dir(name);
        Node::start(name, &[&["--data-dir", dir.to_str().unwrap()], args].concat())
    }

    /// Three nodes that know where all of them listen; anew where they listened before.
    fn cluster(&self, listen: Option<[String; 3]>) -> [Node; 3] {
        let nodes = match listen {
            Some([a, b, c]) => {
                let addrs = [&a, &b, &c];
                let node = |at: usize| {
                    let others = addrs.iter().enumerate().filter(|(other, _)| *other != at);
                    let joins = others.flat_map(|(_, addr)| ["--join", addr.as_str()]);
                    let args: Vec<&str> = ["--listen", addrs[at].as_str()].into_iter().chain(joins).collect();
                    self.start(NAMES[at], &args)
                };
                [node(0), node(1), node(2)]
            }
            None => {
                let n1 = self.start("n1", &[]);
                let rest = ["n2", "n3"].map(|name| self.start(name, &["--join", &n1.listen]));
                let [n2, n3] = rest;
                [n1, n2, n3]
            }
        };
        meet(&nodes.each_ref());
        nodes
    }

    fn all_keep(&self, count: usize) {
        let counts = || NAMES.map(|name| kept(&self.dir(name)));
        until("all is kept", || when(counts() == [count; 3], counts()));
    }
}

fn listens(nodes: &[Node; 3]) -> [String; 3] {
    nodes.each_ref().map(|node| node.listen.clone())
}

/// SIGKILL, all at once, and again before anything has settled.
#[test]
fn all_nodes_are_killed_and_the_children_come_back_once_each() {
    let disks = Disks(tempfile::tempdir().unwrap());
    let nodes = disks.cluster(None);
    start_counters(&nodes[0], "c", 300);
    agreed(&nodes.each_ref(), 300);
    let (status, _) = nodes[1].delete(CHILDREN, &json!({"ids": ["c7", "c8"]}));
    assert_eq!(status, 200);
    disks.all_keep(298);
    let listen = listens(&nodes);
    nodes.into_iter().for_each(Node::kill);

    let nodes = disks.cluster(Some(listen.clone()));
    nodes.into_iter().for_each(Node::kill);
    let nodes = disks.cluster(Some(listen));
    let places = agreed(&nodes.each_ref(), 298);
    assert!(!places.contains_key("c7") && !places.contains_key("c8"), "they were stopped");
    for id in places.keys() {
        assert_eq!(add(&nodes[2], id, 1), 1, "{id} begins anew");
    }
    // What came back is stopped, and started, like anything else.
    let (status, _) = nodes[0].delete(CHILDREN, &json!({"ids": ["c9"]}));
    assert_eq!(status, 200);
    start_counters(&nodes[1], "d", 10);
    let before = agreed(&nodes.each_ref(), 307);
    assert!(!before.contains_key("c9"));
}

/// SIGTERM: each leaves, and what it knew last is on its disk.
#[test]
fn a_cluster_that_was_switched_off_comes_back() {
    let disks = Disks(tempfile::tempdir().unwrap());
    let nodes = disks.cluster(None);
    start_counters(&nodes[0], "c", 30);
    agreed(&nodes.each_ref(), 30);
    disks.all_keep(30);
    let listen = listens(&nodes);
    // What is changed at the last moment, too.
    start_counters(&nodes[1], "late", 1);
    nodes.iter().for_each(|node| node.signal(Signal::TERM));
    for node in nodes {
        let (status, log) = node.ended();
        assert!(status.success(), "{log:#?}");
    }
    assert_eq!(NAMES.map(|name| kept(&disks.dir(name))), [31; 3]);
    let nodes = disks.cluster(Some(listen));
    agreed(&nodes.each_ref(), 31);
}

/// A node that was away brings nothing back that was stopped meanwhile.
#[test]
fn an_old_disk_brings_nothing_back() {
    let disks = Disks(tempfile::tempdir().unwrap());
    let [n1, n2, n3] = disks.cluster(None);
    start_counters(&n1, "c", 30);
    agreed(&[&n1, &n2, &n3], 30);
    disks.all_keep(30);
    let listen = n3.listen.clone();
    n3.kill();
    meet(&[&n1, &n2]);
    let (status, _) = n1.delete(CHILDREN, &json!({"ids": ["c1", "c2"]}));
    assert_eq!(status, 200);
    assert_eq!(kept(&disks.dir("n3")), 30);
    let n3 = disks.start("n3", &["--listen", &listen, "--join", &n1.listen]);
    meet(&[&n1, &n2, &n3]);
    let restored = n3.log().iter().any(|line| line.contains("restored what was saved") && line.contains("children=30"));
    assert!(restored, "{:#?}", n3.log());
    agreed(&[&n1, &n2, &n3], 28);
    disks.all_keep(28);
    assert_eq!(places(&n3).unwrap().len(), 28);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_in_words() {
    let disks = Disks(tempfile::tempdir().unwrap());
    let dir = disks.dir("n1");
    let text = dir.to_str().unwrap();
    let fails = |args: &[&str], words: &[&str]| {
        let output = run(&[&["node", "--name", "x", "--listen", "127.0.0.1:0", "--data-dir", text], args].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word:?} is not in {said}"));
    };
    let n1 = disks.start("n1", &[]);
    start_counters(&n1, "c", 3);
    until("it is kept", || when(kept(&dir) == 3, kept(&dir)));
    fails(&[], &["is in use by another process", "a directory of its own"]);
    n1.kill();
    fails(&["--cluster", "other"], &["of cluster `default`, and the node of `other`"]);
    let path = file(&dir).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, &bytes).unwrap();
    fails(&[], &["cannot be restored", "its checksum does not match", "move it away"]);
    assert_eq!(fs::read(&path).unwrap(), bytes, "it is left as it is");
}
