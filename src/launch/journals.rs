//! How large the journals may be. Pure; at start only.
//!
//! A start after a crash holds what the last run's journals hold in memory, until it is in segments and in the new journals. No
//! part of `memory` is for that.
//!
//! Invariant: where nothing else is set, all of them together are no larger than `memory`.

use super::broker::BrokerError;
use crate::config::Config;

const MIB: u64 = 1 << 20;
/// Where there is memory for it.
const BYTES_USUAL: u64 = 64 * MIB;
const BYTES_USUAL_MAX: u64 = 256 * MIB;
/// The least that the settings take, and what a default is a multiple of.
const STEP_BYTES: u64 = 4 * MIB;

/// Of each shard, bytes: those that a start makes, and how far they grow under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Journals {
    pub least: u64,
    pub most: u64,
}

/// Works out the journals of shards that have `share` bytes of `memory` each, on a machine with `machine_bytes`.
///
/// # Errors
/// What a start might hold does not fit into the machine. If it only takes more than half of it, `warnings` says so.
pub fn journals(
    config: &Config,
    share: u64,
    machine_bytes: u64,
    shards: u64,
    warnings: &mut Vec<String>,
) -> Result<Journals, BrokerError> {
    let room = share.min(machine_bytes / 2 / shards) / STEP_BYTES * STEP_BYTES;
    let usual = |most: u64| most.min(room).max(STEP_BYTES);
    let most = config.bytes_given("journal.bytes.max");
    let least = config.bytes_given("journal.bytes").unwrap_or_else(|| usual(BYTES_USUAL).min(most.unwrap_or(u64::MAX)));
    let most = most.unwrap_or_else(|| usual(BYTES_USUAL_MAX).max(least));
    let total = most.saturating_mul(shards);
    if total > machine_bytes {
        return Err(BrokerError::Journals { shards, most, total, machine: machine_bytes });
    }
    if total > machine_bytes / 2 {
        warnings.push(format!(
            "the journals of {shards} shards may come to {total} bytes (`journal.bytes.max`), and a start after a crash holds \
             what is in them in memory: that is more than half of the {machine_bytes} bytes that there are"
        ));
    }
    Ok(Journals { least, most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flag;

    fn made(settings: &[&str], share: u64, machine: u64, shards: u64) -> Result<(Journals, Vec<String>), BrokerError> {
        let flags: Vec<Flag> = settings.iter().map(|text| Flag::set(text).expect("a flag")).collect();
        let config = Config::load(None, [], &flags).expect("a good configuration");
        let mut warnings = Vec::new();
        let journals = journals(&config, share * MIB, machine * MIB, shards, &mut warnings)?;
        Ok((journals, warnings))
    }

    fn mib(least: u64, most: u64) -> (Journals, Vec<String>) {
        (Journals { least: least * MIB, most: most * MIB }, Vec::new())
    }

    #[test]
    fn by_default_journals_are_no_larger_than_the_memory_of_their_shards() {
        assert_eq!(made(&[], 1024, 8192, 2).expect("room"), mib(64, 256));
        assert_eq!(made(&[], 130, 1040, 2).expect("room"), mib(64, 128));
        assert_eq!(made(&[], 32, 256, 2).expect("room"), mib(32, 32));
        assert_eq!(made(&["journal.bytes.max=16MiB"], 32, 256, 2).expect("room"), mib(16, 16));
        assert_eq!(made(&["journal.bytes=48MiB"], 32, 256, 2).expect("room"), mib(48, 48));
        // All of the machine for `memory` is none for a start.
        assert_eq!(made(&[], 256, 256, 1).expect("room"), mib(64, 128));
    }

    #[test]
    fn journals_that_no_start_could_read_are_refused_and_those_that_take_much_are_told() {
        let refused = made(&["journal.bytes.max=256MiB"], 64, 511, 2).expect_err("512 MiB").to_string();
        assert!(refused.contains("journal.bytes.max") && refused.contains("536870912"), "{refused}");
        let (journals, warnings) = made(&["journal.bytes.max=256MiB"], 64, 512, 2).expect("just so");
        assert_eq!(journals.most, 256 * MIB);
        assert!(matches!(&warnings[..], [one] if one.contains("journal.bytes.max")), "{warnings:?}");
    }
}
