//! Commits of the journals and the entries in them, as a dump shows them.

use std::collections::BTreeMap;

use serde_json::json;
use shards::batch::walk;
use shards::journal::format::{Entry, EntryKind};
use shards::journal::replay::{JournalFile, commit_at};
use shards::types::PartitionId;

use super::line::Lines;
use crate::cli::Failure;
use crate::disk::Directory;

/// All commits of the current run, and those of runs before that still lie in its files.
pub fn put(directory: &Directory, lines: &mut Lines) -> Result<(), Failure> {
    let names = directory.named().iter().map(|named| (named.dir.id, named.dir.name())).collect();
    for journal in &directory.journals {
        let parts = json!({
            "shard": journal.shard, "first_generation": journal.first_generation,
            "ends_in": journal.cut.as_ref().map(|(path, _)| directory.inside(path).display().to_string()),
            "ends_at": journal.cut.as_ref().map(|(_, position)| position),
        });
        lines.put(0, "journal", parts)?;
        for file in &journal.files {
            let parts =
                json!({ "file": directory.inside(&file.path).display().to_string(), "bytes": file.bytes.len() });
            lines.put(1, "file", parts)?;
            put_file(file, directory.run.map(|run| run.id.0), &names, lines)?;
        }
    }
    Ok(())
}

/// The commits of one file from its start on.
pub fn put_file(
    file: &JournalFile,
    run: Option<u128>,
    names: &BTreeMap<PartitionId, String>,
    lines: &mut Lines,
) -> Result<(), Failure> {
    let mut position = 0;
    while lines.is_read() {
        let found = commit_at(file, position).map_err(|e| Failure::Runtime(e.to_string()))?;
        let Some(commit) = found else { return Ok(()) };
        let header = commit.header;
        let parts = json!({
            "position": position, "sequence": header.sequence, "generation": header.generation,
            "synced_through": header.synced_through, "bytes": header.padded_bytes(), "entries": commit.entries.len(),
            "of_earlier_run": run.filter(|run| *run != header.run.0).map(|_| true),
        });
        lines.put(2, "commit", parts)?;
        for entry in &commit.entries {
            put_entry(entry, names, lines)?;
        }
        position += header.padded_bytes();
    }
    Ok(())
}

fn put_entry(entry: &Entry, names: &BTreeMap<PartitionId, String>, lines: &mut Lines) -> Result<(), Failure> {
    let name = names.get(&entry.partition).cloned();
    let name = name.unwrap_or_else(|| format!("{}-{}", entry.partition.topic, entry.partition.index));
    let (segment, position) = (entry.segment_base.0, entry.position.0);
    let (kind, parts) = match &entry.kind {
        EntryKind::Data(bytes) => {
            // A carried block may begin inside a batch: then no offsets are told.
            let first = walk(bytes).next().map(|(_, header)| header.base_offset);
            let last = walk(bytes).last().map(|(_, header)| header.last_offset());
            let parts = json!({
                "partition": name, "leader_epoch": entry.epoch.0, "segment": segment, "position": position,
                "bytes": bytes.len(), "base_offset": first, "last_offset": last,
            });
            ("data", parts)
        }
        EntryKind::LogStart(start) => ("log_start", json!({ "partition": name, "offset": start.0 })),
        EntryKind::Seal => ("seal", json!({ "partition": name, "segment": segment, "size": position })),
        EntryKind::Clean(by) => (
            "clean",
            json!({
                "partition": name, "segment": by.base.0, "end_offset": by.end_offset.0, "size": by.size.0, "cleaning": by.number,
            }),
        ),
    };
    lines.put(3, kind, parts)?;
    Ok(())
}
