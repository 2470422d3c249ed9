//! Back, and there again: a run is undone, begun anew, killed on the way, and finished from where it stopped.

use crate::isolation::count;
use crate::server::{connect, create_database, expect, killed_at, url};
use crate::system::{Moved, System};

/// Undoes the run of a system that has been moved, and moves it again with deaths in the middle.
pub fn check(system: &System, moved: &Moved) {
    let (tenant, source) = &moved.tenants[0];
    let source = source.to_str().unwrap();
    match system.one_source_a_tenant() {
        false => there_and_back(moved, &moved.database, &moved.url(), &["--source", source]),
        true => {
            // What came later is not lost with what came first, unless that is meant; then the files go in together again.
            let rollback = ["rollback", &moved.spec, "--target", &moved.url()];
            expect(2, &rollback);
            expect(0, &[&rollback[..], &["--discard-new-rows", &moved.added.to_string()]].concat());
            let (together, target) = (moved.together(), moved.url());
            let together = ["--source", together.to_str().unwrap()];
            killed_at("rows of file 2: after COMMIT", &cutover(moved, &target, &together));
            expect(0, &cutover(moved, &target, &["--resume"]));
            there_and_back(moved, &moved.database, &target, &together);
            // Where nothing has come later yet, the first is undone as any other run is.
            create_database("way_back");
            let target = url("way_back", "postgres");
            let named = ["--source", source, "--tenant", tenant];
            expect(0, &cutover(moved, &target, &named));
            there_and_back(moved, "way_back", &target, &named);
            one_more(moved, &target);
        }
    }
}

fn cutover<'a>(moved: &'a Moved, target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let work = moved.work.to_str().unwrap();
    [&["cutover", &moved.spec, "--target", target, "--work-dir", work], more].concat()
}

fn there_and_back(moved: &Moved, database: &str, target: &str, source: &[&str]) {
    let rollback = ["rollback", &moved.spec, "--target", target];
    let nothing_is_left = || {
        let mut connection = connect(database, "postgres");
        assert_eq!(count(&mut connection, "pg_tables WHERE schemaname IN ('public', 'tenantry')"), 0);
    };
    expect(0, &rollback);
    nothing_is_left();
    // All rows are there by then, and nobody has been let in.
    killed_at("proof: before", &cutover(moved, target, source));
    // As it was left, it is neither the whole nor nothing, and says so.
    expect(2, &cutover(moved, target, source));
    // A run that died is undone like one that ended.
    expect(0, &rollback);
    nothing_is_left();
    killed_at("proof: before", &cutover(moved, target, source));
    let tenant: &[&str] = if source.len() > 2 { &source[2..] } else { &[] };
    expect(0, &cutover(moved, target, &[&["--resume"], tenant].concat()));
    expect(0, &[&["verify", &moved.spec, "--target", target], source].concat());
}

/// One more tenant, whose file died on the way: nobody sees any of it, and the same command begins it anew.
fn one_more(moved: &Moved, target: &str) {
    let (tenant, source) = &moved.tenants[1];
    let named = ["--source", source.to_str().unwrap(), "--tenant", tenant];
    let mut connection = connect("way_back", "postgres");
    let before = count(&mut connection, "batches");
    killed_at("add: before COMMIT", &cutover(moved, target, &named));
    assert_eq!(count(&mut connection, "batches"), before);
    expect(0, &cutover(moved, target, &named));
    assert!(count(&mut connection, "batches") > before);
    expect(0, &[&["verify", &moved.spec, "--target", target], &named[..]].concat());
}
