//! Any bytes are a message or an error; a message survives being written and read again, in no more bytes.

use process_hub_core::wire::{decode, encode};

/// One run on these bytes.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(message) = decode(bytes) else { return };
    let mut again = Vec::new();
    encode(&message, &mut again).expect("what was decoded can be encoded");
    assert!(again.len() <= bytes.len(), "the shortest form is not longer");
    assert_eq!(decode(&again).as_ref(), Ok(&message), "and is the same message");
    let mut fixed = Vec::new();
    encode(&message, &mut fixed).expect("for the second time");
    assert_eq!(fixed, again, "there is one encoding");
}
