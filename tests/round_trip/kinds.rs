//! Kinds of columns: what is stored in SQLite, and what PostgreSQL has to show for it.

use crate::random::Random;
use rusqlite::types::Value;

/// A stored value, and the text that the target has to show for it; `None` for NULL.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub stored: Value,
    pub text: Option<String>,
}

impl Sample {
    pub const NULL: Self = Self { stored: Value::Null, text: None };

    fn new(stored: Value, text: impl Into<String>) -> Self {
        Self { stored, text: Some(text.into()) }
    }

    pub fn integer(number: i64) -> Self {
        Self::new(Value::Integer(number), number.to_string())
    }

    pub fn text(text: &str) -> Self {
        Self::new(Value::Text(text.to_owned()), text)
    }

    fn real(number: f64) -> Self {
        Self::new(Value::Real(number), format!("{:016x}", number.to_bits()))
    }

    fn blob(bytes: &[u8]) -> Self {
        let text = bytes.iter().fold("\\x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
        Self::new(Value::Blob(bytes.to_vec()), text)
    }
}

/// A declared type with the values that go through it.
#[derive(Debug)]
pub struct Kind {
    pub declared: &'static str,
    /// The type that the spec asks for, where the declared one would become another.
    pub data_type: Option<&'static str>,
    /// How the target's column is read, around its quoted name.
    pub read: (&'static str, &'static str),
    pub sample: fn(&mut Random) -> Sample,
    /// The values of a key by its number, all of them different.
    pub key: Option<fn(usize) -> Sample>,
    /// A value that does not fit.
    pub unfit: fn(&mut Random) -> Value,
}

const TEXT: (&str, &str) = ("", "::text");
const SINGLE: (&str, &str) = ("encode(float4send(", "), 'hex')");
const DOUBLE: (&str, &str) = ("encode(float8send(", "), 'hex')");

pub static KINDS: &[Kind] = &[
    Kind {
        declared: "INTEGER",
        data_type: None,
        read: TEXT,
        sample: bigint,
        key: Some(integer_key),
        unfit: no_integer,
    },
    Kind { declared: "BIGINT", data_type: None, read: TEXT, sample: bigint, key: Some(integer_key), unfit: no_integer },
    Kind {
        declared: "UNSIGNED BIG INT",
        data_type: None,
        read: TEXT,
        sample: bigint,
        key: Some(integer_key),
        unfit: no_integer,
    },
    Kind {
        declared: "SMALLINT",
        data_type: None,
        read: TEXT,
        sample: smallint,
        key: Some(small_key),
        unfit: no_smallint,
    },
    Kind { declared: "BOOLEAN", data_type: None, read: TEXT, sample: boolean, key: None, unfit: no_boolean },
    Kind { declared: "TEXT", data_type: None, read: TEXT, sample: text, key: Some(text_key), unfit: no_text },
    Kind { declared: "CLOB", data_type: None, read: TEXT, sample: text, key: None, unfit: no_text },
    Kind { declared: "", data_type: None, read: TEXT, sample: text, key: Some(text_key), unfit: no_text },
    Kind {
        declared: "VARCHAR(20)",
        data_type: None,
        read: TEXT,
        sample: short_text,
        key: Some(text_key),
        unfit: no_short_text,
    },
    Kind {
        declared: "nvarchar ( 20 )",
        data_type: None,
        read: TEXT,
        sample: short_text,
        key: None,
        unfit: no_short_text,
    },
    Kind { declared: "DECIMAL(10,2)", data_type: None, read: TEXT, sample: cents, key: None, unfit: no_cents },
    Kind { declared: "NUMERIC", data_type: None, read: TEXT, sample: numeric, key: None, unfit: no_numeric },
    Kind { declared: "REAL", data_type: None, read: DOUBLE, sample: double, key: Some(real_key), unfit: no_double },
    Kind { declared: "DOUBLE PRECISION", data_type: None, read: DOUBLE, sample: double, key: None, unfit: no_double },
    Kind { declared: "BLOB", data_type: None, read: TEXT, sample: blob, key: Some(blob_key), unfit: no_blob },
    Kind { declared: "DATE", data_type: None, read: TEXT, sample: date, key: None, unfit: no_date },
    Kind { declared: "DATETIME", data_type: None, read: TEXT, sample: timestamp, key: None, unfit: no_timestamp },
    Kind {
        declared: "TIMESTAMP WITH TIME ZONE",
        data_type: None,
        read: TEXT,
        sample: instant,
        key: None,
        unfit: no_timestamp,
    },
    Kind { declared: "TIME", data_type: None, read: TEXT, sample: time, key: None, unfit: no_date },
    Kind { declared: "JSON", data_type: None, read: TEXT, sample: json, key: None, unfit: no_json },
    Kind { declared: "UUID", data_type: None, read: TEXT, sample: uuid, key: Some(uuid_key), unfit: no_uuid },
    Kind { declared: "TEXT", data_type: Some("char(3)"), read: TEXT, sample: three, key: None, unfit: no_three },
    Kind { declared: "REAL", data_type: Some("real"), read: SINGLE, sample: single, key: None, unfit: no_single },
    Kind { declared: "TEXT", data_type: Some("json"), read: TEXT, sample: json_text, key: None, unfit: no_json_text },
    Kind { declared: "BLOB", data_type: Some("uuid"), read: TEXT, sample: uuid_blob, key: None, unfit: no_blob },
    Kind { declared: "INTEGER", data_type: Some("boolean"), read: TEXT, sample: boolean, key: None, unfit: no_boolean },
    Kind { declared: "TEXT", data_type: Some("numeric"), read: TEXT, sample: decimal, key: None, unfit: no_numeric },
    Kind {
        declared: "BIGINT",
        data_type: Some("numeric(8,-2)"),
        read: TEXT,
        sample: hundreds,
        key: None,
        unfit: no_hundreds,
    },
    Kind { declared: "INT", data_type: Some("integer"), read: TEXT, sample: integer, key: None, unfit: no_integer },
    Kind {
        declared: "INTEGER",
        data_type: Some("double precision"),
        read: DOUBLE,
        sample: whole,
        key: None,
        unfit: no_whole,
    },
];

pub fn kind(declared: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.declared == declared && kind.data_type.is_none()).unwrap()
}

fn bigint(random: &mut Random) -> Sample {
    let any = random.number() as i64;
    Sample::integer(random.pick(&[i64::MIN, i64::MAX, 0, -1, 1, 1 << 53, (1 << 53) + 1, any, any >> 40]))
}

fn smallint(random: &mut Random) -> Sample {
    Sample::integer(random.pick(&[-32768, 32767, 0, 1, -1, 256]))
}

fn boolean(random: &mut Random) -> Sample {
    let (stored, truth) = random.pick(&[("0", false), ("1", true), ("t", true), ("F", false), ("TRUE", true)]);
    let stored = match stored {
        "0" | "1" => Value::Integer(i64::from(truth)),
        word => Value::Text(word.to_owned()),
    };
    Sample::new(stored, truth.to_string())
}

fn text(random: &mut Random) -> Sample {
    let long = "long ".repeat(random.below(3000));
    let choices = [
        "",
        " ",
        "\\.",
        "a\n\\.\nb",
        "\\N",
        "NULL",
        "null",
        "it's",
        "\"quoted\"",
        "tab\tand\\backslash",
        "ünï 😀 e\u{301}",
        "\u{feff}bom",
        "line\r\nend",
        "\u{1}\u{7f}",
        "trailing  ",
        "0",
        "1.50",
        "\u{10ffff}",
        "{}",
        "'; DROP TABLE x; --",
        &long,
    ];
    Sample::text(random.pick(&choices))
}

fn short_text(random: &mut Random) -> Sample {
    Sample::text(random.pick(&["", "exactly twenty chars", "ääääääääääääääääääää", "  both  ", "\\.", "x", "😀😀"]))
}

fn cents(random: &mut Random) -> Sample {
    let any = (random.number() % 999_999_999_999) as i64;
    let cents =
        random.pick(&[0, 1, -1, 9_999_999_999, -9_999_999_999, 100, 150, any % 10_000_000_000, -(any % 10_000)]);
    let text = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
    let stored = match cents % 100 {
        0 if random.chance(50) => Value::Integer(cents / 100),
        _ if random.chance(20) => Value::Text(text.clone()),
        _ => Value::Real(cents as f64 / 100.0),
    };
    Sample::new(stored, text)
}

fn numeric(random: &mut Random) -> Sample {
    let number = random.pick(&[0.1, -2.5e-7, 1e300, 5e-324, 1e20, f64::MAX, 0.1 + 0.2, 12_345.678]);
    match random.chance(50) {
        true => bigint(random),
        false => Sample::new(Value::Real(number), number.to_string()),
    }
}

fn double(random: &mut Random) -> Sample {
    let any = f64::from_bits(random.number());
    let any = if any.is_nan() { 0.5 } else { any };
    let choices = [0.0, 1.0, 0.1, 1e300, 5e-324, f64::MIN, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, any];
    Sample::real(random.pick(&choices))
}

fn blob(random: &mut Random) -> Sample {
    let any: Vec<u8> = (0..random.below(300)).map(|_| random.number() as u8).collect();
    let choices: [&[u8]; 5] = [b"", b"\0", b"\\.\n", b"\xff\xfe", &any];
    Sample::blob(random.pick(&choices))
}

fn date(random: &mut Random) -> Sample {
    Sample::text(random.pick(&["0001-01-01", "9999-12-31", "2000-02-29", "1900-02-28", "1999-12-31", "1970-01-01"]))
}

fn timestamp(random: &mut Random) -> Sample {
    let (stored, text) = random.pick(&[
        ("0001-01-01 00:00:00", "0001-01-01 00:00:00"),
        ("9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999"),
        ("2024-02-29T12:34:56", "2024-02-29 12:34:56"),
        ("1999-12-31 23:59", "1999-12-31 23:59:00"),
        ("1969-12-31 23:59:59.500", "1969-12-31 23:59:59.5"),
        ("2024-03-31", "2024-03-31 00:00:00"),
        ("2024-03-31 02:30:00", "2024-03-31 02:30:00"),
    ]);
    Sample::new(Value::Text(stored.to_owned()), text)
}

fn instant(random: &mut Random) -> Sample {
    let (stored, text) = random.pick(&[
        ("2024-01-01 01:00:00+01:00", "2024-01-01 00:00:00+00"),
        ("2024-01-01T00:00:00Z", "2024-01-01 00:00:00+00"),
        ("0001-01-01 23:59:59.000001-00:30", "0001-01-02 00:29:59.000001+00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999+00"),
        ("1999-12-31 16:00:00-08:00", "2000-01-01 00:00:00+00"),
    ]);
    Sample::new(Value::Text(stored.to_owned()), text)
}

fn time(random: &mut Random) -> Sample {
    let (stored, text) = random.pick(&[
        ("00:00", "00:00:00"),
        ("23:59:59.999999", "23:59:59.999999"),
        ("12:34:56", "12:34:56"),
        ("01:02:03.100", "01:02:03.1"),
    ]);
    Sample::new(Value::Text(stored.to_owned()), text)
}

fn json(random: &mut Random) -> Sample {
    // The declared type has NUMERIC affinity: a document that is a number is stored as one.
    let (stored, text) = random.pick(&[
        (r#"{"b":1,"a":[1.50,null,true]}"#, r#"{"a": [1.50, null, true], "b": 1}"#),
        (r#"{"a":1,"b":{"a":2}}"#, r#"{"a": 1, "b": {"a": 2}}"#),
        ("1.50", "1.5"),
        ("-7", "-7"),
        (r#""\u00e9\n""#, r#""é\n""#),
        (r#""\\u0000""#, r#""\\u0000""#),
        (" [ ] ", "[]"),
        ("{\"😀\":\"\\\\.\"}", "{\"😀\": \"\\\\.\"}"),
        ("null", "null"),
    ]);
    Sample::new(Value::Text(stored.to_owned()), text)
}

fn uuid(random: &mut Random) -> Sample {
    let (high, low) = (random.number(), random.number());
    let text = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    );
    let stored = if random.chance(50) { text.to_uppercase() } else { text.clone() };
    Sample::new(Value::Text(stored), text)
}

fn three(random: &mut Random) -> Sample {
    Sample::text(random.pick(&["abc", "äöü", " a.", "\\.\n", "😀é0"]))
}

fn single(random: &mut Random) -> Sample {
    let number = random.pick(&[0.5_f32, 0.0, 16_777_216.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, 0.1]);
    Sample::new(Value::Real(number.into()), format!("{:08x}", number.to_bits()))
}

fn json_text(random: &mut Random) -> Sample {
    Sample::text(random.pick(&[r#"{"b": 1,  "a":1.50,"a":2}"#, r#""\u0000 \ud800""#, " null\n", "1e999999", "[]"]))
}

fn uuid_blob(random: &mut Random) -> Sample {
    let bytes = [random.number().to_be_bytes(), random.number().to_be_bytes()].concat();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    Sample::new(Value::Blob(bytes), text)
}

fn decimal(random: &mut Random) -> Sample {
    let (stored, text) = random.pick(&[
        ("1.50", "1.50"),
        ("007.10", "7.10"),
        ("+1", "1"),
        (".5", "0.5"),
        ("5.", "5"),
        ("-0.00", "0.00"),
        ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
        ("10000", "10000"),
        ("0.00010000", "0.00010000"),
    ]);
    Sample::new(Value::Text(stored.to_owned()), text)
}

fn hundreds(random: &mut Random) -> Sample {
    Sample::integer(random.pick(&[0, 100, -12_300, 9_999_999_900, 1_000_000]))
}

fn integer(random: &mut Random) -> Sample {
    Sample::integer(random.pick(&[0, 1, -1, i64::from(i32::MAX), i64::from(i32::MIN)]))
}

fn whole(random: &mut Random) -> Sample {
    let number = random.pick(&[0, 1, 1 << 53, -(1 << 60), i64::MIN]);
    Sample::new(Value::Integer(number), format!("{:016x}", (number as f64).to_bits()))
}

fn integer_key(number: usize) -> Sample {
    const FIRST: &[i64] = &[1, -5, 2, 0, 1 << 40, 3, i64::MIN, 1000, 17, i64::MAX - 1, 18];
    Sample::integer(FIRST.get(number).copied().unwrap_or(5000 + 3 * number as i64))
}

fn small_key(number: usize) -> Sample {
    Sample::integer([1, -32768, 7, 32000, 0].get(number).copied().unwrap_or(100 + number as i64))
}

fn text_key(number: usize) -> Sample {
    const FIRST: &[&str] = &["k", "K", "k ", "", "é", "É", "1", "01", "\\.", "a, b", "it's \"k\"", "😀"];
    Sample::text(&FIRST.get(number).map_or_else(|| format!("key {number}"), |&text| text.to_owned()))
}

fn real_key(number: usize) -> Sample {
    Sample::real([1.0, -0.5, 1e300, 0.1 + 0.2, 0.3, 5e-324].get(number).copied().unwrap_or(number as f64 + 0.25))
}

fn blob_key(number: usize) -> Sample {
    let any = (number as u32).to_be_bytes();
    Sample::blob([&b""[..], b"\0", b"k", b"\xff"].get(number).copied().unwrap_or(&any))
}

fn uuid_key(number: usize) -> Sample {
    let text = format!("a0eebc99-9c0b-4ef8-bb6d-{number:012x}");
    Sample::new(Value::Text(if number.is_multiple_of(2) { text.to_uppercase() } else { text.clone() }), text)
}

fn any_text(random: &mut Random, choices: &[&str]) -> Value {
    Value::Text(random.pick(choices).to_owned())
}

fn no_integer(random: &mut Random) -> Value {
    match random.below(3) {
        0 => Value::Real(9.3e18),
        1 => Value::Blob(vec![1]),
        _ => any_text(random, &["", "abc", "12x", "9223372036854775808"]),
    }
}

fn no_three(random: &mut Random) -> Value {
    any_text(random, &["", "ab", "ab ", "abcd", "a\0b"])
}

fn no_single(random: &mut Random) -> Value {
    Value::Real(random.pick(&[0.1, 1e300, 16_777_217.0, 1e-60]))
}

fn no_json_text(random: &mut Random) -> Value {
    any_text(random, &["", "{", "nul", "[1,]", "\u{a0}1", "'a'", "01", "1.", "\"\u{1}\""])
}

fn no_hundreds(random: &mut Random) -> Value {
    Value::Integer(random.pick(&[1, 150, 1_000_000_000_000, i64::MIN]))
}

fn no_whole(random: &mut Random) -> Value {
    Value::Integer(random.pick(&[(1 << 53) + 1, i64::MAX]))
}

fn no_smallint(random: &mut Random) -> Value {
    Value::Integer(random.pick(&[32768, -32769, i64::MAX]))
}

fn no_boolean(random: &mut Random) -> Value {
    if random.chance(50) { Value::Integer(2) } else { any_text(random, &["yes", "", "01x"]) }
}

fn no_text(random: &mut Random) -> Value {
    if random.chance(50) { Value::Blob(b"text".to_vec()) } else { any_text(random, &["a\0b", "\0"]) }
}

fn no_short_text(random: &mut Random) -> Value {
    any_text(random, &["twenty-one characters", "exactly twenty chars "])
}

fn no_cents(random: &mut Random) -> Value {
    match random.below(3) {
        0 => any_text(random, &["", "1,50", "NaN", "1.5 EUR"]),
        _ => Value::Real(random.pick(&[1.005, 123_456_789.5, f64::INFINITY])),
    }
}

fn no_numeric(random: &mut Random) -> Value {
    if random.chance(50) { Value::Real(f64::INFINITY) } else { any_text(random, &["", "x", "NaN", "0x1F"]) }
}

fn no_double(random: &mut Random) -> Value {
    any_text(random, &["", "x", "Infinity", "0x10"])
}

fn no_blob(random: &mut Random) -> Value {
    if random.chance(50) { Value::Integer(1) } else { any_text(random, &["", "text"]) }
}

fn no_date(random: &mut Random) -> Value {
    any_text(random, &["2024-02-30", "0000-00-00", "now", "", "infinity", "2024-1-1", "24:00:00", "x"])
}

fn no_timestamp(random: &mut Random) -> Value {
    any_text(
        random,
        &["2024-02-30 00:00:00", "0000-00-00 00:00:00", "now", "", "2024-01-01 25:00:00", "2024-01-01 00:00:60"],
    )
}

fn no_json(random: &mut Random) -> Value {
    any_text(random, &["", "{", "{'a':1}", r#""\u0000""#, r#""\ud800""#, "nan", "[1,]"])
}

fn no_uuid(random: &mut Random) -> Value {
    any_text(random, &["", "x", "a0eebc99-9c0b-4ef8-bb6d", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"])
}
