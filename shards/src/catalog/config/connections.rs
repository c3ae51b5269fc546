//! The limits of connections: settings of the broker that may change while it runs and that no topic has. Every core; pure.
//!
//! Invariant: what [`ConnectionKey::parse`] let pass is what acts.

use std::net::IpAddr;

use super::error::ConfigError;
use super::layers::Layers;
use crate::types::ConnectionLimits;

/// One of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKey {
    /// `max.connections`
    Total,
    /// `max.connections.per.ip`
    PerIp,
    /// `max.connections.per.ip.overrides`: `ADDRESS:COUNT, …`
    PerIpOverrides,
}

/// The limits in force; each value was checked when it was set.
pub(in crate::catalog) fn connection_limits(layers: &Layers) -> Result<ConnectionLimits, ConfigError> {
    let mut limits = ConnectionLimits::default();
    for key in ConnectionKey::ALL {
        if let Some((text, _)) = layers.get(key.name()) {
            limits = key.parse(text, limits)?;
        }
    }
    Ok(limits)
}

impl ConnectionKey {
    pub const ALL: [ConnectionKey; 3] = [ConnectionKey::Total, ConnectionKey::PerIp, ConnectionKey::PerIpOverrides];

    /// `None`: another setting, or none.
    pub fn named(name: &str) -> Option<ConnectionKey> {
        ConnectionKey::ALL.into_iter().find(|key| key.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            ConnectionKey::Total => "max.connections",
            ConnectionKey::PerIp => "max.connections.per.ip",
            ConnectionKey::PerIpOverrides => "max.connections.per.ip.overrides",
        }
    }

    pub(super) fn check(self, text: &str) -> Result<(), ConfigError> {
        self.parse(text, ConnectionLimits::default()).map(drop)
    }

    /// These limits with this one as the text says.
    fn parse(self, text: &str, limits: ConnectionLimits) -> Result<ConnectionLimits, ConfigError> {
        let invalid = |why: &str| ConfigError::Invalid {
            key: self.name().to_owned(),
            value: text.to_owned(),
            why: why.to_owned(),
        };
        let count = || {
            let number: i32 = text.trim().parse().map_err(|_| invalid("Not a number of type INT"))?;
            usize::try_from(number).map_err(|_| invalid("Value must be at least 0"))
        };
        Ok(match self {
            ConnectionKey::Total => ConnectionLimits { total_max: count()?, ..limits },
            ConnectionKey::PerIp => ConnectionLimits { per_ip_max: count()?, ..limits },
            ConnectionKey::PerIpOverrides => {
                ConnectionLimits { per_ip_overrides: ip_counts(text).map_err(|why| invalid(&why))?, ..limits }
            }
        })
    }
}

/// `10.0.0.5:200,[::1]:0`: a limit for each address.
pub fn ip_counts(text: &str) -> Result<Vec<(IpAddr, usize)>, String> {
    let count = |part: &str| {
        let (ip, count) = part.rsplit_once(':')?;
        let ip: IpAddr = ip.trim_matches(['[', ']']).parse().ok()?;
        Some((ip.to_canonical(), count.parse().ok()?))
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| count(part).ok_or_else(|| format!("\"{part}\" is not ADDRESS:COUNT, such as 10.0.0.5:200")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_address_are_a_list() {
        let found = ip_counts("10.0.0.5:200,[::1]:0").expect("two");
        assert_eq!(found, [("10.0.0.5".parse().expect("an address"), 200), ("::1".parse().expect("an address"), 0)]);
        assert!(ip_counts("host:3").is_err());
        assert_eq!(ip_counts(""), Ok(Vec::new()));
    }
}
