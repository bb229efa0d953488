//! Messages through their bytes and back.

use process_hub_core::{Message, wire};

/// What `message` is after it was encoded and decoded.
pub(crate) fn round_trip(message: &Message) -> Result<Message, String> {
    let mut bytes = Vec::new();
    wire::encode(message, &mut bytes).map_err(|error| error.to_string())?;
    wire::decode(&bytes).map_err(|error| error.to_string())
}

/// What comes of reading `message` after its bytes were changed.
pub(crate) fn changed(message: &Message, change: impl FnOnce(&mut Vec<u8>)) -> Result<Message, String> {
    let mut bytes = Vec::new();
    wire::encode(message, &mut bytes).map_err(|error| error.to_string())?;
    change(&mut bytes);
    wire::decode(&bytes).map_err(|error| error.to_string())
}
