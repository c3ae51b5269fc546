//! What can have configs: types of resources and their names, for the config APIs. Pure.
//! Invariant: an error text here is Kafka's.

/// Type of a resource in the config APIs (Kafka's `ConfigResource.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResourceType {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl ResourceType {
    pub(super) const ALL: [ResourceType; 5] = [
        ResourceType::Topic,
        ResourceType::Broker,
        ResourceType::BrokerLogger,
        ResourceType::ClientMetrics,
        ResourceType::Group,
    ];

    pub(super) const fn code(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            ResourceType::Topic => "TOPIC",
            ResourceType::Broker => "BROKER",
            ResourceType::BrokerLogger => "BROKER_LOGGER",
            ResourceType::ClientMetrics => "CLIENT_METRICS",
            ResourceType::Group => "GROUP",
        }
    }

    pub(super) fn from_code(code: i8) -> Option<ResourceType> {
        ResourceType::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Checks the name of a broker resource, which is not empty.
pub(super) fn broker_id(name: &str, node_id: i32) -> Result<(), String> {
    match name.parse::<i32>() {
        Ok(id) if id == node_id => Ok(()),
        Ok(_) => Err(format!("Unexpected broker id, expected {node_id} or empty string, but received {name}")),
        Err(_) => Err(format!("Broker id must be an integer, but it is: {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_one_type_and_others_name_none() {
        for kind in ResourceType::ALL {
            assert_eq!(ResourceType::from_code(kind.code()), Some(kind));
        }
        assert_eq!([0, 1, 3, 64, -1].map(ResourceType::from_code), [None; 5]);
    }

    #[test]
    fn a_broker_is_named_by_its_number() {
        assert_eq!(broker_id("1", 1), Ok(()));
        assert!(broker_id("2", 1).is_err_and(|why| why.contains("expected 1 or empty string")));
        assert!(broker_id("one", 1).is_err_and(|why| why.contains("must be an integer")));
    }
}
