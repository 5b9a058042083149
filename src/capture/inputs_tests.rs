//! Several files as one stream: order, numbers, watermark, damage.

use super::*;
use crate::capture::error::Fault;
use crate::capture::samples;

/// Files of one frame each, whose bytes are the name: name, microseconds.
fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> Vec<PathBuf> {
    files
        .iter()
        .map(|(name, bytes)| {
            let path = folder.join(name);
            fs::write(&path, bytes).unwrap();
            path
        })
        .collect()
}

fn read(inputs: &mut Inputs) -> Vec<(u64, u64, String)> {
    let mut block = Block::default();
    let mut seen = Vec::new();
    let (mut watermark, mut position) = (Timestamp::default(), 0);
    while inputs.next_block(&mut block).unwrap() {
        assert!(block.watermark >= watermark && block.position >= position);
        (watermark, position) = (block.watermark, block.position);
        for index in 0..block.frames.len() {
            let frame = block.frame(index).unwrap();
            assert!(frame.at <= watermark);
            let text = String::from_utf8(frame.bytes.to_vec()).unwrap();
            seen.push((frame.number, frame.at.0 / 1_000, text));
        }
    }
    assert_eq!(block.watermark, watermark);
    assert!(block.frames.is_empty());
    seen
}

#[test]
fn several_files_are_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("late", samples::pcap(&[(30, b"late"), (31, b"later")])),
        ("tie-1", samples::pcapng(&[(20, b"tie 1"), (99, b"ahead")])),
        ("none", samples::pcap(&[])),
        ("tie-2", samples::gzip(&samples::pcap(&[(20, b"tie 2")]))),
        (
            "early",
            samples::zstd(&samples::pcapng(&[(10, b"early"), (5, b"before")])),
        ),
    ];
    let paths = write(folder.path(), &files);
    let mut inputs = Inputs::open(&paths, &Options::default()).unwrap();
    let size: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(inputs.size(), Some(size as u64));
    let wanted = [
        (1, 10, "early"),
        (2, 5, "before"),
        (3, 20, "tie 1"),
        (4, 20, "tie 2"),
        (5, 30, "late"),
        (6, 31, "later"),
        (7, 99, "ahead"),
    ]
    .map(|(number, at, text)| (number, at, text.to_owned()));
    assert_eq!(read(&mut inputs), wanted);
    assert_eq!(inputs.counts().frames, 7);
    assert_eq!(inputs.damages(), []);
    assert_eq!(inputs.position, size as u64);
}

#[test]
fn damage_ends_a_file_and_not_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let mut cut = samples::pcap(&[(1, b"whole"), (2, b"cut")]);
    cut.pop();
    let files = [("cut", cut), ("good", samples::pcap(&[(3, b"good")]))];
    let paths = write(folder.path(), &files);
    let mut inputs = Inputs::open(&paths, &Options::default()).unwrap();
    let texts: Vec<String> = read(&mut inputs).into_iter().map(|seen| seen.2).collect();
    assert_eq!(texts, ["whole", "good"]);
    let [damage] = inputs.damages() else {
        panic!("{:?}", inputs.damages());
    };
    assert_eq!(damage.path, paths[0]);
    assert_eq!(damage.offset, 45);
    assert_eq!(
        damage.fault,
        Fault::CutShort {
            present: 18,
            needed: 19
        }
    );
    assert!(
        damage
            .to_string()
            .ends_with("damaged at byte 45: the file ends inside a record: 18 of 19 bytes")
    );
}

#[test]
fn what_a_filter_leaves_out_is_numbered_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        (
            "second",
            samples::pcap(&[(5, b"short"), (6, b"a longer text")]),
        ),
        (
            "first",
            samples::pcap(&[(1, b"brief"), (9, b"a long text")]),
        ),
    ];
    let paths = write(folder.path(), &files);
    let options = Options {
        filter: Some("greater 10".to_owned()),
        ..Options::default()
    };
    let mut inputs = Inputs::open(&paths, &options).unwrap();
    // What a file's filter left out counts right before the next frame of that file.
    let wanted = [
        (2, 6, "a longer text".to_owned()),
        (4, 9, "a long text".to_owned()),
    ];
    assert_eq!(read(&mut inputs), wanted);
    let counts = inputs.counts();
    assert_eq!((counts.frames, counts.left_out_frames), (4, 2));
    assert_eq!(counts.left_out_bytes, 10);
}

#[test]
fn a_bad_file_is_refused_before_any_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("good", samples::pcap(&[(3, b"good")])),
        ("bad", b"text".to_vec()),
    ];
    let paths = write(folder.path(), &files);
    let error = Inputs::open(&paths, &Options::default()).unwrap_err();
    assert!(
        error.to_string().contains("bad: not a capture file"),
        "{error}"
    );
}

#[test]
fn no_files_are_an_empty_stream() {
    let mut inputs = Inputs::open::<&Path>(&[], &Options::default()).unwrap();
    assert_eq!(inputs.size(), Some(0));
    assert_eq!(read(&mut inputs), []);
}

/// Reads files of so many frames at these times (microseconds) by blocks of `block_size` bytes; the
/// bytes say file and place.
fn read_times(files: &[&[u32]], block_size: usize) -> Vec<(u64, u64, String)> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (file, times) in files.iter().enumerate() {
        let texts: Vec<String> = (0..times.len())
            .map(|place| format!("{file}.{place}"))
            .collect();
        let frames: Vec<(u64, &[u8])> = times
            .iter()
            .zip(&texts)
            .map(|(&at, text)| (at.into(), text.as_bytes()))
            .collect();
        let bytes = match file % 3 {
            0 => samples::pcap(&frames),
            1 => samples::pcapng(&frames),
            _ => samples::gzip(&samples::pcap(&frames)),
        };
        let path = folder.path().join(file.to_string());
        fs::write(&path, bytes).unwrap();
        paths.push(path);
    }
    let options = Options {
        block_size,
        ..Options::default()
    };
    let mut inputs = Inputs::open(&paths, &options).unwrap();
    let seen = read(&mut inputs);
    assert_eq!(inputs.counts().frames, seen.len() as u64);
    assert!(inputs.open.is_empty() && inputs.waiting.is_empty());
    seen
}

/// As `mergecap` does it: always the earliest of the frames that come next in their files.
fn merged(files: &[&[u32]]) -> Vec<(u64, u64, String)> {
    let mut next = vec![0; files.len()];
    let mut all = Vec::new();
    while let Some((at, file)) = (0..files.len())
        .filter_map(|file| Some((*files[file].get(next[file])?, file)))
        .min()
    {
        all.push((
            all.len() as u64 + 1,
            at.into(),
            format!("{file}.{}", next[file]),
        ));
        next[file] += 1;
    }
    all
}

#[test]
fn files_that_overlap_are_merged_by_time() {
    let rows: &[&[&[u32]]] = &[
        &[&[1, 3, 5], &[2, 4, 6]],
        &[&[2, 4, 6], &[1, 3, 5]],
        &[&[1, 9], &[2, 3, 4], &[5, 8]],
        // One begins in the middle of another and goes on after it; the third comes alone.
        &[&[1, 2, 3, 4, 5, 6], &[4, 5, 6, 7, 8], &[20, 21]],
        // Frames out of order stay so.
        &[&[5, 1, 9, 2], &[4, 6, 3, 7]],
        &[&[7, 7, 7], &[7, 7], &[7]],
        &[&[], &[3], &[], &[1, 5]],
    ];
    for files in rows {
        // A block that holds one frame, some, all.
        for block_size in [64, 150, 1 << 16] {
            assert_eq!(
                read_times(files, block_size),
                merged(files),
                "{files:?} {block_size}"
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_files_are_merged_as_by_hand(
        files in proptest::collection::vec(proptest::collection::vec(1..60_u32, 0..20), 1..6),
        block_size in 64..400_usize,
        in_order: bool,
    ) {
        let mut files = files;
        if in_order {
            files.iter_mut().for_each(|times| times.sort_unstable());
        }
        let files: Vec<&[u32]> = files.iter().map(Vec::as_slice).collect();
        proptest::prop_assert_eq!(read_times(&files, block_size), merged(&files));
    }
}

#[test]
fn only_files_that_overlap_are_open_and_the_others_are_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    let files: Vec<(&str, Vec<u8>)> = (0..50)
        .zip(&names)
        // Three at a time.
        .map(|(n, name)| {
            let frames = [(10 * n, &b"a"[..]), (10 * n + 25, b"b")];
            (name.as_str(), samples::pcap(&frames))
        })
        .collect();
    let paths = write(folder.path(), &files);
    let options = Options {
        block_size: 64,
        ..Options::default()
    };
    let mut inputs = Inputs::open(&paths, &options).unwrap();
    let mut block = Block::default();
    while inputs.next_block(&mut block).unwrap() {
        assert!(inputs.open.len() <= 3, "{}", inputs.open.len());
    }
    // One after the other: each block is the reader's own, record headers and all.
    let files = [
        ("x", samples::pcap(&[(1, b"a"), (2, b"b")])),
        ("y", samples::pcap(&[(3, b"c"), (4, b"d")])),
    ];
    let paths = write(folder.path(), &files);
    let mut inputs = Inputs::open(&paths, &Options::default()).unwrap();
    for number in [1, 3] {
        assert!(inputs.next_block(&mut block).unwrap());
        assert_eq!((block.first_number, block.frames.len()), (number, 2));
        assert_eq!(block.frames[0].offset, 16);
    }
}
