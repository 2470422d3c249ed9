//! Removes what scratch servers of dead processes left behind.

use super::directory::{KEEP, LOCK, OtherUser, PREFIX};
use nix::unistd::geteuid;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Stops the servers and removes the directories under `base` whose owner is dead and that were not kept.
///
/// Only directories of this user, and of the one that servers run as, are touched. What cannot be removed is left
/// for the next time: a failed sweep must not keep a new server from starting.
pub(super) fn sweep(base: &Path, user: Option<&OtherUser>) {
    let ours = |uid: u32| uid == geteuid().as_raw() || user.is_some_and(|user| user.uid == uid);
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let path = entry.path();
        // symlink_metadata: a link with such a name is not one of our directories.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if named && metadata.is_dir() && ours(metadata.uid()) {
            sweep_one(&path, metadata.uid());
        }
    }
}

fn sweep_one(path: &Path, uid: u32) {
    // Without a lock file its owner is just creating it, or it is not a scratch directory.
    let Ok(lock) = File::open(path.join(LOCK)) else { return };
    if lock.try_lock().is_err() || path.join(KEEP).exists() {
        return;
    }
    stop(path, uid);
    let _ = fs::remove_dir_all(path);
}

/// Stops the server of a directory, if it runs.
///
/// Its process id counts only while its socket answers: after a crash the number may be another server's.
fn stop(path: &Path, uid: u32) {
    // Its lines: process id, data directory, start time, port, …
    let pid_file = fs::read_to_string(path.join("data/postmaster.pid")).unwrap_or_default();
    let number = |line: usize| pid_file.lines().nth(line).and_then(|line| line.trim().parse::<u32>().ok());
    let (Some(pid), Some(port)) = (number(0), number(3)) else { return };
    let answers = || UnixStream::connect(path.join(format!(".s.PGSQL.{port}"))).is_ok();
    if !answers() {
        return;
    }
    // As the directory's owner, so that the kernel refuses to signal anyone else's process.
    let mut kill = Command::new("/bin/sh");
    kill.args(["-c", "kill -QUIT \"$1\"", "sh", &pid.to_string()]).stdin(Stdio::null()).stderr(Stdio::null());
    if uid != geteuid().as_raw() {
        kill.uid(uid);
    }
    let _ = kill.status();
    for _ in 0..100 {
        if !answers() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
