//! Any text sets a field of a hub's configuration or is refused; what was set is printed and read back the same.

use process_hub_core::config::HubConfig;
use process_hub_core::id::HubId;

/// One run on these bytes: the first one chooses the field, the rest is the text.
pub(crate) fn run(bytes: &[u8]) {
    let Some((field, text)) = bytes.split_first() else { return };
    let field = HubConfig::SETTINGS[usize::from(*field) % HubConfig::SETTINGS.len()];
    let Ok(text) = core::str::from_utf8(text) else { return };
    let mut config = HubConfig::new(HubId::new("h").expect("a name"));
    let before = config.clone();
    if config.set(field, text).is_err() {
        assert_eq!(config, before, "what is refused changes nothing");
        return;
    }
    // What is a node's own affair is no field that others are told.
    let Some((_, printed)) = config.fields().into_iter().find(|(name, _)| name == field) else { return };
    let mut again = before;
    // Times print with fractions and microseconds that are not read; strategies and numbers come back.
    if again.set(field, &printed).is_ok() {
        assert_eq!(again, config, "{field} = {printed}");
    }
    let _ = config.check();
}
