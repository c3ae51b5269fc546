//! Producer ids under power cuts: none is ever given twice.

use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::Response;
use corelog::wire::messages::init_producer_id::InitProducerIdRequest;
use shards::runtime::sim::{DiskSpeed, SimRuntime};

use crate::client::{Clients, Load, pause, pick};
use crate::history::Event;
use crate::link::{Broken, Link};
use crate::scenario::{Outcome, Stage, simulate};
use crate::world::Setup;

const REPLY_MAX: Duration = Duration::from_secs(20);

/// Asks for one id after the other, on connections that last for a few of them: each may end on another core.
async fn ask_for_ids(rt: SimRuntime, clients: Clients) {
    while clients.wait_open(&rt).await {
        let round = clients.gate.round.get();
        if let Err(Broken::Nonsense(what)) = ask_on_one_connection(&rt, &clients, round).await {
            clients.history.unexpected(what);
        }
        pause(&rt, Duration::from_micros(pick(&rt, 500))).await;
    }
}

async fn ask_on_one_connection(rt: &SimRuntime, clients: &Clients, round: u64) -> Result<(), Broken> {
    let mut link = Link::open(rt, clients.addr).await?;
    for _ in 0..=pick(rt, 4) {
        if !clients.is_current(round) {
            break;
        }
        let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        match link.ask(request, 4, REPLY_MAX).await? {
            Response::InitProducerId(reply) if reply.error_code == ErrorCode::None => {
                clients.history.push(Event::ProducerId { id: reply.producer_id });
            }
            other => return Err(Broken::Nonsense(format!("InitProducerId: {other:?}"))),
        }
    }
    Ok(())
}

/// Syncs take long, so that a power cut soon after a start finds the first block of ids decided and not durable.
pub fn producer_ids(seed: u64) -> Outcome {
    let ms = Duration::from_millis;
    let mut stage = Stage::new(seed, Setup::default(), Load::default());
    let shards = stage.any_shards();
    stage.start(shards);
    stage.admin.create(&stage.world, "events", 1, &[]);
    stage.cast();
    for host in stage.world.clients.clone() {
        let clients = stage.clients.clone();
        stage.world.sim.spawn(host, |rt| ask_for_ids(rt, clients));
    }
    for _ in 0..4 {
        stage.world.disk().set_speed(DiskSpeed { sync: ms(2)..ms(60), ..DiskSpeed::default() });
        stage.run_for(0, 60);
        stage.world.power_cut();
        stage.world.disk().set_speed(DiskSpeed::default());
        let shards = stage.any_shards();
        if !stage.start(shards) {
            return stage.verdict();
        }
    }
    stage.run_for(20, 60);
    stage.finish()
}

#[test]
fn no_producer_id_is_given_twice_whenever_the_power_is_cut() {
    simulate("no_producer_id_is_given_twice_whenever_the_power_is_cut", 4, producer_ids);
}
