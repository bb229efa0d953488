//! What of a node's state is shown, and what of it a step has changed.

use std::collections::BTreeMap;

use process_hub_core::id::ChildId;
use process_hub_core::registry::Lookup;
use process_hub_core::{Effect, Hub, Node};

use crate::words;

/// Name and value of each thing that is shown.
pub(crate) type Values = BTreeMap<String, String>;
/// The same of what is another now; nothing where a name is gone.
pub(crate) type Changes = BTreeMap<String, Option<String>>;

/// What a step may have changed beside what is looked at after each.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    members: bool,
    views: Vec<String>,
    rows: Vec<(String, ChildId)>,
}

impl Touched {
    pub(crate) fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::ViewChanged { hub: None } => self.members = true,
            Effect::ViewChanged { hub: Some(hub) } => self.views.push(hub.as_str().to_owned()),
            Effect::RegistryChanged { hub, id } => self.rows.push((hub.as_str().to_owned(), id.clone())),
            _ => {}
        }
    }
}

/// Brings `values` up to date with a node after a step, and says what is another now.
pub(crate) fn update(values: &mut Values, node: &Node, touched: Touched) -> Changes {
    let mut changes = Changes::new();
    let mut set = |name: String, value: Option<String>| {
        if values.get(&name) != value.as_ref() {
            match &value {
                Some(value) => values.insert(name.clone(), value.clone()),
                None => values.remove(&name),
            };
            changes.insert(name, value);
        }
    };
    set("node".to_owned(), Some(node.member().to_string()));
    if touched.members {
        let members = node.members();
        let members = members.iter().map(|info| format!("{} {:?}", info.member, info.state).to_lowercase());
        set("members".to_owned(), Some(members.collect::<Vec<_>>().join(", ")));
    }
    let several = node.hubs().nth(1).is_some();
    for hub in node.hubs() {
        let id = hub.config().id.as_str();
        let prefix = if several { format!("{id}: ") } else { String::new() };
        let viewed = touched.views.iter().any(|name| name == id);
        hub_values(hub, &prefix, &mut set);
        if viewed {
            for (id, lookup) in hub.registry().iter() {
                set(format!("{prefix}child {id}"), Some(row(hub, id, &lookup)));
            }
        }
        for (_, id) in touched.rows.iter().filter(|(name, _)| name == hub.config().id.as_str()) {
            let lookup = hub.registry().lookup(id);
            set(format!("{prefix}child {id}"), lookup.map(|lookup| row(hub, id, &lookup)));
        }
    }
    changes
}

fn hub_values(hub: &Hub, prefix: &str, set: &mut impl FnMut(String, Option<String>)) {
    let mut set = |name: &str, value: String| set(format!("{prefix}{name}"), Some(value));
    let view: Vec<_> = hub.view().iter().map(ToString::to_string).collect();
    set("view", format!("{} ({:08x})", view.join(", "), hub.view_hash() >> 32));
    set("view size", view.len().to_string());
    set("phase", format!("{:?}", hub.phase()).to_lowercase());
    set("quorum", if hub.is_locked() { "lost".to_owned() } else { "held".to_owned() });
    set("settled", hub.is_settled().to_string());
    set("declared", format!("{:016x}", hub.registry().declared_digest()));
    set("open requests", hub.open_requests().to_string());
    set("instances", hub.local_len().to_string());
}

/// What a node says of a child.
fn row(hub: &Hub, id: &ChildId, lookup: &Lookup) -> String {
    let copies = lookup.placements.iter();
    let copies = copies.map(|copy| format!("{} {} token {}", copy.pid, words::role(copy.role), copy.token));
    let copies: Vec<_> = copies.collect();
    let owners: Vec<_> = hub.owners(id).iter().map(|node| node.as_str()).collect();
    let declared = if lookup.spec.is_some() { "" } else { "not declared; " };
    let runs = if copies.is_empty() { "nowhere".to_owned() } else { copies.join(", ") };
    words::cut(format!("{declared}runs {runs}; belongs to {}", owners.join(" ")))
}
