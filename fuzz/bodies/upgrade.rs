//! Messages as a version of the encoding wrote them, kept for ever: this version reads them as that one meant them, or
//! refuses them for their version. Where two of them are spliced, nothing panics and what is read is written the same.
//!
//! A fixture is added with a new encoding, and none is changed: `fixtures/encoding-N.txt` holds lines of a name and bytes.

use process_hub_core::wire::{DecodeError, ENCODING, decode, encode};

/// Every encoding there was, with what it wrote.
const FIXTURES: [(u8, &str); 3] = [
    (1, include_str!("../fixtures/encoding-1.txt")),
    (2, include_str!("../fixtures/encoding-2.txt")),
    (3, include_str!("../fixtures/encoding-3.txt")),
];

/// All that is kept, as name, version and bytes.
pub(crate) fn fixtures() -> Vec<(&'static str, u8, Vec<u8>)> {
    let lines = FIXTURES.iter().flat_map(|(version, text)| text.lines().map(move |line| (*version, line)));
    let parts = lines.filter_map(|(version, line)| line.split_once(' ').map(|(name, hex)| (name, version, hex)));
    parts.map(|(name, version, hex)| (name, version, bytes_of(hex))).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len() / 2).map(|at| byte(at * 2)).collect()
}

/// What must hold of each fixture as it is.
pub(crate) fn check(name: &str, version: u8, bytes: &[u8]) {
    assert_eq!(bytes.first(), Some(&version), "{name} says which encoding it is in");
    match decode(bytes) {
        Ok(message) => {
            let mut again = Vec::new();
            encode(&message, &mut again).expect("what was decoded can be encoded");
            assert_eq!(decode(&again), Ok(message), "{name}");
            assert!(version != ENCODING || again == bytes, "{name} is written as it was");
        }
        Err(DecodeError::Version(refused)) => assert!(refused == version && version != ENCODING, "{name}"),
        Err(error) => panic!("{name} was understood once: {error}"),
    }
}

/// One run: two bytes choose two fixtures, the third where the one goes over into the other; the rest are changes.
pub(crate) fn run(bytes: &[u8]) {
    let all = fixtures();
    let [one, other, at, changes @ ..] = bytes else { return };
    let (name, version, first) = &all[usize::from(*one) % all.len()];
    check(name, *version, first);
    let second = &all[usize::from(*other) % all.len()].2;
    let mut spliced = first[..usize::from(*at).min(first.len())].to_vec();
    spliced.extend(second.get(spliced.len()..).unwrap_or_default());
    for change in changes.chunks_exact(2) {
        let place = usize::from(change[0]) % spliced.len().max(1);
        spliced.get_mut(place).into_iter().for_each(|byte| *byte = change[1]);
    }
    let Ok(message) = decode(&spliced) else { return };
    let mut again = Vec::new();
    encode(&message, &mut again).expect("what was decoded can be encoded");
    assert_eq!(decode(&again), Ok(message), "and is the same message");
}
