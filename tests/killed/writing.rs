//! An application that goes on writing, thousands of times, while its database is copied.

use crate::case::Case;
use crate::proxy::Proxy;
use crate::server::Server;
use rusqlite::Connection as Sqlite;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tenantry::postgres::Durability;

/// How long the application waits for a lock before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long it rests between two commits once there are enough, so that there are thousands of them, and not millions.
const REST: Duration = Duration::from_millis(20);

/// How many commits have to fall between the beginning of the copy and its proof.
const COMMITS: u64 = 10_000;

/// How an application fared.
struct Fared {
    /// How long the longest transaction took, waiting included.
    longest: Duration,
    /// How many there were.
    commits: u64,
}

/// Writes an item with its note in each transaction until it is stopped, and with rests once there are `enough`. Whoever has to wait for longer than the busy
/// timeout gets an error, which fails the test.
fn write(database: &Path, commits: &AtomicU64, enough: &AtomicU64, stopped: &AtomicBool) -> Fared {
    let sqlite = Sqlite::open(database).unwrap();
    sqlite.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    sqlite.busy_timeout(BUSY_TIMEOUT).unwrap();
    let mut longest = Duration::ZERO;
    while !stopped.load(Ordering::Relaxed) {
        let started = Instant::now();
        let sql = "BEGIN IMMEDIATE;
                   INSERT INTO items (account_id, label) VALUES (1 + abs(random()) % 7, 'new');
                   INSERT INTO notes (item_id, body) VALUES (last_insert_rowid(), 'new');
                   COMMIT";
        sqlite.execute_batch(sql).unwrap();
        longest = longest.max(started.elapsed());
        if commits.fetch_add(1, Ordering::Relaxed) > enough.load(Ordering::Relaxed) {
            std::thread::sleep(REST);
        }
    }
    Fared { longest, commits: commits.load(Ordering::Relaxed) }
}

#[test]
#[ignore = "the long form: make faults"]
fn long_ten_thousand_commits_beside_a_copy() {
    let server = Server::start(Durability::Off);
    let case = Case::slow();
    let database = case.path("app.db");
    Sqlite::open(&database).unwrap().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let target = server.database();
    let proxy = Proxy::throttled(server.socket(), Some(crate::RATE));
    // How many are enough is known when the copy begins.
    let (commits, enough, stopped) = (AtomicU64::new(0), AtomicU64::new(u64::MAX), AtomicBool::new(false));
    // The number of commits at the beginning of each phase.
    let mut at: BTreeMap<String, u64> = BTreeMap::new();
    let mut warned = Vec::new();
    let (code, report, fared) = std::thread::scope(|scope| {
        let application = scope.spawn(|| write(&database, &commits, &enough, &stopped));
        let mut command = case.slowly(&target.url_at(proxy.port()), &["--log-format", "json"]);
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for line in BufReader::new(run.stderr.take().unwrap()).lines() {
            let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if event["event"] == "phase" {
                let (phase, so_far) = (event["phase"].as_str().unwrap(), commits.load(Ordering::Relaxed));
                at.entry(phase.to_owned()).or_insert(so_far);
                if phase == "copy" {
                    enough.store(so_far + 2 * COMMITS, Ordering::Relaxed);
                }
            }
            if event["event"] == "warning" {
                warned.push(event["code"].as_str().unwrap().to_owned());
            }
        }
        let mut report = String::new();
        run.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        let code = run.wait().unwrap().code();
        stopped.store(true, Ordering::Relaxed);
        (code, report, application.join().unwrap())
    });
    assert_eq!(code, Some(0), "{report}");
    let beside = at["verify"] - at["copy"];
    println!(
        "{beside} commits while rows were copied and keys made, {} in all; the longest transaction took {:?}",
        fared.commits, fared.longest
    );
    assert!(beside >= COMMITS && at["audit"] > at["snapshot"], "{at:?}");
    assert!(fared.longest < BUSY_TIMEOUT, "{:?}", fared.longest);
    assert_eq!(warned, ["source-moved-on"]);
    assert!(report.contains("the source has been written to since its snapshot"), "{report}");

    // The target is the snapshot: by the proof, and by counts and sums of one's own. Each transaction is there whole or not.
    let kept = std::fs::read_dir(case.path("work")).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = kept.into_iter().find(|path| path.extension().is_some_and(|end| end == "db")).unwrap();
    assert_eq!(case.verify(&target, &snapshot), Some(0));
    assert_eq!(case.verify(&target, &database), Some(1), "what came later is not in the target");
    let sqlite = Sqlite::open(&snapshot).unwrap();
    for table in ["items", "notes"] {
        let sql = format!(
            "SELECT count(*), sum(id), sum(length({})) FROM {table}",
            if table == "items" { "label" } else { "body" }
        );
        let wanted: [i64; 3] = sqlite.query_row(&sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?])).unwrap();
        let row = target.connect().query_one(&sql.replace("sum(id)", "sum(id)::bigint"), &[], "look").unwrap();
        assert_eq!([0, 1, 2].map(|column| row.integer(column).unwrap()), wanted, "{table}");
    }
    let halves =
        "SELECT count(*) FROM items i WHERE label = 'new' AND NOT EXISTS (SELECT FROM notes n WHERE n.item_id = i.id)";
    assert_eq!(target.connect().query_one(halves, &[], "look").unwrap().integer(0).unwrap(), 0);
    target.remove();
}
