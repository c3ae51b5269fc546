//! The life of a group's member that speaks the consumer protocol (KIP-848): heartbeats, and commits for what they give it.

use std::collections::{BTreeMap, BTreeSet};

use corelog::wire::Str;
use corelog::wire::messages::Response;
use corelog::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use shards::runtime::Runtime;
use shards::types::TopicId;

use crate::group_ledger::Share;
use crate::group_member::{GROUP, GroupMember, REBALANCE, REPLY_MAX, Refused, TOPIC, another, millis};
use crate::link::{Broken, Link};

/// What it knows of itself.
#[derive(Default)]
struct Place {
    epoch: i32,
    topic: Option<TopicId>,
    positions: BTreeMap<u8, i64>,
}

impl GroupMember {
    /// Ends with the refusal that ends its place, or with its own end.
    pub async fn live_as_consumer(&mut self, link: &mut Link, round: u64) -> Result<Option<Refused>, Broken> {
        self.id = Str::from(format!("consumer-{:016x}", self.rt.random()));
        let mut place = Place::default();
        while self.clients.is_current(round) {
            if let Some(refused) = self.beat(link, &mut place).await? {
                return Ok(Some(refused));
            }
            if self.rests_or_dies().await {
                if self.says_goodbye() {
                    self.tell(link, &Place { epoch: -1, ..place }).await?;
                }
                self.begin_anew();
                return Ok(None);
            }
            if let Some(refused) = self.read_on(link, place.epoch, &mut place.positions).await? {
                return Ok(Some(refused));
            }
        }
        Ok(None)
    }

    /// One heartbeat, and what it changes.
    async fn beat(&self, link: &mut Link, place: &mut Place) -> Result<Option<Refused>, Broken> {
        let asked = self.rt.now();
        let heard = self.tell(link, place).await?;
        if let Some(refused) = self.refused("ConsumerGroupHeartbeat", heard.error_code) {
            return Ok(Some(refused));
        }
        self.ledger.accepted(self.number, place.positions.keys().copied(), asked);
        place.epoch = heard.member_epoch;
        let Some(assignment) = heard.assignment else { return Ok(None) };
        place.topic = assignment.topic_partitions.first().map(|topic| topic.topic_id).or(place.topic);
        let parts = assignment.topic_partitions.iter().flat_map(|topic| &topic.partitions);
        let parts: BTreeSet<u8> = parts.filter_map(|part| u8::try_from(*part).ok()).collect();
        self.ledger.took(self.number, Share { generation: place.epoch, parts: parts.clone() }, asked, self.rt.now());
        place.positions.retain(|part, _| parts.contains(part));
        let added = parts.into_iter().filter(|part| !place.positions.contains_key(part)).collect();
        match self.fetch(link, &Share { generation: place.epoch, parts: added }).await? {
            Ok(positions) => place.positions.extend(positions),
            Err(refused) => return Ok(Some(refused)),
        }
        Ok(None)
    }

    async fn tell(&self, link: &mut Link, place: &Place) -> Result<ConsumerGroupHeartbeatResponse, Broken> {
        let joins = place.epoch == 0;
        let owns = place.topic.filter(|_| !joins).map(|topic_id| TopicPartitions {
            topic_id,
            partitions: place.positions.keys().map(|part| i32::from(*part)).collect(),
        });
        let beat = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: self.id.clone(),
            member_epoch: place.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: if joins { millis(REBALANCE) } else { -1 },
            subscribed_topic_names: joins.then(|| vec![TOPIC.into()]),
            topic_partitions: Some(owns.into_iter().collect()),
            ..Default::default()
        };
        match link.ask(beat, 1, REPLY_MAX).await? {
            Response::ConsumerGroupHeartbeat(heard) => Ok(heard),
            _ => Err(another()),
        }
    }
}
