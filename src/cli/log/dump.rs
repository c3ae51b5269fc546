//! `corelog log dump`: tells what lies in a data directory, one line a thing.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;
use shards::log::{FileKind, IndexPage, PartitionDir, SegmentAtRest};
use shards::shard::at_rest::{self, PartitionAtRest};

use super::batches::{self, Meaning};
use super::line::{Lines, Shape};
use super::{catalog, journal, overview};
use crate::cli::progress::Progress;
use crate::cli::time::now_ms;
use crate::cli::{Failure, output};
use crate::disk::{Directory, NamedPartition, Sidecar, file_bytes, lone_segments, read_at, sidecar};

/// Tells what lies in a data directory: its partitions, or all of the ones that are named.
///
/// The broker must be stopped; or give it a copy of the directory. Nothing is written.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The data directory of a stopped broker, or a copy of one.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A partition, as in orders-0, or a topic; may be repeated. Without any: what there is.
    #[arg(value_name = "PARTITION")]
    partitions: Vec<String>,
    /// The records of each batch, too: keys, values, headers; those of __consumer_offsets and __cluster_metadata decoded.
    #[arg(short, long, requires = "partitions")]
    records: bool,
    /// The entries of each segment's index, too.
    #[arg(long, requires = "partitions")]
    indexes: bool,
    /// The producers and the leader epochs of each partition, too.
    #[arg(long, requires = "partitions")]
    producers: bool,
    /// Begin with the batch that holds this offset.
    #[arg(long, value_name = "OFFSET", requires = "partitions")]
    from: Option<i64>,
    /// Stop after so many batches of each partition.
    #[arg(short = 'n', long, value_name = "N", requires = "partitions")]
    count: Option<u64>,
    /// The commits of the journals and the entries in them.
    #[arg(long)]
    journal: bool,
    /// The records of the metadata log and of its snapshots.
    #[arg(long)]
    catalog: bool,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Shape,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let directory = Directory::open(&args.directory, false, now_ms())?;
    for finding in &directory.findings {
        output::note(&format!("damaged: {finding}; {}", finding.told()));
    }
    let wanted = wanted(args, &directory)?;
    let mut lines = Lines::new(args.output);
    // Lines on the terminal are progress enough.
    let mut progress = Progress::new(bytes_to_dump(args, &directory, &wanted), !stdout().is_terminal());
    if wanted.is_empty() && !args.journal && !args.catalog {
        overview::put(&directory, &mut lines)?;
    }
    for partition in wanted {
        Dump { args, directory: &directory, lines: &mut lines, progress: &mut progress }.partition(&partition)?;
    }
    if args.catalog {
        put_catalog(args, &directory, &mut lines, &mut progress)?;
    }
    if args.journal {
        journal::put(&directory, &mut lines)?;
    }
    lines.end()
}

/// The partitions that were named, in that order.
fn wanted<'a>(args: &Arguments, directory: &'a Directory) -> Result<Vec<NamedPartition<'a>>, Failure> {
    let mut wanted = Vec::new();
    for name in &args.partitions {
        let before = wanted.len();
        let is_it = |named: &NamedPartition<'_>| named.dir.name() == *name || *named.dir.topic_name == **name;
        wanted.extend(directory.named().into_iter().filter(is_it));
        if wanted.len() == before {
            let there =
                "there is no partition and no topic of that name with data; without names it tells what there is";
            return Err(Failure::Missing(format!("{name}: {there}")));
        }
    }
    Ok(wanted)
}

/// How many bytes of batches will pass; `None` where the dump stops before.
fn bytes_to_dump(args: &Arguments, directory: &Directory, wanted: &[NamedPartition<'_>]) -> Option<u64> {
    if args.count.is_some() {
        return None;
    }
    let named = directory.named();
    let catalog = named.iter().filter(|named| args.catalog && named.dir.id == at_rest::METADATA);
    let states = wanted.iter().chain(catalog).filter_map(|named| named.state.as_ref().ok());
    Some(states.flat_map(|state| segments(args, state)).map(|segment| segment.size).sum())
}

/// Those from the one on that holds the offset to begin with.
fn segments<'a>(args: &Arguments, state: &'a PartitionAtRest) -> impl Iterator<Item = &'a SegmentAtRest> + use<'a> {
    let from = args.from.unwrap_or(i64::MIN);
    state.segments.iter().filter(move |segment| segment.end_offset.is_none_or(|end| end.0 > from))
}

struct Dump<'a> {
    args: &'a Arguments,
    directory: &'a Directory,
    lines: &'a mut Lines,
    progress: &'a mut Progress,
}

impl Dump<'_> {
    fn partition(&mut self, partition: &NamedPartition<'_>) -> Result<(), Failure> {
        let name = partition.dir.name();
        let state = match partition.state {
            Ok(state) => state,
            Err(why) => {
                self.lines.put(0, "partition", json!({ "name": name, "offline": why }))?;
                return self.lone_segments(&partition.dir);
            }
        };
        let parts = json!({ "name": name, "log_start": state.log_start.0, "log_end": state.log_end.0 });
        self.lines.put(0, "partition", parts)?;
        if self.args.producers {
            self.producers(state)?;
        }
        let mut left = self.args.count.unwrap_or(u64::MAX);
        for segment in segments(self.args, state) {
            if left == 0 || !self.lines.is_read() {
                break;
            }
            self.segment(&partition.dir, segment, &mut left)?;
        }
        Ok(())
    }

    /// The files of a partition that cannot be put together, each by itself.
    fn lone_segments(&mut self, dir: &PartitionDir) -> Result<(), Failure> {
        let path = self.directory.layout().partitions().join(dir.name());
        let mut left = self.args.count.unwrap_or(u64::MAX);
        for segment in lone_segments(&path)? {
            self.segment(dir, &segment, &mut left)?;
        }
        Ok(())
    }

    fn segment(&mut self, dir: &PartitionDir, segment: &SegmentAtRest, left: &mut u64) -> Result<(), Failure> {
        let path = self.directory.segment_path(dir, segment, FileKind::Log);
        let shown = self.directory.inside(&path).display().to_string();
        self.lines.put(1, "segment", overview::segment(&shown, segment))?;
        if self.args.indexes {
            self.index(dir, segment)?;
        }
        let file = match self.directory.open_segment(dir, segment) {
            Ok(file) => file,
            Err(e) => {
                self.lines.put(2, "damaged", json!({ "file": shown, "what": e.to_string() }))?;
                return Ok(());
            }
        };
        let read = |position, bytes| file.as_ref().map_or(Ok(Bytes::new()), |file| read_at(file, position, bytes));
        let meaning = Meaning::of(&dir.topic_name);
        for batch in segment.walk(0, Some(segment.base), read) {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.lines.put(2, "damaged", json!({ "file": shown, "what": error.to_string() }))?;
                    return Ok(());
                }
            };
            let records = u64::try_from(batch.header.record_count).unwrap_or(0);
            self.progress.advance(batch.bytes.len() as u64, records);
            if self.args.from.is_some_and(|from| batch.header.last_offset() < from) {
                continue;
            }
            if *left == 0 || !self.lines.put(2, "batch", batches::head(&batch))? {
                return Ok(());
            }
            *left -= 1;
            if !self.args.records {
                continue;
            }
            match batches::records(&batch, meaning) {
                Ok(records) => {
                    for (kind, parts) in records {
                        self.lines.put(3, kind, parts)?;
                    }
                }
                Err(what) => {
                    self.lines.put(3, "damaged", json!({ "file": shown, "what": what }))?;
                }
            }
        }
        Ok(())
    }

    fn index(&mut self, dir: &PartitionDir, segment: &SegmentAtRest) -> Result<(), Failure> {
        let path = self.directory.segment_path(dir, segment, FileKind::Index);
        let shown = self.directory.inside(&path).display().to_string();
        let bytes = file_bytes(&path).map_err(|e| Failure::Runtime(format!("{shown}: {e}")))?;
        let Some(bytes) = bytes else { return Ok(()) };
        let Sidecar { pages, wrong } = sidecar(&bytes, segment.base);
        self.lines.put(2, "index", json!({ "file": shown, "pages": pages.len() + wrong.len() }))?;
        for (number, error) in wrong {
            self.lines.put(3, "damaged", json!({ "page": number, "what": error.to_string() }))?;
        }
        for (number, page) in pages {
            match page {
                IndexPage::Entries(entries) => {
                    for entry in entries {
                        let parts = json!({
                            "page": number, "offset": entry.first_offset(segment.base).0, "position": entry.position,
                            "bytes": entry.length, "max_timestamp": entry.max_timestamp_ms,
                            "heads_sum": format!("{:08x}", entry.sum.0),
                        });
                        self.lines.put(3, "entry", parts)?;
                    }
                }
                IndexPage::Footer { size, end_offset, max_timestamp_ms } => {
                    let parts = json!({
                        "page": number, "size": size, "end_offset": end_offset.0, "max_timestamp": max_timestamp_ms,
                    });
                    self.lines.put(3, "footer", parts)?;
                }
            }
        }
        Ok(())
    }

    fn producers(&mut self, state: &PartitionAtRest) -> Result<(), Failure> {
        for entry in &state.epochs {
            self.lines.put(1, "epoch", json!({ "leader_epoch": entry.epoch.0, "start_offset": entry.start.0 }))?;
        }
        for producer in &state.producers {
            let batches = producer.batches.iter().map(|mark| {
                json!({
                    "base_offset": mark.base_offset.0, "first_sequence": mark.first, "records": mark.count,
                    "timestamp": mark.timestamp_ms,
                })
            });
            let parts = json!({
                "id": producer.producer.0, "epoch": producer.epoch, "seen": producer.seen_ms,
                "batches": batches.collect::<serde_json::Value>(),
            });
            self.lines.put(1, "producer", parts)?;
        }
        Ok(())
    }
}

/// Snapshots with their records, then the metadata log.
fn put_catalog(
    args: &Arguments,
    directory: &Directory,
    lines: &mut Lines,
    progress: &mut Progress,
) -> Result<(), Failure> {
    for (offset, path, bytes) in directory.snapshots()? {
        let file = directory.inside(&path).display().to_string();
        match at_rest::snapshot_records(&bytes) {
            Ok(records) => {
                lines.put(0, "snapshot", json!({ "file": file, "offset": offset.0, "records": records.len() }))?;
                for record in records {
                    let (kind, parts) = catalog::told(&record);
                    lines.put(1, kind, parts)?;
                }
            }
            Err(error) => {
                lines.put(0, "damaged", json!({ "file": file, "what": error.to_string() }))?;
            }
        }
    }
    let all = Arguments { records: true, directory: args.directory.clone(), partitions: Vec::new(), ..*args };
    for partition in directory.named().into_iter().filter(|named| named.dir.id == at_rest::METADATA) {
        Dump { args: &all, directory, lines, progress }.partition(&partition)?;
    }
    Ok(())
}
