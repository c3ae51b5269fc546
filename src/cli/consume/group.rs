//! Reading as a member of a group: its share, from where the group stands.
//!
//! Invariant: an offset is stored only after its record was printed and the output flushed; records are printed in slices,
//! so that a slow reader of standard output holds up neither the offsets of what it took nor a rebalance for longer than one.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::begin::Begin;
use super::{Arguments, WAIT, print};
use crate::cli::printer::{Printer, Reader};
use crate::cli::time::now_ms;
use crate::cli::{Failure, signals};
use crate::client::{Cluster, Member, OffsetAt, Received, offsets_at};

/// Bytes printed at once, unless one record has more. A write to a pipe ends when all of it was taken.
const SLICE_BYTES: usize = 8 << 10;

pub fn run(args: &Arguments, mut cluster: Cluster, group: &str, from: Begin) -> Result<(), Failure> {
    let otherwise = match from {
        Begin::Beginning => OffsetAt::Beginning,
        Begin::End => OffsetAt::End,
        Begin::Time(when) => OffsetAt::Timestamp(when.ms(now_ms())),
        Begin::Offset(_) | Begin::BeforeEnd(_) => {
            let hint = "a group begins at beginning, end or @TIME; `corelog group reset` takes it to an offset";
            return Err(Failure::Usage(hint.to_owned()));
        }
    };
    // The member then leaves, so that the others need not wait for its time-out.
    let stop = signals::stop()?;
    let info = cluster.topic(&args.topic, false)?;
    let partitions: Vec<i32> = info.partitions.iter().map(|partition| partition.index).collect();
    let ends = offsets_at(&mut cluster, &args.topic, &partitions, OffsetAt::End)?;
    let mut member = Member::new(cluster, group, &args.topic, otherwise);
    let mut out = Printer::stdout();
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut printed = Vec::new();
    'reading: while left > 0 && !stop.load(Ordering::Relaxed) {
        let mut records = member.poll(WAIT)?;
        records.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if records.is_empty() && out.reader() == Reader::Gone {
            break;
        }
        let mut rest = records.as_slice();
        while !rest.is_empty() && !stop.load(Ordering::Relaxed) {
            printed.clear();
            let (slice, behind) = rest.split_at(slice(args, rest, &mut printed));
            if out.write(&printed)? == Reader::Gone || out.flush()? == Reader::Gone {
                break 'reading;
            }
            slice.iter().for_each(|record| member.done(record));
            left -= slice.len() as u64;
            rest = behind;
            if !member.keeps_its_share()? {
                continue 'reading;
            }
        }
        if rest.is_empty() && !args.follow && is_through(member.positions(), &ends) {
            break;
        }
    }
    Ok(member.leave()?)
}

/// Prints the first of these records, as many as make a slice. How many it were.
fn slice(args: &Arguments, records: &[Received], printed: &mut Vec<u8>) -> usize {
    let fitting = records.iter().take_while(|record| {
        let room = printed.len() < SLICE_BYTES;
        if room {
            print(args, record, printed);
        }
        room
    });
    fitting.count()
}

/// Its share is read up to where it ended when the command began.
fn is_through(positions: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, Option<i64>>) -> bool {
    positions.iter().all(|(partition, position)| {
        let end = ends.get(partition).copied().flatten();
        end.is_none_or(|end| *position >= end)
    })
}
