//! What keeps a broker from starting, each provoked for real, and each with its own message that has the cure.
//!
//! Some of it only root can provoke, or only this kernel: those tests say so on stderr and pass where it cannot be.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use crate::broker::{Home, NO_HTTP};
use crate::told::skipped;

const NOBODY: &str = "65534";
const IO_URING_DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// The command line of a broker here, behind a program that runs it in other circumstances.
fn behind(home: &Home, wrapper: &[&str]) -> Command {
    let own = [env!("CARGO_BIN_EXE_corelog"), "dev", "--data-dir"];
    let mut words = wrapper.iter().chain(&own);
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).arg(&home.data).args(["--listen", &home.address.to_string()]).args(NO_HTTP);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

/// What the broker says that does not start.
#[track_caller]
fn refusal(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let (said, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr).into_owned());
    assert!(status.code() == Some(1) && said.is_empty(), "{status}: {said}{stderr}");
    stderr.lines().filter(|line| line.starts_with("corelog: ")).map(|line| format!("{line}\n")).collect()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn io_uring_off_by_sysctl_is_told_with_the_sysctl() {
    // 1 keeps it from those without privileges: no other test of this machine's root feels it.
    let before = fs::read_to_string(IO_URING_DISABLED).unwrap_or_default();
    if !is_root() || before.trim() != "0" || fs::write(IO_URING_DISABLED, "1").is_err() {
        return skipped("only root can set kernel.io_uring_disabled");
    }
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            fs::write(IO_URING_DISABLED, "0").expect("as it was");
        }
    }
    let _restore = Restore;
    let home = Home::new();
    open_to_all(&home);
    let said = refusal(behind(&home, &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]));
    assert!(
        said.contains("kernel.io_uring_disabled = 1") && said.contains("`sysctl -w kernel.io_uring_disabled=0`"),
        "{said}"
    );
}

/// Lets another user come to, and write, the place of the data.
fn open_to_all(home: &Home) {
    fs::create_dir_all(&home.data).expect("made");
    for dir in [home.path(), home.data.as_path()] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("set");
    }
}

#[test]
fn io_uring_forbidden_by_seccomp_is_told_with_the_profile() {
    let home = Home::new();
    for (name, call) in [
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("io_uring_register", libc::SYS_io_uring_register),
    ] {
        for errno in [libc::EPERM, libc::EACCES] {
            let mut command = behind(&home, &[]);
            // SAFETY: between fork and exec only system calls are made, on memory that is there already.
            unsafe { command.pre_exec(move || forbid(call as u32, errno as u32)) };
            let said = refusal(command);
            assert!(said.contains(&format!("{name} is forbidden")), "{said}");
            assert!(said.contains("seccomp") && said.contains("`--security-opt seccomp=unconfined`"), "{said}");
        }
    }
}

/// What container runtimes do: one call fails, all else goes on.
fn forbid(call: u32, errno: u32) -> std::io::Result<()> {
    const LOAD_CALL: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        // The number of the call stands first in what the filter sees.
        step(LOAD_CALL, 0, 0, 0),
        step(IF_EQUAL, 0, 1, call),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps live until the call has copied them.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn too_little_locked_memory_is_told_with_the_limit() {
    let home = Home::new();
    let said = refusal(behind(&home, &["prlimit", "--memlock=65536:65536"]));
    assert!(said.contains("65536 bytes") && said.contains("`ulimit -l unlimited`"), "{said}");
    assert!(said.contains("LimitMEMLOCK=infinity"), "{said}");
}

#[test]
fn an_old_kernel_is_told_with_the_one_that_is_needed() {
    let home = Home::new();
    // The kernel names itself 2.6 to this process.
    let said = refusal(behind(&home, &["setarch", "--uname-2.6"]));
    assert!(said.contains("this is Linux 2.6.") && said.contains("needs 5.8 or newer; boot a newer kernel"), "{said}");
}

#[test]
fn a_file_system_without_direct_io_is_told_by_its_name() {
    let mut home = Home::new();
    let place = home.path().join("mounted");
    fs::create_dir(&place).expect("made");
    // A mount that only this process and its children see; ramfs has no direct I/O on any kernel.
    let mount = format!("mount -t ramfs none {} && exec \"$@\"", place.display());
    let wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c", &mount, "sh"];
    let can = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output().is_ok_and(|o| o.status.success());
    if !can {
        return skipped("this user may not make a mount namespace");
    }
    home.data = place.join("data");
    let said = refusal(behind(&home, &wrapper));
    assert!(
        said.contains("is on ramfs, which has no direct I/O (O_DIRECT)") && said.contains("ext4, XFS or Btrfs"),
        "{said}"
    );
}

#[test]
fn a_port_that_another_program_has_is_told_with_its_process() {
    let home = Home::new();
    let _other = TcpListener::bind(home.address).expect("still free");
    let said = refusal(behind(&home, &[]));
    let holder = format!("{} is taken by ", home.address);
    let process = format!("(process {})", std::process::id());
    assert!(said.contains(&holder) && said.contains(&process) && said.contains("--listen HOST:PORT"), "{said}");
}

#[test]
fn a_broker_that_listens_on_all_addresses_keeps_its_port_at_each_of_them() {
    let mut home = Home::new();
    let mut other = Home::new();
    other.address = home.address;
    home.address.set_ip(std::net::Ipv4Addr::UNSPECIFIED.into());
    let first = home.dev(&[]);
    let said = refusal(behind(&other, &[]));
    assert!(said.contains(&format!("{} is taken by corelog (process ", other.address)), "{said}");
    first.connect().check_served();
}

#[test]
fn an_address_of_another_machine_is_told() {
    let mut home = Home::new();
    home.address = "192.0.2.1:9092".parse().expect("an address");
    let said = refusal(behind(&home, &[]));
    assert!(said.contains("192.0.2.1:9092 is no address of this machine") && said.contains("`ip addr`"), "{said}");
}

#[test]
fn a_directory_that_may_not_be_written_is_told_with_the_change_of_owner() {
    let mut home = Home::new();
    fs::create_dir(&home.data).expect("made");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("set");
    fs::set_permissions(&home.data, fs::Permissions::from_mode(0o555)).expect("set");
    let (uid, nobody): (String, &[&str]) = if is_root() {
        (NOBODY.to_owned(), &["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"])
    } else {
        (rustix::process::geteuid().as_raw().to_string(), &[])
    };
    let said = refusal(behind(&home, nobody));
    let cure = format!("`sudo chown -R {uid} {}`", home.data.display());
    assert!(said.contains(&format!("user {uid} may not write there")) && said.contains(&cure), "{said}");
    home.data = home.data.join("deeper");
    let said = refusal(behind(&home, nobody));
    assert!(said.contains(&format!("`sudo install -d -o {uid} {}`", home.data.display())), "{said}");
}

#[test]
fn a_directory_of_another_version_is_told_and_left_alone() {
    let home = Home::new();
    home.dev(&[]).terminate();
    let meta = home.data.join("meta");
    let newer = fs::read_to_string(&meta).expect("read").replace("format=1", "format=99");
    fs::write(&meta, &newer).expect("written");
    let said = refusal(behind(&home, &[]));
    assert!(said.contains("has format 99; this build knows format 1"), "{said}");
    assert!(said.contains("run the version that wrote it"), "{said}");
    assert_eq!(fs::read_to_string(&meta).expect("read"), newer);
}

#[test]
fn too_low_a_limit_of_open_files_is_told_with_the_one_that_is_needed() {
    let home = Home::new();
    let said = refusal(behind(&home, &["prlimit", "--nofile=100:100"]));
    assert!(
        said.contains(
            "the limit of open files is 100, and a broker with 1 as `shards` and 16 as segment.files.open.max needs 224"
        ),
        "{said}"
    );
    assert!(said.contains("`ulimit -n 224`") && said.contains("LimitNOFILE="), "{said}");
    assert!(!home.data.exists(), "nothing was made");
}

#[test]
fn a_clock_that_was_never_set_is_told_with_how_to_set_it() {
    let home = Home::new();
    let library = clock_of_2001(home.path());
    let mut command = behind(&home, &[]);
    command.env("LD_PRELOAD", library);
    let said = refusal(command);
    assert!(said.contains("the clock says that it is 2001, before 2020"), "{said}");
    assert!(said.contains("`timedatectl set-ntp true`"), "{said}");
    assert!(!home.data.exists(), "nothing was made");
}

#[test]
fn a_clock_behind_what_the_last_run_left_is_told_and_keeps_nobody_from_starting() {
    let home = Home::new();
    home.dev(&[]).terminate();
    let told = "days behind what the last run left here";
    let left = home.dev(&[]).terminate();
    assert!(!left.stderr.contains(told), "{}", left.stderr);
    // As a run leaves it whose clock is ten days and an hour ahead.
    let ahead = SystemTime::now() + Duration::from_secs(10 * 24 * 3600 + 3600);
    fs::File::open(home.data.join("run")).and_then(|run| run.set_modified(ahead)).expect("set");
    let broker = home.dev(&[]);
    broker.connect().check_served();
    let left = broker.terminate();
    assert!(left.stderr.contains(&format!("the clock is 10 {told}")), "{}", left.stderr);
    assert!(left.stderr.contains("`timedatectl set-ntp true`"), "{}", left.stderr);
    let left = home.dev(&[]).terminate();
    assert!(!left.stderr.contains(told), "the run before dated it anew: {}", left.stderr);
}

/// A library that stands between a process and the clock. Building corelog needs a C compiler as well.
fn clock_of_2001(dir: &Path) -> PathBuf {
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    let code = "#define _GNU_SOURCE\n#include <time.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n\
                int clock_gettime(clockid_t id, struct timespec *t) {\n\
                    int r = syscall(SYS_clock_gettime, id, t);\n\
                    if (r == 0 && id == CLOCK_REALTIME) t->tv_sec = 1000000000;\n\
                    return r;\n}\n";
    fs::write(&source, code).expect("written");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.expect("a C compiler").success());
    library
}
