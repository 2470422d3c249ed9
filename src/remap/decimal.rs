//! Decimals as PostgreSQL's binary `numeric` has them.

use super::planted::planted;

/// Writes a decimal number such as `-12.50` as the body of a binary numeric field.
///
/// `limits` are precision and scale. The display scale is the column's, or the number's own without limits.
///
/// # Errors
/// A fragment that says why the number does not fit: no decimal, too many digits before or behind the point. Nothing is
/// ever rounded here.
pub(super) fn encode(text: &str, limits: Option<(u16, i16)>, out: &mut Vec<u8>) -> Result<(), String> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty())
        || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        return Err("it is not a decimal number".to_owned());
    }
    let whole = whole.trim_start_matches('0');
    let significant = fraction.trim_end_matches('0');
    let scale = match limits {
        Some((precision, scale)) => {
            if significant.len() as i64 > i64::from(scale.max(0)) {
                return Err(format!("it has {} decimals, and the column keeps {}", significant.len(), scale.max(0)));
            }
            let room = i64::from(precision) - i64::from(scale);
            if whole.len() as i64 > room {
                return Err(format!("it has {} digits before the point, and the column keeps {room}", whole.len()));
            }
            // A negative scale asks for zeros before the point; the precision check above leaves them in place.
            if scale < 0 && !whole.ends_with(&"0".repeat(usize::from(scale.unsigned_abs()))) && !whole.is_empty() {
                return Err(format!("the column rounds to 10^{}", scale.unsigned_abs()));
            }
            u16::try_from(scale.max(0)).unwrap_or(0)
        }
        None => u16::try_from(fraction.len()).map_err(|_| "it has too many decimals".to_owned())?,
    };
    if whole.len() > 131_072 || scale > 16_383 {
        return Err("it has more digits than PostgreSQL's numeric".to_owned());
    }

    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let mut weight = whole.len().div_ceil(4) as i32;
    let (head, rest) = whole.as_bytes().split_at(whole.len() % 4);
    let groups = Some(head).filter(|head| !head.is_empty()).into_iter().chain(rest.chunks(4)).map(group);
    // The last digits behind the point stand at the left of their group.
    let behind = significant.as_bytes().chunks(4).map(|digits| group(digits) * [1, 1000, 100, 10, 1][digits.len()]);
    for group in groups.chain(behind) {
        if group == 0 && out.len() == start + HEADER {
            weight -= 1;
        } else {
            out.extend_from_slice(&group.to_be_bytes());
        }
    }
    finish(negative, weight, scale, start, out);
    Ok(())
}

/// Writes `coefficient` / 10^`scale` as [`encode`] would write its text; false where it does not fit or is too long for
/// this way.
pub(super) fn encode_scaled(coefficient: i64, precision: u16, scale: u16, out: &mut Vec<u8>) -> bool {
    let digits = coefficient.unsigned_abs();
    if digits >= EXACT.min(10_u64.saturating_pow(precision.into())) {
        return false;
    }
    let behind = scale.div_ceil(4);
    let mut left = digits * 10_u64.pow(u32::from(behind * 4 - scale));
    let mut groups = [0_u16; 5];
    let mut first = groups.len();
    while left > 0 {
        first -= 1;
        groups[first] = (left % 10_000) as u16;
        left /= 10_000;
    }
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    groups[first..].iter().for_each(|group| out.extend_from_slice(&group.to_be_bytes()));
    let weight = (groups.len() - first) as i32 - i32::from(behind);
    finish(coefficient < 0, weight, scale, start, out);
    true
}

/// Returns the integer c whose c / 10^`scale` is the shortest decimal of a double, where it has at most 15 digits: no
/// other decimal so short is read as the same double.
pub(super) fn coefficient(number: f64, scale: u16) -> Option<i64> {
    let power = *POWERS.get(usize::from(scale))?;
    let scaled = number * power;
    if scaled.is_nan() || scaled.abs() >= EXACT as f64 {
        return None;
    }
    // The nearest integer; where it is not the number, the division says so.
    let rounded = (scaled + 0.5_f64.copysign(scaled)) as i64;
    (rounded as f64 / power == number).then_some(rounded)
}

/// Powers of ten, all of them doubles.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Below it all integers, and their quotients by powers of ten, are told apart by doubles.
const EXACT: u64 = 1_000_000_000_000_000;

/// Bytes before the first group: their number, the weight of the first, sign, display scale.
const HEADER: usize = 8;

fn group(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

/// Takes groups of zeros off the end of what follows the header, and fills the header in. `weight` counts the groups
/// before the point from the first one that is not zero.
fn finish(negative: bool, weight: i32, scale: u16, start: usize, out: &mut Vec<u8>) {
    while out.len() > start + HEADER && out.ends_with(&[0, 0]) {
        out.truncate(out.len() - 2);
    }
    let groups = ((out.len() - start - HEADER) / 2) as u16;
    let (sign, weight) = match groups {
        0 => (0, 0),
        _ => (if negative { 0x4000_u16 } else { 0 }, (weight - 1) as u16),
    };
    let header = &mut out[start..start + HEADER];
    for (place, word) in
        header.chunks_mut(2).zip([groups, weight, sign, planted!(DisplayScaleShort, scale, scale.saturating_sub(1))])
    {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, limits: Option<(u16, i16)>) -> Result<Vec<i32>, String> {
        let mut out = Vec::new();
        encode(text, limits, &mut out)?;
        Ok(out.chunks(2).map(|pair| i32::from(i16::from_be_bytes([pair[0], pair[1]]))).collect())
    }

    #[test]
    fn digits_are_aligned_at_the_point() {
        assert_eq!(words("1.5", Some((10, 2))).unwrap(), [2, 0, 0, 2, 1, 5000]);
        assert_eq!(words("-12345.678", None).unwrap(), [3, 1, 0x4000, 3, 1, 2345, 6780]);
        assert_eq!(words("0.0001", None).unwrap(), [1, -1, 0, 4, 1]);
        assert_eq!(words("10000", None).unwrap(), [1, 1, 0, 0, 1]);
        assert_eq!(words("-0.00", Some((5, 2))).unwrap(), [0, 0, 0, 2]);
    }

    #[test]
    fn nothing_is_rounded() {
        assert!(words("1.005", Some((10, 2))).is_err());
        assert!(words("123456789.00", Some((10, 2))).is_err());
        assert!(words("12345678.00", Some((10, 2))).is_ok());
        assert!(words("1.500", Some((10, 1))).is_ok(), "zeros behind are no digits");
        // numeric(3,-2) holds up to five digits, the last two of them zeros.
        assert_eq!(words("99900", Some((3, -2))).unwrap(), [2, 1, 0, 0, 9, 9900]);
        assert!(words("0", Some((3, -2))).is_ok());
        for refused in ["150", "100000", "100.5"] {
            assert!(words(refused, Some((3, -2))).is_err(), "{refused}");
        }
        for junk in ["", ".", "1e5", "abc", "1.2.3", "--1", "1 "] {
            assert!(words(junk, None).is_err(), "{junk:?}");
        }
    }

    #[test]
    fn numbers_are_written_as_their_text_is() {
        let mut numbers: Vec<f64> = vec![0.0, -0.0, 0.01, -0.01, 1.0, 9999.0, 10_000.0, 99_999_999.99, 0.1, 7.7, 8.25];
        numbers.extend([1e15, 999_999_999_999.995, 1.005, 0.1 + 0.2, 123.456, 1e300, 5e-324, -1234.5, 100_000_000.0]);
        numbers.extend((0..2000_i64).map(|n| (n * 2_654_435_761 % 2_000_000_007 - 1_000_000_000) as f64 / 100.0));
        for (precision, scale) in [(10, 2), (12, 0), (15, 4), (18, 6), (5, 3), (38, 15), (40, 20), (3, 3)] {
            for &number in &numbers {
                let expected = words(&number.to_string(), Some((precision, scale as i16)));
                let mut out = vec![7];
                let written =
                    coefficient(number, scale).is_some_and(|found| encode_scaled(found, precision, scale, &mut out));
                if written {
                    let found: Vec<i32> =
                        out[1..].chunks(2).map(|pair| i32::from(i16::from_be_bytes([pair[0], pair[1]]))).collect();
                    assert_eq!(Ok(found), expected, "{number} in numeric({precision},{scale})");
                } else {
                    assert_eq!(out, [7], "nothing is left behind");
                }
            }
        }
        assert_eq!(coefficient(7.7, 2), Some(770), "the short way is taken");
    }
}
