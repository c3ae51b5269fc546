//! How an executor starts, and how it stops the process.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use shards::runtime::uring::{LaunchError, launch};
use shards::runtime::{BLOCK_BYTES, Conn, File as _, Listener, OpenMode, Runtime};

use crate::files::blocks;
use crate::machines::{config, disk};

const SIGABRT: i32 = 6;

#[test]
fn a_panic_in_a_task_stops_the_whole_process_and_says_so() {
    const CHILD: &str = "STARTED_CHILD_PANICS";
    if std::env::var_os(CHILD).is_some() {
        let dir = disk();
        let executor = launch(config("shard-7", &dir), None, |rt| async move {
            rt.spawn(async { panic!("the sky has fallen") });
            std::future::pending::<()>().await;
        });
        executor.expect("starts").join();
        return;
    }
    let child = in_a_child("started::a_panic_in_a_task_stops_the_whole_process_and_says_so", CHILD);
    assert_eq!(child.status.signal(), Some(SIGABRT), "{:?}", child.status);
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("thread shard-7 panicked: the sky has fallen"), "{said}");
}

#[test]
fn an_executor_ends_after_what_its_pool_of_threads_has_under_way() {
    const BYTES: usize = 32 << 20;
    let dir = disk();
    let path = dir.path().join("large");
    let written = path.clone();
    let executor = launch(config("ends", &dir), None, |rt| async move {
        let task = rt.clone();
        rt.spawn(async move { task.write_whole(&written, vec![7; BYTES]).await.expect("the disk takes it") });
        rt.sleep_until(rt.now().after(Duration::from_millis(1))).await;
    });
    executor.expect("starts").join();
    assert_eq!(std::fs::metadata(&path).map_or(0, |file| file.len()), BYTES as u64);
}

/// Runs the named test in a process of its own, where it finds the variable set.
fn in_a_child(test: &str, variable: &str) -> std::process::Output {
    let this = std::env::current_exe().unwrap();
    Command::new(this).args(["--exact", test, "--nocapture"]).env(variable, "1").output().unwrap()
}

#[test]
fn a_listener_that_is_out_of_descriptors_accepts_again_when_there_are_some() {
    const CHILD: &str = "STARTED_CHILD_HAS_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let test = "started::a_listener_that_is_out_of_descriptors_accepts_again_when_there_are_some";
        let child = in_a_child(test, CHILD);
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        return;
    }
    let dir = disk();
    let (tell, told) = flume::bounded(1);
    let executor = launch(config("listens", &dir), None, |rt| async move {
        let listener = rt.listen(([127, 0, 0, 1], 0).into(), 128).await.unwrap();
        tell.send(listener.local_addr()).unwrap();
        listener.accept().await.map(|conn| conn.peer_addr())
    })
    .expect("starts");
    let addr = told.recv().unwrap();
    let few = Rlimit { current: Some(256), maximum: Some(256) };
    setrlimit(Resource::Nofile, few).unwrap();
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    taken.pop().expect("at least one");
    let client = TcpStream::connect(addr).expect("the kernel takes the connection by itself");
    std::thread::sleep(Duration::from_millis(120));
    drop(taken);
    assert_eq!(executor.join().expect("accepted in the end"), client.local_addr().unwrap());
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

#[test]
fn bytes_may_outlive_the_core_that_made_them() {
    let dir = disk();
    let path = dir.path().join("f");
    let executor = launch(config("short-lived", &dir), None, move |rt| async move {
        let file = rt.open(&path, OpenMode::Create).await.unwrap();
        let frozen = blocks(&rt, &[7; 300]);
        file.write(0, &frozen).await.unwrap();
        // The registered memory is 1 MiB: some of these lie in it, some on the heap.
        let mut kept = vec![frozen.bytes(), frozen.slice(5..6)];
        for _ in 0..8 {
            kept.push(file.read(0, 64 * BLOCK_BYTES).await.unwrap());
        }
        kept
    });
    let kept = executor.expect("starts").join();
    assert!(kept.iter().all(|bytes| bytes.iter().all(|b| *b == 7)));
    std::thread::spawn(move || drop(kept)).join().unwrap();
}
