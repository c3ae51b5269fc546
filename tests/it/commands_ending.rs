//! How commands end: exit codes, what to do next, pipes that break, colours, completions and manual pages.

use std::fs;
use std::io::Read;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::broker::{Home, until};
use crate::commands::{command, ran};
use crate::http;
use crate::on_disk::{data, filled};

fn alone(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    command.args(args).env_clear().stdin(Stdio::null()).output().expect("the binary runs")
}

#[test]
fn every_kind_of_failure_has_its_exit_code_and_says_what_to_do_next() {
    let home = Home::new();
    let nobody = ran(&home, &["cluster"]);
    assert!(nobody.code == Some(3) && nobody.stderr.contains("`corelog dev`"), "{}", nobody.stderr);
    let _broker = home.dev(&[]);
    for (args, code, told) in [
        (&["topic", "create", "a b"][..], 5, "INVALID_TOPIC_EXCEPTION (17)"),
        (&["topic", "create", "a b"], 5, "letters, digits, `.`, `_` and `-`"),
        (&["topic", "create", "t", "--replication-factor", "3"], 5, "`corelog cluster`"),
        (&["topic", "create", "t", "--config", "retention.ms=x"], 5, "`corelog config explain KEY`"),
        (&["topic", "describe", "t"], 4, "corelog topic create t"),
        (&["topic", "create"], 2, "Usage: corelog topic create"),
        (&["topic", "list", "-o", "xml"], 2, "possible values: table, json, yaml"),
        (&["consume", "t", "-o", "soon"], 2, "beginning, end, OFFSET, -N, @TIME"),
        (&["man", "topic", "destroy"], 2, "unexpected argument '--bootstrap'"),
    ] {
        let ended = ran(&home, args);
        assert!(ended.code == Some(code) && ended.stderr.contains(told), "{args:?}: {:?} {}", ended.code, ended.stderr);
    }
    let unknown = alone(&["man", "topic", "destroy"]);
    assert_eq!(unknown.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("`corelog topic --help`"));
}

#[test]
fn a_pipe_that_breaks_is_no_panic_whatever_the_command_prints() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    for args in [&["topic", "list"][..], &["cluster", "--apis", "-o", "json"], &["topology"]] {
        let mut child = command(&home, args).spawn().expect("the binary runs");
        drop(child.stdout.take());
        let left = child.wait_with_output().expect("it ends");
        assert_eq!((left.status.code(), left.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
    for args in [&["config", "show"][..], &["completions", "bash"], &["man"], &["--help"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
        let mut child =
            command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut one = [0];
        child.stdout.take().expect("a pipe").read_exact(&mut one).expect("a byte");
        let left = child.wait_with_output().expect("it ends");
        assert_eq!((left.status.code(), left.stderr.as_slice()), (Some(0), &b""[..]), "{args:?}");
    }
}

/// Runs a command on a terminal of its own.
fn on_a_terminal(args: &[&str], no_color: bool) -> String {
    shell_on_a_terminal(&[&[env!("CARGO_BIN_EXE_corelog")][..], args].concat().join(" "), no_color)
}

/// Runs a line of a shell, with `script` of util-linux.
fn shell_on_a_terminal(line: &str, no_color: bool) -> String {
    let mut script = Command::new("script");
    script.args(["-qec", line, "/dev/null"]).env_remove("NO_COLOR").stdin(Stdio::null());
    if no_color {
        script.env("NO_COLOR", "1");
    }
    String::from_utf8(script.output().expect("script of util-linux").stdout).expect("UTF-8")
}

#[test]
fn colours_are_for_terminals_and_not_for_those_who_want_none() {
    let show = ["config", "show", "--own", "--set", "shards=2"];
    assert!(on_a_terminal(&show, false).contains("\x1b[1mkey"), "a head stands out");
    assert!(on_a_terminal(&["config", "explain", "x"], false).contains("\x1b[1;31mcorelog:\x1b[0m there is no key"));
    for plain in [
        on_a_terminal(&show, true),
        on_a_terminal(&["config", "explain", "x"], true),
        on_a_terminal(&["topic"], true),
        String::from_utf8(alone(&show).stdout).expect("UTF-8"),
        String::from_utf8(alone(&["config", "explain", "x"]).stderr).expect("UTF-8"),
    ] {
        assert!(!plain.is_empty() && !plain.contains('\x1b'), "{plain:?}");
    }
}

/// On a terminal of its own, which `top` takes for itself.
#[test]
fn a_terminal_is_given_back_by_a_top_that_is_told_to_end() {
    let home = Home::new();
    let (_broker, admin) = http::start(&home, &[]);
    let [pid, seen] = ["pid", "seen"].map(|name| home.path().join(name));
    let top = format!("echo $$ > {}; exec {} top --admin {}", pid.display(), env!("CARGO_BIN_EXE_corelog"), admin);
    let mut script = Command::new("script");
    script.args(["-qfec", &top]).arg(&seen).stdin(Stdio::null()).stdout(Stdio::null());
    let mut script = script.spawn().expect("script of util-linux");
    let screen = |mark: &str| fs::read(&seen).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(mark));
    until("the screen is taken", || screen("\x1b[?1049h"));
    let pid = fs::read_to_string(&pid).expect("its number").trim().parse().ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a number"), Signal::TERM).expect("it runs");
    script.wait().expect("it ends");
    assert!(screen("\x1b[?1049l"));
}

/// What reads the dump reads nothing for a while, and more is left then than a pipe holds: so it takes longer than a second.
#[test]
fn a_dump_that_goes_elsewhere_shows_on_a_terminal_how_far_it_is() {
    let home = Home::new();
    filled(&home, false);
    let dump = format!("{} log dump {} large -r", env!("CARGO_BIN_EXE_corelog"), data(&home));
    let shown = |dump: &str| {
        shell_on_a_terminal(&format!("export TERM=xterm; stty cols 80; {dump} | (sleep 2; cat > /dev/null)"), false)
    };
    let bar = " records, ";
    let seen = shown(&dump);
    assert!(seen.contains(bar), "{seen:?}");
    let seen = shown(&format!("{dump} 2> /dev/null"));
    assert!(!seen.contains(bar), "{seen:?}");
}

#[test]
fn shells_get_completions_that_they_can_read() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let made = alone(&["completions", shell]);
        let text = String::from_utf8(made.stdout).expect("UTF-8");
        assert!(made.status.success() && text.contains("topic") && text.contains("bootstrap"), "{shell}");
    }
    let home = Home::new();
    let file = home.path().join("corelog.bash");
    fs::write(&file, alone(&["completions", "bash"]).stdout).expect("written");
    let ask = format!(
        "source {}; COMP_WORDS=(corelog topic de); COMP_CWORD=2; _corelog corelog de topic; echo ${{COMPREPLY[@]}}",
        file.display()
    );
    let asked = Command::new("bash").args(["--norc", "-c", &ask]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "describe delete\n", "{asked:?}");
}

#[test]
fn every_command_has_its_manual_page() {
    let home = Home::new();
    let dir = home.path().join("pages");
    let made = alone(&["man", "--to", dir.to_str().expect("UTF-8")]);
    assert!(made.status.success(), "{made:?}");
    for page in ["corelog", "corelog-topic-config-set", "corelog-config-import", "corelog-consume"] {
        let text = fs::read_to_string(dir.join(format!("{page}.1"))).unwrap_or_else(|e| panic!("{page}: {e}"));
        assert!(text.contains(".TH") && text.contains(page), "{page}: {text}");
    }
    let one = String::from_utf8(alone(&["man", "topic", "alter"]).stdout).expect("UTF-8");
    assert!(one.contains("\\-\\-partitions") && one.contains("never fewer than there are"), "{one}");
    let top = String::from_utf8(alone(&["man"]).stdout).expect("UTF-8");
    assert!(top.contains("Exit codes") && top.contains("no broker could be reached"), "{top}");
}
