//! What a data directory holds, in a few lines: whose it is, its run, and each partition.

use serde_json::json;
use shards::log::{SegmentAtRest, Stage};

use super::line::Lines;
use crate::cli::Failure;
use crate::disk::Directory;

pub fn put(directory: &Directory, lines: &mut Lines) -> Result<(), Failure> {
    let (meta, run) = (directory.meta.as_ref(), directory.run);
    let whose = json!({
        "directory": directory.root.display().to_string(),
        "cluster": meta.map(|meta| &meta.cluster_id),
        "node": meta.map(|meta| meta.node_id),
        "run": run.map(|run| run.number),
        "run_id": run.map(|run| format!("{:032x}", run.id.0)),
        "shards": run.map(|run| run.shards),
    });
    lines.put(0, "data", whose)?;
    for journal in &directory.journals {
        let parts = json!({
            "shard": journal.shard, "files": journal.files.len(),
            "bytes": journal.files.iter().map(|file| file.bytes.len()).sum::<usize>(),
            "first_generation": journal.first_generation,
        });
        lines.put(0, "journal", parts)?;
    }
    for partition in directory.named() {
        let name = partition.dir.name();
        let id = partition.dir.id.topic.to_string();
        let parts = match partition.state {
            Ok(state) => json!({
                "name": name, "topic_id": id, "log_start": state.log_start.0, "log_end": state.log_end.0,
                "segments": state.segments.len(),
                "bytes": state.segments.iter().map(|segment| segment.size).sum::<u64>(),
                "producers": state.producers.len(),
            }),
            Err(why) => json!({ "name": name, "topic_id": id, "offline": why }),
        };
        lines.put(0, "partition", parts)?;
    }
    Ok(())
}

/// One segment.
pub fn segment(file: &str, segment: &SegmentAtRest) -> serde_json::Value {
    json!({
        "file": file,
        "base_offset": segment.base.0,
        "end_offset": segment.end_offset.map(|end| end.0),
        "bytes": segment.size,
        "bytes_in_journal": segment.size - segment.in_file,
        "stage": segment.end_offset.map(|_| match segment.stage {
            Stage::Active => "active",
            Stage::Rolled { .. } => "rolled",
            Stage::Sealed => "sealed",
        }),
    })
}
