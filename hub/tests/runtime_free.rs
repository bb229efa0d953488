//! The hub takes its tasks, time and sockets from its caller: nothing in its sources names a runtime's own.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};

const FORBIDDEN: [&str; 9] = [
    "tokio::time",
    "tokio::spawn",
    "tokio::net",
    "tokio::task",
    "tokio::runtime",
    "tokio::fs",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
];

fn sources(under: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(under).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_source_names_a_runtime() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 20, "the sources were looked for in the wrong place");
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{}: `{word}` binds the hub to one runtime", path.display());
        }
    }
}
