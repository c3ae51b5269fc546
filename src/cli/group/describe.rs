//! `corelog group describe`: a group's state, its members, and what each of them reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::report::{Shown, numbers, table, visible};
use crate::client::{self, GroupMember};

/// Shows a group's state, coordinator and members, and the partitions of each.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The group's name.
    group: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let info = client::describe_group(&mut args.bootstrap.connect()?, &args.group)?;
    let members = info.members.iter().map(|member| {
        json!({
            "member": member.id, "instance": member.instance, "client": member.client, "host": member.host,
            "partitions": member.partitions,
        })
    });
    let data = json!({
        "group": info.id, "kind": info.kind, "state": info.state, "assignor": info.assignor, "epoch": info.epoch,
        "coordinator": info.coordinator, "members": members.collect::<Value>(),
    });
    args.shown.show(&data, || {
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
    })
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
