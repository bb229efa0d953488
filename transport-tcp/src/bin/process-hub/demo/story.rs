//! How the demonstration is told: numbered steps with the time, tables, and checks that hold or end it.

use std::io::IsTerminal;
use std::thread;
use std::time::{Duration, Instant};

use comfy_table::Table;

use crate::client::table;
use crate::failure::{Failure, Outcome};
use crate::output::line;

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(10);

/// The teller.
pub(crate) struct Story {
    began: Instant,
    steps: u32,
    checks: u32,
    colours: bool,
}

impl Story {
    pub(crate) fn begin(title: &str) -> Story {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let story = Story { began: Instant::now(), steps: 0, checks: 0, colours };
        line(story.paint("1", title));
        story
    }

    /// The next step.
    pub(crate) fn step(&mut self, title: &str) {
        self.steps += 1;
        let at = self.began.elapsed().as_secs_f64();
        line("");
        line(self.paint("1", &format!("{at:>5.1} s  {}. {title}", self.steps)));
    }

    /// Something to know.
    pub(crate) fn say(&self, text: &str) {
        line(format_args!("         {text}"));
    }

    /// Something to look at.
    pub(crate) fn table(&self, rows: &Table) {
        for row in table::lines(rows) {
            line(format_args!("         {row}"));
        }
    }

    /// Something that must be so. If it is not, the story ends.
    pub(crate) fn check(&mut self, holds: bool, text: &str) -> Outcome {
        self.checks += 1;
        let word = if holds { self.paint("32", "ok") } else { self.paint("31", "FAILED") };
        line(format_args!("     {word}  {text}"));
        if holds { Ok(()) } else { Err(Failure::failed(format!("this does not hold: {text}"))) }
    }

    pub(crate) fn end(&self) {
        let took = self.began.elapsed().as_secs_f64();
        line("");
        line(self.paint("1", &format!("All {} checks held, in {took:.1} s.", self.checks)));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Looks again and again until `look` finds something, and says how long that took.
///
/// # Errors
/// When nothing was found within `limit`: with what `look` said last.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Outcome<(T, Duration)> {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok((found, began.elapsed())),
            Err(lacks) if began.elapsed() > limit => {
                return Err(Failure::failed(format!("{what}: not within {} s; {lacks}", limit.as_secs())));
            }
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

/// A span for people.
pub(crate) fn span(time: Duration) -> String {
    match time.as_millis() {
        0 => "under 1 ms".to_owned(),
        ms @ 1..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
