//! What commands share that look into a broker of ours: the address of its HTTP, and how it is asked.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::Value;

use super::Failure;
use super::bootstrap::host_port;

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A core that hangs makes the broker wait for it a second.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Much more than any answer has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which broker to look into.
#[derive(Clone, Debug, clap::Args)]
pub struct Admin {
    /// Where the broker's own HTTP listens: its `admin.listen`.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9644", value_parser = host_port)]
    admin: String,
}

impl Admin {
    pub fn address(&self) -> &str {
        &self.admin
    }

    /// The JSON that the broker answers to a GET of this path.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        serde_json::from_str(&self.text(path)?).map_err(|_| self.no_broker())
    }

    /// What the broker answers to a GET of this path.
    pub fn text(&self, path: &str) -> Result<String, Failure> {
        match self.ask(path)? {
            (200, body) => Ok(body),
            (status, _) => Err(Failure::Refused(format!("{} answers {status} to {path}", self.admin))),
        }
    }

    /// Status and body of the answer to a GET of this path.
    pub fn ask(&self, path: &str) -> Result<(u16, String), Failure> {
        let admin = &self.admin;
        let text = self.fetch(path).map_err(|e| {
            Failure::Unreachable(match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("{admin} does not answer: it hangs"),
                _ => {
                    format!("no HTTP at {admin}: {e}; give the address that the broker tells at its start with --admin")
                }
            })
        })?;
        let (status, body) = answer(&text).ok_or_else(|| self.no_broker())?;
        Ok((status, body.to_owned()))
    }

    fn no_broker(&self) -> Failure {
        Failure::Runtime(format!("{} does not answer as a corelog broker does", self.admin))
    }

    /// The whole answer, head and body. HTTP/1.0: the end of the connection is the end of the answer.
    fn fetch(&self, path: &str) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.admin).as_bytes())?;
        let mut bytes = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// To the first of the host's addresses that takes us.
    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::other("it resolves to nothing");
        for addr in self.admin.to_socket_addrs()? {
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
