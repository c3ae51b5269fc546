//! Where reading begins and ends in each partition, as it is typed and as offsets.

use std::collections::BTreeMap;

use crate::cli::time::When;
use crate::client::{ClientError, Cluster, OffsetAt, offsets_at};

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    Beginning,
    End,
    Offset(i64),
    BeforeEnd(i64),
    Time(When),
}

impl Begin {
    pub fn parse(text: &str) -> Result<Begin, String> {
        let wrong = || format!("\"{text}\" is none of beginning, end, OFFSET, -N, @TIME");
        let number = |digits: &str| digits.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(wrong);
        match text {
            "beginning" | "earliest" | "start" => Ok(Begin::Beginning),
            "end" | "latest" => Ok(Begin::End),
            _ => match (text.strip_prefix('@'), text.strip_prefix('-')) {
                (Some(time), _) => When::parse(time).map(Begin::Time),
                (_, Some(count)) => number(count).map(Begin::BeforeEnd),
                _ => number(text).map(Begin::Offset),
            },
        }
    }
}

/// A stretch of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub partition: i32,
    pub offset: i64,
    /// Before this offset reading stops, unless it follows.
    pub end: i64,
}

/// Asks the brokers for the offsets. `until`: before the first record of this time or later.
pub fn stretches(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    from: Begin,
    until: Option<When>,
    now_ms: i64,
) -> Result<Vec<Stretch>, ClientError> {
    let mut at = |at| offsets_at(cluster, topic, partitions, at);
    let lasts = at(OffsetAt::End)?;
    let firsts = match from {
        Begin::Beginning | Begin::Offset(_) | Begin::BeforeEnd(_) => at(OffsetAt::Beginning)?,
        Begin::End | Begin::Time(_) => BTreeMap::new(),
    };
    let mut at_time = |when: Option<When>| when.map(|when| at(OffsetAt::Timestamp(when.ms(now_ms)))).transpose();
    let times = at_time(if let Begin::Time(when) = from { Some(when) } else { None })?.unwrap_or_default();
    let ends = at_time(until)?.unwrap_or_default();
    let of = |offsets: &BTreeMap<i32, Option<i64>>, partition| offsets.get(&partition).copied().flatten();
    let stretch = |&partition: &i32| {
        let (first, last) = (of(&firsts, partition).unwrap_or(0), of(&lasts, partition).unwrap_or(0));
        let offset = match from {
            Begin::Beginning => first,
            Begin::End => last,
            Begin::Offset(asked) if !(first..=last).contains(&asked) => {
                return Err(ClientError::OutOfRange { topic: topic.to_owned(), partition, asked, first, end: last });
            }
            Begin::Offset(asked) => asked,
            Begin::BeforeEnd(count) => last.saturating_sub(count).max(first),
            Begin::Time(_) => of(&times, partition).unwrap_or(last),
        };
        let end = of(&ends, partition).map_or(last, |end| end.min(last));
        Ok(Stretch { partition, offset, end })
    };
    partitions.iter().map(stretch).collect()
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
            ("@1700000000000", Begin::Time(When::At(1_700_000_000_000))),
            ("@2s", Begin::Time(When::Ago(2000))),
        ] {
            assert_eq!(Begin::parse(text), Ok(from));
        }
        for wrong in ["", "stored", "@", "@-1", "--5", "1.5", "-"] {
            assert!(Begin::parse(wrong).is_err(), "{wrong}");
        }
    }
}
