//! Decimal numbers by value: a sign, digits without zeros at either end, and an exponent.

mod binary;

pub(super) use binary::settle;
use std::io::Write;

/// A number that is digits × 10^exponent, or no number at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verify) enum Decimal {
    /// A finite number whose digits are a `u64`, as those of nearly all numbers are; zero has exponent 0 and no sign.
    Short {
        /// Less than zero.
        negative: bool,
        /// Without zeros at the end.
        digits: u64,
        /// The power of ten of the last digit.
        exponent: i64,
    },
    /// Any other finite number.
    Long {
        /// Less than zero.
        negative: bool,
        /// ASCII digits, the most significant first, without zeros at either end.
        digits: Vec<u8>,
        /// The power of ten of the last digit.
        exponent: i64,
    },
    /// NaN.
    NotANumber,
    /// Infinity of either sign.
    Infinite {
        /// Minus infinity.
        negative: bool,
    },
}

impl Decimal {
    fn short(negative: bool, mut digits: u64, mut exponent: i64) -> Self {
        if digits == 0 {
            return Self::Short { negative: false, digits, exponent: 0 };
        }
        while digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        Self::Short { negative, digits, exponent }
    }

    fn from_digits<'d>(negative: bool, digits: impl Iterator<Item = &'d u8> + Clone, exponent: i64) -> Self {
        if let Some(digits) = integer(digits.clone()) {
            return Self::short(negative, digits, exponent);
        }
        let mut digits: Vec<u8> = digits.copied().skip_while(|&digit| digit == b'0').collect();
        let length = digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        let exponent = exponent + (digits.len() - length) as i64;
        digits.truncate(length);
        match integer(digits.iter()) {
            Some(digits) => Self::short(negative, digits, exponent),
            None => Self::Long { negative, digits, exponent },
        }
    }

    /// Reads `[+-]digits[.digits][e[+-]digits]`, with a digit on at least one side of the point.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let (negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        let digits = whole.iter().chain(fraction);
        let exponent = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
        let is_number = digits.clone().next().is_some() && digits.clone().all(u8::is_ascii_digit);
        is_number.then(|| Self::from_digits(negative, digits, exponent))
    }

    /// Takes an integer as it is.
    pub fn from_integer(value: i64) -> Self {
        Self::short(value < 0, value.unsigned_abs(), 0)
    }

    /// Takes the shortest decimal that reads as this double.
    pub fn from_double(value: f64) -> Self {
        if value.is_nan() {
            return Self::NotANumber;
        }
        if let Some(short) = Self::from_short_double(value) {
            return short;
        }
        // 17 digits and an exponent at most.
        let mut text = [0; 32];
        let mut rest = &mut text[..];
        let written = write!(rest, "{value:e}").map(|()| 32 - rest.len());
        let finite = written.ok().and_then(|length| Self::from_text(&text[..length]));
        finite.unwrap_or(Self::Infinite { negative: value < 0.0 })
    }

    /// Finds the decimal of a double by arithmetic where it has few digits, as amounts have: most are found so.
    ///
    /// Two decimals of 15 digits at most are never the same double. So the one that gives this double when it is computed,
    /// by a division that is rounded once, is the only one, and the shortest has the same value.
    fn from_short_double(value: f64) -> Option<Self> {
        const MOST: f64 = 1e15;
        for (exponent, power) in [(0, 1.0), (-2, 1e2), (-4, 1e4), (-6, 1e6)] {
            let digits = value * power;
            if digits.abs() >= MOST {
                break;
            }
            // The nearest integer; where it is not the number, the division says so.
            let digits = (digits + 0.5_f64.copysign(digits)) as i64;
            if digits as f64 / power == value {
                return Some(Self::short(digits < 0, digits.unsigned_abs(), exponent));
            }
        }
        None
    }

    /// Says whether it is a number at all.
    pub fn is_finite(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::Long { .. })
    }

    /// Counts the digits before the point and behind it, and the zeros that a whole number ends with.
    pub fn places(&self) -> (i64, i64, i64) {
        let (digits, exponent) = match self {
            Self::Short { digits: 0, .. } | Self::NotANumber | Self::Infinite { .. } => return (0, 0, 0),
            Self::Short { digits, exponent, .. } => (i64::from(digits.ilog10()) + 1, *exponent),
            Self::Long { digits, exponent, .. } => (digits.len() as i64, *exponent),
        };
        ((digits + exponent).max(0), (-exponent).max(0), exponent.max(0))
    }

    /// Multiplies by a power of ten.
    #[must_use]
    pub fn times_ten_to(self, power: i64) -> Self {
        match self {
            Self::Short { negative, digits, exponent } if digits != 0 => {
                Self::Short { negative, digits, exponent: exponent + power }
            }
            Self::Long { negative, digits, exponent } => Self::Long { negative, digits, exponent: exponent + power },
            other => other,
        }
    }

    /// Rounds to so many decimals, half away from zero.
    #[must_use]
    pub fn rounded(self, scale: i64) -> Self {
        let (negative, digits, exponent) = match self {
            Self::Short { negative, digits, exponent } => (negative, digits.to_string().into_bytes(), exponent),
            Self::Long { negative, digits, exponent } => (negative, digits, exponent),
            other => return other,
        };
        // So many digits stand behind the last place that is kept.
        let cut = -scale - exponent;
        let Some(cut) = usize::try_from(cut).ok().filter(|&cut| cut > 0) else {
            return Self::from_digits(negative, digits.iter(), exponent);
        };
        if cut > digits.len() {
            return Self::short(false, 0, 0);
        }
        let (kept, rest) = digits.split_at(digits.len() - cut);
        let mut kept = [b"0", kept].concat();
        if rest[0] >= b'5' {
            // The digits that a one is carried over are nines.
            let carried = kept.iter().rev().take_while(|&&digit| digit == b'9').count();
            let at = kept.len() - carried;
            kept[at..].fill(b'0');
            kept[at - 1] += 1;
        }
        Self::from_digits(negative, kept.iter(), -scale)
    }

    /// Returns an integer's value; `None` for other numbers and for those of more than 64 bits.
    pub fn to_integer(&self) -> Option<i64> {
        let Self::Short { negative, digits, exponent } = self else { return None };
        let power = 10_i128.checked_pow(u32::try_from(*exponent).ok()?)?;
        let number = i128::from(*digits).checked_mul(power)?;
        i64::try_from(if *negative { -number } else { number }).ok()
    }

    /// Returns the nearest double; `None` for what is beyond them.
    pub fn to_double(&self) -> Option<f64> {
        let text = match self {
            Self::Short { negative, digits, exponent } => format!("{}{digits}e{exponent}", sign(*negative)),
            Self::Long { negative, digits, exponent } => {
                format!("{}{}e{exponent}", sign(*negative), String::from_utf8_lossy(digits))
            }
            Self::NotANumber | Self::Infinite { .. } => return None,
        };
        text.parse::<f64>().ok().filter(|double| double.is_finite())
    }

    /// Hands over the number so that equal numbers have equal bytes.
    pub fn encode(&self, put: impl FnOnce(&[u8])) {
        match self {
            Self::Short { negative, digits, exponent } => {
                let mut bytes = [if *negative { b'-' } else { b'+' }; 17];
                bytes[1..9].copy_from_slice(&exponent.to_be_bytes());
                bytes[9..].copy_from_slice(&digits.to_be_bytes());
                put(&bytes);
            }
            Self::Long { negative, digits, exponent } => {
                let sign = if *negative { b'<' } else { b'>' };
                put(&[&[sign], &exponent.to_be_bytes()[..], digits].concat());
            }
            Self::NotANumber => put(b"nan"),
            Self::Infinite { negative } => put(if *negative { b"-inf" } else { b"+inf" }),
        }
    }

    /// Shows the number.
    pub fn text(&self) -> String {
        let (negative, digits, exponent) = match self {
            Self::NotANumber => return "NaN".to_owned(),
            Self::Infinite { negative } => return format!("{}Infinity", sign(*negative)),
            Self::Short { negative, digits, exponent } => (*negative, digits.to_string(), *exponent),
            Self::Long { negative, digits, exponent } => {
                (*negative, String::from_utf8_lossy(digits).into_owned(), *exponent)
            }
        };
        let sign = sign(negative);
        let length = digits.len();
        match usize::try_from(exponent) {
            Ok(zeros) if zeros <= 40 => format!("{sign}{digits}{}", "0".repeat(zeros)),
            Ok(zeros) => format!("{sign}{digits}e{zeros}"),
            Err(_) => match usize::try_from(-exponent).unwrap_or(usize::MAX) {
                decimals if decimals < length => {
                    format!("{sign}{}.{}", &digits[..length - decimals], &digits[length - decimals..])
                }
                decimals if decimals - length <= 40 => format!("{sign}0.{}{digits}", "0".repeat(decimals - length)),
                decimals => format!("{sign}{digits}e-{decimals}"),
            },
        }
    }
}

fn sign(negative: bool) -> &'static str {
    if negative { "-" } else { "" }
}

/// Reads digits as an integer, where it is one of 64 bits.
fn integer<'d>(mut digits: impl Iterator<Item = &'d u8>) -> Option<u64> {
    digits.try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_and_short_ones_are_told_apart_by_their_value_alone() {
        let read = |text: &str| Decimal::from_text(text.as_bytes()).unwrap();
        // The greatest number of 64 bits, and one more.
        let (short, long) = (read("18446744073709551615"), read("18446744073709551616"));
        assert!(matches!(short, Decimal::Short { .. }) && matches!(long, Decimal::Long { .. }));
        for zeros in ["0", "00000000000000000000000"] {
            assert_eq!(read(&format!("{zeros}18446744073709551615.{zeros}")), short);
            assert_eq!(read(&format!("{zeros}18446744073709551616.{zeros}")), long);
            assert_eq!(read(&format!("1{zeros}e-{}", zeros.len())), Decimal::from_integer(1));
        }
        let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        assert_eq!(
            Decimal::from_binary(&words(&[5, 4, 0, 0, 1844, 6744, 737, 955, 1616])),
            Some(read("18446744073709551616"))
        );
        assert_eq!(Decimal::from_binary(&words(&[6, 5, 0x4000, 0, 1, 0, 0, 0, 0, 0])), Some(read("-1e20")));
    }

    #[test]
    fn encoded_numbers_are_shown_as_they_were() {
        let long = "123456789012345678901234567890.5";
        for text in ["0", "1.5", "-1200", "0.001", "-0.25", long, &format!("-{long}"), "1e50", "1e-60"] {
            let number = Decimal::from_text(text.as_bytes()).unwrap();
            let mut field = Vec::new();
            number.put(&mut field);
            assert_eq!(Decimal::from_binary(&field[4..]), Some(number.clone()), "{text}");
            assert_eq!(number.text(), text);
        }
    }

    #[test]
    fn one_value_has_one_form() {
        let one = Decimal::from_integer(1200);
        for same in ["1200", "+1200.00", "001200", "1.2e3", "12E+2", "120000e-2", "1200."] {
            assert_eq!(Decimal::from_text(same.as_bytes()), Some(one.clone()), "{same}");
        }
        assert_eq!(Decimal::from_double(1200.0), one);
        assert_ne!(Decimal::from_text(b"1200.001"), Some(one));
        assert_eq!(Decimal::from_text(b"-0.00"), Some(Decimal::from_integer(0)));
        assert_eq!(Decimal::from_double(-0.0), Decimal::from_integer(0));
        assert_eq!(Decimal::from_double(0.1), Decimal::from_text(b"0.1").unwrap());
        assert_eq!(Decimal::from_double(f64::NEG_INFINITY), Decimal::Infinite { negative: true });
    }

    #[test]
    fn arithmetic_finds_what_the_shortest_text_says() {
        let by_text = |value: f64| Decimal::from_text(format!("{value:e}").as_bytes()).unwrap();
        let mut found = 0;
        let mut state = 1_u64;
        for round in 0..200_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (state >> 16).cast_signed() >> (round % 44);
            let value = match round % 4 {
                0 => number as f64 / 100.0,
                1 => number as f64 / 1e5,
                2 => f64::from_bits(state),
                _ => -(number as f64) * 0.01,
            };
            if value.is_finite() {
                let short = Decimal::from_short_double(value);
                found += u32::from(short.is_some());
                assert!(short.is_none_or(|short| short == by_text(value)), "{value:e}");
            }
        }
        assert!(found > 50_000, "{found}");
        assert_eq!(Decimal::from_short_double(-0.0), Some(Decimal::from_integer(0)));
    }

    #[test]
    fn numbers_are_rounded_half_away_from_zero() {
        let read = |text: &str| Decimal::from_text(text.as_bytes()).unwrap();
        let long = "99999999999999999999999.995";
        for (text, scale, expected) in [
            ("1.005", 2, "1.01"),
            ("-1.005", 2, "-1.01"),
            ("9.995", 2, "10"),
            ("0.5", 0, "1"),
            ("0.4", 0, "0"),
            ("15", -1, "20"),
            ("1", -3, "0"),
            ("1.5", 2, "1.5"),
            (long, 2, "100000000000000000000000"),
        ] {
            assert_eq!(read(text).rounded(scale), read(expected), "{text} {scale}");
        }
        assert_eq!(read("1200").to_integer(), Some(1200));
        assert_eq!((read("0.5").to_integer(), read("1e30").to_integer()), (None, None));
        assert_eq!(read("-1.5").times_ten_to(3).to_integer(), Some(-1500));
        assert_eq!((read("0.1").to_double(), read("1e999").to_double()), (Some(0.1), None));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", ".", "-", "1e", "1 ", " 1", "0x1", "1,5", "--1", "1e99999999999", "e5", "1.2.3"] {
            assert_eq!(Decimal::from_text(text.as_bytes()), None, "{text}");
        }
    }
}
