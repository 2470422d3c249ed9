//! Back, and there again: a run is undone, begun anew, killed on the way, and finished from where it stopped.

use crate::isolation::count;
use crate::server::{connect, expect, killed_at};
use crate::system::{Moved, System};

/// Undoes the run of a system that has been moved, and moves it again with a death in the middle.
pub fn check(system: &System, moved: &Moved) {
    let (spec, url) = (moved.spec.as_str(), moved.url());
    let rollback = ["rollback", spec, "--target", &url];
    if system.name == "legal_dashboard" {
        // What came later is not lost with what came first.
        expect(2, &rollback);
        return;
    }
    expect(0, &rollback);
    let mut connection = connect(&moved.database, "postgres");
    assert_eq!(count(&mut connection, "pg_tables WHERE schemaname IN ('public', 'tenantry')"), 0, "nothing is left");
    let (source, work) = (moved.tenants[0].1.to_str().unwrap(), moved.file("work"));
    let target = ["--target", &url, "--work-dir", work.to_str().unwrap()];
    // All rows are there by then, and nobody has been let in.
    killed_at("proof: before", &[&["cutover", spec, "--source", source], &target[..]].concat());
    // As it was left, it is neither the whole nor nothing, and says so.
    expect(2, &[&["cutover", spec, "--source", source], &target[..]].concat());
    expect(0, &[&["cutover", spec, "--resume"], &target[..]].concat());
    expect(0, &["verify", spec, "--source", source, "--target", &url]);
}
