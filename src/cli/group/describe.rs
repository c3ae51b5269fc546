//! `corelog group describe`: the state of groups, their members, and what each of them reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::progress::GROUPS_AT_ONCE;
use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shown, numbers, table, visible};
use crate::client::{self, ClientError, GroupInfo, GroupMember};

/// Shows the state, coordinator and members of groups, and the partitions of each member. JSON and YAML of several groups are
/// a list.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Their names.
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    if let [group] = &args.groups[..] {
        let info = client::describe_group(&mut cluster, group)?;
        return args.shown.show(&data(&info), || detail(&info));
    }
    let mut listing = args.shown.list();
    for some in args.groups.chunks(GROUPS_AT_ONCE) {
        let names: Vec<&str> = some.iter().map(String::as_str).collect();
        let found = client::describe_groups(&mut cluster, &names)?;
        for name in names {
            let info = found.get(name).ok_or_else(|| ClientError::NoGroup { group: name.to_owned() })?;
            match listing.is_table() {
                true => listing.block(&detail(info))?,
                false => listing.item(&data(info))?,
            };
        }
    }
    listing.end().map(|_| ())
}

fn data(info: &GroupInfo) -> Value {
    let members = info.members.iter().map(|member| {
        json!({
            "member": member.id, "instance": member.instance, "client": member.client, "host": member.host,
            "partitions": member.partitions,
        })
    });
    json!({
        "group": info.id, "kind": info.kind, "state": info.state, "assignor": info.assignor, "epoch": info.epoch,
        "coordinator": info.coordinator, "members": members.collect::<Value>(),
    })
}

fn detail(info: &GroupInfo) -> String {
    let assignor = if info.assignor.is_empty() { "-" } else { &info.assignor };
    let head = format!(
        "{}  {}  {}  assignor {}  coordinator {}  {} members",
        visible(&info.id),
        info.kind,
        visible(&info.state),
        visible(assignor),
        info.coordinator,
        info.members.len()
    );
    let rows: Vec<Vec<String>> = info.members.iter().map(row).collect();
    format!("{head}\n{}", table(&["member", "instance", "client", "host", "partitions"], &rows))
}

fn row(member: &GroupMember) -> Vec<String> {
    vec![
        member.id.clone(),
        member.instance.clone().unwrap_or_else(|| "-".to_owned()),
        member.client.clone(),
        member.host.clone(),
        assigned(&member.partitions),
    ]
}

fn assigned(partitions: &BTreeMap<String, Vec<i32>>) -> String {
    if partitions.is_empty() {
        return "-".to_owned();
    }
    partitions.iter().map(|(topic, all)| format!("{topic}:{}", numbers(all))).collect::<Vec<_>>().join(" ")
}
