//! Standard output, for whoever still reads it.

use std::io::Write;

/// Prints `text` and ends the line. A reader that has gone away (`| head`) is no error.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
