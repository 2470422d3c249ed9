//! Values that are read in another way than their column's type says: as the spec's `read`, `zone`, `null_if`, `nul` and
//! `utf8` ask for.
//!
//! What each means, and what is no such value, is the spec's reference (docs/spec.md, "Reading values").

use super::convert::{self, date_time, days, has_offset, micros, split_offset};
use super::planted::planted;
use crate::schema::{PgType, Value};
use crate::spec::{Conversion, Read, Unstorable};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::borrow::Cow;

const SECOND: i64 = 1_000_000;

/// Appends a field as [`convert::field`] does, of a value that is read as `rule` says.
///
/// # Errors
/// A fragment that says why the value does not go through, without showing it. `out` is then as it was.
pub(super) fn field(value: &Value<'_>, data_type: PgType, rule: &Conversion, out: &mut Vec<u8>) -> Result<(), String> {
    if planted!(NullIfForgotten, rule.is_null(value), value.is_null()) {
        return convert::field(&Value::Null, data_type, out);
    }
    let cleaned = cleaned(value, rule);
    let value = cleaned.as_ref().unwrap_or(value);
    match rule.read {
        Some(Read::Text) => convert::field(&as_text(value, rule)?, data_type, out),
        Some(Read::Boolean) => convert::field(&Value::Integer(i64::from(word(value)?)), data_type, out),
        Some(Read::Decimal) => convert::field(&number(value, data_type)?, data_type, out),
        Some(Read::Epoch | Read::EpochMs | Read::Julian) => {
            put_moment(moment(value, rule.read)?, data_type, rule.zone.as_ref().unwrap_or(&TimeZone::UTC), out)
        }
        Some(Read::Iso | Read::Json) | None => match (value, &rule.zone) {
            (Value::Text(text), Some(zone)) => zoned(text, data_type, zone, out),
            _ => convert::field(value, data_type, out),
        },
    }
}

/// Takes out or replaces what PostgreSQL stores in no text; `None` where there is nothing to do.
fn cleaned(value: &Value<'_>, rule: &Conversion) -> Option<Value<'static>> {
    let Value::Text(bytes) = value else { return None };
    clean(bytes, rule).map(|bytes| Value::Text(Cow::Owned(bytes)))
}

fn clean(bytes: &[u8], rule: &Conversion) -> Option<Vec<u8>> {
    let has_nul = rule.nul != Unstorable::Fail && bytes.contains(&0);
    let is_bad = rule.utf8 != Unstorable::Fail && std::str::from_utf8(bytes).is_err();
    if !has_nul && !is_bad {
        return None;
    }
    let mut clean = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match (character, rule.nul) {
                ('\0', Unstorable::Strip) => {}
                ('\0', Unstorable::Replace) => push(&mut clean, char::REPLACEMENT_CHARACTER),
                _ => push(&mut clean, character),
            }
        }
        match rule.utf8 {
            _ if chunk.invalid().is_empty() => {}
            Unstorable::Strip => {}
            Unstorable::Replace => push(&mut clean, char::REPLACEMENT_CHARACTER),
            Unstorable::Fail => clean.extend_from_slice(chunk.invalid()),
        }
    }
    Some(clean)
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Writes anything as text: integers by their digits, doubles by the shortest decimal that reads back as the same one.
fn as_text<'v>(value: &'v Value<'_>, rule: &Conversion) -> Result<Value<'v>, String> {
    let owned = |text: String| Ok(Value::Text(Cow::Owned(text.into_bytes())));
    match value {
        Value::Integer(number) => owned(number.to_string()),
        Value::Real(number) if !number.is_finite() => Err("an infinite number in a column read as text".to_owned()),
        Value::Real(number) => {
            let text = number.to_string();
            owned(if text.contains('.') { text } else { text + ".0" })
        }
        Value::Blob(bytes) => match clean(bytes, rule) {
            Some(clean) => Ok(Value::Text(Cow::Owned(clean))),
            None => Ok(Value::Text(Cow::Borrowed(bytes))),
        },
        Value::Null | Value::Text(_) => Ok(value.clone()),
    }
}

/// Reads the closed list of words for true and false, in any case.
fn word(value: &Value<'_>) -> Result<bool, String> {
    let refused = || Err("a value that is none of the words for true and false".to_owned());
    match value {
        Value::Integer(number @ (0 | 1)) => Ok(*number == 1),
        Value::Text(text) => match text.to_ascii_lowercase().as_slice() {
            b"1" | b"t" | b"true" | b"y" | b"yes" | b"on" => Ok(true),
            b"0" | b"f" | b"false" | b"n" | b"no" | b"off" => Ok(false),
            _ => refused(),
        },
        _ => refused(),
    }
}

/// Reads a decimal number: for a numeric column rounded to its decimals, half away from zero; for an integer column
/// only without decimals.
fn number(value: &Value<'_>, data_type: PgType) -> Result<Value<'static>, String> {
    let text = match value {
        Value::Integer(number) => number.to_string(),
        Value::Real(number) if number.is_finite() => number.to_string(),
        Value::Text(text) => match std::str::from_utf8(text) {
            Ok(text) if is_decimal(text) => text.to_owned(),
            _ => return Err("a text that is not a decimal number".to_owned()),
        },
        _ => return Err("a value that is not a decimal number".to_owned()),
    };
    match data_type {
        PgType::Numeric(limits) => {
            let rounded = match limits {
                Some((_, scale)) => rounded(&text, i32::from(scale)),
                None => text,
            };
            Ok(Value::Text(Cow::Owned(rounded.into_bytes())))
        }
        PgType::Double => match text.parse::<f64>() {
            // A zero has no sign in decimals.
            Ok(double) if double.is_finite() => Ok(Value::Real(double + 0.0)),
            _ => Err("a number out of the range of double precision".to_owned()),
        },
        _ => {
            let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
            if fraction.bytes().any(|digit| digit != b'0') {
                return Err("a number with decimals in a column of integers".to_owned());
            }
            // Digits behind the point alone stand for zero.
            let whole = if whole.trim_start_matches(['+', '-']).is_empty() { "0" } else { whole };
            whole.parse().map(Value::Integer).map_err(|_| format!("an integer out of the range of {data_type}"))
        }
    }
}

/// Says whether a text is `[+-]digits[.digits]`, with a digit on at least one side of the point.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    !(whole.is_empty() && fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
}

/// Rounds a decimal number to so many decimals, half away from zero; a negative number of them rounds before the point.
fn rounded(text: &str, scale: i32) -> String {
    let (sign, digits) = match text.split_at(1) {
        (sign @ ("+" | "-"), digits) => (sign, digits),
        _ => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let kept = whole.len() as i64 + i64::from(scale);
    let mut all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let point = whole.len();
    if kept >= all.len() as i64 {
        return text.to_owned();
    }
    let Ok(kept) = usize::try_from(kept) else { return "0".to_owned() };
    let up = planted!(RoundedDown, all[kept] >= b'5', false);
    all[kept..].fill(b'0');
    let mut carry = up;
    for digit in all[..kept].iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    let mut number = String::from(sign);
    if carry {
        number.push('1');
    }
    for (position, digit) in all.iter().enumerate() {
        if position == point {
            number.push('.');
        }
        number.push(char::from(*digit));
    }
    number
}

/// Reads a number as a moment, in microseconds since 1970.
fn moment(value: &Value<'_>, read: Option<Read>) -> Result<i64, String> {
    let none = || Err("a value that is not a number of the kind that the column is read as".to_owned());
    match (read, value) {
        (Some(Read::Julian), Value::Integer(days)) => julian(*days as f64),
        (Some(Read::Julian), Value::Real(days)) => julian(*days),
        (Some(Read::Epoch), value) => scaled(value, 6),
        (Some(Read::EpochMs), value) => scaled(value, 3),
        _ => none(),
    }
}

/// Reads a Julian day to the millisecond, as SQLite itself does.
fn julian(days: f64) -> Result<i64, String> {
    /// SQLite's milliseconds of the Julian day at the beginning of 1970.
    const AT_1970: i64 = 210_866_760_000_000;
    if !(0.0..5_373_484.5).contains(&days) {
        return Err("a number that is no Julian day".to_owned());
    }
    let millis = planted!(JulianDayAtMidnight, days, days + 0.5) * 86_400_000.0;
    Ok(((millis + 0.5) as i64 - AT_1970) * 1000)
}

/// Multiplies a decimal number by 10^`digits`, rounded half away from zero to an integer.
fn scaled(value: &Value<'_>, digits: u32) -> Result<i64, String> {
    let text = match value {
        Value::Integer(number) => {
            return number.checked_mul(10_i64.pow(digits)).ok_or_else(out_of_range);
        }
        Value::Real(number) if number.is_finite() => number.to_string(),
        Value::Text(text) => match std::str::from_utf8(text) {
            Ok(text) if is_decimal(text) => text.to_owned(),
            _ => return Err("a text that is not a number of seconds or milliseconds".to_owned()),
        },
        _ => return Err("a value that is not a number of seconds or milliseconds".to_owned()),
    };
    let text = rounded(&text, digits as i32);
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(digits as usize).collect();
    format!("{whole}{fraction}").parse().map_err(|_| out_of_range())
}

fn out_of_range() -> String {
    "a moment outside the years 1 to 9999".to_owned()
}

/// Reads an ISO text with the clock of a zone: for `timestamptz` where the text says none, for `timestamp` where it does.
fn zoned(text: &[u8], data_type: PgType, zone: &TimeZone, out: &mut Vec<u8>) -> Result<(), String> {
    let text = convert::utf8(text)?;
    if has_offset(text) {
        let (local, ahead) = split_offset(text)?;
        // Counted from 2000, as PostgreSQL does.
        let from_2000 = micros(date_time(local)?)? - ahead * SECOND;
        return put_moment(from_2000 + BEFORE_2000, data_type, zone, out);
    }
    let local = date_time(text)?;
    match data_type {
        PgType::Timestamptz => {
            let (earlier, since) = if local.year() > LAST_KNOWN { (-CYCLE_YEARS, CYCLE) } else { (0, 0) };
            let local = local.checked_add(earlier.years()).map_err(|_| out_of_range())?;
            let ambiguous = zone.to_ambiguous_timestamp(local);
            if ambiguous.is_ambiguous() {
                return Err("a time that the clock of its zone shows twice or never".to_owned());
            }
            let moment = ambiguous.unambiguous().map_err(|_| out_of_range())?;
            put_moment(moment.as_microsecond() + since, data_type, zone, out)
        }
        _ => put(&micros(local)?.to_be_bytes(), out),
    }
}

/// Microseconds from 1970 to 2000.
const BEFORE_2000: i64 = 946_684_800 * SECOND;

/// The last year whose moments `jiff` knows in every zone: its own end lies a day before that of the year 9999, which is
/// what many take for "never".
const LAST_KNOWN: i16 = 9998;

/// After so many years the days of the week and of the year are the same, and with them the clocks of all zones, which far
/// from today change by rules of months and weekdays alone.
const CYCLE_YEARS: i64 = 400;

/// The same in microseconds.
const CYCLE: i64 = 146_097 * 86_400 * SECOND;

/// Returns what the clock of a zone shows at a moment, in microseconds since 1970.
fn clock(moment: i64, zone: &TimeZone) -> Result<DateTime, String> {
    let (known, since) = match Timestamp::from_microsecond(moment) {
        Ok(known) => (known, 0),
        Err(_) => {
            let known = moment.checked_sub(CYCLE).map(Timestamp::from_microsecond);
            (known.and_then(Result::ok).ok_or_else(out_of_range)?, CYCLE_YEARS)
        }
    };
    zone.to_datetime(known).checked_add(since.years()).map_err(|_| out_of_range())
}

fn put_moment(moment: i64, data_type: PgType, zone: &TimeZone, out: &mut Vec<u8>) -> Result<(), String> {
    let local = planted!(ClockOfUtc, clock(moment, zone)?, clock(moment, &TimeZone::UTC)?);
    if !(1..=9999).contains(&local.year()) {
        return Err(out_of_range());
    }
    match data_type {
        PgType::Timestamptz => put(&(moment - BEFORE_2000).to_be_bytes(), out),
        PgType::Date if local.time() != Time::midnight() => {
            Err("a moment that is not the midnight of a date".to_owned())
        }
        PgType::Date => put(&days(local.date()).to_be_bytes(), out),
        _ => put(&micros(local)?.to_be_bytes(), out),
    }
}

fn put(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::time_zone;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    fn rule(read: Option<Read>, zone: &str) -> Conversion {
        Conversion { read, zone: time_zone(zone), ..Conversion::default() }
    }

    fn encoded(value: &Value<'_>, data_type: PgType, rule: &Conversion) -> Result<Vec<u8>, String> {
        let mut out = vec![9];
        let result = field(value, data_type, rule, &mut out);
        assert!(result.is_ok() || out == [9], "a failure leaves the buffer as it was");
        result.map(|()| out[5..].to_vec())
    }

    /// Seconds since 1970 of what a moment is written as.
    fn seconds(value: &Value<'_>, data_type: PgType, rule: &Conversion) -> Result<f64, String> {
        let bytes = encoded(value, data_type, rule)?;
        Ok((i64::from_be_bytes(bytes.try_into().unwrap()) + BEFORE_2000) as f64 / 1e6)
    }

    #[test]
    fn numbers_are_moments_of_their_unit() {
        let utc = |read| rule(Some(read), "");
        for (value, read, expected) in [
            (Value::Integer(1_700_000_000), Read::Epoch, 1_700_000_000.0),
            (Value::Integer(-1), Read::Epoch, -1.0),
            (Value::Real(1_700_000_000.25), Read::Epoch, 1_700_000_000.25),
            (text("1700000000.5"), Read::Epoch, 1_700_000_000.5),
            (text("0.0000005"), Read::Epoch, 0.000_001),
            (text("-0.0000005"), Read::Epoch, -0.000_001),
            (Value::Integer(1_627_303_906_122), Read::EpochMs, 1_627_303_906.122),
            (Value::Real(0.5), Read::EpochMs, 0.0005),
            (Value::Real(2_440_587.5), Read::Julian, 0.0),
            (Value::Integer(2_440_588), Read::Julian, 43_200.0),
        ] {
            for data_type in [PgType::Timestamp, PgType::Timestamptz] {
                assert_eq!(seconds(&value, data_type, &utc(read)), Ok(expected), "{value:?} {read:?}");
            }
        }
        for (value, read) in [
            (Value::Integer(i64::MAX), Read::Epoch),
            (Value::Integer(253_402_300_800), Read::Epoch),
            (text("2024-01-01"), Read::Epoch),
            (text(""), Read::Epoch),
            (text("1e9"), Read::EpochMs),
            (Value::Real(f64::INFINITY), Read::Epoch),
            (Value::Real(-1.0), Read::Julian),
            (text("2440587.5"), Read::Julian),
            (Value::Blob(Cow::Borrowed(b"1")), Read::Epoch),
        ] {
            assert!(encoded(&value, PgType::Timestamp, &utc(read)).is_err(), "{value:?} {read:?}");
        }
    }

    #[test]
    fn a_zone_moves_the_clock_and_never_the_moment() {
        let berlin = rule(None, "Europe/Berlin");
        // In summer two hours ahead of UTC, in winter one.
        assert_eq!(seconds(&text("1970-07-01 01:00"), PgType::Timestamptz, &berlin), Ok(181.0 * 86_400.0));
        assert_eq!(seconds(&text("1970-01-01 01:00"), PgType::Timestamptz, &berlin), Ok(0.0));
        assert_eq!(seconds(&text("2024-07-01 02:00"), PgType::Timestamptz, &berlin), Ok(1_719_792_000.0));
        assert_eq!(seconds(&text("2024-07-01 00:00Z"), PgType::Timestamptz, &berlin), Ok(1_719_792_000.0));
        assert_eq!(seconds(&text("2024-07-01 00:00Z"), PgType::Timestamp, &berlin), Ok(1_719_799_200.0));
        assert_eq!(seconds(&text("2024-07-01 00:00"), PgType::Timestamp, &berlin), Ok(1_719_792_000.0));
        let epoch = rule(Some(Read::Epoch), "Europe/Berlin");
        assert_eq!(seconds(&Value::Integer(0), PgType::Timestamp, &epoch), Ok(3600.0));
        assert_eq!(seconds(&Value::Integer(0), PgType::Timestamptz, &epoch), Ok(0.0));
        for odd in ["2024-03-31 02:30", "2024-10-27 02:30"] {
            assert!(encoded(&text(odd), PgType::Timestamptz, &berlin).is_err(), "{odd}");
        }
    }

    #[test]
    fn never_is_a_moment_in_every_zone() {
        /// Seconds since 1970 of the last second of the year 9999 in UTC.
        const LAST: f64 = 253_402_300_799.0;
        for (zone, ahead) in [
            ("UTC", 0.0),
            ("Europe/Berlin", 3600.0),
            ("America/New_York", -5.0 * 3600.0),
            // Summer there.
            ("Australia/Sydney", 11.0 * 3600.0),
            ("+15:59", 57_540.0),
            ("-15:59", -57_540.0),
        ] {
            let iso = rule(None, zone);
            let never = text("9999-12-31 23:59:59");
            assert_eq!(seconds(&never, PgType::Timestamptz, &iso), Ok(LAST - ahead), "{zone}");
            assert_eq!(seconds(&never, PgType::Timestamp, &iso), Ok(LAST), "{zone}");
            assert!(seconds(&text("9999-12-31 23:59:59.999999"), PgType::Timestamptz, &iso).is_ok(), "{zone}");
            // A moment counts while the zone's own clock shows four digits of the year.
            let at = |seconds: f64| Value::Integer(seconds as i64);
            let epoch = rule(Some(Read::Epoch), zone);
            assert_eq!(seconds(&at(LAST - ahead), PgType::Timestamp, &epoch), Ok(LAST), "{zone}");
            assert_eq!(seconds(&at(LAST - ahead), PgType::Timestamptz, &epoch), Ok(LAST - ahead), "{zone}");
            assert!(encoded(&at(LAST - ahead + 1.0), PgType::Timestamptz, &epoch).is_err(), "{zone}");
        }
        let berlin = rule(None, "Europe/Berlin");
        assert_eq!(seconds(&text("9999-12-31 22:59:59Z"), PgType::Timestamp, &berlin), Ok(LAST));
        assert!(encoded(&text("9999-12-31 23:59:59Z"), PgType::Timestamp, &berlin).is_err());
        // The clocks change in that year as in every other.
        assert!(encoded(&text("9999-03-28 02:30"), PgType::Timestamptz, &berlin).is_err());
        assert_eq!(seconds(&text("9999-07-01 02:00"), PgType::Timestamptz, &berlin), Ok(LAST + 1.0 - 184.0 * 86_400.0));
    }

    #[test]
    fn a_date_is_a_midnight() {
        let epoch = rule(Some(Read::Epoch), "");
        assert_eq!(encoded(&Value::Integer(946_684_800), PgType::Date, &epoch), Ok(vec![0; 4]));
        assert!(encoded(&Value::Integer(946_684_801), PgType::Date, &epoch).is_err());
        let berlin = rule(Some(Read::Epoch), "+01:00");
        assert_eq!(encoded(&Value::Integer(946_681_200), PgType::Date, &berlin), Ok(vec![0; 4]));
    }

    #[test]
    fn words_for_true_and_false_are_a_closed_list() {
        let rule = rule(Some(Read::Boolean), "");
        for (value, expected) in [(text("Yes"), 1), (text("off"), 0), (Value::Integer(1), 1), (text("0"), 0)] {
            assert_eq!(encoded(&value, PgType::Boolean, &rule), Ok(vec![expected]), "{value:?}");
        }
        for value in [text("oui"), text(""), Value::Integer(2), Value::Real(1.0), text(" t")] {
            assert!(encoded(&value, PgType::Boolean, &rule).is_err(), "{value:?}");
        }
    }

    #[test]
    fn decimals_are_rounded_half_away_from_zero() {
        for (number, scale, expected) in [
            ("1.005", 2, "1.010"),
            ("-1.005", 2, "-1.010"),
            ("1.0049", 2, "1.0000"),
            ("9.995", 2, "10.000"),
            ("0.5", 0, "1.0"),
            ("-0.4", 0, "-0.0"),
            ("15", -1, "20"),
            ("4", -1, "0"),
            ("5", -1, "10"),
            ("1", -3, "0"),
            ("1.5", 2, "1.5"),
            (".5", 0, "1.0"),
        ] {
            assert_eq!(rounded(number, scale), expected, "{number} {scale}");
        }
        let rule = rule(Some(Read::Decimal), "");
        let numeric = PgType::Numeric(Some((5, 2)));
        let plain = Conversion::default();
        assert_eq!(
            encoded(&Value::Real(1.005), numeric, &rule),
            encoded(&text("1.01"), numeric, &plain),
            "the shortest decimal of the double is what is rounded"
        );
        assert_eq!(encoded(&text("12.0"), PgType::Bigint, &rule), Ok(12_i64.to_be_bytes().to_vec()));
        assert_eq!(encoded(&text("-.0"), PgType::Bigint, &rule), Ok(0_i64.to_be_bytes().to_vec()));
        for (value, data_type) in [
            (text("12.5"), PgType::Bigint),
            (text("99999"), PgType::Smallint),
            (text("1000"), numeric),
            (text("1e3"), numeric),
            (text(" 1"), numeric),
            (text(""), numeric),
        ] {
            assert!(encoded(&value, data_type, &rule).is_err(), "{value:?} {data_type}");
        }
    }

    #[test]
    fn anything_can_be_read_as_text() {
        let rule = rule(Some(Read::Text), "");
        for (value, expected) in [
            (Value::Integer(-7), "-7"),
            (Value::Real(1.0), "1.0"),
            (Value::Real(0.1), "0.1"),
            (Value::Blob(Cow::Borrowed("é".as_bytes())), "é"),
            (text("a"), "a"),
        ] {
            assert_eq!(encoded(&value, PgType::Text, &rule), Ok(expected.as_bytes().to_vec()), "{value:?}");
        }
        assert!(encoded(&Value::Blob(Cow::Borrowed(b"\xff")), PgType::Text, &rule).is_err());
        assert!(encoded(&Value::Integer(1234), PgType::Varchar(Some(3)), &rule).is_err());
    }

    #[test]
    fn what_no_text_can_hold_is_stripped_or_replaced() {
        let value = Value::Text(Cow::Borrowed(b"a\0b\xffc"));
        let with = |nul, utf8| {
            let rule = Conversion { nul, utf8, ..Conversion::default() };
            encoded(&value, PgType::Text, &rule).map(|bytes| String::from_utf8(bytes).unwrap())
        };
        use Unstorable::{Fail, Replace, Strip};
        assert_eq!(with(Strip, Strip).as_deref(), Ok("abc"));
        assert_eq!(with(Replace, Strip).as_deref(), Ok("a\u{fffd}bc"));
        assert_eq!(with(Strip, Replace).as_deref(), Ok("ab\u{fffd}c"));
        assert!(with(Fail, Strip).is_err() && with(Strip, Fail).is_err());
    }
}
