//! File systems of a test's own, on loop devices. They need root; a machine that cannot have them skips the test, and says
//! so. Invariant: what a value here has mounted or attached is gone with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// An ext4 file system in a file, mounted.
pub struct Mounted {
    dir: TempDir,
}

impl Mounted {
    /// Of so many MiB; `None`, with a word on stderr, when this machine cannot mount one.
    pub fn new(mib: u64) -> Option<Self> {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory below target/");
        let image = dir.path().join("image");
        let sized = File::create(&image).and_then(|file| file.set_len(mib << 20));
        sized.expect("a sparse file");
        make_ext4(&image)?;
        mount(&image, &dir.path().join("mounted"), &["-o", "loop"])?;
        Some(Self { dir })
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.path());
    }
}

/// Runs a command that a machine without root or the package may not have: its stdout, or the word on why to skip.
pub fn attempt(program: &str, args: &[&str]) -> Option<String> {
    let why = match Command::new(program).args(args).output() {
        Ok(done) if done.status.success() => return Some(String::from_utf8_lossy(&done.stdout).trim().to_owned()),
        Ok(done) => String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("skipped: `{program} {}`: {why}", args.join(" "));
    None
}

pub fn make_ext4(on: &Path) -> Option<String> {
    attempt("mkfs.ext4", &["-q", "-F", "-m", "0", on.to_str().expect("a UTF-8 path")])
}

pub fn mount(device: &Path, at: &Path, flags: &[&str]) -> Option<String> {
    fs::create_dir_all(at).expect("a directory to mount at");
    let paths = [device.to_str().expect("a UTF-8 path"), at.to_str().expect("a UTF-8 path")];
    attempt("mount", &[flags, &paths].concat())
}

/// Also when something still holds a file of it.
pub fn unmount(at: &Path) {
    let at = at.to_str().expect("a UTF-8 path");
    if attempt("umount", &[at]).is_none() {
        attempt("umount", &["--lazy", at]);
    }
}
