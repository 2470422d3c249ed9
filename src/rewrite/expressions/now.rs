//! The present time in a default: SQLite's is UTC, as a text.

use crate::schema::{Expr, PgType};
use crate::spec::{Conversion, Read};
use jiff::tz::TimeZone;

/// A call that yields the present time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Now {
    /// Numbers of seconds, minutes or hours added to it.
    shift: Vec<(i32, &'static str)>,
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// Seconds since 1970.
    Epoch,
    /// A text in the form of `to_char`.
    Text { format: String, holds: Holds },
}

/// What a text holds of a moment, in ISO form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Date,
    Time,
    Timestamp,
    /// A timestamp that says that it is in UTC.
    Instant,
    Other,
}

/// Recognises a call that yields the present time; `None` for other calls.
///
/// # Errors
/// A reason for a call that depends on the time and has no counterpart.
pub(super) fn recognise(function: &str, arguments: &[Expr]) -> Option<Result<Now, String>> {
    let (format, times) = match (function, arguments) {
        ("current_timestamp", []) => ("%F %T", arguments),
        ("current_date", []) => ("%F", arguments),
        ("current_time", []) => ("%T", arguments),
        ("datetime", times) => ("%F %T", times),
        ("date", times) => ("%F", times),
        ("time", times) => ("%T", times),
        ("unixepoch", times) => ("", times),
        ("strftime", [Expr::Text(format), times @ ..]) => (format.as_str(), times),
        ("strftime", _) => return Some(Err("its format is no constant".to_owned())),
        ("julianday", _) => {
            return Some(Err("PostgreSQL begins its Julian days at midnight, SQLite at noon".to_owned()));
        }
        _ => return None,
    };
    let modifiers = match times {
        [] => times,
        [Expr::Text(now), modifiers @ ..] if now.eq_ignore_ascii_case("now") => modifiers,
        [Expr::Call { function, arguments }, modifiers @ ..]
            if function == "current_timestamp" && arguments.is_empty() =>
        {
            modifiers
        }
        _ => return Some(Err("only the present time is translated".to_owned())),
    };
    Some(shifts(modifiers).and_then(|shift| {
        let form = match function {
            "unixepoch" => Form::Epoch,
            _ => form(format)?,
        };
        Ok(Now { shift, form })
    }))
}

fn shifts(modifiers: &[Expr]) -> Result<Vec<(i32, &'static str)>, String> {
    modifiers
        .iter()
        .map(|modifier| {
            let Expr::Text(text) = modifier else { return Err("a modifier is no constant".to_owned()) };
            let words: Vec<&str> = text.split_whitespace().collect();
            let unit = |word: &str| match word.to_ascii_lowercase().trim_end_matches('s') {
                "second" => Some((1, "seconds")),
                "minute" => Some((1, "minutes")),
                "hour" => Some((1, "hours")),
                // A day is always 24 hours long in SQLite; in PostgreSQL its length depends on the zone.
                "day" => Some((24, "hours")),
                _ => None,
            };
            match words[..] {
                [number, word] => match (number.parse::<i32>(), unit(word)) {
                    (Ok(number), Some((times, unit))) => {
                        let number = number.checked_mul(times).ok_or_else(|| unsafe_modifier(text))?;
                        Ok((number, unit))
                    }
                    _ => Err(unsafe_modifier(text)),
                },
                _ => Err(unsafe_modifier(text)),
            }
        })
        .collect()
}

fn unsafe_modifier(text: &str) -> String {
    let why = match text.to_ascii_lowercase().as_str() {
        "localtime" => "the server's zone is not the application's",
        _ => "it is not a number of seconds, minutes, hours or days",
    };
    format!("the modifier '{}' has no counterpart: {why}", crate::ident::visible(text))
}

fn form(format: &str) -> Result<Form, String> {
    if format == "%s" {
        return Ok(Form::Epoch);
    }
    let holds = match format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").as_str() {
        "%Y-%m-%d" => Holds::Date,
        "%H:%M:%S" => Holds::Time,
        "%Y-%m-%d %H:%M:%S" | "%Y-%m-%dT%H:%M:%S" | "%Y-%m-%d %H:%M:%f" | "%Y-%m-%dT%H:%M:%f" => Holds::Timestamp,
        "%Y-%m-%d %H:%M:%SZ" | "%Y-%m-%dT%H:%M:%SZ" | "%Y-%m-%d %H:%M:%fZ" | "%Y-%m-%dT%H:%M:%fZ" => Holds::Instant,
        _ => Holds::Other,
    };
    let mut written = String::new();
    let mut literal = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            literal.push(character);
            continue;
        }
        let pattern = match characters.next() {
            Some('Y') => "YYYY",
            Some('m') => "MM",
            Some('d') => "DD",
            Some('H') => "HH24",
            Some('M') => "MI",
            Some('S') => "SS",
            Some('f') => "SS.MS",
            Some('j') => "DDD",
            Some('F') => "YYYY-MM-DD",
            Some('T') => "HH24:MI:SS",
            Some('R') => "HH24:MI",
            Some('%') => {
                literal.push('%');
                continue;
            }
            _ => return Err(format!("the format '{}' has no counterpart", crate::ident::visible(format))),
        };
        push_literal(&mut written, &mut literal);
        written.push_str(pattern);
    }
    push_literal(&mut written, &mut literal);
    Ok(Form::Text { format: written, holds })
}

/// Writes characters that stand for themselves: letters and digits in quotes, where `to_char` would read them.
fn push_literal(format: &mut String, literal: &mut String) {
    if literal.chars().all(|character| matches!(character, ' ' | '-' | ':' | '/' | '.' | ',')) {
        format.push_str(literal);
    } else {
        format.push_str(&format!("\"{}\"", literal.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    literal.clear();
}

impl Now {
    /// Returns the number of seconds since 1970, where it is one.
    pub fn epoch(&self) -> Option<Expr> {
        if self.form != Form::Epoch {
            return None;
        }
        // Seconds that have passed: a cast alone would round.
        Some(Expr::Postgres(format!("floor(extract(epoch FROM {}))::bigint", self.shifted("now()"))))
    }

    /// Returns the text.
    pub fn text(&self) -> Expr {
        Expr::Postgres(match &self.form {
            Form::Epoch => format!("floor(extract(epoch FROM {}))::bigint::text", self.shifted("now()")),
            Form::Text { format, .. } => {
                format!("to_char({}, {})", self.utc(), crate::ident::literal(format))
            }
        })
    }

    /// Returns what a column of a type is filled with; `None` where the two do not go together.
    pub fn as_type(&self, data_type: PgType) -> Option<Expr> {
        let utc = self.utc();
        let holds = match &self.form {
            Form::Epoch => Holds::Other,
            Form::Text { holds, .. } => *holds,
        };
        Some(match (data_type, holds) {
            (data_type, _) if data_type.is_integer() => self.epoch()?,
            (PgType::Numeric(_) | PgType::Double, _) => self.epoch()?,
            (data_type, _) if data_type.is_text() => self.text(),
            (PgType::Timestamptz, Holds::Timestamp | Holds::Instant) => Expr::Postgres(self.shifted("now()")),
            (PgType::Timestamp, Holds::Timestamp | Holds::Instant) => Expr::Postgres(format!("({utc})")),
            (PgType::Date, Holds::Date) => Expr::Postgres(format!("(({utc})::date)")),
            (PgType::Time, Holds::Time) => Expr::Postgres(format!("(({utc})::time)")),
            _ => return None,
        })
    }

    /// Returns what a column is filled with whose values the spec reads in another way; `None` where the two do not go
    /// together.
    pub fn as_read(&self, rule: &Conversion, data_type: PgType) -> Option<Expr> {
        let is_utc = rule.zone.as_ref().is_none_or(|zone| *zone == TimeZone::UTC);
        match (rule.read, &self.form) {
            (Some(Read::Epoch), Form::Epoch) if is_utc || data_type == PgType::Timestamptz => {
                let form = Form::Text { format: String::new(), holds: Holds::Timestamp };
                Self { shift: self.shift.clone(), form }.as_type(data_type)
            }
            // The clock of another zone shows another time than the default writes.
            (Some(Read::Iso | Read::Json | Read::Text | Read::Decimal) | None, _) if is_utc => self.as_type(data_type),
            _ => None,
        }
    }

    fn utc(&self) -> String {
        let utc = "now() AT TIME ZONE 'utc'";
        if self.shift.is_empty() { utc.to_owned() } else { self.shifted(&format!("({utc})")) }
    }

    fn shifted(&self, moment: &str) -> String {
        let add = |text, (number, unit): &(i32, &str)| format!("{text} + interval '{number} {unit}'");
        self.shift.iter().fold(moment.to_owned(), add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(function: &str, arguments: &[&str]) -> Option<Result<Now, String>> {
        let arguments: Vec<Expr> = arguments.iter().map(|text| Expr::Text((*text).to_owned())).collect();
        recognise(function, &arguments)
    }

    fn shown(expr: Option<Expr>) -> String {
        match expr {
            Some(Expr::Postgres(text)) => text,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn formats_are_spelled_for_to_char() {
        for (format, expected) in [
            ("%Y-%m-%dT%H:%M:%fZ", "YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\""),
            ("%F %T", "YYYY-MM-DD HH24:MI:SS"),
            ("%d.%m.%Y", "DD.MM.YYYY"),
            ("day %j%%", "\"day \"DDD\"%\""),
        ] {
            let text = shown(Some(now("strftime", &[format, "now"]).unwrap().unwrap().text()));
            assert_eq!(text, format!("to_char(now() AT TIME ZONE 'utc', '{expected}')"), "{format}");
        }
    }

    #[test]
    fn what_depends_on_zones_or_calendars_is_refused() {
        for (function, arguments) in [
            ("datetime", &["now", "localtime"][..]),
            ("datetime", &["now", "+1 month"]),
            ("datetime", &["now", "start of day"]),
            ("datetime", &["2020-01-01"]),
            ("strftime", &["%W", "now"]),
            ("julianday", &["now"]),
            ("unixepoch", &["now", "subsec"]),
        ] {
            assert!(now(function, arguments).unwrap().is_err(), "{function} {arguments:?}");
        }
        assert_eq!(now("lower", &["now"]), None);
    }

    #[test]
    fn a_default_is_read_as_its_column_is() {
        let of = |function, arguments: &[&str], read, zone: &str, data_type| {
            let rule = Conversion { read, zone: crate::spec::time_zone(zone), ..Conversion::default() };
            shown(now(function, arguments).unwrap().unwrap().as_read(&rule, data_type))
        };
        let epoch = Some(Read::Epoch);
        assert_eq!(of("unixepoch", &[], epoch, "", PgType::Timestamp), "(now() AT TIME ZONE 'utc')");
        assert_eq!(of("strftime", &["%s"], epoch, "Europe/Berlin", PgType::Timestamptz), "now()");
        assert_eq!(of("unixepoch", &[], epoch, "Europe/Berlin", PgType::Timestamp), "None");
        assert_eq!(of("datetime", &[], epoch, "", PgType::Timestamp), "None");
        assert_eq!(of("unixepoch", &[], Some(Read::EpochMs), "", PgType::Timestamp), "None");
        assert_eq!(of("datetime", &[], None, "Europe/Berlin", PgType::Timestamptz), "None");
        assert_eq!(of("datetime", &[], None, "UTC", PgType::Timestamptz), "now()");
    }

    #[test]
    fn a_columns_type_decides_the_form() {
        let of = |function, arguments: &[&str], data_type| {
            shown(now(function, arguments).unwrap().unwrap().as_type(data_type))
        };
        assert_eq!(of("datetime", &["NOW"], PgType::Timestamp), "(now() AT TIME ZONE 'utc')");
        assert_eq!(of("datetime", &[], PgType::Timestamptz), "now()");
        assert_eq!(of("strftime", &["%s", "now"], PgType::Bigint), "floor(extract(epoch FROM now()))::bigint");
        assert_eq!(of("strftime", &["%s"], PgType::Text), "floor(extract(epoch FROM now()))::bigint::text");
        assert_eq!(
            of("datetime", &["now", "+7 days"], PgType::Timestamp),
            "((now() AT TIME ZONE 'utc') + interval '168 hours')"
        );
        assert_eq!(of("date", &["now"], PgType::Date), "((now() AT TIME ZONE 'utc')::date)");
        assert_eq!(of("date", &["now"], PgType::Bigint), "None");
        assert_eq!(of("time", &["now"], PgType::Timestamp), "None");
    }
}
