//! Texts of settings as values, and what is wrong with them. Pure; at start only.
//!
//! Invariant: a text that [`check`] lets pass is read by the function of its kind.

use shards::catalog::TopicDefaults;

use super::keys::{Key, Kind, binary};

/// Why a text is no value of its key; follows "`key` = text: ".
pub type Wrong = String;

/// A listener as it is written: `NAME://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    /// Empty: every address. Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
}

/// What `cores` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreSpec {
    All,
    Count(usize),
    List(Vec<usize>),
}

/// CPUs that Linux can number; keeps `0-4000000000` from becoming a list.
const CPU_MAX: usize = 8191;

/// Names that promise what is not there yet.
pub const SECURED: [&str; 3] = ["SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// Checks a text against the type and range of its key.
pub fn check(key: &Key, text: &str) -> Result<(), Wrong> {
    match key.kind {
        Kind::Int { min, max } => within(int(text)?, min, max, i64::to_string),
        Kind::Bytes { min, max } => within(bytes(text)?, min, max, |n| binary(*n)),
        Kind::Bool => boolean(text).map(drop),
        Kind::Text => {
            if text.is_empty() {
                Err("it is empty".to_owned())
            } else {
                Ok(())
            }
        }
        Kind::Path => {
            if text.is_empty() {
                Err("it is empty".to_owned())
            } else {
                Ok(())
            }
        }
        Kind::OneOf(allowed) if allowed.contains(&text) => Ok(()),
        Kind::OneOf(allowed) => Err(format!("it must be one of {}", allowed.join(", "))),
        Kind::Cores => cores(text).map(drop),
        Kind::CpuList => cpu_list(text).map(drop),
        Kind::Listeners => listeners(text).map(drop),
        Kind::IpCounts => shards::catalog::config::ip_counts(text).map(drop),
        Kind::Address => address(text).map(drop),
        Kind::TopicDefault => {
            TopicDefaults::from_broker(|name| (name == key.name).then_some(text)).map(drop).map_err(|e| e.to_string())
        }
    }
}

fn within<N: PartialOrd>(n: N, min: N, max: N, show: impl Fn(&N) -> String) -> Result<(), Wrong> {
    if n < min || n > max { Err(format!("it must be from {} to {}", show(&min), show(&max))) } else { Ok(()) }
}

pub fn int(text: &str) -> Result<i64, Wrong> {
    text.trim().parse().map_err(|_| "it must be a whole number".to_owned())
}

/// `1048576`, `1MiB`, `1 MiB`.
pub fn bytes(text: &str) -> Result<u64, Wrong> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err("it must be a number of bytes, alone or with KiB, MiB, GiB or TiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "it must be a number of bytes".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "it is too large".to_owned())
}

pub fn boolean(text: &str) -> Result<bool, Wrong> {
    match text.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("it must be true or false".to_owned()),
    }
}

/// `all`, a count, or a list: a bare number is a count, `3-3` the CPU 3 alone.
pub fn cores(text: &str) -> Result<CoreSpec, Wrong> {
    let text = text.trim();
    if text == "all" {
        return Ok(CoreSpec::All);
    }
    if let Ok(count) = text.parse::<usize>() {
        return if count == 0 {
            Err("no core is too few; CPU 0 alone is `0-0`".to_owned())
        } else {
            Ok(CoreSpec::Count(count))
        };
    }
    match cpu_list(text)? {
        list if list.is_empty() => Err("it must be a list of CPUs (\"0-3,8\"), a count, or \"all\"".to_owned()),
        list => Ok(CoreSpec::List(list)),
    }
}

/// `0-3,8`; nothing gives the empty list.
pub fn cpu_list(text: &str) -> Result<Vec<usize>, Wrong> {
    let mut list = Vec::new();
    for part in items(text) {
        let bad = || format!("\"{part}\" is no CPU and no range of CPUs; a list looks like \"0-3,8\"");
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: usize = first.trim().parse().map_err(|_| bad())?;
        let last: usize = last.trim().parse().map_err(|_| bad())?;
        if first > last || last > CPU_MAX {
            return Err(bad());
        }
        for cpu in first..=last {
            if list.contains(&cpu) {
                return Err(format!("CPU {cpu} is named twice"));
            }
            list.push(cpu);
        }
    }
    Ok(list)
}

/// `HOST:PORT`; nothing or `0`: none.
pub fn address(text: &str) -> Result<Option<(String, u16)>, Wrong> {
    let text = text.trim();
    if matches!(text, "" | "0") {
        return Ok(None);
    }
    let bad = || "it must be HOST:PORT, or 0 for none".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    if host.is_empty() || (bracketed.is_none() && host.contains(':')) {
        return Err(bad());
    }
    Ok(Some((host.to_owned(), port.parse().map_err(|_| bad())?)))
}

/// `NAME://HOST:PORT`, separated by commas.
pub fn listeners(text: &str) -> Result<Vec<Listener>, Wrong> {
    let mut found: Vec<Listener> = Vec::new();
    for part in items(text) {
        let listener = listener(part)?;
        if found.iter().any(|other| other.name == listener.name) {
            return Err(format!("two listeners are called {}", listener.name));
        }
        if found.iter().any(|other| other.port != 0 && other.port == listener.port && other.host == listener.host) {
            return Err(format!("two listeners have the address of {part}"));
        }
        found.push(listener);
    }
    if found.is_empty() {
        Err("it names no listener; one looks like PLAINTEXT://0.0.0.0:9092".to_owned())
    } else {
        Ok(found)
    }
}

fn listener(text: &str) -> Result<Listener, Wrong> {
    let bad = || format!("\"{text}\" is no listener; one looks like PLAINTEXT://0.0.0.0:9092");
    let (name, address) = text.split_once("://").ok_or_else(bad)?;
    let name = listener_name(name);
    if SECURED.contains(&name.as_str()) {
        return Err(format!("{name} is not there yet: use PLAINTEXT, on a network that you trust"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("\"{name}\" is no name: letters, digits, _ and - only"));
    }
    let (host, port) = host_port(address).ok_or_else(bad)?;
    Ok(Listener { name, host, port })
}

/// A listener's name, or a protocol's, whatever its case: in capitals, as Kafka has them.
pub fn listener_name(text: &str) -> String {
    text.trim().to_ascii_uppercase()
}

/// `HOST:PORT`, with an IPv6 address in brackets; the host may be empty.
pub fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
    host.chars().all(plain).then_some((host.to_owned(), port.parse().ok()?))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_a_list_a_count_or_all() {
        assert_eq!(cores("all"), Ok(CoreSpec::All));
        assert_eq!(cores(" 4 "), Ok(CoreSpec::Count(4)));
        assert_eq!(cores("0-3,8"), Ok(CoreSpec::List(vec![0, 1, 2, 3, 8])));
        assert_eq!(cores("3-3"), Ok(CoreSpec::List(vec![3])));
        for wrong in ["0", "", "3-1", "0-3,2", "a", "-1", "0-99999999", "1..3"] {
            assert!(cores(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_take_units_and_refuse_what_overflows() {
        assert_eq!((bytes("64 MiB"), bytes("1KiB"), bytes("7")), (Ok(64 << 20), Ok(1024), Ok(7)));
        for wrong in ["", "MiB", "1 MB", "-1", "1.5 GiB", "99999999999 TiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn listeners_have_names_hosts_and_ports() {
        let found = listeners("PLAINTEXT://:9092, inside://[::1]:0,OUT-1://broker.example:9094").expect("three");
        let texts: Vec<_> = found.iter().map(|l| (l.name.as_str(), l.host.as_str(), l.port)).collect();
        assert_eq!(texts, [("PLAINTEXT", "", 9092), ("INSIDE", "::1", 0), ("OUT-1", "broker.example", 9094)]);
        let wrong = [
            "",
            "localhost:9092",
            "PLAINTEXT://localhost",
            "PLAINTEXT://a:70000",
            "PLAINTEXT://::1:9092",
            "://a:1",
            "A://h:1,A://h:2",
            "A://h:1,B://h:1",
            "A://h h:1",
            "A://[::1:9",
        ];
        for wrong in wrong {
            assert!(listeners(wrong).is_err(), "{wrong}");
        }
        for secured in ["SSL://:9093", "ssl://:9093", "Sasl_Ssl://:9093"] {
            assert!(listeners(secured).expect_err("not there yet").contains("not there yet"), "{secured}");
        }
        assert!(listeners("in://:1,IN://:2").expect_err("one name").contains("called IN"));
    }
}
