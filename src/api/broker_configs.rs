//! The broker's settings as clients may read them. Made at start, the same on every core; constant then.
//! Invariant: a value here is the one that is in force.

/// One setting of the broker, for DescribeConfigs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    pub name: &'static str,
    /// In force; `None` where nothing is set and there is no default.
    pub value: Option<String>,
    pub default: Option<String>,
    /// Nobody set it.
    pub is_default: bool,
    pub value_type: ValueType,
    pub doc: &'static str,
}

/// Type of a config's value, as clients are told it (Kafka's `ConfigType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    Boolean,
    String,
    Int,
    Long,
    Double,
    List,
}

impl ValueType {
    pub const fn code(self) -> i8 {
        match self {
            ValueType::Boolean => 1,
            ValueType::String => 2,
            ValueType::Int => 3,
            ValueType::Long => 5,
            ValueType::Double => 6,
            ValueType::List => 7,
        }
    }
}
