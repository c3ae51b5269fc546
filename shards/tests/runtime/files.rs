//! Files and directories.

use std::io::ErrorKind;

use shards::runtime::buf::{Frozen, IoBuf};
use shards::runtime::{BLOCK_BYTES, File, OpenMode, Runtime};

use crate::Place;

const BLOCK: u64 = BLOCK_BYTES as u64;

/// Whole blocks, each filled with its own byte.
pub fn blocks<R: Runtime>(rt: &R, fill: &[u8]) -> Frozen {
    let mut buffer = rt.alloc(fill.len() * BLOCK_BYTES);
    for byte in fill {
        buffer.extend_from_slice(&[*byte; BLOCK_BYTES]);
    }
    buffer.freeze()
}

async fn open<R: Runtime>(rt: &R, place: &Place, name: &str, mode: OpenMode) -> R::File {
    rt.open(&place.dir.join(name), mode).await.expect("the file opens")
}

pub async fn what_is_written_is_read_back<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    file.write(0, &blocks(&rt, b"abcd")).await.unwrap();
    file.write(BLOCK, &blocks(&rt, b"X")).await.unwrap();
    file.sync().await.unwrap();
    assert_eq!(file.len().await.unwrap(), 4 * BLOCK);
    let all = file.read(0, 4 * BLOCK_BYTES).await.unwrap();
    for (block, byte) in all.chunks(BLOCK_BYTES).zip(b"aXcd") {
        assert!(block.iter().all(|b| b == byte));
    }
    let middle = file.read(2 * BLOCK, BLOCK_BYTES).await.unwrap();
    assert_eq!(middle, all.slice(2 * BLOCK_BYTES..3 * BLOCK_BYTES));
    file.close().await.unwrap();
}

pub async fn a_read_is_short_only_at_the_end_of_the_file<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    assert_eq!(file.read(0, BLOCK_BYTES).await.unwrap().len(), 0);
    file.write(0, &blocks(&rt, b"ab")).await.unwrap();
    assert_eq!(file.read(0, 8 * BLOCK_BYTES).await.unwrap().len(), 2 * BLOCK_BYTES);
    assert_eq!(file.read(2 * BLOCK, BLOCK_BYTES).await.unwrap().len(), 0);
    assert_eq!(file.read(64 * BLOCK, BLOCK_BYTES).await.unwrap().len(), 0);
}

pub async fn a_length_need_not_be_whole_blocks<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    file.write(0, &blocks(&rt, b"ab")).await.unwrap();
    file.resize(BLOCK + 100).await.unwrap();
    assert_eq!(file.len().await.unwrap(), BLOCK + 100);
    let read = file.read(0, 4 * BLOCK_BYTES).await.unwrap();
    assert_eq!(read.len(), BLOCK_BYTES + 100);
    assert!(read[BLOCK_BYTES..].iter().all(|b| *b == b'b'));
    file.resize(2 * BLOCK).await.unwrap();
    let read = file.read(BLOCK, BLOCK_BYTES).await.unwrap();
    assert!(read[..100].iter().all(|b| *b == b'b'));
    assert!(read[100..].iter().all(|b| *b == 0), "what was cut off must not come back");
}

pub async fn growing_leaves_zeros<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    file.write(2 * BLOCK, &blocks(&rt, b"c")).await.unwrap();
    file.resize(4 * BLOCK).await.unwrap();
    let read = file.read(0, 4 * BLOCK_BYTES).await.unwrap();
    assert_eq!(read.len(), 4 * BLOCK_BYTES);
    assert!(read[..2 * BLOCK_BYTES].iter().all(|b| *b == 0));
    assert!(read[2 * BLOCK_BYTES..3 * BLOCK_BYTES].iter().all(|b| *b == b'c'));
    assert!(read[3 * BLOCK_BYTES..].iter().all(|b| *b == 0));
}

pub async fn allocating_keeps_content_and_grows_the_file<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    file.write(0, &blocks(&rt, b"ab")).await.unwrap();
    file.allocate(0).await.unwrap();
    file.allocate(8 * BLOCK).await.unwrap();
    assert_eq!(file.len().await.unwrap(), 8 * BLOCK);
    file.allocate(BLOCK).await.unwrap();
    assert_eq!(file.len().await.unwrap(), 8 * BLOCK);
    let read = file.read(0, 8 * BLOCK_BYTES).await.unwrap();
    assert!(read[..BLOCK_BYTES].iter().all(|b| *b == b'a'));
    assert!(read[2 * BLOCK_BYTES..].iter().all(|b| *b == 0));
}

pub async fn create_keeps_an_existing_file<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    file.write(0, &blocks(&rt, b"a")).await.unwrap();
    file.close().await.unwrap();
    let again = open(&rt, &place, "a", OpenMode::Create).await;
    assert_eq!(again.len().await.unwrap(), BLOCK);
    let to_read = open(&rt, &place, "a", OpenMode::Read).await;
    assert_eq!(to_read.read(0, BLOCK_BYTES).await.unwrap()[0], b'a');
}

pub async fn missing_files_and_directories_are_not_found<R: Runtime>(rt: R, place: Place) {
    let missing = place.dir.join("missing");
    let below = missing.join("below");
    for mode in [OpenMode::Read, OpenMode::Write] {
        assert_eq!(rt.open(&missing, mode).await.err().unwrap().kind(), ErrorKind::NotFound);
    }
    assert_eq!(rt.open(&below, OpenMode::Create).await.err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(rt.read_whole(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rt.write_whole(&below, "x").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rt.read_dir(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rt.sync_dir(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rt.rename(&missing, &place.dir.join("b")).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rt.remove_file(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(rt.remove_dir_all(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
}

pub async fn opening_a_directory_as_a_file_fails<R: Runtime>(rt: R, place: Place) {
    let dir = place.dir.join("d");
    rt.create_dir_all(&dir).await.unwrap();
    for mode in [OpenMode::Read, OpenMode::Write, OpenMode::Create] {
        assert_eq!(rt.open(&dir, mode).await.err().unwrap().kind(), ErrorKind::IsADirectory);
    }
    assert_eq!(rt.read_whole(&dir).await.unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(rt.remove_file(&dir).await.unwrap_err().kind(), ErrorKind::IsADirectory);
    rt.write_whole(&place.dir.join("f"), "x").await.unwrap();
    for e in [
        rt.read_dir(&place.dir.join("f")).await.unwrap_err(),
        rt.sync_dir(&place.dir.join("f")).await.unwrap_err(),
        rt.open(&place.dir.join("f/below"), OpenMode::Create).await.err().unwrap(),
    ] {
        assert_eq!(e.kind(), ErrorKind::NotADirectory);
    }
    assert_eq!(rt.create_dir_all(&place.dir.join("f")).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

pub async fn a_file_opened_to_read_cannot_be_written<R: Runtime>(rt: R, place: Place) {
    rt.write_whole(&place.dir.join("a"), vec![1; BLOCK_BYTES]).await.unwrap();
    let file = open(&rt, &place, "a", OpenMode::Read).await;
    assert!(file.write(0, &blocks(&rt, b"x")).await.is_err());
    assert_eq!(file.read(0, BLOCK_BYTES).await.unwrap()[0], 1);
}

pub async fn a_handle_outlives_unlink_and_rename<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    file.write(0, &blocks(&rt, b"a")).await.unwrap();
    rt.rename(&place.dir.join("a"), &place.dir.join("b")).await.unwrap();
    file.write(BLOCK, &blocks(&rt, b"b")).await.unwrap();
    rt.remove_file(&place.dir.join("b")).await.unwrap();
    file.write(2 * BLOCK, &blocks(&rt, b"c")).await.unwrap();
    file.sync().await.unwrap();
    file.resize(2 * BLOCK + 1).await.unwrap();
    assert_eq!(file.len().await.unwrap(), 2 * BLOCK + 1);
    let read = file.read(0, 4 * BLOCK_BYTES).await.unwrap();
    assert_eq!((read[0], read[BLOCK_BYTES], read[2 * BLOCK_BYTES]), (b'a', b'b', b'c'));
    // A new file of the same name is another file.
    let other = open(&rt, &place, "a", OpenMode::Create).await;
    assert_eq!(other.len().await.unwrap(), 0);
    file.close().await.unwrap();
}

pub async fn opening_while_names_change_fails_or_works_but_never_more<R: Runtime>(rt: R, place: Place) {
    let (here, there) = (place.dir.join("here"), place.dir.join("there"));
    rt.create_dir_all(&here).await.unwrap();
    rt.write_whole(&here.join("f"), "it").await.unwrap();
    let (stop, stopped) = flume::bounded::<()>(0);
    let (ended, end) = flume::bounded(1);
    rt.spawn({
        let (rt, here) = (rt.clone(), here.clone());
        async move {
            while !stopped.is_disconnected() {
                rt.rename(&here, &there).await.unwrap();
                rt.rename(&there, &here).await.unwrap();
            }
            ended.send(()).unwrap();
        }
    });
    let mut opened = 0;
    for _ in 0..300 {
        match rt.open(&here.join("f"), OpenMode::Read).await {
            Ok(file) => {
                assert_eq!(&file.read(0, BLOCK_BYTES).await.unwrap()[..], b"it");
                opened += 1;
            }
            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound),
        }
    }
    assert!(opened > 0);
    drop(stop);
    end.recv_async().await.unwrap();
}

pub async fn two_handles_see_one_file<R: Runtime>(rt: R, place: Place) {
    let writer = open(&rt, &place, "a", OpenMode::Create).await;
    let reader = open(&rt, &place, "a", OpenMode::Read).await;
    writer.write(0, &blocks(&rt, b"a")).await.unwrap();
    assert_eq!(reader.read(0, BLOCK_BYTES).await.unwrap()[0], b'a');
    writer.close().await.unwrap();
    assert_eq!(reader.len().await.unwrap(), BLOCK);
}

pub async fn a_synced_write_is_read_back_beside_plain_ones<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Synced).await;
    file.write(0, &blocks(&rt, b"a")).await.unwrap();
    file.write_synced(BLOCK, &blocks(&rt, b"c")).await.unwrap();
    assert_eq!(file.read(0, 2 * BLOCK_BYTES).await.unwrap()[0], b'a');
    assert_eq!(file.read(BLOCK, BLOCK_BYTES).await.unwrap()[0], b'c');
    file.close().await.unwrap();
    // The mode makes a file and keeps one that is there.
    let again = open(&rt, &place, "a", OpenMode::Synced).await;
    assert_eq!(again.len().await.unwrap(), 2 * BLOCK);
}

pub async fn directories_list_sorted_with_kinds_and_lengths<R: Runtime>(rt: R, place: Place) {
    let dir = place.dir.join("list/of");
    rt.create_dir_all(&dir).await.unwrap();
    rt.create_dir_all(&dir).await.expect("an existing directory is fine");
    assert!(rt.read_dir(&dir).await.unwrap().is_empty());
    rt.write_whole(&dir.join("b"), "12345").await.unwrap();
    rt.create_dir_all(&dir.join("c/d")).await.unwrap();
    rt.write_whole(&dir.join("a"), "").await.unwrap();
    rt.sync_dir(&dir).await.unwrap();
    let listed: Vec<_> =
        rt.read_dir(&dir).await.unwrap().into_iter().map(|entry| (entry.name, entry.is_dir, entry.len)).collect();
    assert_eq!(listed, [("a".into(), false, 0), ("b".into(), false, 5), ("c".into(), true, 0)]);
}

pub async fn rename_replaces_the_target<R: Runtime>(rt: R, place: Place) {
    let (a, b) = (place.dir.join("a"), place.dir.join("b"));
    rt.write_whole(&a, "new").await.unwrap();
    rt.write_whole(&b, "old").await.unwrap();
    rt.rename(&a, &b).await.unwrap();
    assert_eq!(rt.read_whole(&b).await.unwrap(), b"new");
    assert_eq!(rt.read_whole(&a).await.unwrap_err().kind(), ErrorKind::NotFound);
    let (from, to) = (place.dir.join("dir"), place.dir.join("moved"));
    rt.create_dir_all(&from.join("x")).await.unwrap();
    rt.write_whole(&from.join("x/f"), "deep").await.unwrap();
    rt.rename(&from, &to).await.unwrap();
    assert_eq!(rt.read_whole(&to.join("x/f")).await.unwrap(), b"deep");
    assert_eq!(rt.read_dir(&from).await.unwrap_err().kind(), ErrorKind::NotFound);
}

pub async fn all_is_synced_of_a_directory_that_is_there<R: Runtime>(rt: R, place: Place) {
    let (file, missing) = (place.dir.join("f"), place.dir.join("missing"));
    rt.write_whole(&file, "x").await.unwrap();
    rt.sync_all(&place.dir).await.unwrap();
    assert_eq!(rt.sync_all(&file).await.unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(rt.sync_all(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
}

pub async fn a_file_system_tells_its_space_and_a_path_that_is_not_there_none<R: Runtime>(rt: R, place: Place) {
    let space = rt.space(&place.dir).await.expect("told");
    assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
    let e = rt.space(&place.dir.join("missing")).await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::NotFound);
}

pub async fn names_have_an_end<R: Runtime>(rt: R, place: Place) {
    let named = |len: usize| place.dir.join("n".repeat(len));
    rt.create_dir_all(&named(255)).await.unwrap();
    for e in [
        rt.rename(&named(255), &named(256)).await.unwrap_err(),
        rt.make_dir_with(&named(256), "x", b"").await.unwrap_err(),
        rt.open(&named(256), OpenMode::Create).await.err().unwrap(),
        rt.read_whole(&named(256)).await.unwrap_err(),
    ] {
        assert_eq!(e.raw_os_error(), Some(rustix::io::Errno::NAMETOOLONG.raw_os_error()));
    }
}

pub async fn removing_a_directory_takes_all_below_it<R: Runtime>(rt: R, place: Place) {
    let dir = place.dir.join("d");
    rt.create_dir_all(&dir.join("e/f")).await.unwrap();
    rt.write_whole(&dir.join("e/f/g"), "x").await.unwrap();
    rt.remove_dir_all(&dir).await.unwrap();
    assert!(rt.read_dir(&place.dir).await.unwrap().iter().all(|entry| entry.name != "d"));
}

pub async fn whole_files_are_replaced<R: Runtime>(rt: R, place: Place) {
    let path = place.dir.join("a");
    rt.write_whole(&path, "a long one").await.unwrap();
    rt.write_whole(&path, "short").await.unwrap();
    assert_eq!(rt.read_whole(&path).await.unwrap(), b"short");
    let file = open(&rt, &place, "a", OpenMode::Read).await;
    assert_eq!(&file.read(0, BLOCK_BYTES).await.unwrap()[..], b"short");
}

pub async fn a_directory_is_made_with_a_file_in_it_once<R: Runtime>(rt: R, place: Place) {
    let dir = place.dir.join("one");
    let file = dir.join("small");
    assert_eq!(rt.sync_file(&file).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(rt.make_dir_with(&dir, "small", b"first").await.unwrap());
    assert!(!rt.make_dir_with(&dir, "small", b"second").await.unwrap());
    rt.sync_file(&file).await.unwrap();
    assert_eq!(rt.read_whole(&file).await.unwrap(), b"first");
    let nowhere = place.dir.join("two/below");
    assert_eq!(rt.make_dir_with(&nowhere, "small", b"x").await.unwrap_err().kind(), ErrorKind::NotFound);
}

pub async fn a_buffer_of_another_origin_can_be_written<R: Runtime>(rt: R, place: Place) {
    let file = open(&rt, &place, "a", OpenMode::Create).await;
    let mut heap = IoBuf::heap(1);
    heap.extend_from_slice(b"heap");
    heap.pad_to_block();
    file.write(0, &heap.freeze()).await.unwrap();
    let mut empty = rt.alloc(0);
    assert!(empty.capacity() >= BLOCK_BYTES);
    empty.pad_to_block();
    file.write(BLOCK, &empty.freeze()).await.unwrap();
    assert_eq!(&file.read(0, 4 * BLOCK_BYTES).await.unwrap()[..5], b"heap\0");
    assert_eq!(file.len().await.unwrap(), BLOCK);
}

pub async fn many_writes_and_reads_at_once_do_not_mix<R: Runtime>(rt: R, place: Place) {
    let (done, finished) = flume::unbounded();
    for task in 0..8_u8 {
        let (rt, place, done) = (rt.clone(), place.clone(), done.clone());
        let body = {
            let rt = rt.clone();
            async move {
                let file = open(&rt, &place, &format!("f{task}"), OpenMode::Create).await;
                for round in 0..16_u8 {
                    let pos = u64::from(round) * BLOCK;
                    file.write(pos, &blocks(&rt, &[task * 16 + round])).await.unwrap();
                    file.sync().await.unwrap();
                    let read = file.read(pos, BLOCK_BYTES).await.unwrap();
                    assert!(read.len() == BLOCK_BYTES && read.iter().all(|b| *b == task * 16 + round));
                }
                done.send(task).unwrap();
            }
        };
        rt.spawn(body);
    }
    for _ in 0..8 {
        finished.recv_async().await.unwrap();
    }
}

pub async fn buffers_overlap_only_in_what_was_frozen<R: Runtime>(rt: R, _place: Place) {
    let mut buffer = rt.alloc(3 * BLOCK_BYTES);
    assert!(buffer.is_empty() && buffer.capacity() >= 3 * BLOCK_BYTES);
    buffer.extend_zeros(8);
    buffer.extend_from_slice(b"body");
    buffer.as_mut_slice()[..8].copy_from_slice(b"header12");
    assert_eq!(buffer.as_slice(), b"header12body");
    buffer.pad_to_block();
    assert_eq!(buffer.len(), BLOCK_BYTES);
    let frozen = buffer.freeze();
    let (whole, part) = (frozen.bytes(), frozen.slice(8..12));
    drop(frozen);
    assert_eq!((&whole[..8], &part[..]), (&b"header12"[..], &b"body"[..]));
    assert!(whole[12..].iter().all(|b| *b == 0));
}
