//! Asks the HTTP that a corelog broker has of its own. Blocking.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// Where a broker listens unless its `admin.listen` says otherwise.
pub const ADMIN_PORT: u16 = 9644;

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A core that hangs makes the broker wait for it a second.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Much more than any answer has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why there is no answer; each text says what to do next.
#[derive(Debug, Error)]
pub enum HttpError {
    #[error("no HTTP at {address}: {source}; give the address that the broker tells at its start with --admin")]
    Unreachable { address: String, source: io::Error },
    #[error(
        "{address} takes connections and does not answer within {} s; look at the broker's log, and at its processors with `top`",
        ANSWER_MAX.as_secs()
    )]
    Hangs { address: String },
    #[error("{address} does not answer as a corelog broker does")]
    NotOurs { address: String },
    #[error("{address} answers {status} to {path}")]
    Refused { address: String, status: u16, path: String },
}

/// A broker's own HTTP. Each question has a connection of its own.
#[derive(Clone, Debug)]
pub struct Http {
    address: String,
}

impl Http {
    /// At `HOST:PORT`, the broker's `admin.listen`.
    pub fn new(address: &str) -> Http {
        Http { address: address.to_owned() }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The JSON that the broker answers to a GET of this path.
    pub fn get(&self, path: &str) -> Result<Value, HttpError> {
        serde_json::from_str(&self.text(path)?).map_err(|_| self.not_ours())
    }

    /// What the broker answers to a GET of this path.
    pub fn text(&self, path: &str) -> Result<String, HttpError> {
        match self.ask(path)? {
            (200, body) => Ok(body),
            (status, _) => Err(HttpError::Refused { address: self.address.clone(), status, path: path.to_owned() }),
        }
    }

    /// Status and body of the answer to a GET of this path.
    pub fn ask(&self, path: &str) -> Result<(u16, String), HttpError> {
        let text = self.fetch(path).map_err(|source| {
            let address = self.address.clone();
            match source.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HttpError::Hangs { address },
                _ => HttpError::Unreachable { address, source },
            }
        })?;
        let (status, body) = answer(&text).ok_or_else(|| self.not_ours())?;
        Ok((status, body.to_owned()))
    }

    fn not_ours(&self) -> HttpError {
        HttpError::NotOurs { address: self.address.clone() }
    }

    /// The whole answer, head and body. HTTP/1.0: the end of the connection is the end of the answer.
    fn fetch(&self, path: &str) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address).as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// To the first of the host's addresses that takes us.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::other("it resolves to nothing");
        for addr in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&addr, CONNECT_MAX) {
                Ok(stream) => return Ok(stream),
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// Status and body of an answer; `None`: it is none of HTTP.
fn answer(text: &str) -> Option<(u16, &str)> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        assert_eq!(answer("HTTP/1.0 200 OK\r\na: b\r\n\r\n{}\r\n\r\n"), Some((200, "{}\r\n\r\n")));
        assert_eq!(answer("HTTP/1.1 404 Not Found\r\n\r\n"), Some((404, "")));
        assert_eq!(answer("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(answer(""), None);
    }
}
