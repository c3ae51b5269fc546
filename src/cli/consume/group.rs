//! Reading as a member of a group: its share, from where the group stands.
//!
//! Invariant: an offset is stored only after its record was printed and the output flushed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::begin::Begin;
use super::{Arguments, WAIT, print};
use crate::cli::printer::{Printer, Reader};
use crate::cli::time::now_ms;
use crate::cli::{Failure, signals};
use crate::client::{Cluster, Member, OffsetAt, offsets_at};

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
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let mut shown = Vec::new();
        for record in member.poll(WAIT)? {
            if left == 0 {
                break;
            }
            left -= 1;
            printed.clear();
            print(args, &record, &mut printed);
            if out.write(&printed)? == Reader::Gone {
                return Ok(member.leave()?);
            }
            shown.push(record);
        }
        if out.flush()? == Reader::Gone {
            break;
        }
        shown.iter().for_each(|record| member.done(record));
        if !args.follow && is_through(member.positions(), &ends) {
            break;
        }
    }
    Ok(member.leave()?)
}

/// Its share is read up to where it ended when the command began.
fn is_through(positions: &BTreeMap<i32, i64>, ends: &BTreeMap<i32, Option<i64>>) -> bool {
    positions.iter().all(|(partition, position)| {
        let end = ends.get(partition).copied().flatten();
        end.is_none_or(|end| *position >= end)
    })
}
