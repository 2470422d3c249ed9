//! Named places at which a test kills the process, so that what a death there leaves behind can be looked at.
//!
//! They exist in debug builds; otherwise [`reach`] is empty, and [`number`] gives the number that it is told.
//! `TENANTRY_FAILPOINT=NAME` kills at the place of that name. `TENANTRY_FAILPOINT_LOG=FILE` appends the name of each place
//! that is reached, which is how a test learns them all. `TENANTRY_FAILPOINT_SLEEP=MILLISECONDS` waits at each place, so that
//! little data makes a long run.

/// Dies here where the environment says so.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::io::Write;

    if let Some(path) = std::env::var_os("TENANTRY_FAILPOINT_LOG") {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // One write, so that threads do not share a line.
        let _ = log.and_then(|mut log| log.write_all(format!("{name}\n").as_bytes()));
    }
    match number("TENANTRY_FAILPOINT_SLEEP", 0) {
        0 => {}
        milliseconds => std::thread::sleep(std::time::Duration::from_millis(milliseconds)),
    }
    if std::env::var("TENANTRY_FAILPOINT").is_ok_and(|wanted| wanted == name) {
        // Nothing is cleaned up, as when the machine's owner kills the process.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

/// Does nothing.
#[cfg(not(debug_assertions))]
pub fn reach(_: &str) {}

/// Returns a number that a test may set by a variable, so that little data has many chunks.
#[cfg(debug_assertions)]
pub fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// Returns the usual number.
#[cfg(not(debug_assertions))]
pub fn number(_: &str, usual: u64) -> u64 {
    usual
}
