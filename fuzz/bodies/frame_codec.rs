//! A stream of bytes gives the same frames, and the same error, however it is cut; nothing is held but what arrived.

use process_hub_core::wire::{FrameError, FrameReader, PREFIX, write_frame};

const LIMIT: usize = 300;

/// One run: the first byte seeds the sizes of the pieces, the rest is the stream.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&seed, stream)) = bytes.split_first() else { return };
    let (frames, end) = read(stream, usize::MAX);
    let mut size = usize::from(seed);
    let mut reader = FrameReader::with_limit(LIMIT);
    let mut cut = (Vec::new(), Ok(()));
    let mut rest = stream;
    while !rest.is_empty() {
        size = size * 31 % 61;
        let (piece, after) = rest.split_at(rest.len().min(size + 1));
        rest = after;
        reader.push(piece);
        drain(&mut reader, &mut cut);
        assert!(reader.buffered() < LIMIT + PREFIX, "less than a frame stays");
    }
    assert_eq!(cut, (frames.clone(), end), "cut or whole, the same");

    // Frames that were found are frames when written, and are all that was there before the error or the tail.
    let mut written = Vec::new();
    for frame in &frames {
        write_frame(frame, &mut written).expect("a frame that was read can be written");
    }
    assert!(stream.starts_with(&written));
    match end {
        Err(FrameError::Empty) => assert!(stream[written.len()..].starts_with(&[0; PREFIX])),
        Err(FrameError::TooLarge { len, limit }) => assert!(len > limit && limit == LIMIT),
        Err(_) => {}
        Ok(()) => assert!(stream.len() - written.len() < LIMIT + PREFIX),
    }
}

type Found = (Vec<Vec<u8>>, Result<(), FrameError>);

fn read(stream: &[u8], piece: usize) -> Found {
    let mut reader = FrameReader::with_limit(LIMIT);
    let mut found = (Vec::new(), Ok(()));
    for piece in stream.chunks(piece) {
        reader.push(piece);
        drain(&mut reader, &mut found);
    }
    found
}

fn drain(reader: &mut FrameReader, found: &mut Found) {
    loop {
        match reader.next() {
            Ok(Some(frame)) => found.0.push(frame.to_vec()),
            Ok(None) => return,
            Err(error) => {
                assert_eq!(reader.next(), Err(error), "no attempt to go on");
                found.1 = Err(error);
                return;
            }
        }
    }
}
