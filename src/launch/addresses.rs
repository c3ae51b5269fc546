//! Where the broker listens, and where clients are told that it does. At start only.
//!
//! Invariant: no connection could come to two listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use shards::catalog::Endpoint;

use super::broker::BrokerError;
use crate::config::Config;
use crate::config::value::Listener;

/// Kafka's number for a listener without encryption and authentication.
const PLAINTEXT: i16 = 0;

/// Every listener with the address that it binds.
pub fn addresses(config: &Config) -> Result<Vec<(Listener, SocketAddr)>, BrokerError> {
    let mut found = Vec::new();
    for listener in config.listeners() {
        let failed = |why: String| BrokerError::Address {
            origin: config.origin("listeners"),
            name: listener.name.clone(),
            host: listener.host.clone(),
            why,
        };
        let mut addr = if listener.host.is_empty() {
            SocketAddr::from((all_addresses(), listener.port))
        } else {
            let mut all =
                (listener.host.as_str(), listener.port).to_socket_addrs().map_err(|e| failed(e.to_string()))?;
            all.next().ok_or_else(|| failed("it resolves to nothing".to_owned()))?
        };
        if addr.port() == 0 {
            // Every shard listens on the same port, so it is chosen once, here.
            let probe = TcpListener::bind(addr).and_then(|probe| probe.local_addr());
            addr = probe.map_err(|e| failed(e.to_string()))?;
        }
        if let Some((earlier, _)) = found.iter().find(|(_, other): &&(Listener, SocketAddr)| meet(*other, addr)) {
            let (one, other) = (earlier.name.clone(), listener.name.clone());
            return Err(BrokerError::SameAddress { origin: config.origin("listeners"), one, other, addr });
        }
        found.push((listener, addr));
    }
    Ok(found)
}

/// What takes the connections of every address: of both families, where this machine has IPv6.
fn all_addresses() -> IpAddr {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// Whether a connection could come to either. `[::]` takes those of IPv4 as well.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let (a, b) = (one.ip(), other.ip());
    one.port() == other.port() && (a == b || covers(a, b) || covers(b, a))
}

/// What the metadata log says of the listeners. Clients are told by Metadata, which knows where they came in.
pub fn endpoints(config: &Config, addresses: &[(Listener, SocketAddr)]) -> Vec<Endpoint> {
    let advertised = config.advertised_listeners();
    let endpoint = |(listener, addr): &(Listener, SocketAddr)| {
        let told = advertised.iter().find(|told| told.name == listener.name);
        let (host, port) = match told {
            Some(told) => (told.host.clone(), told.port),
            None if addr.ip().is_unspecified() => (host_name(addr.ip()), addr.port()),
            None => (addr.ip().to_string(), addr.port()),
        };
        Endpoint { name: listener.name.clone(), host, port, security_protocol: PLAINTEXT }
    };
    addresses.iter().map(endpoint).collect()
}

fn host_name(otherwise: IpAddr) -> String {
    let name = rustix::system::uname();
    name.nodename().to_str().map_or_else(|_| otherwise.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flag;

    fn config(settings: &[&str]) -> Config {
        let flags: Vec<Flag> = settings.iter().map(|text| Flag::set(text).expect("a flag")).collect();
        Config::load(None, [], &flags).expect("a good configuration")
    }

    #[test]
    fn listeners_get_addresses_and_port_0_one_port_for_all() {
        let found = addresses(&config(&["listeners=A://:19092,B://127.0.0.1:0"])).expect("two");
        assert_eq!(found[0].1, SocketAddr::new(all_addresses(), 19092));
        assert!(found[1].1.port() > 0);
        let told = config(&["listeners=A://:19092,B://127.0.0.1:1", "advertised.listeners=B://broker.example:7"]);
        let known = endpoints(&told, &addresses(&told).expect("two"));
        assert_ne!(known[0].host, "0.0.0.0");
        assert_eq!((known[1].host.as_str(), known[1].port), ("broker.example", 7));
    }

    #[test]
    fn two_listeners_for_the_same_connections_are_refused() {
        let refused =
            |listeners: &str| addresses(&config(&[&format!("listeners={listeners}")])).expect_err("they meet");
        let told = refused("A://0.0.0.0:19092,B://127.0.0.1:19092").to_string();
        assert_eq!(
            told,
            "--set: listeners A and B both get the connections of 127.0.0.1:19092: give one of them another port, or leave it out"
        );
        for meeting in ["A://127.0.0.1:19092,B://[::]:19092", "A://:19092,B://[::]:19092"] {
            assert!(refused(meeting).is_configuration(), "{meeting}");
        }
        for apart in
            ["A://127.0.0.1:19092,B://127.0.0.2:19092", "A://0.0.0.0:19092,B://[::1]:19092", "A://:19092,B://:19093"]
        {
            assert!(addresses(&config(&[&format!("listeners={apart}")])).is_ok(), "{apart}");
        }
    }
}
