//! Any text is a name of a node, a hub, a child or a kind, or is refused for a reason that is true; a pid that is read is
//! printed the same; what has a name is what it was after a way over the wire.

use process_hub_core::Message;
use process_hub_core::id::{Boot, ChildId, HubId, IdError, Kind, Member, NodeId, Pid};
use process_hub_core::message::HubMessage;
use process_hub_core::wire::{decode, encode};

/// One run on these bytes, as text.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check(&text, NodeId::MAX_LEN, &NodeId::new(&text).map(|name| name.to_string()));
    check(&text, HubId::MAX_LEN, &HubId::new(&text).map(|name| name.to_string()));
    check(&text, ChildId::MAX_LEN, &ChildId::new(&text).map(|name| name.to_string()));
    check(&text, Kind::MAX_LEN, &Kind::new(&text).map(|name| name.to_string()));
    if let Ok(pid) = text.parse::<Pid>() {
        let printed = pid.to_string();
        assert_eq!(printed.parse(), Ok(pid.clone()), "{printed}");
        // The names before the last two slashes may have slashes, too.
        assert!(text.starts_with(pid.node.as_str()));
    }
    let (Ok(node), Ok(hub)) = (NodeId::new(&text), HubId::new(&text)) else { return };
    let pid = Pid { node: node.clone(), boot: Boot(bytes.len() as u64), sequence: 1 };
    assert_eq!(pid.to_string().parse(), Ok(pid));
    let to = Member { node, boot: Boot(1) };
    let message = Message::Relay { to, hub, body: HubMessage::Bye };
    let mut bytes = Vec::new();
    encode(&message, &mut bytes).expect("within the limits");
    assert_eq!(decode(&bytes), Ok(message));
}

/// A name is of 1 to so many bytes, none of them of a control character, and stays as it is.
fn check(text: &str, most: usize, name: &Result<String, IdError>) {
    match name {
        Ok(name) => {
            assert_eq!(name, text);
            assert!((1..=most).contains(&text.len()) && !text.chars().any(char::is_control), "{text:?}");
        }
        Err(IdError::Empty { limit, .. }) => assert!(text.is_empty() && *limit == most),
        Err(IdError::TooLong { limit, len, .. }) => assert!(*len == text.len() && len > limit && *limit == most),
        Err(IdError::Control { at, .. }) => {
            assert!(text[*at..].starts_with(char::is_control) && !text[..*at].chars().any(char::is_control));
        }
        #[allow(unreachable_patterns, reason = "further reasons may come")]
        Err(other) => panic!("{other}"),
    }
}
