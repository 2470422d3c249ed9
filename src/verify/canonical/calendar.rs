//! Dates and times from their ISO 8601 texts, and back, by plain arithmetic on the proleptic Gregorian calendar.

pub(super) const DAY: i64 = 86_400_000_000;

/// Counts days from 1970-01-01: whole 400-year eras of 146,097 days, years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads so many digits off the front of a text.
fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_at_checked(digits)?;
    let value =
        head.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')));
    Some((value?, rest))
}

fn after(text: &[u8], separator: u8) -> Option<&[u8]> {
    text.split_first().filter(|(first, _)| **first == separator).map(|(_, rest)| rest)
}

fn date_off(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = number(text, 4)?;
    let (month, rest) = number(after(rest, b'-')?, 2)?;
    let (day, rest) = number(after(rest, b'-')?, 2)?;
    let exists = year >= 1 && (1..=12).contains(&month) && (1..=days_of_month(year, month)).contains(&day);
    exists.then(|| (days_from_civil(year, month, day), rest))
}

fn time_off(text: &[u8]) -> Option<(i64, &[u8])> {
    let (hour, rest) = number(text, 2)?;
    let (minute, mut rest) = number(after(rest, b':')?, 2)?;
    let (mut second, mut micros) = (0, 0);
    if let Some(seconds) = after(rest, b':') {
        (second, rest) = number(seconds, 2)?;
        if let Some(fraction) = after(rest, b'.') {
            let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, behind) = fraction.split_at(length);
            // PostgreSQL keeps microseconds: anything finer cannot be said.
            let (kept, cut) = digits.split_at(length.min(6));
            if digits.is_empty() || cut.iter().any(|&digit| digit != b'0') {
                return None;
            }
            let (value, _) = number(kept, kept.len())?;
            micros = (kept.len()..6).fold(value, |value, _| value * 10);
            rest = behind;
        }
    }
    (hour < 24 && minute < 60 && second < 60)
        .then_some((((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, rest))
}

/// Reads `Z`, `+HH`, `+HH:MM` or `+HHMM` as microseconds east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let sign = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let (hours, rest) = number(&text[1..], 2)?;
    let (minutes, rest) = match rest {
        [] => (0, rest),
        [b':', minutes @ ..] => number(minutes, 2)?,
        minutes => number(minutes, 2)?,
    };
    (rest.is_empty() && hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000_000)
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01.
pub(super) fn date(text: &[u8]) -> Option<i64> {
    date_off(text).filter(|(_, rest)| rest.is_empty()).map(|(days, _)| days)
}

/// Reads `HH:MM[:SS[.ffffff]]` as microseconds since midnight.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    time_off(text).filter(|(_, rest)| rest.is_empty()).map(|(micros, _)| micros)
}

fn date_and_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let (days, rest) = date_off(text)?;
    let (micros, rest) = match rest {
        [b' ' | b'T', clock @ ..] => time_off(clock)?,
        _ => (0, rest),
    };
    Some((days * DAY + micros, rest))
}

/// Reads `YYYY-MM-DD[ T]HH:MM[:SS[.ffffff]]`, or a bare date as its midnight; an offset has no place in it.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    date_and_time(text).filter(|(_, rest)| rest.is_empty()).map(|(micros, _)| micros)
}

/// Reads a timestamp with an offset, without which nothing says which moment is meant.
pub(super) fn instant(text: &[u8]) -> Option<i64> {
    let (micros, rest) = date_and_time(text)?;
    Some(micros - offset(after(rest, b' ').unwrap_or(rest))?)
}

pub(super) fn date_text(days: i64) -> String {
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}")
}

pub(super) fn time_text(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    match micros % 1_000_000 {
        0 => clock,
        fraction => format!("{clock}.{fraction:06}"),
    }
}

pub(super) fn timestamp_text(micros: i64) -> String {
    format!("{} {}", date_text(micros.div_euclid(DAY)), time_text(micros.rem_euclid(DAY)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_two_millennia_has_its_number_and_back() {
        let first = date(b"0001-01-01").unwrap();
        assert_eq!(first, -719_162);
        let mut expected = first;
        for year in 1..2400 {
            for month in 1..=12 {
                for day in 1..=days_of_month(year, month) {
                    let text = format!("{year:04}-{month:02}-{day:02}");
                    assert_eq!(date(text.as_bytes()), Some(expected), "{text}");
                    assert_eq!(date_text(expected), text);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn days_and_hours_that_do_not_exist_are_refused() {
        for text in [
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-01",
            "0000-01-01",
            "2024-1-1",
            "20240101",
            "now",
            "",
            "2024-01-01 ",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        for text in ["24:00", "12:60", "12:00:60", "1:00", "12", "12:00:00.", "12:00:00.1234567", "12:00Z", "12:0"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn parts_of_a_second_count_to_the_microsecond() {
        assert_eq!(time(b"00:00:01.5"), Some(1_500_000));
        assert_eq!(time(b"00:00:00.000001000"), Some(1));
        assert_eq!(time_text(3_600_000_001), "01:00:00.000001");
    }

    #[test]
    fn timestamps_are_read_in_each_form_and_offsets_only_where_they_belong() {
        assert_eq!(timestamp(b"1970-01-02"), Some(DAY));
        assert_eq!(timestamp(b"1970-01-01T00:01"), Some(60_000_000));
        assert_eq!(timestamp(b"1969-12-31 23:59:59.999999"), Some(-1));
        for text in ["1970-01-01 00:00Z", "1970-01-01 00:00:00+00:00", "1970-01-01 ", "1970-01-01T"] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
        for text in ["1970-01-01T02:00:00+02:00", "1970-01-01 00:00Z", "1969-12-31 22:00-02", "1970-01-01 05:30 +0530"]
        {
            assert_eq!(instant(text.as_bytes()), Some(0), "{text}");
        }
        for text in [
            "1970-01-01 00:00",
            "1970-01-01 00:00 UTC",
            "1970-01-01 00:00+2",
            "1970-01-01 00:00+24:00",
            "1970-01-01 00:00:60Z",
        ] {
            assert_eq!(instant(text.as_bytes()), None, "{text}");
        }
    }
}
