//! What a value has to be that the spec reads in another way than its column's type says.
//!
//! The copy has its own code for this (`remap::conversion`); here everything is arithmetic on decimals and on the
//! offsets of a zone, so that a mistake in one is a difference to the other.

use super::calendar::{self, DAY};
use super::{Canonical, Decimal};
use crate::schema::{PgType, Value};
use crate::spec::{Conversion, Read, Unstorable};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::borrow::Cow;

const SECOND: i64 = 1_000_000;

impl<'a> Canonical<'a> {
    /// Says what a stored value is to become that is read as `rule` says.
    pub fn read(value: &'a Value<'_>, data_type: PgType, rule: &Conversion) -> Self {
        let means_null = match value {
            Value::Null => true,
            Value::Integer(number) => rule.null_if.iter().any(|text| *text == format!("{number}")),
            Value::Text(bytes) => rule.null_if.iter().any(|text| text.as_bytes() == bytes.as_ref()),
            Value::Real(_) | Value::Blob(_) => false,
        };
        if means_null {
            return Self::Null;
        }
        let form = match (rule.read, value) {
            (Some(Read::Text), _) => text_of(value, rule).map(Self::text),
            (Some(Read::Boolean), Value::Integer(number)) => match number {
                0 => Some(Self::Boolean(false)),
                1 => Some(Self::Boolean(true)),
                _ => None,
            },
            (Some(Read::Boolean), Value::Text(word)) => truth(word).map(Self::Boolean),
            (Some(Read::Boolean), _) => None,
            (Some(Read::Decimal), _) => decimal_of(value).and_then(|number| from_decimal(number, data_type)),
            (Some(Read::Epoch), _) => whole(value, 6).and_then(|micros| moment(micros, data_type, rule)),
            (Some(Read::EpochMs), _) => whole(value, 3).and_then(|micros| moment(micros, data_type, rule)),
            (Some(Read::Julian), Value::Integer(days)) => julian(*days as f64, data_type, rule),
            (Some(Read::Julian), Value::Real(days)) => julian(*days, data_type, rule),
            (Some(Read::Julian), _) => None,
            (Some(Read::Iso | Read::Json) | None, Value::Text(text)) => match &rule.zone {
                Some(zone) => zoned(text, data_type, zone, rule),
                None if data_type.is_text() => Some(Self::text(clean(text, rule))),
                None => return Self::from_sqlite(value, data_type),
            },
            (Some(Read::Iso | Read::Json) | None, _) => return Self::from_sqlite(value, data_type),
        };
        let form = match form {
            // What `char(n)` pads does not count.
            Some(Self::Text(text)) if matches!(data_type, PgType::Char(_)) => {
                Some(Self::text(super::from_sqlite::without_padding(&text).to_vec()))
            }
            other => other,
        };
        form.unwrap_or_else(|| Self::Unconvertible(value.storage(), super::from_sqlite::bytes_of(value)))
    }

    fn text(text: Vec<u8>) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

fn truth(word: &[u8]) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word));
    match (is(&["true", "t", "yes", "y", "on", "1"]), is(&["false", "f", "no", "n", "off", "0"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Writes a value as text; the bytes of a blob are its characters.
fn text_of(value: &Value<'_>, rule: &Conversion) -> Option<Vec<u8>> {
    match value {
        Value::Null => None,
        Value::Integer(number) => Some(format!("{number}").into_bytes()),
        Value::Real(number) if number.is_finite() => {
            let integral = number.fract() == 0.0;
            Some(if integral { format!("{number:.1}") } else { format!("{number}") }.into_bytes())
        }
        Value::Real(_) => None,
        Value::Text(bytes) | Value::Blob(bytes) => Some(clean(bytes, rule)),
    }
}

/// Takes out or replaces NUL characters and bytes that are not UTF-8; what stays bad is in no text of PostgreSQL.
fn clean(bytes: &[u8], rule: &Conversion) -> Vec<u8> {
    let mark = "\u{fffd}".as_bytes();
    let mut without_nul = Vec::with_capacity(bytes.len());
    for (position, piece) in bytes.split(|&byte| byte == 0).enumerate() {
        if position > 0 {
            match rule.nul {
                Unstorable::Fail => without_nul.push(0),
                Unstorable::Strip => {}
                Unstorable::Replace => without_nul.extend_from_slice(mark),
            }
        }
        without_nul.extend_from_slice(&repaired(piece, rule.utf8));
    }
    without_nul
}

fn repaired(mut bytes: &[u8], utf8: Unstorable) -> Vec<u8> {
    let mut good = Vec::with_capacity(bytes.len());
    if utf8 == Unstorable::Fail {
        return bytes.to_vec();
    }
    while let Err(error) = std::str::from_utf8(bytes) {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        good.extend_from_slice(valid);
        if utf8 == Unstorable::Replace {
            good.extend_from_slice("\u{fffd}".as_bytes());
        }
        bytes = &rest[error.error_len().unwrap_or(rest.len())..];
    }
    good.extend_from_slice(bytes);
    good
}

fn decimal_of(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(number) => Some(Decimal::from_integer(*number)),
        Value::Real(number) => Some(Decimal::from_double(*number)).filter(Decimal::is_finite),
        // An exponent is not what people write into a column of decimals.
        Value::Text(text) if !text.iter().any(|byte| byte.eq_ignore_ascii_case(&b'e')) => Decimal::from_text(text),
        _ => None,
    }
}

fn from_decimal<'a>(number: Decimal, data_type: PgType) -> Option<Canonical<'a>> {
    match data_type {
        PgType::Numeric(None) => Some(Canonical::Decimal(number)),
        PgType::Numeric(Some((_, scale))) => Some(Canonical::Decimal(number.rounded(scale.into()))),
        PgType::Double => {
            let double = number.to_double()?;
            Some(Canonical::Double(double.to_bits()))
        }
        _ => {
            let number = number.to_integer()?;
            let fits = match data_type {
                PgType::Smallint => i16::try_from(number).is_ok(),
                PgType::Integer => i32::try_from(number).is_ok(),
                _ => true,
            };
            fits.then_some(Canonical::Integer(number))
        }
    }
}

/// Counts a number in units of 10^-`digits`, rounded half away from zero.
fn whole(value: &Value<'_>, digits: i64) -> Option<i64> {
    decimal_of(value)?.times_ten_to(digits).rounded(0).to_integer()
}

fn julian<'a>(days: f64, data_type: PgType, rule: &Conversion) -> Option<Canonical<'a>> {
    if !(0.0..5_373_484.5).contains(&days) {
        return None;
    }
    // To the millisecond, as SQLite counts; 1970 begins at Julian day 2440587.5.
    let millis = (days * 86_400_000.0 + 0.5).floor() as i64 - 2_440_587 * 86_400_000 - 43_200_000;
    moment(millis * 1000, data_type, rule)
}

/// Says what a moment, in microseconds since 1970, is in a column.
fn moment<'a>(micros: i64, data_type: PgType, rule: &Conversion) -> Option<Canonical<'a>> {
    let ahead = match &rule.zone {
        Some(zone) => offset(zone, micros)?,
        None => 0,
    };
    let local = micros.checked_add(ahead)?;
    let first = calendar::date(b"0001-01-01")? * DAY;
    let behind = (calendar::date(b"9999-12-31")? + 1) * DAY;
    if !(first..behind).contains(&local) {
        return None;
    }
    match data_type {
        PgType::Timestamptz => Some(Canonical::Instant(micros)),
        PgType::Timestamp => Some(Canonical::Timestamp(local)),
        _ => (local.rem_euclid(DAY) == 0).then(|| Canonical::Date(local.div_euclid(DAY))),
    }
}

/// Returns the microseconds that a zone's clock is ahead of UTC at a moment.
fn offset(zone: &TimeZone, micros: i64) -> Option<i64> {
    // The clocks of the year 9999 are those of 400 years, which are whole weeks, before it; the library ends in between.
    let mut micros = micros;
    if micros >= calendar::date(b"9999-01-01")? * DAY {
        micros = micros.checked_sub((calendar::date(b"2400-01-01")? - calendar::date(b"2000-01-01")?) * DAY)?;
    }
    let moment = Timestamp::from_microsecond(micros).ok()?;
    Some(i64::from(zone.to_offset(moment).seconds()) * SECOND)
}

/// Reads an ISO text by the clock of a zone.
fn zoned<'a>(text: &[u8], data_type: PgType, zone: &TimeZone, rule: &Conversion) -> Option<Canonical<'a>> {
    if let Some(micros) = calendar::instant(text) {
        return moment(micros, data_type, rule);
    }
    let local = calendar::timestamp(text)?;
    if data_type == PgType::Timestamp {
        return Some(Canonical::Timestamp(local));
    }
    // No zone is further than two days from another: one of the offsets around has to explain the clock, and only one.
    let around =
        [-2 * DAY, -DAY, 0, DAY, 2 * DAY].into_iter().filter_map(|days| offset(zone, local.checked_add(days)?));
    let mut moments: Vec<i64> =
        around.map(|ahead| local - ahead).filter(|&micros| offset(zone, micros) == Some(local - micros)).collect();
    moments.sort_unstable();
    moments.dedup();
    match moments[..] {
        [only] => moment(only, data_type, rule),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::time_zone;
    use proptest::prelude::*;

    #[test]
    fn a_clock_that_shows_a_time_twice_or_never_says_no_moment() {
        let rule = Conversion { zone: time_zone("America/New_York"), ..Conversion::default() };
        let read = |text: &'static str| {
            let value = Value::Text(Cow::Borrowed(text.as_bytes()));
            format!("{:?}", Canonical::read(&value, PgType::Timestamptz, &rule))
        };
        assert_eq!(read("1970-01-01 00:00"), format!("Instant({})", 5 * 3600 * SECOND));
        assert_eq!(read("1970-01-01 00:00Z"), "Instant(0)");
        assert!(read("2024-03-10 02:30").starts_with("Unconvertible"));
        assert!(read("2024-11-03 01:30").starts_with("Unconvertible"));
        assert!(read("2024-11-03 02:30").starts_with("Instant"));
    }

    #[test]
    fn the_end_of_the_year_9999_is_a_moment_in_every_zone() {
        for (zone, hours) in [("UTC", 0), ("Europe/Berlin", 1), ("America/New_York", -5), ("Australia/Sydney", 11)] {
            let rule = Conversion { zone: time_zone(zone), ..Conversion::default() };
            let last = calendar::timestamp(b"9999-12-31 23:59:59").unwrap();
            let value = Value::Text(Cow::Borrowed(b"9999-12-31 23:59:59"));
            let there = last - hours * 3600 * SECOND;
            assert_eq!(Canonical::read(&value, PgType::Timestamptz, &rule), Canonical::Instant(there), "{zone}");
            let epoch = Conversion { read: Some(Read::Epoch), ..rule };
            let [last_second, next] = [0, 1].map(|more| Value::Integer(there / SECOND + more));
            assert_eq!(Canonical::read(&last_second, PgType::Timestamp, &epoch), Canonical::Timestamp(last), "{zone}");
            let next = Canonical::read(&next, PgType::Timestamp, &epoch);
            assert!(matches!(next, Canonical::Unconvertible(..)), "{zone}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_is_found_again_from_its_clock(seconds in -5_000_000_000_i64..10_000_000_000, zone in 0..4_usize) {
            let names = ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"];
            let rule = Conversion { zone: time_zone(names[zone]), ..Conversion::default() };
            let micros = seconds * SECOND;
            let local = micros + offset(rule.zone.as_ref().unwrap(), micros).unwrap();
            let text = calendar::timestamp_text(local);
            let value = Value::Text(Cow::Borrowed(text.as_bytes()));
            let found = Canonical::read(&value, PgType::Timestamptz, &rule);
            prop_assert!(found == Canonical::Instant(micros) || matches!(found, Canonical::Unconvertible(..)), "{found:?}");
        }
    }
}
