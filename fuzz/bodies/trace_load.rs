//! Any text is a history or is refused with words: nothing panics, and what is read is the same when it is written and
//! read again, and can be shown.

use process_hub_viewer::History;

/// One run.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(history) = History::read(text) else { return };
    let json = history.json().expect("what was read can be written");
    assert_eq!(History::read(&json).expect("what was written can be read"), history);
    let page = history.page().expect("what was read can be shown");
    assert_eq!(page.matches("</script>").count(), 2, "no text ends a script");
}
