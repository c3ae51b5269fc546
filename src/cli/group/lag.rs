//! `corelog group lag`: how far groups are behind the end of what they read, in records and in time, and who should read
//! it. Groups are looked at some at a time, and those that were are shown and forgotten.

use std::time::Duration;

use serde_json::{Value, json};

use super::progress::{GROUPS_AT_ONCE, Place, look_at_unread, places};
use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::printer::Reader;
use crate::cli::report::{Shown, table, visible};
use crate::cli::time::{now_ms, span};
use crate::client::{self, ClientError, Cluster, GroupInfo};

/// Shows how many records a group has not read yet, since when they wait, and whose they are.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Their names.
    #[arg(value_name = "GROUP", required_unless_present = "all", conflicts_with = "all")]
    groups: Vec<String>,
    /// Every group.
    #[arg(long)]
    all: bool,
    /// A table of one line for each group, without partitions. JSON and YAML have them all the same.
    #[arg(long)]
    totals: bool,
    /// Again and again, every so many seconds, each time with the time: a terminal shows the last look, JSON has one a line,
    /// YAML one a document.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
          value_parser = clap::value_parser!(u64).range(1..))]
    watch: Option<u64>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// One group and how far it has come.
struct Lag {
    group: GroupInfo,
    places: Vec<Place>,
}

impl Lag {
    fn known(&self) -> i64 {
        self.places.iter().filter_map(Place::lag).sum()
    }

    /// Partitions that are read, of which it is not known how far.
    fn unknown(&self) -> usize {
        self.places.iter().filter(|place| place.is_unknown()).count()
    }

    /// `None`: it is not known of all.
    fn total(&self) -> Option<i64> {
        (self.unknown() == 0).then(|| self.known())
    }

    /// For eyes: what is known is the least that it can be.
    fn told(&self) -> String {
        match (self.total(), self.known()) {
            (Some(total), _) => total.to_string(),
            (None, 0) => "-".to_owned(),
            (None, known) => format!("≥ {known}"),
        }
    }

    fn oldest_ms(&self, now_ms: i64) -> Option<i64> {
        self.places.iter().filter_map(|place| behind_ms(place, now_ms)).max()
    }
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let mut first = true;
    loop {
        match (look(args, &mut cluster, first)?, args.watch) {
            (Reader::There, Some(seconds)) => std::thread::sleep(Duration::from_secs(seconds)),
            (Reader::Gone, _) | (_, None) => return Ok(()),
        }
        first = false;
    }
}

/// `first`: a group that is not there was never meant. Later it ended, and a watch of the others goes on.
fn look(args: &Arguments, cluster: &mut Cluster, first: bool) -> Result<Reader, Failure> {
    let names = match args.all {
        false => args.groups.clone(),
        true => client::list_groups(cluster)?.into_iter().map(|group| group.id).collect(),
    };
    let mut listing = match args.watch {
        Some(_) => args.shown.look("groups", now_ms()),
        None => args.shown.list(),
    };
    let mut rows = Vec::new();
    for some in names.chunks(GROUPS_AT_ONCE) {
        for lag in gather(cluster, some, first && !args.all)? {
            let reader = match listing.is_table() {
                true if args.totals => {
                    rows.push(row(&lag, now_ms()));
                    Reader::There
                }
                true => listing.block(&detail(&lag, now_ms()))?,
                false => listing.item(&data(&lag, now_ms()))?,
            };
            if reader == Reader::Gone {
                return Ok(reader);
            }
        }
    }
    if listing.is_table() && args.totals {
        listing.block(&table(&["group", "state", "members", "partitions", "lag", "behind"], &rows))?;
    }
    listing.end()
}

/// In the order of the names. One that is not there has ended since, unless it `must_be` there.
fn gather(cluster: &mut Cluster, names: &[String], must_be: bool) -> Result<Vec<Lag>, Failure> {
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found = client::describe_groups(cluster, &asked)?;
    let mut groups = Vec::new();
    for name in names {
        match found.remove(name) {
            Some(group) => groups.push(group),
            None if must_be && !groups.iter().any(|group| group.id == *name) => {
                return Err(ClientError::NoGroup { group: name.clone() }.into());
            }
            None => {}
        }
    }
    let mut all_places = places(cluster, &groups)?;
    look_at_unread(cluster, &mut all_places)?;
    Ok(groups.into_iter().zip(all_places).map(|(group, places)| Lag { group, places }).collect())
}

/// How long the first unread record has been waiting; nothing where all is read or the record has no time.
fn behind_ms(place: &Place, now_ms: i64) -> Option<i64> {
    place.unread_since_ms.filter(|ms| *ms >= 0).map(|ms| now_ms.saturating_sub(ms).max(0))
}

fn data(lag: &Lag, now: i64) -> Value {
    let place = |place: &Place| {
        let reader = place.reader.and_then(|at| lag.group.members.get(at));
        json!({
            "topic": place.topic, "partition": place.partition, "committed": place.committed, "end": place.end(),
            "lag": place.lag(), "behind_ms": behind_ms(place, now),
            "member": reader.map(|member| &member.id), "client": reader.map(|member| &member.client),
            "host": reader.map(|member| &member.host),
        })
    };
    json!({
        "group": lag.group.id, "state": lag.group.state, "members": lag.group.members.len(), "lag": lag.total(),
        "unknown": lag.unknown(), "behind_ms": lag.oldest_ms(now), "partitions": lag.places.iter().map(place).collect::<Value>(),
    })
}

fn row(lag: &Lag, now: i64) -> Vec<String> {
    vec![
        lag.group.id.clone(),
        lag.group.state.clone(),
        lag.group.members.len().to_string(),
        lag.places.len().to_string(),
        lag.told(),
        lag.oldest_ms(now).map_or_else(|| "-".to_owned(), span),
    ]
}

fn detail(lag: &Lag, now: i64) -> String {
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let row = |place: &Place| {
        let reader = place.reader.and_then(|at| lag.group.members.get(at));
        let told = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
        vec![
            place.topic.clone(),
            place.partition.to_string(),
            number(place.committed),
            number(place.end()),
            number(place.lag()),
            behind_ms(place, now).map_or_else(|| "-".to_owned(), span),
            told(reader.map(|member| &member.id)),
            told(reader.map(|member| &member.host)),
        ]
    };
    let behind = lag.oldest_ms(now).map_or_else(String::new, |ms| format!(", behind by {}", span(ms)));
    let unknown = match lag.unknown() {
        0 => String::new(),
        unknown => format!(", nothing stored of {unknown} that are read"),
    };
    let (group, state) = (visible(&lag.group.id), visible(&lag.group.state));
    let members = match lag.group.members.len() {
        1 => "1 member".to_owned(),
        members => format!("{members} members"),
    };
    let head = format!("{group}  {state}  {members}  lag {}{behind}{unknown}", lag.told());
    if lag.places.is_empty() {
        return head;
    }
    let rows: Vec<Vec<String>> = lag.places.iter().map(row).collect();
    let columns = ["topic", "partition", "committed", "end", "lag", "behind", "member", "host"];
    format!("{head}\n{}", table(&columns, &rows))
}
