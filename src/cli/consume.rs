//! `corelog consume TOPIC`: prints records of the partitions and offsets that were asked for.

use std::time::Duration;

use super::Failure;
use super::bootstrap::Bootstrap;
use super::format::Format;
use super::printer::{Printer, Reader};
use crate::client::{ClientError, Cluster, Consumer, OffsetAt, offset_at};

/// How long one fetch waits for records.
const WAIT: Duration = Duration::from_millis(500);

/// Prints records, from the beginning to the end as it is now unless told otherwise.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    topic: String,
    /// Where to begin: beginning, end, an offset, -N for the last N of each partition, or @MS for a time in milliseconds.
    #[arg(short = 'o', long, default_value = "beginning", value_parser = Begin::parse, allow_hyphen_values = true)]
    from: Begin,
    /// Read this partition only; may be repeated.
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Stop after so many records.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Wait for more at the end, instead of stopping there.
    #[arg(short = 'F', long)]
    follow: bool,
    /// How to print a record: %s value, %k key, %S and %K their lengths, %h headers, %t topic, %p partition, %o offset,
    /// %T timestamp; \n, \t, \xNN.
    #[arg(short, long, default_value = r"%s\n", value_parser = Format::parse)]
    format: Format,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Beginning,
    End,
    Offset(i64),
    BeforeEnd(i64),
    Timestamp(i64),
}

impl Begin {
    fn parse(text: &str) -> Result<Begin, String> {
        let wrong = || format!("\"{text}\" is none of beginning, end, OFFSET, -N, @MILLISECONDS");
        let number = |digits: &str| digits.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(wrong);
        match text {
            "beginning" | "earliest" | "start" => Ok(Begin::Beginning),
            "end" | "latest" => Ok(Begin::End),
            _ => match (text.strip_prefix('@'), text.strip_prefix('-')) {
                (Some(ms), _) => number(ms).map(Begin::Timestamp),
                (_, Some(count)) => number(count).map(Begin::BeforeEnd),
                _ => number(text).map(Begin::Offset),
            },
        }
    }
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let info = cluster.topic(&args.topic, false)?;
    let there = info.partitions.iter().map(|partition| partition.index);
    let partitions: Vec<i32> = if args.partitions.is_empty() { there.collect() } else { args.partitions.clone() };
    let mut starts = Vec::with_capacity(partitions.len());
    for partition in partitions {
        starts.push(start(&mut cluster, &args.topic, partition, args.from)?);
    }
    let mut consumer = Consumer::new(cluster, &args.topic);
    for start in &starts {
        consumer.assign(start.partition, start.offset);
    }
    let mut out = Printer::stdout();
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut printed = Vec::new();
    while left > 0 {
        if !args.follow {
            // At the end as it was when the command began, so that it stops under steady writing too.
            for start in &starts {
                if consumer.positions().get(&start.partition).is_some_and(|position| *position >= start.end) {
                    consumer.unassign(start.partition);
                }
            }
        }
        if consumer.positions().is_empty() {
            break;
        }
        for record in consumer.poll(WAIT)? {
            let beyond = |start: &Start| start.partition == record.partition && record.offset >= start.end;
            if left == 0 || (!args.follow && starts.iter().any(beyond)) {
                continue;
            }
            left -= 1;
            printed.clear();
            args.format.print(&args.topic, &record, &mut printed);
            if out.write(&printed)? == Reader::Gone {
                return Ok(());
            }
        }
        if out.flush()? == Reader::Gone {
            return Ok(());
        }
    }
    out.flush()?;
    Ok(())
}

/// A partition, where to begin, and where it ended then.
struct Start {
    partition: i32,
    offset: i64,
    end: i64,
}

fn start(cluster: &mut Cluster, topic: &str, partition: i32, from: Begin) -> Result<Start, ClientError> {
    let mut at = |at| offset_at(cluster, topic, partition, at);
    let end = at(OffsetAt::End)?.unwrap_or(0);
    let offset = match from {
        Begin::Beginning => at(OffsetAt::Beginning)?.unwrap_or(0),
        Begin::End => end,
        Begin::Offset(asked) => {
            let first = at(OffsetAt::Beginning)?.unwrap_or(0);
            if !(first..=end).contains(&asked) {
                return Err(ClientError::OutOfRange { topic: topic.to_owned(), partition, asked, first, end });
            }
            asked
        }
        Begin::BeforeEnd(count) => end.saturating_sub(count).max(at(OffsetAt::Beginning)?.unwrap_or(0)),
        Begin::Timestamp(ms) => at(OffsetAt::Timestamp(ms))?.unwrap_or(end),
    };
    Ok(Start { partition, offset, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_word_an_offset_a_count_from_the_end_or_a_time() {
        for (text, from) in [
            ("beginning", Begin::Beginning),
            ("latest", Begin::End),
            ("17", Begin::Offset(17)),
            ("-5", Begin::BeforeEnd(5)),
            ("@1700000000000", Begin::Timestamp(1_700_000_000_000)),
        ] {
            assert_eq!(Begin::parse(text), Ok(from));
        }
        for wrong in ["", "stored", "@", "@-1", "--5", "1.5", "-"] {
            assert!(Begin::parse(wrong).is_err(), "{wrong}");
        }
    }
}
