//! Any bytes are a flight record or are refused with words: nothing panics, no claim makes room, and what is read can be
//! replayed or says why not.

use process_hub::core::config::NodeConfig;
use process_hub::core::id::{Boot, NodeId};
use process_hub::core::wire::record::Beginning;
use process_hub::record::{Head, Replay, Segment, SegmentWriter};

/// One run. After an odd first byte, the rest stands in a block with a checksum that matches; else it is a whole file.
pub(crate) fn run(bytes: &[u8]) {
    let Some((sort, rest)) = bytes.split_first() else { return };
    if sort % 2 == 0 {
        return read(bytes);
    }
    let config = NodeConfig::new(NodeId::new("n1").expect("a name"), "n1:1");
    let beginning = Beginning { config, boot: Boot(1), seed: 1 };
    let head = Head { program: String::new(), segment: 0, first: 0, beginning };
    let mut writer = SegmentWriter::begin(Vec::new(), &head).expect("room in memory");
    writer.steps(0, u32::from(*sort), rest).expect("room in memory");
    read(&writer.into_inner());
}

fn read(bytes: &[u8]) {
    let Ok(segment) = Segment::open(bytes) else { return };
    let mut replay = Replay::begin(segment.head()).ok();
    let mut read = 0;
    for item in segment {
        let Ok(item) = item else { break };
        read += 1;
        assert!(read <= bytes.len(), "an item takes a byte at least");
        if let Some(replaying) = &mut replay
            && replaying.take(item, &mut |_, _, _| {}).is_err()
        {
            replay = None;
        }
    }
}
