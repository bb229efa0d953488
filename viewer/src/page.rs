//! The page: one HTML file with everything in it.

use crate::history::{History, HistoryError};

const HTML: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/style.css");
/// One after the other, they are the page's one script.
const SCRIPTS: &[&str] = &[
    include_str!("../page/model.js"),
    include_str!("../page/canvas.js"),
    include_str!("../page/panel.js"),
    include_str!("../page/export.js"),
    include_str!("../page/main.js"),
];

impl History {
    /// The history as one HTML file that needs no server and no network.
    ///
    /// # Errors
    /// Never in practice: see [`History::json`].
    pub fn page(&self) -> Result<String, HistoryError> {
        // Nothing in a text may end the script that it stands in, or begin another.
        let data = self.json()?.replace('<', "\\u003c");
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;");
        Ok(fill(&[("title", &title), ("style", STYLE), ("script", &SCRIPTS.concat()), ("data", &data)]))
    }
}

/// The template with each `{{name}}` replaced, in one pass: what is filled in is not looked at again.
fn fill(values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(HTML.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = HTML;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        page.push_str(values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = after;
    }
    page.push_str(rest);
    page
}
