//! Splits a request by owner, one message each, and puts the answers back into the order asked.

use super::oneshot::Reply;
use super::placement::{ShardIndex, owner};
use super::{Answer, Shards};
use crate::request::ShardRequest;
use crate::types::{Mono, PartitionId};

/// Parts of one request that go to one shard, and where they stood.
struct Group<P> {
    to: ShardIndex,
    parts: Vec<P>,
    places: Vec<usize>,
}

/// Splits parts by owner; the order inside a group is the order asked.
fn split<P>(parts: Vec<P>, shards: u32, partition: impl Fn(&P) -> PartitionId) -> Vec<Group<P>> {
    let mut groups: Vec<Group<P>> = Vec::new();
    for (place, part) in parts.into_iter().enumerate() {
        let to = owner(partition(&part), shards);
        match groups.iter_mut().find(|g| g.to == to) {
            Some(group) => {
                group.parts.push(part);
                group.places.push(place);
            }
            None => groups.push(Group { to, parts: vec![part], places: vec![place] }),
        }
    }
    groups
}

impl Shards {
    /// Asks every owner once, now; the answer has one entry a part, in the order asked. `lost` stands for the parts of
    /// an owner that gave no answer.
    pub(super) fn scatter<P: 'static, T: 'static>(
        &self,
        now: Mono,
        parts: Vec<P>,
        partition: impl Fn(&P) -> PartitionId,
        request: impl Fn(Vec<P>, Reply<Vec<T>>) -> ShardRequest,
        lost: impl Fn() -> T + 'static,
    ) -> Answer<Vec<T>> {
        let total = parts.len();
        let groups = split(parts, self.count(), partition);
        let mut asked: Vec<_> = groups
            .into_iter()
            .map(|group| (group.places, self.ask(now, group.to, |reply| request(group.parts, reply))))
            .collect();
        Box::pin(async move {
            if asked.len() == 1
                && let Some((_, only)) = asked.pop()
            {
                return only.await.unwrap_or_else(|| (0..total).map(|_| lost()).collect());
            }
            let mut answers: Vec<Option<T>> = (0..total).map(|_| None).collect();
            for (places, asked) in asked {
                let got = asked.await.unwrap_or_default();
                for (place, answer) in places.into_iter().zip(got) {
                    if let Some(empty) = answers.get_mut(place) {
                        *empty = Some(answer);
                    }
                }
            }
            answers.into_iter().map(|answer| answer.unwrap_or_else(&lost)).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    #[test]
    fn each_owner_gets_one_group_in_the_order_asked() {
        let at = |index| PartitionId { topic: TopicId([3; 16]), index };
        let groups = split((0..6).map(at).collect(), 2, |p| *p);
        assert_eq!(groups.len(), 2);
        for group in groups {
            assert!(group.places.is_sorted());
            assert!(group.parts.iter().all(|p| owner(*p, 2) == group.to));
            assert_eq!(group.parts.len(), 3);
        }
    }
}
