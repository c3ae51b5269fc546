//! Who listens on a port, as far as this user may know. For an error message only.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// A name for whoever listens on this port.
pub fn holder(addr: SocketAddr) -> String {
    let unknown = || format!("another process (`ss -tanp 'sport = :{}'` as root names it)", addr.port());
    let sockets: Vec<String> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listening(table, addr.port())).collect();
    process_with(&sockets).unwrap_or_else(unknown)
}

/// Inodes of the sockets that listen on this port, at whatever address.
fn listening(table: &str, port: u16) -> Vec<String> {
    let text = fs::read_to_string(table).unwrap_or_default();
    let ending = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = fields.get(1)?.ends_with(&ending) && *fields.get(3)? == LISTENING;
        ours.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
    };
    text.lines().skip(1).filter_map(inode).collect()
}

/// The first process with one of these sockets among its descriptors.
fn process_with(sockets: &[String]) -> Option<String> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        if has_one_of(&process.path().join("fd"), sockets) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {pid})", name.trim()));
        }
    }
    None
}

fn has_one_of(descriptors: &Path, sockets: &[String]) -> bool {
    // Another user's processes are not shown.
    let Ok(entries) = fs::read_dir(descriptors) else { return false };
    entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        sockets.iter().any(|socket| *socket == target)
    })
}
