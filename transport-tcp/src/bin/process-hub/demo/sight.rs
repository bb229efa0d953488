//! What the nodes of the demonstration say, and whether they agree.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table};
use process_hub_core::MemberState;

use super::crew::Node;
use crate::api::{HubRow, MemberRow, PlacementRow, RegistryRows};
use crate::client::table;

/// Where each child runs: its node and its pid.
pub(crate) type Places = BTreeMap<String, (String, String)>;

/// Who is up, as `node` sees it, sorted.
fn up(node: &Node) -> Result<Vec<String>, String> {
    let rows: Vec<MemberRow> = node.client.get("/v1/members").map_err(|failure| failure.to_string())?;
    let up = rows.into_iter().filter(|row| row.state == MemberState::Up).map(|row| row.name);
    Ok(sorted(up))
}

/// What `node` says of the demonstration's hub.
pub(crate) fn hub(node: &Node) -> Result<HubRow, String> {
    let rows: Vec<HubRow> = node.client.get("/v1/hubs").map_err(|failure| failure.to_string())?;
    rows.into_iter().next().ok_or_else(|| format!("{} has no hub", node.name))
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
        for (what, seen) in [("up", up(node)?), ("in the hub", sorted(hub(node)?.nodes.into_iter()))] {
            if seen != wanted {
                return Err(format!("{} takes {seen:?} to be {what}", node.name));
            }
        }
    }
    Ok(())
}

/// The copies of each child, as one node sees them, sorted by node.
pub(crate) type Copies = BTreeMap<String, Vec<PlacementRow>>;

/// What `node` says of every child that is declared or runs.
pub(crate) fn copies(node: &Node) -> Result<Copies, String> {
    let rows: RegistryRows = node.client.get("/v1/hubs/demo/registry").map_err(|failure| failure.to_string())?;
    let sorted = |mut placements: Vec<PlacementRow>| {
        placements.sort_by(|a, b| a.node.cmp(&b.node));
        placements
    };
    Ok(rows.into_iter().map(|(id, row)| (id, sorted(row.placements))).collect())
}

/// The one registry that all of `nodes` hold: `count` children with `each` copies, each on another one of them.
pub(crate) fn agreed_copies(nodes: &[Node], count: usize, each: usize) -> Result<Copies, String> {
    let mut first: Option<Copies> = None;
    for node in nodes {
        let seen = copies(node)?;
        if seen.len() != count {
            return Err(format!("{} has {} children, not {count}", node.name, seen.len()));
        }
        for (id, places) in &seen {
            if places.len() != each || places.windows(2).any(|pair| pair[0].node == pair[1].node) {
                return Err(format!("{} has {id} placed {} times, not {each}", node.name, places.len()));
            }
            if let Some(stranger) = places.iter().find(|place| nodes.iter().all(|node| node.name != place.node)) {
                return Err(format!("{} has {id} on {}", node.name, stranger.node));
            }
        }
        match &first {
            None => first = Some(seen),
            Some(first) if *first == seen => {}
            Some(_) => return Err(format!("{} and {} differ", nodes[0].name, node.name)),
        }
    }
    first.ok_or_else(|| "nobody was asked".to_owned())
}

/// The same where each child has one copy.
pub(crate) fn agreed(nodes: &[Node], count: usize) -> Result<Places, String> {
    let one = |mut places: Vec<PlacementRow>| places.pop().map(|place| (place.node, place.pid));
    let copies = agreed_copies(nodes, count, 1)?;
    Ok(copies.into_iter().filter_map(|(id, places)| Some((id, one(places)?))).collect())
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
