//! `corelog bench` against a real broker. Nothing here asserts a time: the machine may be busy with other tests.

use crate::broker::{Home, until};
use crate::commands::{Ran, ran, said};
use crate::http;

/// A short run; what the generator says of its own lateness on a busy machine is no failure here.
#[track_caller]
fn bench(home: &Home, args: &[&str]) -> Ran {
    let short = ["bench", "--warmup", "200ms", "--duration", "500ms", "--partitions", "3", "--clients", "2"];
    let done = ran(home, &[&short[..], args].concat());
    let harmless = ["the run is invalid: ", "the report is ", "cannot be written: "];
    let late = |line: &str| harmless.iter().any(|text| line.contains(text));
    assert!(done.code == Some(0) || done.stderr.lines().all(late), "{args:?}: {}", done.stderr);
    assert!(done.stdout.contains(" 0 lost, 0 duplicated, 0 reordered"), "{args:?}: {}", done.stdout);
    done
}

#[test]
fn a_run_reads_back_every_record_that_was_acked_at_a_rate_and_at_the_maximum_in_every_codec() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let done = bench(&home, &["--topic", codec, "--rate", "1000", "--codec", codec, "--linger", "2ms"]);
        // 200 in the warm-up and 500 after it.
        assert!(done.stdout.contains("700 acked, 700 read back"), "{}", done.stdout);
        assert!(done.stdout.contains("end to end"), "{}", done.stdout);
    }
    let done = bench(&home, &["--topic", "none", "--rate", "max", "--record-size", "100"]);
    assert!(done.stdout.contains("acks unread for"), "{}", done.stdout);
    let turns = bench(&home, &["--topic", "none", "--one-outstanding"]);
    assert!(turns.stdout.contains(" 1.0 records a request"), "{}", turns.stdout);
    for arrivals in ["poisson", "bursts:20"] {
        bench(&home, &["--topic", "none", "--rate", "500", "--arrivals", arrivals]);
    }
    let after = bench(&home, &["--topic", "none", "--rate", "max", "--produce-only"]);
    assert!(!after.stdout.contains("end to end"), "{}", after.stdout);
}

#[test]
fn records_of_varied_sizes_fill_batches_as_those_of_one_size_do() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let of = ["bench", "--partitions", "1", "--clients", "1", "--warmup", "0", "--duration", "1s", "--produce-only"];
    for (number, sizes) in ["20000", "varied:20000", "100..40000"].into_iter().enumerate() {
        let topic = format!("t{number}");
        let done = ran(&home, &[&of[..], &["--rate", "max", "--topic", &topic, "--record-size", sizes]].concat());
        let line = done.stdout.lines().find(|line| line.ends_with(" records a request")).expect(&done.stderr);
        let each = line.split_whitespace().rev().nth(3).and_then(|each| each.parse::<f64>().ok()).expect(line);
        // 13 of the mean size fit.
        assert!((8.0..=14.0).contains(&each), "{sizes}: {line}");
    }
}

/// A request takes along what is there of all partitions, so that the next one has to wait for its linger.
#[test]
fn a_linger_bounds_the_requests_of_a_client_however_many_partitions_there_are() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let out = home.path().join("report");
    let dir = out.to_str().expect("UTF-8");
    let of = ["--partitions", "9", "--clients", "1", "--warmup", "0", "--duration", "1s", "--produce-only"];
    let run = ["bench", "--topic", "t", "--rate", "1000", "--linger", "20ms", "--out", dir];
    let done = ran(&home, &[&run[..], &of].concat());
    let text = std::fs::read_to_string(out.join("result.json"));
    let json: serde_json::Value = serde_json::from_str(&text.expect(&done.stderr)).expect("JSON");
    // One more for what is left at the end.
    assert!(json["measured"]["requests"].as_u64().is_some_and(|requests| requests <= 51), "{}", json["measured"]);
    assert_eq!(json["measured"]["acked"], 1000);
}

/// A batch has records of the warm-up and of what is measured then.
#[test]
fn records_that_wait_for_others_when_the_warm_up_ends_count_one_by_one() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let out = home.path().join("report");
    let dir = out.to_str().expect("UTF-8");
    bench(&home, &["--topic", "t", "--rate", "1000", "--linger", "150ms", "--out", dir]);
    let text = std::fs::read_to_string(out.join("result.json")).expect("a result");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&json["measured"]["acked"], &json["latency_us"]["ack"]["count"]), (&500.into(), &500.into()));
    assert_eq!(json["measured"]["acked_bytes"], 500 * 1024);
}

/// The next record is due in 50 seconds.
#[test]
fn a_run_whose_next_record_is_far_away_ends_when_it_is_told_to() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    let run = ["bench", "--topic", "t", "--rate", "0.02", "--warmup", "0", "--duration", "1h"];
    let running = crate::commands::command(&home, &run).spawn().expect("the binary runs");
    // It has begun when its first record is there.
    until("the topic is made", || ran(&home, &["topic", "describe", "t"]).code == Some(0));
    assert!(!said(&home, &["consume", "t", "--follow", "-n", "1", "-f", "%o"]).is_empty());
    let told = std::time::Instant::now();
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let stopped = Ran::from(running.wait_with_output().expect("it ends"));
    assert!(told.elapsed() < std::time::Duration::from_secs(30), "{:?}", told.elapsed());
    assert!(stopped.stderr.contains("it was stopped before its end"), "{}", stopped.stderr);
}

#[test]
fn a_report_has_everything_in_files_that_load_nothing() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let out = home.path().join("report");
    let (dir, pid) = (out.to_str().expect("UTF-8"), broker.pid().as_raw_nonzero().to_string());
    let run = ["bench", "--topic", "t", "--rate", "500", "--warmup", "1s", "--duration", "3s", "--broker-pid", &pid];
    let done = ran(&home, &[&run[..], &["--out", dir]].concat());
    assert!(done.stdout.contains("broker: "), "{} {}", done.stdout, done.stderr);
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json: serde_json::Value = serde_json::from_str(&text("result.json")).expect("JSON");
    assert_eq!(json["whole_run"]["acked"], 2000);
    assert_eq!(json["measured"]["acked"], 1500);
    assert_eq!(json["latency_us"]["ack"]["count"], 1500);
    assert_eq!(json["plan"]["topic"], "t");
    assert!(json["broker"]["cpu_s"].as_f64().is_some_and(|spent| spent > 0.0), "{}", json["broker"]);
    assert!(json["seconds"].as_array().is_some_and(|seconds| seconds.len() >= 4), "{}", json["seconds"]);
    for name in ["ack.hgrm", "end-to-end.hgrm", "service-time.hgrm"] {
        assert!(text(name).contains("Total count    =         1500"), "{name}: {}", text(name));
    }
    for name in ["percentiles.svg", "throughput.svg", "latency.svg", "report.html"] {
        loads_nothing(name, &text(name));
    }
    // A file that cannot be written keeps no other from being there, nor the verdict from being told.
    let blocked = home.path().join("blocked");
    std::fs::create_dir_all(blocked.join("result.json/full")).expect("a directory");
    let dir = blocked.to_str().expect("UTF-8");
    let done = bench(&home, &["--topic", "b", "--rate", "1000", "--out", dir]);
    assert!(done.code == Some(1) && done.stderr.contains("result.json cannot be written"), "{}", done.stderr);
    assert_eq!(done.stderr.matches("cannot be written").count(), 1, "{}", done.stderr);
    for name in ["ack.hgrm", "percentiles.svg", "report.html"] {
        assert!(blocked.join(name).is_file(), "{name}");
    }
    // Told before the run, which would take its time.
    let full = ran(&home, &[&run[..7], &["--duration", "1h", "--out", "/proc/none"]].concat());
    assert!(full.code == Some(1) && full.stderr.contains("--out"), "{}", full.stderr);
}

#[test]
fn a_report_shows_where_the_broker_spent_the_measured_time_and_nothing_of_what_it_did_before() {
    let home = Home::new();
    let (broker, admin) = http::start(&home, &[]);
    let (admin, out) = (admin.to_string(), home.path().join("report"));
    let dir = out.to_str().expect("UTF-8");
    bench(&home, &["--topic", "t", "--one-outstanding"]);
    let before = ran(&home, &["bench", "--topic", "t", "--partitions", "3", "--rate", "2000", "--duration", "1s"]);
    // Its own HTTP has another port than one that nothing is said about.
    assert!(before.stdout.contains("the broker's stages are not known: "), "{}", before.stdout);
    let run = ["bench", "--topic", "t", "--partitions", "3", "--rate", "100", "--warmup", "0", "--duration", "2s"];
    let done = ran(&home, &[&run[..], &["--admin", &admin, "--out", dir]].concat());
    for told in ["in the broker", "produce        write_sync", "fetch          wait"] {
        assert!(done.stdout.contains(told), "{}", done.stdout);
    }
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json: serde_json::Value = serde_json::from_str(&text("result.json")).expect("JSON");
    let stages = json["stages"]["all"].as_array().unwrap_or_else(|| panic!("{}", json["stages"]));
    let produce: Vec<_> = stages.iter().filter(|stage| stage["request"] == "produce").collect();
    let (total, parts) = produce.split_first().expect("stages");
    let (count, sum) = (total["count"].as_u64().expect("a count"), total["sum_ns"].as_u64().expect("a sum"));
    assert!(total["stage"] == "total" && (1..=200).contains(&count), "200 records are all that was sent: {total:#}");
    let buckets = total["buckets"].as_array().expect("a list");
    let in_buckets: u64 = buckets.iter().map(|pair| pair[1].as_u64().expect("a count")).sum();
    assert_eq!(in_buckets, count, "{total:#}");
    // A request that ends while the broker is asked may be in some of its stages only.
    let spent: u64 = parts.iter().map(|part| part["sum_ns"].as_u64().expect("a sum")).sum();
    assert!(spent > sum / 2 && spent < sum * 2, "{spent} of {sum} ns: {produce:#?}");
    let shares: f64 = parts.iter().map(|part| part["share_of_total"].as_f64().expect("a share")).sum();
    assert!((shares - spent as f64 / sum as f64).abs() < 0.01, "{shares}: {produce:#?}");
    assert_eq!(json["broker_software"]["corelog"], env!("CARGO_PKG_VERSION"));
    let settings = json["broker_software"]["settings"]["settings"].as_array().map_or(0, Vec::len);
    assert!(settings > 50, "{}", json["broker_software"]);
    assert_eq!(json["plan"]["admin"], admin);
    // No process is named: the broker says itself what it spends.
    assert!(json["plan"]["broker_pid"].is_null() && json["broker"]["cpu_s_per_gib"].is_number(), "{}", json["broker"]);
    assert!(done.stdout.contains("broker: ") && done.stdout.contains("s of processor for each GiB"), "{}", done.stdout);
    // It is asked for while the broker is measured.
    let buckets = http::get(admin.parse().expect("an address"), "/v1/stages/buckets").body;
    assert!(buckets.len() > 1000 && buckets.lines().count() == 1, "{} bytes", buckets.len());
    let page = text("report.html");
    for told in ["<td>produce total</td>", "the stages of fetch requests", &format!("histograms at {admin}")] {
        assert!(page.contains(told), "{told}");
    }
    for name in ["stages-produce.svg", "stages-fetch.svg", "report.html"] {
        loads_nothing(name, &text(name));
    }

    let other = Home::new();
    let (_other, of_other) = http::start(&other, &[]);
    let wrong = ran(&home, &["bench", "--topic", "t", "--partitions", "3", "--admin", &of_other.to_string()]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("another broker than the one at"), "{}", wrong.stderr);
    drop(broker);
    let gone = ran(&other, &["bench", "--topic", "t", "--admin", &admin]);
    assert!(gone.code == Some(3) && gone.stderr.contains("no HTTP at"), "{}", gone.stderr);
}

#[track_caller]
fn loads_nothing(name: &str, page: &str) {
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "<script", "<link", "@import", "url(", "NaN", "inf"] {
        assert!(!page.contains(outside), "{name} holds {outside}");
    }
}

#[test]
fn two_brokers_are_compared_in_turn() {
    let (one, other) = (Home::new(), Home::new());
    let (_a, _b) = (one.dev(&[]), other.dev(&[]));
    let (a, b) = (one.address.to_string(), other.address.to_string());
    let out = one.path().join("report");
    let run =
        ["bench", "compare", &a, &b, "--rounds", "2", "--rate", "max", "--warmup", "200ms", "--duration", "500ms"];
    let run = [&run[..], &["--out", out.to_str().expect("UTF-8")]].concat();
    let mut compare = std::process::Command::new(env!("CARGO_BIN_EXE_corelog"));
    let done = Ran::from(compare.args(run).output().expect("the binary runs"));
    let late = done.stderr.contains("the run is invalid: ") && !done.stderr.contains("partial");
    assert!(done.code == Some(0) || late, "{}", done.stderr);
    for figure in ["records", "ack p99.9", "end to end p50", "2 interleaved rounds"] {
        assert!(done.stdout.contains(figure), "{}", done.stdout);
    }
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let json: serde_json::Value = serde_json::from_str(&text("compare.json")).expect("JSON");
    assert_eq!(json["rounds"].as_array().map(Vec::len), Some(2));
    for name in ["compare.svg", "compare.html"] {
        assert!(text(name).contains("B end to end"), "{name}");
        loads_nothing(name, &text(name));
    }
}

fn compare(args: &[&str]) -> std::process::Command {
    let mut compare = std::process::Command::new(env!("CARGO_BIN_EXE_corelog"));
    compare.args(["bench", "compare"]).args(args).args(["--rate", "100", "--warmup", "0"]);
    compare.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    compare
}

#[test]
fn a_comparison_that_cannot_be_measures_nothing_and_one_that_is_stopped_keeps_what_was_measured() {
    let (one, other) = (Home::new(), Home::new());
    let broker = one.dev(&[]);
    let (a, b) = (one.address.to_string(), other.address.to_string());
    let nobody = Ran::from(compare(&[&a, &b, "--duration", "1h"]).output().expect("the binary runs"));
    assert!(nobody.code == Some(3) && nobody.stdout.is_empty(), "{} {}", nobody.stdout, nobody.stderr);
    assert!(nobody.stderr.contains("after 0 of 5 rounds: no broker answers at"), "{}", nobody.stderr);

    let out = one.path().join("report");
    let dir = out.to_str().expect("UTF-8");
    let running =
        compare(&[&a, &a, "--duration", "1h", "--topic", "t", "--out", dir]).spawn().expect("the binary runs");
    until("the topic is made", || ran(&one, &["topic", "describe", "t"]).code == Some(0));
    // The first run has begun when its records are there.
    assert!(!said(&one, &["consume", "t", "--follow", "-n", "1", "-f", "%o"]).is_empty());
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let stopped = Ran::from(running.wait_with_output().expect("it ends"));
    assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("it was stopped after 0 of 5 rounds"), "{}", stopped.stderr);
    assert!(stopped.stdout.contains("(partial)") && stopped.stdout.contains("A in the round that did not end"));
    let text = std::fs::read_to_string(out.join("compare.json")).expect("a report");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&json["partial"], json["not_ended"].as_array().map(Vec::len)), (&serde_json::json!(true), Some(1)));
    drop(broker);
}

#[test]
fn a_run_that_cannot_be_is_refused_in_words() {
    let home = Home::new();
    let broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "2"]);
    let shape = ran(&home, &["bench", "--topic", "t", "--partitions", "3"]);
    assert!(shape.code == Some(2) && shape.stderr.contains("say --partitions 2"), "{}", shape.stderr);
    let small = ran(&home, &["bench", "--topic", "t", "--partitions", "2", "--record-size", "8"]);
    assert!(small.code == Some(2) && small.stderr.contains("--record-size"), "{}", small.stderr);
    // Made by now or not: no batch of a topic with its defaults takes it, and a thousand a second would be all the memory.
    let large = ran(&home, &["bench", "--topic", "large", "--record-size", "100000000"]);
    assert!(large.code == Some(2) && large.stderr.contains("raise its max.message.bytes"), "{}", large.stderr);
    let once = ["--rate", "50", "--arrivals", "bursts:500", "--duration", "1s"];
    let once = ran(&home, &[&["bench", "--topic", "t", "--partitions", "2"], &once[..]].concat());
    assert!(once.code == Some(2) && once.stderr.contains("--arrivals bursts:500"), "{}", once.stderr);
    let seldom = ["--rate", "0.1", "--warmup", "100ms", "--duration", "300ms"];
    let seldom = ran(&home, &[&["bench", "--topic", "t", "--partitions", "2"], &seldom[..]].concat());
    assert!(seldom.code == Some(1) && seldom.stderr.contains("nothing was measured"), "{}", seldom.stderr);
    let fast = ran(&home, &["bench", "--topic", "t", "--partitions", "2", "--rate", "1e12"]);
    assert!(fast.code == Some(2) && fast.stderr.contains("--rate"), "{}", fast.stderr);
    drop(broker);
    let nobody = ran(&home, &["bench", "--topic", "t"]);
    assert!(nobody.code == Some(3) && nobody.stderr.contains("no broker answers"), "{}", nobody.stderr);
}

#[test]
fn a_broker_that_dies_leaves_figures_that_are_marked_as_partial() {
    let home = Home::new();
    let broker = home.dev(&[]);
    let run = ["bench", "--rate", "500", "--warmup", "0", "--duration", "60s"];
    let mut child = crate::commands::command(&home, &run);
    let child = child.spawn().expect("the binary runs");
    std::thread::sleep(std::time::Duration::from_secs(2));
    drop(broker);
    let done = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("its figures are partial"), "{}", done.stderr);
    assert!(done.stdout.contains("service time"), "{}", done.stdout);
}

#[test]
fn records_vary_in_size_and_key_readers_come_late_or_as_a_group_and_a_profile_says_all_of_it() {
    let home = Home::new();
    let _broker = home.dev(&["--set", "shards=2", "--set", "group.initial.rebalance.delay.ms=0"]);
    let sizes = bench(&home, &["--topic", "a", "--rate", "1000", "--record-size", "varied:300", "--codec", "zstd"]);
    assert!(sizes.stdout.contains("varied:300 bytes a record"), "{}", sizes.stdout);
    for rate in ["1000", "max"] {
        bench(&home, &["--topic", "a", "--rate", rate, "--keys", "100", "--key-skew", "1", "--record-size", "50..500"]);
    }
    let late = bench(&home, &["--topic", "a", "--rate", "1000", "--read-after", "400ms"]);
    assert!(late.stdout.contains("catching up: "), "{}", late.stdout);
    let after = bench(&home, &["--topic", "a", "--rate", "1000", "--produce-only"]);
    assert!(after.stdout.contains("catching up: 700 stored records"), "{}", after.stdout);
    let group = bench(&home, &["--topic", "a", "--rate", "1000", "--group-members", "2"]);
    assert!(group.stdout.contains("700 acked, 700 read back"), "{}", group.stdout);

    let file = home.path().join("profile.toml");
    std::fs::write(&file, "topic = \"a\"\nrate = 2000\ncodec = \"lz4\"\n").expect("written");
    let profile = file.to_str().expect("UTF-8");
    let from_file = bench(&home, &["--profile", profile, "--rate", "1000"]);
    assert!(from_file.stdout.contains("a on ") && from_file.stdout.contains("700 acked"), "{}", from_file.stdout);
    bench(&home, &["--profile", "hot-keys", "--topic", "a", "--rate", "1000"]);
    let unknown = ran(&home, &["bench", "--profile", "none-such"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("built in are steady"), "{}", unknown.stderr);
}

#[test]
fn two_processes_write_into_one_topic_each_finds_its_own_records_and_their_results_are_added_up() {
    let home = Home::new();
    let _broker = home.dev(&[]);
    said(&home, &["topic", "create", "t", "--partitions", "3"]);
    let dirs = ["one", "other", "both"].map(|name| home.path().join(name).to_str().expect("UTF-8").to_owned());
    std::thread::scope(|scope| {
        let one = |out: &str| bench(&home, &["--topic", "t", "--rate", "1000", "--out", out]);
        let both = [&dirs[0], &dirs[1]].map(|out| scope.spawn(move || one(out)));
        let both = both.map(|run| run.join().expect("it ends"));
        assert!(both.iter().all(|run| run.stdout.contains("700 acked, 700 read back")), "{}", both[0].stdout);
    });

    let mut merge = std::process::Command::new(env!("CARGO_BIN_EXE_corelog"));
    let merged = Ran::from(
        merge.args(["bench", "merge", &dirs[0], &dirs[1], "--out", &dirs[2]]).output().expect("the binary runs"),
    );
    assert!(merged.stdout.contains("1400 acked, 1400 read back, 0 lost"), "{} {}", merged.stdout, merged.stderr);
    let json = |dir: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(format!("{dir}/result.json")).expect("a result");
        serde_json::from_str(&text).expect("JSON")
    };
    let [one, other, both] = [&dirs[0], &dirs[1], &dirs[2]].map(|dir| json(dir));
    let sum = |pointer: &str| {
        let of =
            |json: &serde_json::Value| json.pointer(pointer).and_then(serde_json::Value::as_f64).expect("a number");
        assert_eq!(of(&both), of(&one) + of(&other), "{pointer}");
    };
    for pointer in
        ["/latency_us/ack/count", "/latency_us/end_to_end/count", "/measured/requests", "/plan/rate", "/plan/clients"]
    {
        sum(pointer);
    }
    assert!(
        both["verdict"]["valid"] == false || (one["verdict"]["valid"] == true && other["verdict"]["valid"] == true)
    );
    assert_eq!(both["merged_from"], serde_json::json!(dirs[..2]));
    let page = std::fs::read_to_string(format!("{}/report.html", dirs[2])).expect("a page");
    assert!(page.contains("added up from"), "{page}");
    loads_nothing("report.html", &page);

    let alone = home.path().join("alone").to_str().expect("UTF-8").to_owned();
    bench(&home, &["--topic", "t", "--rate", "1000", "--linger", "5ms", "--out", &alone]);
    let mut merge = std::process::Command::new(env!("CARGO_BIN_EXE_corelog"));
    let unlike = Ran::from(merge.args(["bench", "merge", &dirs[0], &alone]).output().expect("the binary runs"));
    assert!(unlike.code == Some(2) && unlike.stderr.contains("linger_ms is 0.0 in"), "{}", unlike.stderr);
    let mut merge = std::process::Command::new(env!("CARGO_BIN_EXE_corelog"));
    let none = Ran::from(merge.args(["bench", "merge", &dirs[0], "/none"]).output().expect("the binary runs"));
    assert!(none.code == Some(1) && none.stderr.contains("/none/result.json"), "{}", none.stderr);
}
