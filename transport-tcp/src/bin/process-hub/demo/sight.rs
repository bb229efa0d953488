//! What the nodes of the demonstration say, and whether they agree.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table};
use process_hub_core::MemberState;

use super::crew::Node;
use crate::api::{HubRow, MemberRow, RegistryRows};
use crate::client::table;

/// Where each child runs: its node and its pid.
pub(crate) type Places = BTreeMap<String, (String, String)>;

/// Who is up, as `node` sees it, sorted.
fn up(node: &Node) -> Result<Vec<String>, String> {
    let rows: Vec<MemberRow> = node.client.get("/v1/members").map_err(|failure| failure.to_string())?;
    let up = rows.into_iter().filter(|row| row.state == MemberState::Up).map(|row| row.name);
    Ok(sorted(up))
}

fn hub_nodes(node: &Node) -> Result<Vec<String>, String> {
    let rows: Vec<HubRow> = node.client.get("/v1/hubs").map_err(|failure| failure.to_string())?;
    Ok(sorted(rows.into_iter().flat_map(|row| row.nodes)))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Succeeds when each of `nodes` says that exactly these are up and take part in the hub.
pub(crate) fn all_see_each_other(nodes: &[Node]) -> Result<(), String> {
    let wanted = sorted(nodes.iter().map(|node| node.name.clone()));
    for node in nodes {
        for (what, seen) in [("up", up(node)?), ("in the hub", hub_nodes(node)?)] {
            if seen != wanted {
                return Err(format!("{} takes {seen:?} to be {what}", node.name));
            }
        }
    }
    Ok(())
}

/// The one registry that all of `nodes` hold: `count` children, each placed once, on one of them.
pub(crate) fn agreed(nodes: &[Node], count: usize) -> Result<Places, String> {
    let mut first: Option<Places> = None;
    for node in nodes {
        let places = places(node)?;
        if places.len() != count {
            return Err(format!("{} has {} children placed, not {count}", node.name, places.len()));
        }
        if let Some(stranger) = places.values().find(|(at, _)| nodes.iter().all(|node| node.name != *at)) {
            return Err(format!("{} has a child on {}", node.name, stranger.0));
        }
        match &first {
            None => first = Some(places),
            Some(first) if *first == places => {}
            Some(_) => return Err(format!("{} and {} differ", nodes[0].name, node.name)),
        }
    }
    first.ok_or_else(|| "nobody was asked".to_owned())
}

fn places(node: &Node) -> Result<Places, String> {
    let rows: RegistryRows = node.client.get("/v1/hubs/demo/registry").map_err(|failure| failure.to_string())?;
    let mut places = Places::new();
    for (id, row) in rows {
        match row.placements.as_slice() {
            [one] => places.insert(id, (one.node.clone(), one.pid.clone())),
            other => return Err(format!("{} has {id} placed {} times", node.name, other.len())),
        };
    }
    Ok(places)
}

/// How many run on `name`.
pub(crate) fn count_on(places: &Places, name: &str) -> usize {
    places.values().filter(|(node, _)| node == name).count()
}

/// A table of counts, one row a node.
pub(crate) fn shares<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = table::plain(head);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
