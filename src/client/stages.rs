//! What came in a broker's stages between two answers of its `/v1/stages/buckets`. Pure.
//!
//! Invariant: of what both answers hold only the difference counts; so nothing is in it that was over before the first.

use std::collections::BTreeMap;

use serde_json::Value;

/// The times of one stage of one kind of request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageTimes {
    /// `produce`, `fetch`, `other`, or `core` for what a core did for all of them.
    pub request: String,
    /// `total` is the whole of a request.
    pub stage: String,
    pub count: u64,
    pub sum_ns: u64,
    /// Of the time of all its requests, 0 to 1; `None`: this kind has no total.
    pub share: Option<f64>,
    /// Upper end in nanoseconds, and how many fell into the bucket. In order.
    pub buckets: Vec<(u64, u64)>,
}

impl StageTimes {
    /// It is the whole of a request and no part of it.
    pub fn is_total(&self) -> bool {
        self.stage == "total"
    }

    pub fn mean_ns(&self) -> u64 {
        self.sum_ns.checked_div(self.count).unwrap_or(0)
    }

    /// The time that this share of them kept within: 0.99 for p99.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        let wanted = ((self.count as f64 * quantile).ceil() as u64).max(1);
        let mut seen: u64 = 0;
        let reached = self.buckets.iter().find(|(_, count)| {
            seen = seen.saturating_add(*count);
            seen >= wanted
        });
        reached.or(self.buckets.last()).map_or(0, |(within, _)| *within)
    }

    pub fn max_ns(&self) -> u64 {
        self.buckets.iter().rev().find(|(_, count)| *count > 0).map_or(0, |(within, _)| *within)
    }

    fn key(&self) -> (&str, &str) {
        (&self.request, &self.stage)
    }

    /// As `/v1/stages/buckets` and a benchmark's `result.json` tell it; what is missing is 0.
    pub fn of(told: &Value) -> StageTimes {
        let text = |name: &str| field(told, name).as_str().unwrap_or_default().to_owned();
        let number = |name: &str| field(told, name).as_u64().unwrap_or(0);
        let pair = |pair: &Value| Some((pair.get(0)?.as_u64()?, pair.get(1)?.as_u64()?));
        StageTimes {
            request: text("request"),
            stage: text("stage"),
            count: number("count"),
            sum_ns: number("sum_ns"),
            share: None,
            buckets: items(told, "buckets").iter().filter_map(pair).collect(),
        }
    }

    fn since(self, before: Option<&StageTimes>) -> StageTimes {
        let Some(before) = before else { return self };
        let earlier: BTreeMap<u64, u64> = before.buckets.iter().copied().collect();
        let grown = |(within, count): (u64, u64)| {
            (within, count.saturating_sub(earlier.get(&within).copied().unwrap_or_default()))
        };
        StageTimes {
            count: self.count.saturating_sub(before.count),
            sum_ns: self.sum_ns.saturating_sub(before.sum_ns),
            buckets: self.buckets.into_iter().map(grown).filter(|(_, count)| *count > 0).collect(),
            ..self
        }
    }
}

/// By kind of request, the whole of it first and then its stages in order. Those that nothing went through are left out.
pub fn stages_between(before: &Value, now: &Value) -> Vec<StageTimes> {
    let before = all(before);
    let earlier: BTreeMap<_, &StageTimes> = before.iter().map(|times| (times.key(), times)).collect();
    let mut since: Vec<StageTimes> = Vec::new();
    for times in all(now) {
        let before = earlier.get(&times.key()).copied();
        since.push(times.since(before));
    }
    since.retain(|times| times.count > 0);
    let wholes = since.iter().filter(|times| times.is_total());
    let wholes: BTreeMap<String, u64> = wholes.map(|whole| (whole.request.clone(), whole.sum_ns)).collect();
    for times in &mut since {
        times.share = wholes.get(&times.request).map(|whole_ns| times.sum_ns as f64 / (*whole_ns).max(1) as f64);
    }
    let kinds = since.chunk_by(|a, b| a.request == b.request).map(<[StageTimes]>::to_vec);
    kinds
        .flat_map(|mut kind| {
            kind.sort_by_key(|times| !times.is_total());
            kind
        })
        .collect()
}

/// Whether an answer may come after another of the same process: nothing has become less.
pub fn stages_follow(before: &Value, now: &Value) -> bool {
    let now = all(now);
    let has_not_shrunk = |old: &StageTimes| now.iter().any(|new| new.key() == old.key() && new.count >= old.count);
    all(before).iter().all(has_not_shrunk)
}

fn all(told: &Value) -> Vec<StageTimes> {
    items(told, "all").iter().map(StageTimes::of).collect()
}

fn field<'a>(told: &'a Value, name: &str) -> &'a Value {
    told.get(name).unwrap_or(&Value::Null)
}

fn items<'a>(told: &'a Value, name: &str) -> &'a [Value] {
    field(told, name).as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(stage: &str, sum_ns: u64, buckets: &[(u64, u64)]) -> Value {
        let count: u64 = buckets.iter().map(|(_, count)| count).sum();
        json!({ "request": "produce", "stage": stage, "count": count, "sum_ns": sum_ns, "buckets": buckets })
    }

    #[test]
    fn only_what_came_between_two_answers_counts_and_the_whole_comes_first() {
        let before = json!({ "all": [told("total", 900_000, &[(1_000, 100), (9_000, 100)])] });
        let total = told("total", 900_000 + 250_000, &[(1_000, 100), (2_000, 99), (9_000, 101)]);
        let now = json!({ "all": [told("read", 50_000, &[(500, 100)]), total, told("send", 0, &[])] });
        let between = stages_between(&before, &now);
        let shown = between.iter().map(|times| (times.stage.as_str(), times.count, times.mean_ns(), times.share));
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [("total", 100, 2_500, Some(1.0)), ("read", 100, 500, Some(0.2))],
            "nothing went through send"
        );
        let total = &between[0];
        assert_eq!([0.5, 0.99, 0.999].map(|quantile| total.quantile_ns(quantile)), [2_000, 2_000, 9_000]);
        assert_eq!((total.max_ns(), total.buckets.len()), (9_000, 2));
        assert!(stages_between(&now, &now).is_empty());
    }

    #[test]
    fn an_answer_of_another_process_does_not_follow() {
        let few = json!({ "all": [told("total", 5, &[(5, 1)])] });
        let many = json!({ "all": [told("read", 5, &[(5, 1)]), told("total", 10, &[(5, 2)])] });
        assert!(stages_follow(&few, &many) && stages_follow(&few, &few) && !stages_follow(&many, &few));
        assert!(stages_follow(&json!("nothing"), &few), "nothing has been there before");
    }
}
