//! Values through a real PostgreSQL: what it gives back in binary has the canonical form of what SQLite holds.

use crate::postgres::{Connection, CopyOut, testing};
use crate::schema::{PgType, Value};
use crate::verify::canonical::{Canonical, InPlace, encode_postgres, encode_sqlite};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::borrow::Cow;
use std::cell::RefCell;

fn encoded(value: &Value<'_>, data_type: PgType) -> Vec<u8> {
    let mut bytes = Vec::new();
    Canonical::from_sqlite(value, data_type).encode(data_type, &mut bytes);
    bytes
}

/// Lets PostgreSQL read texts as a type, and reads each back in binary.
fn through_postgres(target: &mut Connection, texts: &[String], data_type: PgType) -> Vec<Vec<u8>> {
    target.execute("DROP TABLE IF EXISTS t", "prepare").unwrap();
    target.execute(&format!("CREATE TABLE t (n int, v {data_type})"), "prepare").unwrap();
    for (number, text) in texts.iter().enumerate() {
        let sql = format!("INSERT INTO t VALUES ({number}, {}::{data_type})", crate::ident::literal(text));
        target.execute(&sql, "insert").unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    let mut read = Vec::new();
    let in_place = InPlace::new([data_type]);
    let each = &mut |fields: &[Option<&[u8]>], lying: &[u8]| {
        let mut bytes = Vec::new();
        encode_postgres(fields[0], data_type, &mut bytes);
        if let Some(in_place) = &in_place {
            let mut lying = lying.to_vec();
            let end = lying.len();
            assert!(in_place.settle(&mut lying, &[end]) && lying == bytes, "as it came");
        }
        read.push(bytes);
        Ok(())
    };
    target.copy_out("SELECT v FROM t ORDER BY n", "read back", each).unwrap();
    read
}

fn assert_same(target: &mut Connection, values: &[(Value<'_>, &str)], data_type: PgType) {
    let texts: Vec<String> = values.iter().map(|(_, text)| (*text).to_owned()).collect();
    let read = through_postgres(target, &texts, data_type);
    for ((value, text), read) in values.iter().zip(read) {
        assert_eq!(encoded(value, data_type), read, "{value:?} {text} {data_type}");
        let mut bytes = Vec::new();
        encode_sqlite(value, data_type, &mut bytes);
        assert_eq!(bytes, read, "the short way: {value:?} {text} {data_type}");
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text.as_bytes()))
}

#[test]
fn each_types_values_come_back_as_what_they_were() {
    let mut target = testing::connect(&testing::database());
    let target = &mut target;
    let same = |texts: &[&'static str]| texts.iter().map(|&value| (text(value), value)).collect::<Vec<_>>();
    assert_same(target, &[(Value::Integer(1), "true"), (text("f"), "false"), (text("True"), "t")], PgType::Boolean);
    assert_same(target, &[(Value::Integer(-32_768), "-32768"), (Value::Integer(7), "7")], PgType::Smallint);
    assert_same(
        target,
        &[(Value::Integer(i32::MAX.into()), "2147483647"), (Value::Integer(-3), "-3")],
        PgType::Integer,
    );
    assert_same(
        target,
        &[(Value::Integer(i64::MIN), "-9223372036854775808"), (Value::Integer(12), "12")],
        PgType::Bigint,
    );
    assert_same(target, &[(Value::Real(1.5), "1.5"), (Value::Integer(-2), "-2")], PgType::Real);
    let doubles = [
        (Value::Real(0.1), "0.1"),
        (Value::Real(-0.0), "-0"),
        (Value::Integer(3), "3"),
        (Value::Real(f64::INFINITY), "Infinity"),
        (Value::Real(5e-324), "5e-324"),
    ];
    assert_same(target, &doubles, PgType::Double);
    let numerics = [
        (Value::Real(0.1), "0.1"),
        (Value::Real(1e22), "1e22"),
        (Value::Real(1.5e-7), "0.00000015"),
        (Value::Integer(i64::MIN), "-9223372036854775808"),
        (Value::Integer(10_000), "10000.000"),
        (Value::Integer(0), "0.00"),
        (text("-12345678901234567890.0100"), "-12345678901234567890.01"),
        (Value::Real(f64::NEG_INFINITY), "-Infinity"),
    ];
    assert_same(target, &numerics, PgType::Numeric(None));
    assert_same(target, &[(Value::Real(1.5), "1.5"), (Value::Integer(2), "2")], PgType::Numeric(Some((10, 2))));
    assert_same(target, &same(&["", " a ", "Größe 😀", "a\\b'c\n\t"]), PgType::Text);
    assert_same(target, &same(&["abc", "ab "]), PgType::Varchar(Some(3)));
    assert_same(target, &same(&["abc", "a", ""]), PgType::Char(3));
    assert_same(target, &[(Value::Blob(Cow::Borrowed(b"\x00\xff")), "\\x00ff")], PgType::Bytea);
    assert_same(target, &same(&["2024-02-29", "0001-01-01", "9999-12-31", "1969-12-31"]), PgType::Date);
    assert_same(target, &same(&["00:00", "23:59:59.999999", "12:34:56.7"]), PgType::Time);
    let moments = ["2024-02-29 12:00", "1900-01-01T00:00:00.000001", "1999-12-31 23:59:59", "2024-01-01"];
    assert_same(target, &same(&moments), PgType::Timestamp);
    let moments =
        ["2024-02-29 12:00Z", "1900-01-01T00:00:00.000001+05:30", "1999-12-31 23:59:59-0800", "2024-01-01 00:00+01"];
    assert_same(target, &same(&moments), PgType::Timestamptz);
    assert_same(
        target,
        &same(&["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"]),
        PgType::Uuid,
    );
    assert_same(target, &same(&["{\"b\": 1, \"a\":1.0}", " [ ] "]), PgType::Json);
    let documents =
        ["{\"b\": 1e2, \"a\":[1.50,null,true], \"c\": {}}", "\"\\u00e9\\ud83d\\ude00\\n\"", "-0.0", "1e-5", "[[],{}]"];
    assert_same(target, &same(&documents), PgType::Jsonb);
}

#[test]
fn values_that_differ_in_postgresql_differ_here() {
    let mut target = testing::connect(&testing::database());
    for (value, other, data_type) in [
        (Value::Real(1.005), "1.005", PgType::Numeric(Some((10, 2)))),
        (text("a"), "a ", PgType::Text),
        (text(""), "NULL", PgType::Text),
        (Value::Real(0.1), "0.10000000000000002", PgType::Double),
        (Value::Real(0.0), "-0", PgType::Double),
        (text("2024-01-01 00:00:00.000001"), "2024-01-01 00:00", PgType::Timestamp),
        (text("2024-01-01 00:00+01"), "2024-01-01 00:00Z", PgType::Timestamptz),
        (text("{\"a\": 1}"), "{\"a\":1}", PgType::Json),
        (text("[1, 2]"), "[2, 1]", PgType::Jsonb),
    ] {
        let read = through_postgres(&mut target, &[other.to_owned()], data_type);
        assert_ne!(encoded(&value, data_type), read[0], "{value:?} {other} {data_type}");
    }
}

/// A value of SQLite, and the text from which PostgreSQL reads the same.
fn values(data_type: PgType) -> BoxedStrategy<(Value<'static>, String)> {
    let owned = |text: String| (Value::Text(Cow::Owned(text.clone().into_bytes())), text);
    let date =
        (1_i64..=9999, 1_i64..=12, 1_i64..=28).prop_map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"));
    let clock = (0_i64..24, 0_i64..60, 0_i64..60, 0_i64..1_000_000)
        .prop_map(|(hour, minute, second, micros)| format!("{hour:02}:{minute:02}:{second:02}.{micros:06}"));
    match data_type {
        PgType::Bigint => any::<i64>().prop_map(|number| (Value::Integer(number), number.to_string())).boxed(),
        PgType::Double => any::<f64>()
            .prop_filter("SQLite stores NaN as NULL", |number| !number.is_nan())
            .prop_map(|number| (Value::Real(number), format!("{number:e}").replace("inf", "Infinity")))
            .boxed(),
        PgType::Numeric(_) => prop_oneof![
            any::<i64>().prop_map(|number| (Value::Integer(number), number.to_string())),
            (-1e15..1e15_f64).prop_map(|number| (Value::Real(number), format!("{number:e}"))),
            (any::<f64>().prop_filter("finite", |number| number.is_finite()))
                .prop_map(|number| (Value::Real(number), format!("{number:e}"))),
        ]
        .boxed(),
        PgType::Text => "[^\\x00]{0,20}".prop_map(owned).boxed(),
        PgType::Bytea => prop::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| {
                let text = bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"));
                (Value::Blob(Cow::Owned(bytes)), text)
            })
            .boxed(),
        PgType::Date => date.prop_map(owned).boxed(),
        PgType::Time => clock.prop_map(owned).boxed(),
        PgType::Timestamp => (date, clock).prop_map(move |(date, clock)| owned(format!("{date} {clock}"))).boxed(),
        PgType::Timestamptz => (date, clock, -15_i64..=15)
            .prop_map(move |(date, clock, zone)| owned(format!("{date}T{clock}{zone:+03}:00")))
            .boxed(),
        PgType::Uuid => any::<[u8; 16]>()
            .prop_map(move |bytes| owned(bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02X}"))))
            .boxed(),
        _ => {
            let leaf = prop_oneof![
                Just(serde_json::Value::Null),
                any::<bool>().prop_map(serde_json::Value::from),
                any::<i64>().prop_map(serde_json::Value::from),
                (-1e300..1e300_f64).prop_map(serde_json::Value::from),
                "[^\\x00]{0,8}".prop_map(serde_json::Value::from),
            ];
            leaf.prop_recursive(3, 20, 4, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                    prop::collection::hash_map("[a-c]{0,2}", inner, 0..4)
                        .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
                ]
            })
            .prop_map(move |value| owned(value.to_string()))
            .boxed()
        }
    }
}

#[test]
fn random_values_come_back_as_what_they_were() {
    // The runner's closure may be called from anywhere, so it cannot borrow mutably by itself.
    let target = RefCell::new(testing::connect(&testing::database()));
    for data_type in [
        PgType::Bigint,
        PgType::Double,
        PgType::Numeric(None),
        PgType::Text,
        PgType::Bytea,
        PgType::Date,
        PgType::Time,
        PgType::Timestamp,
        PgType::Timestamptz,
        PgType::Uuid,
        PgType::Json,
        PgType::Jsonb,
    ] {
        let mut runner = TestRunner::new(Config { cases: 4, failure_persistence: None, ..Config::default() });
        runner
            .run(&prop::collection::vec(values(data_type), 50), |values| {
                let borrowed: Vec<(Value<'_>, &str)> =
                    values.iter().map(|(value, text)| (value.clone(), text.as_str())).collect();
                assert_same(&mut target.borrow_mut(), &borrowed, data_type);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{data_type}: {error}"));
    }
}
