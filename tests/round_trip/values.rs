//! Values made from what they mean: what SQLite is to store, and what the server is to show for it.
//!
//! Each strategy writes both sides from the same parts, so nothing here converts the one into the other.

use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::types::Value;

/// What is written into SQLite.
#[derive(Debug, Clone)]
pub enum Stored {
    Value(Value),
    /// A text of bytes that no `String` holds.
    Broken(Vec<u8>),
}

/// What has to come out of the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Null,
    Text(String),
    /// The bits of a double: a text that reads back as it.
    Double(u64),
    /// The bits of a single.
    Single(u32),
    /// Nothing: the audit names the value, and it is not moved.
    Refused,
}

pub type Case = (Stored, Shown);

fn text(stored: impl Into<String>) -> Stored {
    Stored::Value(Value::Text(stored.into()))
}

fn integer(number: i64) -> Stored {
    Stored::Value(Value::Integer(number))
}

fn real(number: f64) -> Stored {
    Stored::Value(Value::Real(number))
}

fn shown(text: impl Into<String>) -> Shown {
    Shown::Text(text.into())
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

/// Bytes where none are taken.
fn refused_blob() -> impl Strategy<Value = Case> {
    blob().prop_map(|bytes| (Stored::Value(Value::Blob(bytes)), Shown::Refused))
}

/// Texts that stand for nothing but themselves, least of all for a NULL.
fn refused_words() -> impl Strategy<Value = Case> {
    const WORDS: &[&str] = &["", " ", "abc", "NULL", "12x", "now", "infinity", "NaN", "{", "0x10", "1 2"];
    select(WORDS).prop_map(|word| (text(word), Shown::Refused))
}

pub fn booleans() -> impl Strategy<Value = Case> {
    let spelled = any::<[bool; 5]>();
    prop_oneof![
        8 => any::<bool>().prop_map(|truth| (integer(truth.into()), shown(truth.to_string()))),
        8 => (any::<bool>(), any::<bool>(), spelled).prop_map(|(truth, short, upper)| {
            let word = truth.to_string();
            let word = if short { &word[..1] } else { &word[..] };
            let letter = |(letter, upper): (char, bool)| if upper { letter.to_ascii_uppercase() } else { letter };
            (text(word.chars().zip(upper).map(letter).collect::<String>()), shown(truth.to_string()))
        }),
        1 => any::<i64>().prop_filter("no truth", |number| !matches!(number, 0 | 1))
            .prop_map(|number| (integer(number), Shown::Refused)),
        1 => refused_words(),
        1 => refused_blob(),
        1 => Just((real(0.5), Shown::Refused)),
    ]
}

/// Integers of so many bits, in a column of INTEGER affinity: SQLite makes numbers of texts and whole doubles.
pub fn integers(bits: u32) -> impl Strategy<Value = Case> {
    let (least, most) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
    let fits = prop_oneof![4 => least..=most, 1 => select(vec![least, most, 0, -1, 1])];
    let outside = any::<i64>().prop_map(move |number| {
        let shown = if (least..=most).contains(&number) { shown(number.to_string()) } else { Shown::Refused };
        (integer(number), shown)
    });
    prop_oneof![
        12 => fits.clone().prop_map(|number| (integer(number), shown(number.to_string()))),
        2 => fits.clone().prop_map(|number| (text(format!(" {number:+} ")), shown(number.to_string()))),
        2 => fits.prop_map(|number| {
            // Doubles hold whole numbers up to 2^53.
            let number = number % (1 << 53);
            (real(number as f64), shown(number.to_string()))
        }),
        2 => outside,
        1 => (-1e6..1e6_f64).prop_filter("a fraction", |number| number.fract() != 0.0)
            .prop_map(|number| (real(number), Shown::Refused)),
        1 => Just((real(9.223372036854776e18), Shown::Refused)),
        1 => refused_words(),
        1 => refused_blob(),
    ]
}

/// Doubles, -0.0 left out: SQLite stores whole doubles as integers and gives 0.0 back.
fn doubles() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        select(vec![0.1, 1e23, 5e-324, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY]),
        -1e6..1e6_f64,
    ]
    .prop_filter("SQLite stores NaN as NULL", |number| !number.is_nan())
    .prop_map(|number| number + 0.0)
}

pub fn double_precision() -> impl Strategy<Value = Case> {
    prop_oneof![
        12 => doubles().prop_map(|number| (real(number), Shown::Double(number.to_bits()))),
        2 => (-(1_i64 << 53)..=1 << 53).prop_map(|number| (integer(number), Shown::Double((number as f64).to_bits()))),
        1 => refused_words(),
        1 => refused_blob(),
    ]
}

/// Integers in a column that keeps them, where the type has only some of the large ones.
pub fn integers_as_doubles() -> impl Strategy<Value = Case> {
    any::<i64>().prop_map(|number| {
        let double = number as f64;
        let is_exact = double < i64::MAX as f64 && double as i64 == number;
        (integer(number), if is_exact { Shown::Double(double.to_bits()) } else { Shown::Refused })
    })
}

pub fn singles() -> impl Strategy<Value = Case> {
    prop_oneof![
        12 => any::<f32>().prop_filter("SQLite stores NaN as NULL", |number| !number.is_nan()).prop_map(|number| {
            let number = number + 0.0;
            (real(number.into()), Shown::Single(number.to_bits()))
        }),
        3 => doubles().prop_map(|number| {
            let single = number as f32;
            let is_exact = f64::from(single) == number;
            (real(number), if is_exact { Shown::Single(single.to_bits()) } else { Shown::Refused })
        }),
        1 => refused_words(),
        1 => refused_blob(),
    ]
}

/// Digits of a number with so many of them behind the point, as `numeric` shows them.
fn pointed(negative: bool, digits: u128, decimals: usize) -> String {
    let text = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = text.split_at(text.len() - decimals);
    let sign = if negative && digits != 0 { "-" } else { "" };
    if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Numbers for `numeric(precision,scale)`, up to 15 digits: such a number is the shortest text of its double.
pub fn decimals(precision: u32, scale: usize) -> impl Strategy<Value = Case> {
    let digits = precision.min(15);
    let most = 10_u128.pow(digits);
    let parts = (any::<bool>(), prop_oneof![4 => 0..most, 1 => (0..=digits).prop_map(|power| 10_u128.pow(power) - 1)]);
    let double = move |negative: bool, digits: u128, decimals: usize| -> f64 {
        pointed(negative, digits, decimals).parse().unwrap()
    };
    let too_many = (any::<bool>(), (0..most / 10).prop_map(|digits| digits * 10 + 1 + digits % 9));
    let too_large = (any::<bool>(), 0..1000_u128).prop_map(move |(negative, above)| {
        let digits = 10_u128.pow(precision - scale as u32) + above;
        (text(pointed(negative, digits, 0)), Shown::Refused)
    });
    prop_oneof![
        8 => parts.clone().prop_map(move |(negative, digits)| {
            (real(double(negative, digits, scale)), shown(pointed(negative, digits, scale)))
        }),
        4 => (parts.clone(), 0..4_usize, any::<bool>()).prop_map(move |((negative, digits), zeros, plus)| {
            let sign = if negative { "-" } else if plus { "+" } else { "" };
            let stored = format!("{sign}{}{}", "0".repeat(zeros), pointed(false, digits, scale));
            (text(stored), shown(pointed(negative, digits, scale)))
        }),
        3 => parts.prop_map(move |(negative, digits)| {
            let whole = digits / 10_u128.pow(scale as u32);
            let number = i64::try_from(whole).unwrap() * if negative { -1 } else { 1 };
            (integer(number), shown(pointed(negative, whole * 10_u128.pow(scale as u32), scale)))
        }),
        2 => too_many.clone().prop_map(move |(negative, digits)| {
            (real(double(negative, digits, scale + 1)), Shown::Refused)
        }),
        2 => too_many.prop_map(move |(negative, digits)| (text(pointed(negative, digits, scale + 1)), Shown::Refused)),
        1 => too_large,
        1 => select(vec![f64::INFINITY, f64::NEG_INFINITY]).prop_map(|number| (real(number), Shown::Refused)),
        1 => refused_words(),
        1 => refused_blob(),
    ]
}

/// Whole hundreds for `numeric(8,-2)`.
pub fn hundreds() -> impl Strategy<Value = Case> {
    (-99_999_999_i64..=99_999_999, 0..5_i64).prop_map(|(hundreds, more)| {
        let number = hundreds * 100 + (more - 4).max(0);
        (integer(number), if number % 100 == 0 { shown(number.to_string()) } else { Shown::Refused })
    })
}

/// Numbers without a limit: a text keeps its zeros, a double is its shortest decimal, written without an exponent.
pub fn numbers() -> impl Strategy<Value = Case> {
    let finite = doubles().prop_filter("finite", |number| number.is_finite());
    prop_oneof![
        4 => any::<i64>().prop_map(|number| (integer(number), shown(number.to_string()))),
        8 => finite.prop_map(|number| {
            let short = format!("{:e}", number.abs());
            let (digits, power) = short.split_once('e').unwrap();
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let (digits, power) = (format!("{whole}{fraction}"), power.parse::<isize>().unwrap());
            // The point stands so many digits from the left.
            let point = power + 1;
            let sign = if number < 0.0 { "-" } else { "" };
            let text = match usize::try_from(point) {
                Ok(0) | Err(_) => format!("0.{}{digits}", "0".repeat(point.unsigned_abs())),
                Ok(point) if point >= digits.len() => format!("{digits:0<point$}"),
                Ok(point) => format!("{}.{}", &digits[..point], &digits[point..]),
            };
            (real(number), shown(format!("{sign}{text}")))
        }),
        1 => Just((real(f64::INFINITY), Shown::Refused)),
        1 => refused_words(),
        1 => refused_blob(),
    ]
}

/// Numbers as texts, in a column that keeps them as such.
pub fn spelled_numbers() -> impl Strategy<Value = Case> {
    let long = ("[1-9][0-9]{0,60}", "[0-9]{0,60}", any::<bool>());
    prop_oneof![
        6 => long.prop_map(|(whole, fraction, negative)| {
            let sign = if negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let number = format!("{sign}{whole}{point}{fraction}");
            (text(&number), shown(number))
        }),
        1 => refused_words(),
    ]
}

/// Characters of all kinds that PostgreSQL takes, and those that mean something to one of the formats in between.
fn characters(most: usize) -> impl Strategy<Value = String> {
    let special = select(vec!['\\', '.', '\n', '\r', '\t', '\'', '"', '{', ' ', '\u{feff}', '\u{1}', '😀', '\u{301}']);
    let character = prop_oneof![2 => any::<char>(), 1 => special, 2 => proptest::char::range('a', 'z')]
        .prop_filter("PostgreSQL takes no NUL", |character| *character != '\0');
    prop::collection::vec(character, 0..=most).prop_map(|characters| characters.into_iter().collect())
}

fn unstorable_text() -> impl Strategy<Value = Case> {
    let broken = select(vec![&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf"]);
    prop_oneof![
        ("[a-z]{0,3}", "[a-z]{0,3}").prop_map(|(before, after)| (text(format!("{before}\0{after}")), Shown::Refused)),
        ("[a-z]{0,3}", broken)
            .prop_map(|(before, after)| { (Stored::Broken([before.as_bytes(), after].concat()), Shown::Refused) }),
    ]
}

/// Texts of at most so many characters.
pub fn texts(most: Option<usize>) -> impl Strategy<Value = Case> {
    let too_long = characters(3).prop_map(move |rest| {
        let Some(most) = most else { return (text(&rest), shown(rest)) };
        (text(format!("{}{rest}", "ä".repeat(most + 1))), Shown::Refused)
    });
    // Spaces behind the last character that fits are not cut off silently.
    let trailing = (1..5_usize).prop_map(move |spaces| {
        let Some(most) = most else { return (text(" "), shown(" ")) };
        (text(format!("{}{}", "x".repeat(most), " ".repeat(spaces))), Shown::Refused)
    });
    prop_oneof![
        12 => characters(most.unwrap_or(200)).prop_map(|string| (text(&string), shown(string))),
        // TEXT affinity: a number is stored as its text.
        2 => any::<i32>().prop_map(move |number| {
            let number = i64::from(number) % 10_i64.pow(most.map_or(9, |most| most as u32 - 1));
            (integer(number), shown(number.to_string()))
        }),
        1 => too_long,
        1 => trailing,
        1 => unstorable_text(),
        1 => refused_blob(),
    ]
}

/// Texts of exactly so many characters: PostgreSQL would pad what is shorter, and not count spaces at the end.
pub fn padded(length: usize) -> impl Strategy<Value = Case> {
    let exact = prop::collection::vec(proptest::char::range('!', '~'), length)
        .prop_map(|characters| characters.into_iter().collect::<String>());
    prop_oneof![
        8 => exact.clone().prop_map(|string| (text(&string), shown(string))),
        1 => exact.clone().prop_map(|string| (text(&string[1..]), Shown::Refused)),
        1 => exact.clone().prop_map(|string| (text(format!("{} ", &string[1..])), Shown::Refused)),
        1 => exact.prop_map(|string| (text(format!("{string}!")), Shown::Refused)),
        1 => unstorable_text(),
        1 => refused_blob(),
    ]
}

pub fn bytes() -> impl Strategy<Value = Case> {
    prop_oneof![
        12 => blob().prop_map(|bytes| {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            (Stored::Value(Value::Blob(bytes)), shown(format!("\\x{hex}")))
        }),
        1 => characters(5).prop_map(|string| (text(string), Shown::Refused)),
        1 => any::<i64>().prop_map(|number| (integer(number), Shown::Refused)),
    ]
}

pub fn uuids() -> impl Strategy<Value = Case> {
    let groups = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    let groups = || proptest::string::string_regex(groups).unwrap();
    prop_oneof![
        6 => groups().prop_map(|id| (text(&id), shown(id))),
        6 => groups().prop_map(|id| (text(id.to_uppercase()), shown(id))),
        4 => groups().prop_map(|id| {
            let digits: Vec<u8> = id.bytes().filter(|byte| *byte != b'-').collect();
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            (Stored::Value(Value::Blob(digits.chunks(2).map(byte).collect())), shown(id))
        }),
        1 => groups().prop_map(|id| (text(&id[1..]), Shown::Refused)),
        1 => groups().prop_map(|id| (text(format!("{}g", &id[..35])), Shown::Refused)),
        1 => refused_words(),
        1 => prop::collection::vec(any::<u8>(), 0..16)
            .prop_map(|bytes| (Stored::Value(Value::Blob(bytes)), Shown::Refused)),
    ]
}
