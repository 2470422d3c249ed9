//! Runs that are killed, cut off or lose their server at some moment: each is continued until it is done, or undone, and then
//! nothing is lost, nothing is doubled, and nothing is left.
//!
//! The short form kills once at every place that a run passes. The long form, `make faults`, is described in
//! docs/faults.md.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod proxy;
mod server;

use case::{Case, Outcome};
use proxy::Proxy;
use server::Server;
use std::time::{Duration, Instant};
use tenantry::postgres::Durability;

/// What a random number is drawn with; printed, so that a run can be looked at again.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now.as_nanos() as u64);
        println!("SEED={seed}");
        Self(seed | 1)
    }

    /// A moment within a time.
    fn moment(&mut self, within: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        within.mul_f64((self.0 % 10_000) as f64 / 10_000.0)
    }
}

#[test]
fn killed_at_every_place_and_continued_or_undone() {
    let server = Server::start(Durability::Off);
    let case = Case::small();
    let places = case.places(&server);
    assert!(places.len() > 60, "{places:#?}");
    for part in
        ["begin: before COMMIT", "pre-data: after COMMIT", "chunk 2 of items: claimed", "validated: before COMMIT"]
    {
        assert!(places.iter().any(|place| place.contains(part)), "{part} in {places:#?}");
    }
    for (position, place) in places.iter().enumerate() {
        let target = server.database();
        case.killed_at(place, &target);
        // Each place is tried in one of the two ways here, and in both by the long form.
        if position % 2 == 0 {
            case.resume(&target, &format!("killed at {place}"));
            case.check(&target, place);
        } else {
            case.undo(&target, place);
        }
        target.remove();
    }
    println!("{} places", places.len());
}

#[test]
fn a_rollback_that_is_killed_is_done_or_not_at_all() {
    let server = Server::start(Durability::Off);
    let case = Case::small();
    for (place, is_done) in
        [("rollback: before", false), ("rollback: before COMMIT", false), ("rollback: after COMMIT", true)]
    {
        let target = server.database();
        assert_eq!(case.run(&target.url, &[], None).code, Some(0));
        let killed = case.roll_back(&target, Some(place));
        assert_eq!(killed.code, None, "{place}: {}", killed.text);
        if is_done {
            assert_eq!(target.left(), 0, "{place}");
        } else {
            case.check(&target, place);
            case.undo(&target, place);
        }
        target.remove();
    }
}

#[test]
fn a_cut_connection_is_opened_again_or_the_run_is_continued() {
    let server = Server::start(Durability::Off);
    cuts(&server, &Case::small(), 4);
}

#[test]
fn a_server_that_stops_at_once_and_starts_again_has_lost_nothing() {
    let server = Server::start(Durability::On);
    stops(&server, &Case::small(), 3);
}

#[test]
#[ignore = "the long form: make faults"]
fn long_ten_kills_at_every_place() {
    let server = Server::start(Durability::Off);
    let case = Case::small();
    let places = case.places(&server);
    for place in &places {
        for round in 0..10 {
            let target = server.database();
            case.killed_at(place, &target);
            if round < 9 {
                case.resume(&target, place);
                case.check(&target, place);
            } else {
                case.undo(&target, place);
            }
            target.remove();
        }
    }
    println!("{} places, 10 kills at each: 9 continued, 1 undone", places.len());
}

#[test]
#[ignore = "the long form: make faults"]
fn long_connections_cut_at_random_moments() {
    cuts(&Server::start(Durability::Off), &Case::large(), 50);
}

#[test]
#[ignore = "the long form: make faults"]
fn long_server_stopped_at_random_moments() {
    stops(&Server::start(Durability::On), &Case::large(), 50);
}

/// Cuts all connections, or one of them, at random moments, once in each run.
fn cuts(server: &Server, case: &Case, times: u32) {
    let mut random = Random::new();
    let whole = duration(server, case);
    let (mut by_itself, mut continued) = (0, 0);
    for time in 0..times {
        // A worker's connection is opened again; with the first one the run's lock is gone, and the run ends.
        let all = time % 2 == 0;
        let target = server.database();
        let proxy = Proxy::start(server.socket());
        let moment = random.moment(whole);
        let url = target.url_at(proxy.port());
        let first = case.run_and(&url, &[], || {
            std::thread::sleep(moment);
            proxy.cut(all);
        });
        match first.code {
            Some(0) => by_itself += 1,
            _ => {
                assert_eq!(first.code, Some(2), "cut after {moment:?}: {}", first.text);
                case.resume(&target, &format!("cut after {moment:?}"));
                continued += 1;
            }
        }
        case.check(&target, &format!("cut after {moment:?}"));
        target.remove();
    }
    println!("a run of {whole:?}: {times} cuts, {by_itself} ended by themselves, {continued} continued");
}

/// Stops the server at once at random moments, one in each run, and starts it again.
fn stops(server: &Server, case: &Case, times: u32) {
    let mut random = Random::new();
    let whole = duration(server, case);
    let (mut ended, mut continued) = (0, 0);
    for _ in 0..times {
        let target = server.database();
        let moment = random.moment(whole);
        let first = case.run_and(&target.url, &[], || {
            std::thread::sleep(moment);
            server.crash();
        });
        match first.code {
            Some(0) => ended += 1,
            _ => {
                assert_eq!(first.code, Some(2), "stopped after {moment:?}: {}", first.text);
                case.resume(&target, &format!("stopped after {moment:?}"));
                continued += 1;
            }
        }
        case.check(&target, &format!("stopped after {moment:?}"));
        target.remove();
    }
    println!("a run of {whole:?}: {times} stops, {ended} behind its end, {continued} continued");
}

fn duration(server: &Server, case: &Case) -> Duration {
    let target = server.database();
    let started = Instant::now();
    let Outcome { code, text } = case.run(&target.url, &[], None);
    let took = started.elapsed();
    assert_eq!(code, Some(0), "{text}");
    case.check(&target, "undisturbed");
    target.remove();
    took
}
