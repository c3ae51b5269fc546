//! Profiles: the flags of a run in a TOML file, or under a name. Reads files.
//!
//! A key is a flag without its dashes (`record-size` or `record_size`), and its value is what the flag takes; so the flags'
//! own checks and texts hold for both.

use clap::{Args, Command, FromArgMatches};
use toml_edit::{Document, Item, Value};

use super::load::LoadArguments;

/// Name and text of the built-in profiles.
const BUILT_IN: &[(&str, &str)] = &[
    ("steady", "rate = 5000\nrecord_size = 1024"),
    ("throughput", "rate = \"max\"\nrecord_size = 1024\nclients = 8"),
    ("turns", "one_outstanding = true\nclients = 1\nrecord_size = 100"),
    (
        "logs",
        "rate = 20000\nrecord_size = \"varied:400\"\npartitions = 24\ncodec = \"lz4\"\ncompressibility = 4\nlinger = \"5ms\"\n\
         clients = 16\narrivals = \"poisson\"",
    ),
    (
        "hot-keys",
        "rate = 5000\nkeys = 100000\nkey_skew = 1\npartitions = 12\nrecord_size = \"100..2000\"\narrivals = \"poisson\"",
    ),
    ("bursts", "rate = 5000\narrivals = \"bursts:500\""),
    ("catch-up", "rate = 20000\nread_after = \"20s\"\nwarmup = 0\nduration = \"40s\""),
    ("group", "rate = 5000\npartitions = 12\ngroup_members = 4"),
];

/// The flags of a file, or of a built-in profile when there is no such file.
pub fn load(name: &str) -> Result<LoadArguments, String> {
    let text = match (std::fs::read_to_string(name), BUILT_IN.iter().find(|(known, _)| *known == name)) {
        (Ok(text), _) => text,
        (Err(_), Some((_, text))) => (*text).to_owned(),
        (Err(e), None) => {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(format!("--profile {name}: {e}; built in are {}", names.join(", ")));
        }
    };
    parse(&text).map_err(|e| format!("--profile {name}: {e}"))
}

fn parse(text: &str) -> Result<LoadArguments, String> {
    let document = Document::parse(text).map_err(|e| e.to_string())?;
    let command = LoadArguments::augment_args(Command::new("profile").no_binary_name(true).disable_help_flag(true));
    let mut flags = Vec::new();
    for (key, item) in document.as_table().iter() {
        let flag = format!("--{}", key.replace('_', "-"));
        if flag == "--profile" {
            return Err("a profile names no other profile".to_owned());
        }
        match item {
            Item::Value(Value::Boolean(set)) if *set.value() => flags.push(flag),
            // As if it were not there; what it is no word for is refused all the same.
            Item::Value(Value::Boolean(_)) => is_switch(&command, &flag)?,
            Item::Value(Value::String(text)) => flags.push(format!("{flag}={}", text.value())),
            Item::Value(Value::Integer(number)) => flags.push(format!("{flag}={}", number.value())),
            Item::Value(Value::Float(number)) => flags.push(format!("{flag}={}", number.value())),
            _ => return Err(format!("{key}: write a number, a text, true or false")),
        }
    }
    let matches = command.try_get_matches_from(flags).and_then(|matches| LoadArguments::from_arg_matches(&matches));
    matches.map_err(|e| {
        // Only what is wrong; how to call a command of this name is no help.
        let text = e.to_string();
        text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Whether there is such a flag, and it takes no value.
fn is_switch(command: &Command, flag: &str) -> Result<(), String> {
    let known = command.get_arguments().find(|arg| arg.get_long() == flag.strip_prefix("--"));
    let known = known.ok_or_else(|| format!("unexpected argument '{flag}' found"))?;
    if known.get_action().takes_values() { Err(format!("{flag} takes a value, and false is none")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::{Arrivals, KeyRange, Load, Plan, Sizes};

    fn plan(text: &str) -> Plan {
        parse(text).and_then(|args| args.plan("h:1")).expect("a plan")
    }

    #[test]
    fn every_built_in_profile_is_a_plan_that_can_be_run() {
        for (name, _) in BUILT_IN {
            let plan = load(name).and_then(|args| args.plan("h:1")).expect("a plan");
            assert_eq!(plan.check(), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_help_names_every_built_in_profile() {
        let command = LoadArguments::augment_args(Command::new("bench"));
        let help = command.get_arguments().find(|arg| arg.get_id() == "profile").and_then(|arg| arg.get_help());
        let help = help.expect("a help text").to_string();
        assert!(BUILT_IN.iter().all(|(name, _)| help.contains(name)), "{help}");
    }

    #[test]
    fn a_file_says_what_flags_say() {
        let plan = plan(
            "# a comment\nrate = 2500.5\narrivals = \"poisson\"\nrecord-size = \"10..20\"\nkeys = 7\nkey_skew = 0.5\n\
             warmup = 0\nread_after = \"2s\"\nproduce_only = false",
        );
        assert_eq!((plan.load, plan.arrivals), (Load::Rate(2500.5), Arrivals::Poisson));
        assert_eq!((plan.sizes, plan.keys), (Sizes::Even(10, 20), Some(KeyRange { count: 7, skew: 0.5 })));
        assert_eq!((plan.warmup, plan.read_after, plan.consume), (Duration::ZERO, Duration::from_secs(2), true));
    }

    #[test]
    fn what_no_flag_takes_is_refused_with_its_name() {
        for (text, named) in [
            ("rat = 5", "--rat"),
            ("rate = \"fast\"", "--rate"),
            ("partitions = 0", "--partitions"),
            ("rate = 5\none_outstanding = true", "--one-outstanding"),
            ("[rate]\nx = 1", "rate"),
            ("rate = [1]", "rate"),
            ("lingr = false", "--lingr"),
            ("rate = false", "--rate"),
            ("profile = \"steady\"", "profile"),
            ("rate =", "TOML"),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
        assert!(load("/no/such/file").expect_err("no file").contains("built in are steady"));
    }
}
