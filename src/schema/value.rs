//! A value as SQLite stores it, and the affinity rules that decide which values are equal.

use super::Affinity;
use std::borrow::Cow;

/// A stored value. SQLite's text may hold NUL bytes and invalid UTF-8, so it is bytes here.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// A 64-bit integer.
    Integer(i64),
    /// A double; never NaN, which SQLite stores as NULL.
    Real(f64),
    /// A text, as its bytes.
    Text(Cow<'a, [u8]>),
    /// A blob.
    Blob(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// Says whether the value is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns the value with bytes of its own.
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(number),
            Self::Real(number) => Value::Real(number),
            Self::Text(bytes) => Value::Text(Cow::Owned(bytes.into_owned())),
            Self::Blob(bytes) => Value::Blob(Cow::Owned(bytes.into_owned())),
        }
    }

    /// Returns SQLite's name for how the value is stored, as `typeof()` does.
    pub fn storage(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::Text(_) => "text",
            Self::Blob(_) => "blob",
        }
    }
}

/// Applies a column's affinity to a value, as SQLite does before it compares a foreign key with its parent.
///
/// Numbers that are equal come out the same: `1.0` becomes the integer 1 whatever the affinity, unless it is TEXT.
pub fn apply_affinity<'a>(value: &Value<'a>, affinity: Affinity) -> Value<'a> {
    match (value, affinity) {
        (Value::Text(text), Affinity::Integer | Affinity::Numeric | Affinity::Real) => {
            number_from_text(text).unwrap_or_else(|| value.clone())
        }
        (Value::Integer(number), Affinity::Text) => Value::Text(Cow::Owned(number.to_string().into_bytes())),
        (Value::Real(number), Affinity::Text) => Value::Text(Cow::Owned(real_to_text(*number).into_bytes())),
        (Value::Real(number), _) => integer_if_equal(*number),
        _ => value.clone(),
    }
}

fn integer_if_equal<'a>(number: f64) -> Value<'a> {
    // 2^63 is exactly representable, i64::MAX is not: the upper bound has to be exclusive.
    if number.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number) {
        Value::Integer(number as i64)
    } else {
        Value::Real(number)
    }
}

/// Reads a text as a number the way SQLite's affinity does: surrounding spaces are ignored, hexadecimal is not read.
fn number_from_text<'a>(text: &[u8]) -> Option<Value<'a>> {
    // SQLite takes a NUL for the text's end here, and nowhere else.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).ok()?;
    let trimmed = text.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    if let Ok(number) = trimmed.parse::<i64>() {
        return Some(Value::Integer(number));
    }
    let numeric = trimmed.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
        && trimmed.bytes().any(|byte| byte.is_ascii_digit());
    let number = numeric.then(|| trimmed.parse::<f64>().ok()).flatten()?;
    Some(integer_if_equal(number))
}

/// Writes a double as SQLite does (`%!.17g`, since version 3.52): at least one digit behind the point.
fn real_to_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Inf" } else { "-Inf" }.into();
    }
    if number == 0.0 {
        return "0.0".into();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    let (digits, exponent) = significant_digits(number.abs());
    let (whole, fraction) = match exponent {
        0..=16 => {
            let whole = exponent.unsigned_abs() as usize + 1;
            let padded = format!("{digits:0<whole$}");
            let (whole, fraction) = padded.split_at(whole);
            (whole.to_owned(), fraction.to_owned())
        }
        -4..=-1 => ("0".to_owned(), "0".repeat(exponent.unsigned_abs() as usize - 1) + &digits),
        _ => (digits[..1].to_owned(), digits[1..].to_owned()),
    };
    let fraction = if fraction.is_empty() { "0" } else { &fraction };
    match exponent {
        -4..=16 => format!("{sign}{whole}.{fraction}"),
        _ => format!("{sign}{whole}.{fraction}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// Returns the digits of a positive double as SQLite writes them, without zeros at the end, and the power of ten of the
/// first: 17 digits, or fewer that read back as the same number where the last of them are nines or zeros.
fn significant_digits(number: f64) -> (String, i32) {
    let (mut digits, mut exponent) = long_digits(number);
    let reads_back = |digits: &[u8], up: u64| {
        let short = digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit)) + up;
        let text = format!("{short}e{}", exponent + 1 - digits.len() as i32);
        text.parse() == Ok(number)
    };
    let mut kept = 17;
    if digits[14..16] == [9, 9] {
        let before = digits[..14].iter().rposition(|&digit| digit != 9).map_or(0, |last| last + 1);
        if reads_back(&digits[..before], 1) {
            kept = before + 1;
        }
    } else if exponent + 1 >= digits.len() as i32 || digits[13..16] == [0, 0, 0] {
        let before = digits[..13].iter().rposition(|&digit| digit != 0).map_or(1, |last| last + 1);
        if reads_back(&digits[..before], 0) {
            kept = before + 1;
        }
    }
    let up = digits[kept] >= 5;
    digits.truncate(kept);
    if up {
        match digits.iter().rposition(|&digit| digit != 9) {
            Some(last) => {
                digits.truncate(last + 1);
                digits[last] += 1;
            }
            None => {
                digits = vec![1];
                exponent += 1;
            }
        }
    }
    let end = digits.iter().rposition(|&digit| digit != 0).map_or(1, |last| last + 1);
    (digits[..end].iter().map(|digit| char::from(digit + b'0')).collect(), exponent)
}

/// Returns 18 or 19 digits of a positive double, rounded, and the power of ten of the first.
fn long_digits(number: f64) -> (Vec<u8>, i32) {
    // Rust writes as many digits as it is asked for, all of them right.
    let scientific = format!("{number:.40e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // SQLite knows the power of two, and so the power of ten only to within one.
    let floor = (f64::from(power_of_two(number)) * std::f64::consts::LOG10_2).floor() as i32;
    let places = usize::try_from(18 + exponent - floor).unwrap_or(18);
    let mut digits = mantissa.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0');
    let whole = digits.by_ref().take(places).fold(0_u64, |number, digit| number * 10 + u64::from(digit));
    let rounded = whole + u64::from(digits.next().is_some_and(|digit| digit >= 5));
    let text = rounded.to_string();
    let carried = text.len() as i32 - places as i32;
    (text.bytes().map(|digit| digit - b'0').collect(), exponent + carried)
}

/// Returns the power of two of a positive double's first bit.
fn power_of_two(number: f64) -> i32 {
    let (exponent, fraction) = ((number.to_bits() >> 52) as i32 & 0x7ff, number.to_bits() & ((1 << 52) - 1));
    if exponent == 0 { -1011 - fraction.leading_zeros() as i32 } else { exponent - 1023 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn a_childs_text_matches_an_integer_parent() {
        for spelled in ["1", "01", " 1", "1.0", "1e0", "+1", "1\0x"] {
            assert_eq!(apply_affinity(&text(spelled), Affinity::Integer), Value::Integer(1), "{spelled}");
        }
        for other in ["abc", "", "0x1", "1 2", ".", "inf", "nan"] {
            assert_eq!(apply_affinity(&text(other), Affinity::Integer), text(other), "{other}");
        }
    }

    #[test]
    fn a_childs_number_matches_a_text_parent() {
        assert_eq!(apply_affinity(&Value::Integer(7), Affinity::Text), text("7"));
        for (number, shown) in [
            (1.5, "1.5"),
            (1.0, "1.0"),
            (1e20, "1.0e+20"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (49.47, "49.47"),
            (-2.5e-7, "-2.5e-07"),
            (0.0001, "0.0001"),
            (0.00001, "1.0e-05"),
            (100.0, "100.0"),
            (1e16, "10000000000000000.0"),
            (1e17, "1.0e+17"),
            (-0.0, "0.0"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(apply_affinity(&Value::Real(number), Affinity::Text), text(shown));
        }
    }

    #[test]
    fn equal_numbers_come_out_the_same() {
        assert_eq!(apply_affinity(&Value::Real(3.0), Affinity::Blob), Value::Integer(3));
        assert_eq!(apply_affinity(&Value::Real(3.5), Affinity::Real), Value::Real(3.5));
        assert_eq!(apply_affinity(&Value::Real(9.3e18), Affinity::Integer), Value::Real(9.3e18));
    }
}
