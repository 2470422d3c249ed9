//! Dates and times made from their parts, reckoned with a calendar of the test's own.

use crate::values::{Case, Shown, Stored};
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::types::Value;

fn text(stored: impl Into<String>) -> Stored {
    Stored::Value(Value::Text(stored.into()))
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Day {
    pub year: u16,
    month: u16,
    day: u16,
}

impl Day {
    fn days_of_month(self) -> u16 {
        let is_leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        match self.month {
            2 => 28 + u16::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    pub fn exists(self) -> bool {
        (1..=12).contains(&self.month) && (1..=self.days_of_month()).contains(&self.day) && self.year > 0
    }

    fn tomorrow(self) -> Self {
        match self {
            _ if self.day < self.days_of_month() => Self { day: self.day + 1, ..self },
            Self { month: 12, year, .. } => Self { year: year + 1, month: 1, day: 1 },
            _ => Self { month: self.month + 1, day: 1, ..self },
        }
    }

    pub fn yesterday(self) -> Self {
        let last = |year, month| {
            let day = Self { year, month, day: 1 };
            Self { day: day.days_of_month(), ..day }
        };
        match self {
            _ if self.day > 1 => Self { day: self.day - 1, ..self },
            Self { month: 1, year, .. } => last(year - 1, 12),
            _ => last(self.year, self.month - 1),
        }
    }

    /// Counts the days from 1970 on, negative before it.
    pub fn since_1970(self) -> i64 {
        let before = i64::from(self.year) - 1;
        let years = 365 * before + before / 4 - before / 100 + before / 400;
        let months: u16 = (1..self.month).map(|month| Self { month, ..self }.days_of_month()).sum();
        // So many days lie between the first day of the year 1 and that of 1970.
        years + i64::from(months) + i64::from(self.day) - 1 - 719_162
    }

    pub fn shown(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Every day that is written so, whether a calendar has it or not.
pub fn days() -> impl Strategy<Value = Day> {
    let day = |(year, month, day)| Day { year, month, day };
    prop_oneof![
        20 => (1..=9999_u16, 1..=12_u16, 1..=28_u16).prop_map(day),
        3 => (select(vec![1_u16, 1900, 1999, 2000, 2023, 2024, 2100, 9999]), 1..=12_u16, 28..=31_u16).prop_map(day),
        1 => (0..=9999_u16, 0..=13_u16, 0..=32_u16).prop_map(day),
    ]
}

/// A time of day: how it is written, its minutes and what follows them as the server shows it; `None` where there is no
/// such time.
fn clocks() -> impl Strategy<Value = (String, Option<(u16, String)>)> {
    let parts = (0..24_u16, 0..60_u16, 0..60_u16, 0..1_000_000_u32, 0..=8_usize);
    let right = parts.prop_map(|(hour, minute, second, micros, form)| {
        let (minutes, whole) = (hour * 60 + minute, format!("{hour:02}:{minute:02}:{second:02}"));
        match form {
            0 => (format!("{hour:02}:{minute:02}"), Some((minutes, "00".to_owned()))),
            1 => (whole, Some((minutes, format!("{second:02}")))),
            _ => {
                // From one decimal to seven, the last of which is a zero.
                let decimals = &format!("{micros:06}0")[..form - 1];
                let kept = decimals.trim_end_matches('0');
                let point = if kept.is_empty() { "" } else { "." };
                (format!("{whole}.{decimals}"), Some((minutes, format!("{second:02}{point}{kept}"))))
            }
        }
    });
    const WORDS: &[&str] =
        &["", "24:00:00", "12:60", "23:59:60", "1:00", "12", "12:00:00.", "12:00:00.1234567", "12:00 PM", "noon"];
    prop_oneof![12 => right, 1 => select(WORDS).prop_map(|word: &str| (word.to_owned(), None))]
}

fn clock_shown((minutes, rest): &(u16, String)) -> String {
    format!("{:02}:{:02}:{rest}", minutes / 60, minutes % 60)
}

/// What is no date in ISO form, or not one at all.
fn not_dates() -> impl Strategy<Value = Case> {
    const WORDS: &[&str] = &[
        "",
        "now",
        "today",
        "infinity",
        "-infinity",
        "epoch",
        "20240131",
        "2024-1-31",
        "0000-00-00",
        "31.01.2024",
        "01/31/2024",
        "2024-01-31 ",
        " 2024-01-31",
        "2024-W05-3",
        "2024-031",
        "12024-01-31",
        "-2024-01-31",
    ];
    prop_oneof![
        select(WORDS).prop_map(|word| (text(word), Shown::Refused)),
        any::<u32>().prop_map(|seconds| (Stored::Value(Value::Integer(seconds.into())), Shown::Refused)),
        (2_400_000.0..2_500_000.0_f64).prop_map(|day| (Stored::Value(Value::Real(day + 0.25)), Shown::Refused)),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| (Stored::Value(Value::Blob(bytes)), Shown::Refused)),
    ]
}

fn shown_if(exists: bool, shown: impl FnOnce() -> String) -> Shown {
    if exists { Shown::Text(shown()) } else { Shown::Refused }
}

pub fn dates() -> impl Strategy<Value = Case> {
    prop_oneof![
        8 => days().prop_map(|day| (text(day.shown()), shown_if(day.exists(), || day.shown()))),
        1 => not_dates(),
        1 => days().prop_map(|day| (text(format!("{} 00:00:00", day.shown())), Shown::Refused)),
    ]
}

pub fn times() -> impl Strategy<Value = Case> {
    prop_oneof![
        8 => clocks().prop_map(|(written, clock)| {
            (text(written), clock.map_or(Shown::Refused, |clock| Shown::Text(clock_shown(&clock))))
        }),
        1 => clocks().prop_map(|(written, _)| (text(format!("{written}Z")), Shown::Refused)),
        1 => not_dates(),
    ]
}

/// Moments of no zone: an offset would be dropped, so none is taken.
pub fn timestamps() -> impl Strategy<Value = Case> {
    let offset = select(vec!["Z", "+00:00", "-05:30"]);
    prop_oneof![
        12 => (days(), clocks(), select(vec![' ', 'T'])).prop_map(|(day, (written, clock), between)| {
            let shown = match clock {
                Some(clock) if day.exists() => Shown::Text(format!("{} {}", day.shown(), clock_shown(&clock))),
                _ => Shown::Refused,
            };
            (text(format!("{}{between}{written}", day.shown())), shown)
        }),
        2 => days().prop_map(|day| {
            (text(day.shown()), shown_if(day.exists(), || format!("{} 00:00:00", day.shown())))
        }),
        1 => (days(), clocks(), offset).prop_map(|(day, (written, _), offset)| {
            (text(format!("{} {written}{offset}", day.shown())), Shown::Refused)
        }),
        1 => not_dates(),
    ]
}

/// Moments with an offset, which the server shows in UTC.
pub fn instants() -> impl Strategy<Value = Case> {
    let inside = |day: &Day| (2..9999).contains(&day.year);
    let offset = prop_oneof![
        1 => Just(("Z".to_owned(), 0)),
        4 => (any::<bool>(), 0..=15_i32, 0..=59_i32).prop_map(|(behind, hours, minutes)| {
            let sign = if behind { -1 } else { 1 };
            (format!("{}{hours:02}:{minutes:02}", if behind { '-' } else { '+' }), sign * (hours * 60 + minutes))
        }),
    ];
    let parts = (days().prop_filter("no carry past the calendar", inside), clocks(), offset, select(vec![' ', 'T']));
    prop_oneof![
        12 => parts.prop_map(|(day, (written, clock), (offset, ahead), between)| {
            let shown = match clock {
                Some((minutes, rest)) if day.exists() => {
                    let minutes = i32::from(minutes) - ahead;
                    let day = match minutes {
                        ..0 => day.yesterday(),
                        0..1440 => day,
                        _ => day.tomorrow(),
                    };
                    let minutes = minutes.rem_euclid(1440) as u16;
                    Shown::Text(format!("{} {}+00", day.shown(), clock_shown(&(minutes, rest))))
                }
                _ => Shown::Refused,
            };
            (text(format!("{}{between}{written}{offset}", day.shown())), shown)
        }),
        2 => (days(), clocks()).prop_map(|(day, (written, _))| {
            (text(format!("{} {written}", day.shown())), Shown::Refused)
        }),
        1 => select(vec!["+1:00", "+0100", "+16:00", "+01:60", " UTC", "+01", " Europe/Berlin"])
            .prop_map(|zone| (text(format!("2024-01-31 12:00:00{zone}")), Shown::Refused)),
        1 => not_dates(),
    ]
}
