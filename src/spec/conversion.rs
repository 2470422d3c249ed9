//! How a column's values are read, where they are not simply what the column's type says.

use crate::schema::{PgType, Value};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a column's values are in the source; how each is converted, and what is no such value, is a rule of the spec's reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// Texts of ISO 8601.
    Iso,
    /// Seconds since 1970.
    Epoch,
    /// Milliseconds since 1970.
    EpochMs,
    /// Days since noon of 24 November 4714 BC, as SQLite's `julianday` has them.
    Julian,
    /// Words for true and false.
    Boolean,
    /// Decimal numbers, as numbers or as texts, rounded to what the column keeps.
    Decimal,
    /// JSON texts.
    Json,
    /// Anything, written as text.
    Text,
}

impl Read {
    /// Returns the word for it in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Epoch => "epoch",
            Self::EpochMs => "epoch_ms",
            Self::Julian => "julian",
            Self::Boolean => "boolean",
            Self::Decimal => "decimal",
            Self::Json => "json",
            Self::Text => "text",
        }
    }

    /// Says whether values read so can become values of a type.
    pub fn suits(self, data_type: PgType) -> bool {
        use PgType as T;
        match self {
            Self::Iso => matches!(data_type, T::Date | T::Time | T::Timestamp | T::Timestamptz),
            Self::Epoch | Self::EpochMs | Self::Julian => {
                matches!(data_type, T::Date | T::Timestamp | T::Timestamptz)
            }
            Self::Boolean => data_type == T::Boolean,
            Self::Decimal => data_type.is_integer() || matches!(data_type, T::Numeric(_) | T::Double),
            Self::Json => matches!(data_type, T::Json | T::Jsonb),
            Self::Text => data_type.is_text(),
        }
    }

    /// Names the types that values read so can become, in words.
    pub fn types(self) -> &'static str {
        match self {
            Self::Iso => "date, time, timestamp, timestamptz",
            Self::Epoch | Self::EpochMs | Self::Julian => "timestamp, timestamptz, date",
            Self::Boolean => "boolean",
            Self::Decimal => "numeric(p,s), double precision, bigint, integer, smallint",
            Self::Json => "jsonb, json",
            Self::Text => "text, varchar(n), char(n), citext",
        }
    }
}

/// What becomes of characters that PostgreSQL takes in no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unstorable {
    /// The value does not go through.
    #[default]
    Fail,
    /// They are taken out.
    Strip,
    /// U+FFFD takes their place.
    Replace,
}

impl Unstorable {
    /// Returns the word for it in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Strip => "strip",
            Self::Replace => "replace",
        }
    }
}

/// Holds what the spec says of reading a column's values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversion {
    /// What they are; `None` for what the column's type says.
    pub read: Option<Read>,
    /// The zone of times that do not say theirs; for `timestamp`, the zone whose clock the column shows.
    pub zone: Option<TimeZone>,
    /// Texts, and integers by their digits, that mean NULL.
    pub null_if: Vec<String>,
    /// What becomes of NUL characters.
    pub nul: Unstorable,
    /// What becomes of bytes that are not UTF-8.
    pub utf8: Unstorable,
}

impl Conversion {
    /// Says it in the spec's own words: `read: epoch, zone: Europe/Berlin`.
    pub fn words(&self) -> String {
        let unstorable = |name: &str, what: Unstorable| match what {
            Unstorable::Fail => None,
            Unstorable::Strip => Some(format!("{name}: strip")),
            Unstorable::Replace => Some(format!("{name}: replace")),
        };
        let zone = self.zone.as_ref().map(|zone| match zone.iana_name() {
            Some(name) => name.to_owned(),
            None => zone.to_fixed_offset().map_or_else(|_| "a zone".to_owned(), |offset| offset.to_string()),
        });
        let null_if = (!self.null_if.is_empty()).then(|| format!("null_if: {:?}", self.null_if));
        let words = [
            self.read.map(|read| format!("read: {}", read.name())),
            zone.map(|zone| format!("zone: {zone}")),
            null_if,
            unstorable("nul", self.nul),
            unstorable("utf8", self.utf8),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Says whether a value means NULL.
    pub fn is_null(&self, value: &Value<'_>) -> bool {
        match value {
            Value::Null => true,
            Value::Text(text) => self.null_if.iter().any(|null| null.as_bytes() == &text[..]),
            Value::Integer(number) => !self.null_if.is_empty() && self.null_if.contains(&number.to_string()),
            Value::Real(_) | Value::Blob(_) => false,
        }
    }
}

/// Finds a time zone: a name of the IANA database, `UTC`, or an offset such as `+02:00`.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    if let Some((sign, rest)) = name.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "+" | "-")) {
        let (hours, minutes) = rest.split_once(':')?;
        let two = |text: &str, below: i32| -> Option<i32> {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| digits && *number < below)
        };
        let seconds = two(hours, 16)? * 3600 + two(minutes, 60)? * 60;
        return Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok().map(TimeZone::fixed);
    }
    // The database inside the program: the same zones on every machine.
    TimeZoneDatabase::bundled().get(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn zones_have_names_or_offsets() {
        for name in ["UTC", "Europe/Berlin", "America/St_Johns", "+05:30", "-00:00"] {
            assert!(time_zone(name).is_some(), "{name}");
        }
        for name in ["", "Berlin", "+5", "+16:00", "+01:60", "CET+1", "+1:30", "local"] {
            assert!(time_zone(name).is_none(), "{name}");
        }
    }

    #[test]
    fn null_is_what_is_spelled_so() {
        let conversion = Conversion { null_if: vec![String::new(), "0".into()], ..Conversion::default() };
        for (value, null) in [
            (Value::Null, true),
            (Value::Text(Cow::Borrowed(b"")), true),
            (Value::Text(Cow::Borrowed(b"0")), true),
            (Value::Integer(0), true),
            (Value::Text(Cow::Borrowed(b" ")), false),
            (Value::Real(0.0), false),
            (Value::Blob(Cow::Borrowed(b"")), false),
        ] {
            assert_eq!(conversion.is_null(&value), null, "{value:?}");
        }
    }
}
