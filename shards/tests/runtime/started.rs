//! How an executor starts, and how it stops the process.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use shards::runtime::Runtime;
use shards::runtime::uring::{LaunchError, launch};

use crate::machines::{config, disk};

const CHILD: &str = "STARTED_CHILD_PANICS";
const SIGABRT: i32 = 6;

#[test]
fn a_panic_in_a_task_stops_the_whole_process_and_says_so() {
    if std::env::var_os(CHILD).is_some() {
        let dir = disk();
        let executor = launch(config("shard-7", &dir), None, |rt| async move {
            rt.spawn(async { panic!("the sky has fallen") });
            std::future::pending::<()>().await;
        });
        executor.expect("starts").join();
        return;
    }
    let name = "started::a_panic_in_a_task_stops_the_whole_process_and_says_so";
    let this = std::env::current_exe().unwrap();
    let child = Command::new(this).args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    assert_eq!(child.status.signal(), Some(SIGABRT), "{:?}", child.status);
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("thread shard-7 panicked: the sky has fallen"), "{said}");
}

#[test]
fn a_cpu_that_the_process_may_not_use_is_an_error_of_its_own() {
    let dir = disk();
    for cpu in [1023, 100_000] {
        let e = launch(config("x", &dir), Some(cpu), |_| async {}).err().expect("no such CPU");
        assert!(matches!(e, LaunchError::CpuNotAllowed { cpu: of } if of == cpu), "{e}");
    }
}

#[test]
fn a_data_directory_that_is_missing_is_named() {
    let dir = disk();
    let mut config = config("x", &dir);
    config.data_dir = dir.path().join("missing");
    let e = launch(config, None, |_| async {}).err().expect("no such directory");
    assert!(e.to_string().contains("missing"), "{e}");
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is left behind");
}

#[test]
fn a_pinned_executor_returns_what_its_main_task_does() {
    let dir = disk();
    let executor = launch(config("pinned", &dir), Some(0), |rt| async move {
        let on = allowed_cpus();
        rt.quantum().await;
        on
    });
    assert_eq!(executor.expect("CPU 0 is allowed").join(), "0");
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is left behind");
}

/// The CPUs that this thread may use, as the kernel writes them.
fn allowed_cpus() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    line.trim().to_owned()
}
