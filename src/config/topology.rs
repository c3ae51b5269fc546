//! Which CPUs the shards get: what the settings ask for, out of what the process may use. Pure; at start only.
//!
//! Invariant: a shard is pinned to an allowed CPU or to none.

use super::Config;
use super::machine::Machine;
use super::value::CoreSpec;

/// The plan of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// One for each shard: the CPU it is pinned to, if any.
    pub cpus: Vec<Option<usize>>,
    /// What the plan costs that its maker may not know.
    pub warnings: Vec<String>,
}

/// Why no plan can be made. Follows the place where the setting stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    #[error(
        "`cores` names CPU {cpu}, which this process may not use: it has {allowed}; choose among these, or widen its affinity or cpuset"
    )]
    NotAllowed { cpu: usize, allowed: String },
    #[error(
        "`cores` asks for {asked} CPUs and this process may use {there} ({allowed} without `exclude`); ask for less, or set `pin` to false and `shards` to {asked}"
    )]
    TooMany { asked: usize, there: usize, allowed: String },
    #[error("`exclude` leaves no CPU of {allowed}")]
    NoneLeft { allowed: String },
}

/// Plans the shards of a run.
pub fn plan(config: &Config, machine: &Machine) -> Result<Topology, TopologyError> {
    let exclude = config.exclude();
    let mut left: Vec<usize> = machine.cpus.iter().copied().filter(|cpu| !exclude.contains(cpu)).collect();
    let allowed = || ranges(&machine.cpus);
    let whole_quota = machine.quota.map(|quota| (quota.ceil() as usize).max(1));
    match config.cores() {
        CoreSpec::All => left.truncate(whole_quota.unwrap_or(usize::MAX)),
        CoreSpec::Count(asked) if asked > left.len() && !left.is_empty() => {
            return Err(TopologyError::TooMany { asked, there: left.len(), allowed: allowed() });
        }
        CoreSpec::Count(asked) => left.truncate(asked),
        CoreSpec::List(list) => {
            if let Some(&cpu) = list.iter().find(|cpu| !machine.cpus.contains(cpu)) {
                return Err(TopologyError::NotAllowed { cpu, allowed: allowed() });
            }
            left = list.into_iter().filter(|cpu| !exclude.contains(cpu)).collect();
        }
    }
    if left.is_empty() {
        return Err(TopologyError::NoneLeft { allowed: allowed() });
    }
    let shards = config.int_given("shards").map_or(left.len(), |shards| usize::try_from(shards).unwrap_or(1));
    let pin = config.flag("pin");
    let cpus = (0..shards).map(|shard| if pin { left.get(shard % left.len()).copied() } else { None }).collect();

    let mut warnings = Vec::new();
    if pin && shards > left.len() {
        warnings.push(format!("{shards} shards share {} CPUs: each waits for the others", left.len()));
    }
    if let Some(quota) = whole_quota
        && left.len().min(shards) > quota
    {
        warnings.push(format!(
            "the cgroup's quota is {:.1} CPUs for {} cores: all of them stop while it is used up",
            machine.quota.unwrap_or_default(),
            left.len()
        ));
    }
    if !pin && config.int("spin_us") > 0 {
        warnings.push("spin_us does nothing while `pin` is false".to_owned());
    }
    Ok(Topology { cpus, warnings })
}

/// `0-3,8`.
pub fn ranges(cpus: &[usize]) -> String {
    let mut text = Vec::new();
    let mut rest = cpus.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while rest.next_if_eq(&(last + 1)).is_some() {
            last += 1;
        }
        text.push(if first == last { first.to_string() } else { format!("{first}-{last}") });
    }
    text.join(",")
}

#[cfg(test)]
mod tests {
    use super::super::Flag;
    use super::*;

    fn planned(settings: &[&str], cpus: &[usize], quota: Option<f64>) -> Result<Topology, TopologyError> {
        let flags: Vec<Flag> = settings.iter().map(|text| Flag::set(text).expect("a flag")).collect();
        let config = Config::load(None, [], &flags).expect("a good configuration");
        plan(&config, &Machine { cpus: cpus.to_vec(), quota, memory_bytes: 1 << 30 })
    }

    fn cpus(settings: &[&str], cpus: &[usize], quota: Option<f64>) -> Vec<Option<usize>> {
        planned(settings, cpus, quota).expect("a plan").cpus
    }

    #[test]
    fn all_takes_the_mask_without_the_excluded_up_to_the_quota() {
        assert_eq!(cpus(&[], &[2, 3, 5], None), [Some(2), Some(3), Some(5)]);
        assert_eq!(cpus(&["exclude=2"], &[2, 3, 5], None), [Some(3), Some(5)]);
        assert_eq!(cpus(&[], &[2, 3, 5], Some(1.5)), [Some(2), Some(3)]);
        assert_eq!(cpus(&[], &[2, 3, 5], Some(0.2)), [Some(2)]);
    }

    #[test]
    fn a_list_or_count_beyond_the_mask_is_refused_with_what_there_is() {
        assert_eq!(cpus(&["cores=3,5"], &[2, 3, 5], None), [Some(3), Some(5)]);
        assert_eq!(cpus(&["cores=2"], &[2, 3, 5], None), [Some(2), Some(3)]);
        let refused = planned(&["cores=0-1"], &[2, 3, 4, 8], None).expect_err("not allowed");
        assert_eq!(refused, TopologyError::NotAllowed { cpu: 0, allowed: "2-4,8".into() });
        assert!(matches!(planned(&["cores=4"], &[2, 3], None), Err(TopologyError::TooMany { asked: 4, there: 2, .. })));
        assert!(matches!(planned(&["exclude=2-3"], &[2, 3], None), Err(TopologyError::NoneLeft { .. })));
    }

    #[test]
    fn shards_may_be_more_or_fewer_than_cores_and_unpinned() {
        let plan = planned(&["shards=3"], &[0, 1], None).expect("a plan");
        assert_eq!(plan.cpus, [Some(0), Some(1), Some(0)]);
        assert_eq!(plan.warnings.len(), 1);
        assert_eq!(cpus(&["shards=1"], &[0, 1], None), [Some(0)]);
        assert_eq!(cpus(&["shards=3", "pin=false"], &[0, 1], None), [None; 3]);
        assert_eq!(planned(&["pin=false", "spin_us=9"], &[0], None).expect("a plan").warnings.len(), 1);
        assert_eq!(planned(&["cores=0-1"], &[0, 1], Some(1.0)).expect("a plan").warnings.len(), 1);
    }
}
