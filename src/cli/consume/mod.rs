//! `corelog consume TOPIC`: prints records of the partitions and offsets that were asked for, or of a group's share.

mod begin;
mod group;

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::time::{Duration, Instant};

use self::begin::{Begin, Stretch};
use super::bootstrap::Bootstrap;
use super::format::{Format, Separator, separator};
use super::printer::{Printer, Reader};
use super::progress::Progress;
use super::report::yaml_document;
use super::time::{When, now_ms};
use super::{Failure, record_json};
use crate::client::{Consumer, GROWTH_EVERY, Received};

/// How long one fetch waits for records.
const WAIT: Duration = Duration::from_millis(500);

/// Prints records, from the beginning to the end as it is now unless told otherwise.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The topic to read.
    topic: String,
    /// Where to begin: beginning (earliest), end (latest), an offset, -N for the last N of each partition, or @TIME. Or,
    /// as in other commands, how to print: json, yaml, text; may be given for both.
    #[arg(short = 'o', value_name = "BEGIN|SHAPE", value_parser = Either::parse, allow_hyphen_values = true)]
    either: Vec<Either>,
    /// Where to begin, as with -o.
    #[arg(long, visible_alias = "offset", value_name = "BEGIN", value_parser = Begin::parse, allow_hyphen_values = true)]
    from: Option<Begin>,
    /// Begin at the first record of this time or later: 2026-11-25T10:30:00Z, 2h (ago), or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = When::parse, conflicts_with = "from")]
    since: Option<When>,
    /// Stop before the first record of this time or later.
    #[arg(long, value_name = "TIME", value_parser = When::parse, conflicts_with = "follow")]
    until: Option<When>,
    /// Read this partition only; may be repeated.
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Stop after so many records.
    #[arg(short = 'n', long, visible_short_alias = 'c', value_name = "N")]
    count: Option<u64>,
    /// Wait for more at the end, instead of stopping there; of partitions that are added, too.
    #[arg(short = 'F', long)]
    follow: bool,
    /// How to print a record: %s value, %k key, %S and %K their lengths, %R the value's in 4 bytes, %h headers, %t topic, %p partition, %o offset,
    /// %T timestamp; \n, \t, \xNN. [default: %s\n]
    #[arg(short, long, value_parser = Format::parse)]
    format: Option<Format>,
    /// Print the key and this before each value.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = separator, conflicts_with = "format")]
    key_separator: Option<Separator>,
    /// Read as a member of this group, from where it stands; what was printed is stored as read. The beginning counts
    /// where the group has not been yet: beginning, end or @TIME. Whatever reads the output may be slow: only after 5
    /// minutes in which it took nothing (45 s while the group shares out its partitions anew) do others get its share.
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["partitions", "until"])]
    group: Option<String>,
    /// How to print: text, json, one record a line, or yaml, one document a record.
    #[arg(long, value_name = "SHAPE", value_parser = Shape::parse)]
    output: Option<Shape>,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    Json,
    Yaml,
}

impl Shape {
    fn parse(text: &str) -> Result<Shape, String> {
        match text {
            "text" => Ok(Shape::Text),
            "json" => Ok(Shape::Json),
            "yaml" => Ok(Shape::Yaml),
            _ => Err(format!("\"{text}\" is none of text, json, yaml")),
        }
    }
}

/// What stands after `-o`: kcat's users type a beginning there, and all other commands take a shape.
#[derive(Clone, Copy, Debug)]
enum Either {
    Begin(Begin),
    Shape(Shape),
}

impl Either {
    fn parse(text: &str) -> Result<Either, String> {
        let shape = Shape::parse(text).map(Either::Shape);
        shape.or_else(|_| Begin::parse(text).map(Either::Begin)).map_err(|why| format!("{why}, text, json, yaml"))
    }
}

impl Arguments {
    /// The one beginning that was asked for.
    fn begin(&self) -> Result<Begin, Failure> {
        let short = self.either.iter().filter_map(|either| match either {
            Either::Begin(begin) => Some(*begin),
            Either::Shape(_) => None,
        });
        let mut all = short.chain(self.from).chain(self.since.map(Begin::Time));
        let first = all.next().unwrap_or(Begin::Beginning);
        match all.next() {
            None => Ok(first),
            Some(_) => Err(Failure::Usage("there are two beginnings: keep one of -o, --from and --since".to_owned())),
        }
    }

    fn shape(&self) -> Shape {
        let short = self.either.iter().find_map(|either| match either {
            Either::Shape(shape) => Some(*shape),
            Either::Begin(_) => None,
        });
        self.output.or(short).unwrap_or(Shape::Text)
    }
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let from = args.begin()?;
    if args.shape() != Shape::Text && (args.format.is_some() || args.key_separator.is_some()) {
        let hint = "json and yaml print all of a record: leave out --format and --key-separator, or -o";
        return Err(Failure::Usage(hint.to_owned()));
    }
    let mut cluster = args.bootstrap.connect()?;
    if let Some(name) = &args.group {
        return group::run(args, cluster, name, from);
    }
    let info = cluster.topic(&args.topic, false)?;
    let there = info.partitions.iter().map(|partition| partition.index);
    let mut partitions: Vec<i32> = if args.partitions.is_empty() { there.collect() } else { args.partitions.clone() };
    partitions.sort_unstable();
    partitions.dedup();
    let stretches = begin::stretches(&mut cluster, &args.topic, &partitions, from, args.until, now_ms())?;
    let mut consumer = Consumer::new(cluster, &args.topic);
    for stretch in &stretches {
        consumer.assign(stretch.partition, stretch.offset);
    }
    let ends: BTreeMap<i32, i64> = stretches.iter().map(|stretch| (stretch.partition, stretch.end)).collect();
    let beyond = |partition: i32, offset: i64| !args.follow && ends.get(&partition).is_some_and(|end| offset >= *end);
    let mut out = Printer::stdout();
    let mut progress = progress(args, &stretches);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut printed = Vec::new();
    let grows = args.follow && args.partitions.is_empty();
    let mut looked = Instant::now();
    while left > 0 {
        if grows && looked.elapsed() >= GROWTH_EVERY {
            consumer.assign_new()?;
            looked = Instant::now();
        }
        // At the end as it was when the command began, so that it stops under steady writing too.
        let done = consumer.positions().iter().filter(|(partition, position)| beyond(**partition, **position));
        for partition in done.map(|(partition, _)| *partition).collect::<Vec<_>>() {
            consumer.unassign(partition);
        }
        if consumer.positions().is_empty() {
            break;
        }
        let mut records = 0;
        for record in consumer.poll(WAIT)? {
            if left == 0 || beyond(record.partition, record.offset) {
                continue;
            }
            left -= 1;
            records += 1;
            printed.clear();
            print(args, &record, &mut printed);
            if out.write(&printed)? == Reader::Gone {
                return Ok(());
            }
        }
        progress.advance(records, records);
        if out.flush()? == Reader::Gone || (records == 0 && out.reader() == Reader::Gone) {
            return Ok(());
        }
    }
    out.flush()?;
    Ok(())
}

fn print(args: &Arguments, record: &Received, out: &mut Vec<u8>) {
    match args.shape() {
        Shape::Json => record_json::print(&args.topic, record, out),
        Shape::Yaml => {
            out.extend_from_slice(yaml_document(&record_json::value(&args.topic, record)).as_bytes());
            out.push(b'\n');
        }
        Shape::Text => {
            if let Some(separator) = &args.key_separator {
                out.extend_from_slice(record.key.as_deref().unwrap_or_default());
                out.extend_from_slice(&separator.0);
            }
            match &args.format {
                Some(format) => format.print(&args.topic, record, out),
                None => {
                    out.extend_from_slice(record.value.as_deref().unwrap_or_default());
                    out.push(b'\n');
                }
            }
        }
    }
}

/// Records on the terminal are progress enough.
fn progress(args: &Arguments, stretches: &[Stretch]) -> Progress {
    let there = stretches.iter().map(|stretch| stretch.end.saturating_sub(stretch.offset).max(0).unsigned_abs()).sum();
    let total = if args.follow { args.count } else { Some(args.count.map_or(there, |count| count.min(there))) };
    Progress::new(total, !stdout().is_terminal())
}
