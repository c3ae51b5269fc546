//! What commands that talk to a cluster share: the address of a broker, and how `NAME=VALUE` is read.

use crate::client::{ClientError, Cluster};

/// Which cluster to talk to.
#[derive(Debug, clap::Args)]
pub struct Bootstrap {
    /// A broker of the cluster.
    #[arg(short, long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092", value_parser = host_port)]
    bootstrap: String,
}

impl Bootstrap {
    pub fn address(&self) -> &str {
        &self.bootstrap
    }

    pub fn connect(&self) -> Result<Cluster, ClientError> {
        Cluster::connect(&self.bootstrap, "corelog-cli")
    }
}

/// The address of a broker, as it is typed.
pub fn host_port(text: &str) -> Result<String, String> {
    let sound =
        |host: &str| !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    match text.rsplit_once(':') {
        Some((host, port)) if sound(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(text.to_owned()),
        _ => Err("write HOST:PORT, as in 127.0.0.1:9092 or [::1]:9092".to_owned()),
    }
}

/// A name and a value of a flag.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
