//! Values that the spec has read in another way than their column's type says, made from what they mean.

use crate::moments::{Day, days};
use crate::values::{Case, Shown, Stored};
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::types::Value;

fn text(stored: impl Into<String>) -> Stored {
    Stored::Value(Value::Text(stored.into()))
}

fn integer(number: i64) -> Stored {
    Stored::Value(Value::Integer(number))
}

fn real(number: f64) -> Stored {
    Stored::Value(Value::Real(number))
}

fn refused(words: &'static [&'static str]) -> impl Strategy<Value = Case> {
    prop_oneof![
        3 => select(words).prop_map(|word| (text(word), Shown::Refused)),
        1 => prop::collection::vec(any::<u8>(), 0..9)
            .prop_map(|bytes| (Stored::Value(Value::Blob(bytes)), Shown::Refused)),
    ]
}

/// Days that every zone's clock shows as one with four digits of the year.
fn inner_days() -> impl Strategy<Value = Day> {
    days().prop_filter("on every clock", |day| day.exists() && (2..9999).contains(&day.year))
}

/// Writes a time of day, so many thousandths of it after midnight, as the server does.
fn clock(millis: i64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let whole = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match millis {
        0 => whole,
        _ => format!("{whole}.{}", format!("{millis:03}").trim_end_matches('0')),
    }
}

const DAY: i64 = 86_400_000;

fn moments() -> impl Strategy<Value = (Day, i64)> {
    (inner_days(), prop_oneof![2 => 0..DAY, 2 => (0..DAY / 1000).prop_map(|seconds| seconds * 1000), 1 => Just(0)])
}

const NO_NUMBERS: &[&str] = &["", "now", "2024-01-31", "1e9", "0x10", " 1", "1_0", "--1", "1.2.3", "NaN"];

/// Seconds since 1970, as an integer, a double or a text; `behind` follows what the server shows.
pub fn epoch(behind: &'static str) -> impl Strategy<Value = Case> {
    let shown = move |day: Day, millis: i64| Shown::Text(format!("{} {}{behind}", day.shown(), clock(millis)));
    let whole = moments().prop_map(move |(day, millis)| {
        let millis = millis / 1000 * 1000;
        (integer((day.since_1970() * DAY + millis) / 1000), shown(day, millis))
    });
    let quarters = moments().prop_map(move |(day, millis)| {
        // A double holds quarters of these numbers exactly.
        let millis = millis / 250 * 250;
        (real((day.since_1970() * DAY + millis) as f64 / 1000.0), shown(day, millis))
    });
    let spelled = moments().prop_map(move |(day, millis)| {
        let number = day.since_1970() * DAY + millis;
        let sign = if number < 0 { "-" } else { "" };
        let number = number.unsigned_abs();
        (text(format!("{sign}{}.{:03}", number / 1000, number % 1000)), shown(day, millis))
    });
    let outside = select(vec![i64::MAX, i64::MIN, 253_402_300_800, -62_135_596_801])
        .prop_map(|seconds| (integer(seconds), Shown::Refused));
    prop_oneof![6 => whole, 3 => quarters, 3 => spelled, 1 => outside, 1 => refused(NO_NUMBERS)]
}

/// Milliseconds since 1970.
pub fn epoch_ms() -> impl Strategy<Value = Case> {
    let whole = moments().prop_map(|(day, millis)| {
        let shown = format!("{} {}", day.shown(), clock(millis));
        (integer(day.since_1970() * DAY + millis), Shown::Text(shown))
    });
    prop_oneof![8 => whole, 1 => refused(NO_NUMBERS)]
}

/// Seconds since 1970 for a date: midnights alone.
pub fn epoch_days() -> impl Strategy<Value = Case> {
    moments().prop_map(|(day, millis)| {
        let shown = if millis < 1000 { Shown::Text(day.shown()) } else { Shown::Refused };
        (integer(day.since_1970() * 86_400 + millis / 1000), shown)
    })
}

/// Julian days, to the millisecond.
pub fn julian() -> impl Strategy<Value = Case> {
    let exact = moments().prop_map(|(day, millis)| {
        let shown = format!("{} {}", day.shown(), clock(millis));
        // 1970 began half a day after noon of the day before.
        (real(day.since_1970() as f64 + 2_440_587.5 + millis as f64 / DAY as f64), Shown::Text(shown))
    });
    let noons = inner_days()
        .prop_map(|day| (integer(day.since_1970() + 2_440_588), Shown::Text(format!("{} 12:00:00", day.shown()))));
    let outside = select(vec![-1.0, 1e300, f64::INFINITY]).prop_map(|days| (real(days), Shown::Refused));
    prop_oneof![8 => exact, 2 => noons, 1 => outside, 1 => refused(NO_NUMBERS)]
}

/// Times without an offset on a clock two hours ahead of UTC.
pub fn zoned() -> impl Strategy<Value = Case> {
    let local = moments().prop_map(|(day, millis)| {
        let (utc, clock_utc) = match millis - DAY / 12 {
            behind if behind < 0 => (day.yesterday(), behind + DAY),
            same => (day, same),
        };
        (
            text(format!("{} {}", day.shown(), clock(millis))),
            Shown::Text(format!("{} {}+00", utc.shown(), clock(clock_utc))),
        )
    });
    let said = moments().prop_map(|(day, millis)| {
        let clock = clock(millis);
        (text(format!("{}T{clock}Z", day.shown())), Shown::Text(format!("{} {clock}+00", day.shown())))
    });
    // What many write for "never".
    let never = Just((text("9999-12-31 23:59:59"), Shown::Text("9999-12-31 21:59:59+00".to_owned())));
    prop_oneof![6 => local, 2 => said, 1 => never, 1 => refused(&["", "2024-02-30 00:00:00", "now", "2024-01-31 25:00"])]
}

pub fn words() -> impl Strategy<Value = Case> {
    const TRUE: &[&str] = &["1", "t", "true", "y", "yes", "on"];
    const FALSE: &[&str] = &["0", "f", "false", "n", "no", "off"];
    let word = |words: &'static [&'static str], truth: &'static str| {
        (select(words), any::<bool>()).prop_map(move |(word, upper)| {
            (text(if upper { word.to_uppercase() } else { word.to_owned() }), Shown::Text(truth.to_owned()))
        })
    };
    prop_oneof![
        4 => word(TRUE, "true"),
        4 => word(FALSE, "false"),
        2 => any::<bool>().prop_map(|truth| (integer(truth.into()), Shown::Text(truth.to_string()))),
        1 => Just((integer(2), Shown::Refused)),
        1 => Just((real(1.0), Shown::Refused)),
        1 => refused(&["", " t", "oui", "maybe", "10", "tr", "-1"]),
    ]
}

/// Writes a number of so many decimals.
fn decimal(negative: bool, digits: u64, decimals: usize) -> String {
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let is_zero = digits.bytes().all(|digit| digit == b'0');
    let sign = if negative && !is_zero { "-" } else { "" };
    format!("{sign}{whole}{}{fraction}", if decimals == 0 { "" } else { "." })
}

/// Decimals of any length for two places, rounded half away from zero; `n/a` means NULL.
pub fn rounded() -> impl Strategy<Value = Case> {
    let parts = (any::<bool>(), 0..10_000_000_000_u64, 3..=6_usize);
    let rounded = |negative: bool, digits: u64, decimals: usize| {
        let unit = 10_u64.pow(decimals as u32 - 2);
        Shown::Text(decimal(negative, (2 * digits + unit) / (2 * unit), 2))
    };
    prop_oneof![
        4 => parts.clone().prop_map(move |(negative, digits, decimals)| {
            let sign = if negative { "-" } else { "+" };
            (text(format!("{sign}{}", decimal(false, digits, decimals))), rounded(negative, digits, decimals))
        }),
        // The ties, which are what rounding is about.
        3 => (any::<bool>(), 0..10_000_000_u64).prop_map(move |(negative, digits)| {
            (text(decimal(negative, digits * 10 + 5, 3)), rounded(negative, digits * 10 + 5, 3))
        }),
        3 => parts.prop_map(move |(negative, digits, decimals)| {
            // Up to fifteen digits, the shortest text of the double is the number that was written.
            let number: f64 = decimal(negative, digits, decimals).parse().unwrap();
            (real(number), rounded(negative, digits, decimals))
        }),
        1 => (-99_999_i64..=99_999).prop_map(|number| (integer(number), Shown::Text(format!("{number}.00")))),
        1 => Just((text("n/a"), Shown::Null)),
        1 => Just((text("999999999999"), Shown::Refused)),
        1 => Just((real(f64::INFINITY), Shown::Refused)),
        1 => refused(NO_NUMBERS),
    ]
}

/// Decimals for integers: only without decimals.
pub fn whole() -> impl Strategy<Value = Case> {
    let zeros = (any::<i32>(), 0..4_usize)
        .prop_map(|(number, zeros)| (text(format!("{number}.{}", "0".repeat(zeros))), Shown::Text(number.to_string())));
    prop_oneof![
        4 => zeros,
        2 => any::<i32>().prop_map(|number| (real(number.into()), Shown::Text(number.to_string()))),
        2 => any::<i32>().prop_map(|number| (text(format!("{number}.5")), Shown::Refused)),
        1 => Just((text("9223372036854775808"), Shown::Refused)),
        1 => refused(NO_NUMBERS),
    ]
}

/// Anything as text, NUL taken out and what is not UTF-8 replaced.
pub fn mended() -> impl Strategy<Value = Case> {
    #[derive(Debug, Clone)]
    enum Piece {
        Good(String),
        Nul,
        Bad,
    }
    let piece = prop_oneof![
        3 => "[a-zäß😀]{1,4}".prop_map(Piece::Good),
        1 => Just(Piece::Nul),
        1 => Just(Piece::Bad),
    ];
    let pieces = (prop::collection::vec(piece, 0..6), any::<bool>()).prop_map(|(pieces, as_blob)| {
        let (mut bytes, mut shown) = (Vec::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Good(good) => {
                    bytes.extend_from_slice(good.as_bytes());
                    shown.push_str(&good);
                }
                Piece::Nul => bytes.push(0),
                Piece::Bad => {
                    bytes.push(0xff);
                    shown.push('\u{fffd}');
                }
            }
        }
        (if as_blob { Stored::Value(Value::Blob(bytes)) } else { Stored::Broken(bytes) }, Shown::Text(shown))
    });
    prop_oneof![
        6 => pieces,
        2 => any::<i64>().prop_map(|number| (integer(number), Shown::Text(number.to_string()))),
        2 => (any::<bool>(), 0..1_000_000_u64).prop_map(|(negative, eighths)| {
            // Eighths have at most three decimals, and a double holds them exactly.
            let number = eighths as f64 / 8.0;
            let sign = if negative && eighths > 0 { "-" } else { "" };
            let fraction = format!("{:03}", eighths % 8 * 125);
            let fraction = fraction.trim_end_matches('0');
            let fraction = if fraction.is_empty() { "0" } else { fraction };
            let shown = format!("{sign}{}.{fraction}", eighths / 8);
            (real(if sign.is_empty() { number } else { -number }), Shown::Text(shown))
        }),
        1 => Just((real(f64::INFINITY), Shown::Refused)),
    ]
}
