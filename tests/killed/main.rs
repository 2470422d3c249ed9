//! Runs that are killed, cut off or lose their server at some moment: each is continued until it is done, or undone, and then
//! nothing is lost, nothing is doubled, and nothing is left.
//!
//! The short form kills once at every place that a run passes. The long form, `make faults`, is described in
//! docs/faults.md.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod proxy;
mod server;
mod writing;

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

    /// One of several that have nothing to do with each other.
    fn lane(&self, lane: u64) -> Self {
        Self((self.0 ^ (lane + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
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
    let found = series(Disturbance::Cut, &Case::small(), 4, None, Random::new());
    println!("{found:?}");
}

#[test]
fn a_server_that_stops_at_once_and_starts_again_has_lost_nothing() {
    let found = series(Disturbance::Stop, &Case::small(), 3, None, Random::new());
    println!("{found:?}");
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
    side_by_side(Disturbance::Cut);
}

#[test]
#[ignore = "the long form: make faults"]
fn long_server_stopped_at_random_moments() {
    side_by_side(Disturbance::Stop);
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    /// All connections are cut, or the one that was opened last, by turns.
    Cut,
    /// The server stops at once, without a checkpoint, and starts again.
    Stop,
}

/// What became of the runs of a series.
#[derive(Debug)]
struct Series {
    /// How long a run takes that nothing happens to.
    undisturbed: Duration,
    /// Runs that were disturbed and ended by themselves.
    by_themselves: u32,
    /// Runs that `--resume` has brought to their end.
    continued: u32,
}

/// How many series of the long form go side by side, each with a server of its own: their runs wait most of the time.
const LANES: u64 = 5;

/// How many runs each of them has.
const RUNS: u32 = 10;

/// How long an undisturbed run of the long form takes at least.
const LONG: Duration = Duration::from_secs(30);

/// How many bytes a second each connection of the long form passes on.
const RATE: u32 = 200_000;

fn side_by_side(disturbance: Disturbance) {
    let random = Random::new();
    let found: Vec<Series> = std::thread::scope(|scope| {
        let lane = |lane| {
            let random = random.lane(lane);
            scope.spawn(move || series(disturbance, &Case::slow(), RUNS, Some(RATE), random))
        };
        let lanes: Vec<_> = (0..LANES).map(lane).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let shortest = found.iter().map(|series| series.undisturbed).min().unwrap();
    assert!(shortest >= LONG, "{shortest:?} is no long run");
    let sum = |of: fn(&Series) -> u32| found.iter().map(of).sum::<u32>();
    println!(
        "runs of {shortest:?} and more: {} times {disturbance:?}, {} ended by themselves, {} continued, all whole",
        LANES * u64::from(RUNS),
        sum(|series| series.by_themselves),
        sum(|series| series.continued)
    );
}

/// Disturbs runs at random moments, once each, and continues them until they are done.
fn series(disturbance: Disturbance, case: &Case, times: u32, rate: Option<u32>, mut random: Random) -> Series {
    let server = Server::start(match disturbance {
        Disturbance::Cut => Durability::Off,
        Disturbance::Stop => Durability::On,
    });
    let undisturbed = duration(&server, case, rate);
    let mut found = Series { undisturbed, by_themselves: 0, continued: 0 };
    for time in 0..times {
        let target = server.database();
        let proxy = Proxy::throttled(server.socket(), rate);
        let moment = random.moment(undisturbed);
        let what = format!("{disturbance:?} after {moment:?}");
        let Outcome { code, text } = case.run_and(&target.url_at(proxy.port()), || {
            std::thread::sleep(moment);
            match disturbance {
                // A worker's connection is opened again; with the first one the run's lock is gone, and the run ends.
                Disturbance::Cut => proxy.cut(time % 2 == 0),
                Disturbance::Stop => server.crash(),
            }
        });
        if code == Some(0) {
            found.by_themselves += 1;
        } else {
            assert_eq!(code, Some(2), "{what}: {text}");
            case.resume(&target, &what);
            found.continued += 1;
        }
        case.check(&target, &what);
        target.remove();
    }
    found
}

fn duration(server: &Server, case: &Case, rate: Option<u32>) -> Duration {
    let target = server.database();
    let proxy = Proxy::throttled(server.socket(), rate);
    let started = Instant::now();
    let Outcome { code, text } = case.run_and(&target.url_at(proxy.port()), || ());
    let took = started.elapsed();
    assert_eq!(code, Some(0), "{text}");
    case.check(&target, "undisturbed");
    target.remove();
    took
}
