//! Any bytes are what a hub has saved or are refused with words: nothing panics, what is read is written the same, and a node
//! that restores it keeps all that [`parts::host`] asks, and comes to rest.

use std::collections::BTreeSet;
use std::time::Duration;

use process_hub::core::config::{HubConfig, NodeConfig};
use process_hub::core::id::ChildId;
use process_hub::core::request::Request;
use process_hub::saved::{SavedFile, SavedPart, SavedWriter};

use parts::draw::{hub, name};
use parts::host::Host;

#[path = "parts/mod.rs"]
mod parts;

/// One run. After an odd first byte, the rest is a part, which stands in a file with a checksum that matches; else all is a
/// whole file.
pub(crate) fn run(bytes: &[u8]) {
    let Some((sort, rest)) = bytes.split_first() else { return };
    let parts = match sort % 2 {
        0 => SavedFile::read(bytes).map(|file| file.parts).unwrap_or_default(),
        _ => SavedPart::decode(rest).into_iter().collect(),
    };
    if parts.is_empty() {
        return;
    }
    let mut writer = SavedWriter::begin(Vec::new(), "c").expect("room in memory");
    parts.iter().for_each(|part| writer.part(part).expect("what was read can be written"));
    if let Ok(file) = SavedFile::read(&writer.into_inner()) {
        assert_eq!(file.parts, parts);
    }
    restore(parts);
}

fn restore(parts: Vec<SavedPart>) {
    let mut host = Host::new(NodeConfig::new(name("n1"), "n1"), 1);
    host.ask(Request::OpenHub(HubConfig { first_start: true, ..HubConfig::new(hub()) }));
    for part in parts {
        host.ask(Request::Restore { hub: hub(), part: Box::new(part) });
    }
    // The grace, and some time for what is started then.
    for _ in 0..60 {
        host.run_to(host.now + Duration::from_millis(250));
        while let Some(due) = host.due.pop_front() {
            host.answer(due, 0);
        }
    }
    assert_eq!(host.open_requests(), 0);
    let hub = host.node.hub(&hub()).expect("it is open");
    assert!(hub.is_settled(), "{} moves", hub.migrations());
    let mut saving = hub.begin_saving();
    let parts: Vec<SavedPart> = std::iter::from_fn(|| hub.save_part(&mut saving)).collect();
    let names: BTreeSet<&ChildId> = parts.iter().flat_map(SavedPart::children).map(|spec| &spec.id).collect();
    assert!(
        names.into_iter().eq(hub.registry().iter().map(|(id, _)| id).collect::<BTreeSet<_>>()),
        "what is declared is saved"
    );
}
