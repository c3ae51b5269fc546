//! What commands share that look into a broker of ours: the address of its HTTP.

use serde_json::Value;

use super::Failure;
use super::bootstrap::host_port;
use crate::client::{ADMIN_PORT, Http, HttpError};

/// Which broker to look into.
#[derive(Clone, Debug, clap::Args)]
pub struct Admin {
    /// Where the broker's own HTTP listens: its `admin.listen`.
    #[arg(long, value_name = "HOST:PORT", default_value_t = format!("127.0.0.1:{ADMIN_PORT}"), value_parser = host_port)]
    admin: String,
}

impl Admin {
    pub fn address(&self) -> &str {
        &self.admin
    }

    pub fn http(&self) -> Http {
        Http::new(&self.admin)
    }

    /// The JSON that the broker answers to a GET of this path.
    pub fn get(&self, path: &str) -> Result<Value, HttpError> {
        self.http().get(path)
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        let text = error.to_string();
        match error {
            HttpError::Unreachable { .. } | HttpError::Hangs { .. } => Failure::Unreachable(text),
            HttpError::NotOurs { .. } => Failure::Runtime(text),
            HttpError::Refused { .. } => Failure::Refused(text),
        }
    }
}
