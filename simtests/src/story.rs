//! What led to a violation, in the few lines that concern it.

use std::collections::VecDeque;

use crate::oracles::seen::Violation;
use crate::plan::Options;

/// The most lines a story has.
const LINES: usize = 60;

/// Keeps the last lines that concern one child, or that concern no child at all.
#[derive(Debug, Default)]
pub(crate) struct Story {
    child: Option<String>,
    host: Option<String>,
    lines: VecDeque<String>,
}

impl Story {
    pub(crate) fn new(violation: &Violation) -> Self {
        let host = violation.host.map(|host| format!(" n{} ", host + 1));
        Self { child: violation.child.clone(), host, lines: VecDeque::new() }
    }

    /// One line more, if it concerns the story.
    pub(crate) fn tell(&mut self, line: String, always: bool) {
        let concerns = match (&self.child, &self.host) {
            (Some(child), _) => mentions(&line, child),
            (None, Some(host)) => line.contains(host),
            (None, None) => true,
        };
        if always || concerns {
            if self.lines.len() == LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(line.chars().take(600).collect());
        }
    }
}

/// Whether `line` names `child`, and not one whose name only begins like it.
fn mentions(line: &str, child: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(child).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_none_or(|c| !word(c));
        before && line[at + child.len()..].chars().next().is_none_or(|c| !word(c))
    })
}

/// Runs the seed again up to the violation, and tells what concerns it.
#[must_use]
pub fn story(options: &Options, violation: &Violation) -> Vec<String> {
    crate::run::tell(options, Story::new(violation)).lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_not_taken_for_another() {
        assert!(mentions("Start { id: c1, }", "c1"));
        assert!(!mentions("Start { id: c12, }", "c1"));
        assert!(mentions("c12 and c1", "c1"));
    }
}
