//! PostgreSQL's binary form of a number: count, weight, sign, scale, then words of base 10,000.

use super::Decimal;

impl Decimal {
    /// Reads the form; `None` for bytes that are none.
    pub fn from_binary(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let (count, weight, sign, _scale) = (words.next()?, words.next()?, words.next()?, words.next()?);
        if bytes.len() != 8 + 2 * usize::from(count) {
            return None;
        }
        let negative = match sign {
            0 => false,
            NEGATIVE => true,
            NAN => return Some(Self::NotANumber),
            INFINITY => return Some(Self::Infinite { negative: false }),
            MINUS_INFINITY => return Some(Self::Infinite { negative: true }),
            _ => return None,
        };
        if words.clone().any(|word| word > 9999) {
            return None;
        }
        let exponent = (i64::from(weight.cast_signed()) + 1 - i64::from(count)) * 4;
        let short = words.clone().try_fold(0_u64, |sum, word| sum.checked_mul(10_000)?.checked_add(word.into()));
        if let Some(digits) = short {
            return Some(Self::short(negative, digits, exponent));
        }
        let digits = |word| [word / 1000, word / 100 % 10, word / 10 % 10, word % 10].map(|digit| b'0' + digit as u8);
        let digits: Vec<u8> = words.flat_map(digits).collect();
        Some(Self::from_digits(negative, digits.iter(), exponent))
    }

    /// Appends PostgreSQL's binary form, as [`settle`] leaves it, as a field.
    pub fn put(&self, out: &mut Vec<u8>) {
        /// The most words that a number of 64 bits has.
        const MOST: usize = 5;
        match self {
            Self::NotANumber => put_words(0, NAN, &[], out),
            Self::Infinite { negative: false } => put_words(0, INFINITY, &[], out),
            Self::Infinite { negative: true } => put_words(0, MINUS_INFINITY, &[], out),
            Self::Short { digits: 0, .. } => put_words(0, 0, &[], out),
            Self::Short { negative, digits, exponent } => {
                let power = 10_u64.pow(exponent.rem_euclid(4) as u32);
                let Some(mut rest) = digits.checked_mul(power) else {
                    return self.put_digits(*negative, digits.to_string().as_bytes(), *exponent, out);
                };
                let (mut words, mut at) = ([0; MOST], MOST);
                while rest > 0 {
                    at -= 1;
                    words[at] = (rest % 10_000) as u16;
                    rest /= 10_000;
                }
                self.put_finite(*negative, exponent.div_euclid(4), &words[at..], out);
            }
            Self::Long { negative, digits, exponent } => self.put_digits(*negative, digits, *exponent, out),
        }
    }

    fn put_digits(&self, negative: bool, digits: &[u8], exponent: i64, out: &mut Vec<u8>) {
        let zeros = vec![b'0'; exponent.rem_euclid(4) as usize];
        let digits = [digits, &zeros].concat();
        let word = |word: &[u8]| word.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        let words: Vec<u16> = digits.rchunks(4).rev().map(word).collect();
        self.put_finite(negative, exponent.div_euclid(4), &words, out);
    }

    /// Appends a number of these words, the last of which has this exponent; a number that is too large or too small to be one
    /// of PostgreSQL is none that a field could be.
    fn put_finite(&self, negative: bool, exponent: i64, words: &[u16], out: &mut Vec<u8>) {
        let weight = i16::try_from(exponent + words.len() as i64 - 1);
        match (weight, u16::try_from(words.len())) {
            (Ok(weight), Ok(_)) => put_words(weight, if negative { NEGATIVE } else { 0 }, words, out),
            _ => self.encode(|bytes| super::super::put_unsayable("numeric", bytes, out)),
        }
    }
}

/// What PostgreSQL's binary form says instead of a sign.
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Appends a field of a number: count, weight, sign, no scale, then words of base 10,000.
fn put_words(weight: i16, sign: u16, words: &[u16], out: &mut Vec<u8>) {
    let count = words.len() as u16;
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&(8 + 2 * u32::from(count)).to_be_bytes());
    bytes[4..6].copy_from_slice(&count.to_be_bytes());
    bytes[6..8].copy_from_slice(&weight.to_be_bytes());
    bytes[8..10].copy_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&bytes);
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

/// Takes the scale out of PostgreSQL's binary form, which says how many zeros to show and nothing of the value: what is left
/// is the same for equal numbers. False for a form that is not the shortest, which PostgreSQL never stores.
pub(in super::super) fn settle(bytes: &mut [u8]) -> bool {
    let is_shortest = match *bytes {
        // NULL.
        [] => return true,
        [count_high, count_low, weight_high, weight_low, sign_high, sign_low, _, _, ref words @ ..] => {
            let count = u16::from_be_bytes([count_high, count_low]);
            match (words, u16::from_be_bytes([sign_high, sign_low])) {
                ([], 0 | NAN | INFINITY | MINUS_INFINITY) => count == 0 && [weight_high, weight_low] == [0, 0],
                ([first_high, first_low, ..], 0 | NEGATIVE) => {
                    words.len() == 2 * usize::from(count)
                        && [*first_high, *first_low] != [0, 0]
                        && !words.ends_with(&[0, 0])
                }
                _ => false,
            }
        }
        _ => false,
    };
    if is_shortest {
        bytes[6..8].fill(0);
    }
    is_shortest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_shortest_binary_form() {
        let mut state = 1_u64;
        let mut numbers: Vec<Decimal> = ["18446744073709551615", "18446744073709551616", "0", "-1e-16383", "1e131071"]
            .map(|text| Decimal::from_text(text.as_bytes()).unwrap())
            .into();
        numbers.extend([
            Decimal::NotANumber,
            Decimal::Infinite { negative: true },
            Decimal::Infinite { negative: false },
        ]);
        for round in 0..20_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let digits =
                format!("{}{}", state >> (round % 64), if round % 3 == 0 { state.to_string() } else { String::new() });
            let text = format!("{}{digits}e{}", if round % 2 == 0 { "-" } else { "" }, (state >> 40) % 60);
            numbers.push(Decimal::from_text(text.as_bytes()).unwrap().times_ten_to(-30));
        }
        for number in numbers {
            let mut field = Vec::new();
            number.put(&mut field);
            let (length, bytes) = field.split_at_mut(4);
            assert_eq!(length, u32::to_be_bytes(bytes.len() as u32), "{number:?}");
            assert_eq!(Decimal::from_binary(bytes), Some(number.clone()));
            let before = bytes.to_vec();
            assert!(settle(bytes) && bytes == before, "{number:?}");
        }
        let mut field = Vec::new();
        Decimal::from_text(b"1e999999").unwrap().put(&mut field);
        assert!(field.starts_with(&super::super::super::UNSAYABLE));
    }

    #[test]
    fn the_binary_form_is_read_by_weight() {
        let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        // 12345.678 is 1 | 2345 | 6780 with weight 1.
        let read = Decimal::from_binary(&words(&[3, 1, 0, 3, 1, 2345, 6780]));
        assert_eq!(read, Decimal::from_text(b"12345.678"));
        // -0.0001 has weight -1.
        assert_eq!(Decimal::from_binary(&words(&[1, 0xFFFF, 0x4000, 4, 1])), Decimal::from_text(b"-0.0001"));
        assert_eq!(Decimal::from_binary(&words(&[0, 0, 0, 2])), Decimal::from_text(b"0"));
        assert_eq!(Decimal::from_binary(&words(&[1, 0, 0, 0])), None, "a digit is missing");
        assert_eq!(Decimal::from_binary(&words(&[1, 0, 0, 0, 10_000])), None, "no digit");
    }
}
