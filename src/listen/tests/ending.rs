//! How connections end: by a peer that still reads, by one that reads slowly, by a stop with a request held back.

use super::*;

#[test]
fn a_peer_that_ends_its_side_gets_the_replies_to_all_it_asked() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&[init_producer_id(1), api_versions(2), init_producer_id(3)].concat()).await);
        client.end_writes();
        for expected in [1, 3] {
            broker.sleep(Duration::from_secs(20)).await;
            assert_eq!(broker.server.connections(), 1, "before reply {expected}");
            broker.answer_one_change().await;
            assert_eq!(client.correlation_id().await, Some(expected));
            if expected == 1 {
                assert_eq!(client.correlation_id().await, Some(2));
            }
        }
        assert_eq!(client.correlation_id().await, None);
        assert_eq!(broker.server.connections(), 0);
    });
}

#[test]
fn replies_that_are_ready_when_the_peer_ends_its_side_are_sent() {
    with_broker(plan(), |broker, rt| async move {
        for round in 0..50 {
            let mut client = Client::connect(&rt, broker.addr).await;
            assert!(client.send(&api_versions(round)).await);
            client.end_writes();
            assert_eq!(client.correlation_id().await, Some(round));
            assert_eq!(client.correlation_id().await, None);
        }
    });
}

#[test]
fn a_peer_that_is_gone_does_not_wait_for_its_reply_for_ever() {
    with_broker(plan(), |broker, rt| async move {
        let client = Client::connect(&rt, broker.addr).await;
        assert!(client.send(&[init_producer_id(1), api_versions(2)[..9].to_vec()].concat()).await);
        drop(client);
        broker.sleep(Duration::from_secs(25)).await;
        assert_eq!(broker.server.connections(), 1, "it may still read");
        broker.sleep(Duration::from_secs(10)).await;
        assert_eq!((broker.server.connections(), broker.server.budget().used_bytes()), (0, 0));
    });
}

#[test]
fn a_peer_that_reads_slowly_gets_all_its_replies() {
    with_broker(plan(), |broker, rt| async move {
        const REQUESTS: i32 = 4000;
        let mut client = Client::connect(&rt, broker.addr).await;
        let requests: Vec<u8> = (0..REQUESTS).flat_map(api_versions).collect();
        assert!(client.send(&requests).await);
        // About a megabyte and a half in three minutes: some of it is always on its way.
        for expected in 0..REQUESTS {
            broker.sleep(Duration::from_millis(45)).await;
            assert_eq!(client.correlation_id().await, Some(expected));
        }
        assert_eq!(broker.server.connections(), 1);
    });
}

#[test]
fn a_stop_answers_a_request_that_was_read_and_held_back() {
    with_broker(plan(), |broker, rt| async move {
        let mut client = Client::connect(&rt, broker.addr).await;
        let topics = Some(vec![MetadataRequestTopic { name: Some("new".into()), ..Default::default() }]);
        let look = MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() };
        let delete = DeleteTopicsRequest { topic_names: vec!["new".into()], ..Default::default() };
        let frames = [frame(look.into(), 9, 1), frame(delete.into(), 5, 2), api_versions(3)];
        assert!(client.send(&frames.concat()).await);
        broker.sleep(Duration::from_millis(50)).await;
        assert_eq!(broker.server.requests_waiting(), 1, "what deletes is held back behind what tells");
        broker.server.stop();
        let until = broker.rt.now().after(Duration::from_secs(5));
        let drained = broker.server.drained(until);
        let reader = async {
            for expected in 1..=3 {
                if expected < 3 {
                    broker.sleep(Duration::from_millis(100)).await;
                    broker.answer_one_change().await;
                }
                assert_eq!(client.correlation_id().await, Some(expected));
            }
            assert_eq!(client.correlation_id().await, None);
        };
        futures_lite::future::zip(drained, reader).await;
        assert!(broker.rt.now() < until, "it did not wait for the rest of the time");
    });
}
