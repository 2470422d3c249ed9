//! Expressions made up at random: what is translated means the same, whatever it is.

use super::evaluate::{Databases, Use, translate};
use super::grid::{self, Random};

const COLUMNS: &[&str] =
    &["n", "m", "k", "i", "r", "s", "p", "t", "u", "v", "c", "z", "f", "g", "d", "e", "h", "b", "j"];

const CONSTANTS: &[&str] = &[
    "NULL",
    "0",
    "1",
    "-1",
    "2",
    "60",
    "0.5",
    "1.5",
    "''",
    "'abc'",
    "'ABC'",
    "'5'",
    "'05'",
    "'É'",
    "' '",
    "TRUE",
    "FALSE",
    "x'00'",
    "0x1F",
    "'2020-01-01'",
    "'2020-01-01 00:00:00'",
    "'12:30:45'",
];

const COMPARISONS: &[&str] = &["=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT", "==", "!="];

const PATTERNS: &[&str] =
    &["'a%'", "'%C'", "'a_c'", "'%É%'", "'%@%'", "'a\\%'", "'A!%C' ESCAPE '!'", "'%'", "'_'", "'%b%c%'"];

const GLOBS: &[&str] =
    &["'a*'", "'?b*'", "'[a-c]*'", "'*[^0-9]*'", "'[A-Z]bc'", "'*\\*'", "'[^a]*'", "'[]x[]*'", "'[a-]*'", "'*'"];

/// Makes up an expression, mostly one that makes sense: SQLite takes all of them.
fn expression(random: &Random, depth: usize) -> String {
    let inner = || expression(random, depth - 1);
    let column = || (*random.one_of(COLUMNS)).to_owned();
    if depth == 0 {
        return if random.below(3) == 0 { (*random.one_of(CONSTANTS)).to_owned() } else { column() };
    }
    let text = || *random.one_of(&["t", "u", "v", "c", "z", "'aBc'", "lower(t)", "t || u"]);
    let number = || *random.one_of(&["n", "m", "k", "i", "r", "s", "p", "2", "-3", "0.5", "n + 1", "f", "length(t)"]);
    match random.below(26) {
        0..=4 => format!("({} {} {})", inner(), random.one_of(COMPARISONS), inner()),
        5 => format!("({} {} {})", column(), random.one_of(COMPARISONS), random.one_of(CONSTANTS)),
        6 => format!("({} AND {})", inner(), inner()),
        7 => format!("({} OR {})", inner(), inner()),
        8 => format!("(NOT {})", inner()),
        9 => format!("({} IS {}NULL)", inner(), random.one_of(&["", "NOT "])),
        10 => format!("({} {}IN ({}, {}))", column(), random.one_of(&["", "NOT "]), random.one_of(CONSTANTS), inner()),
        11 => format!("({} BETWEEN {} AND {})", column(), random.one_of(CONSTANTS), inner()),
        12 => format!("(CASE WHEN {} THEN {} ELSE {} END)", inner(), inner(), inner()),
        13 => format!("(CASE {} WHEN {} THEN {} END)", column(), random.one_of(CONSTANTS), inner()),
        14 => format!("({} {} {})", number(), random.one_of(&["+", "-", "*", "/", "%", "&", "|"]), number()),
        15 => format!("({} {} {})", inner(), random.one_of(&["+", "-", "*", "/", "%"]), inner()),
        16 => format!("({} || {})", text(), inner()),
        17 => format!("({} {}LIKE {})", text(), random.one_of(&["", "NOT "]), random.one_of(PATTERNS)),
        18 => format!("({} {}GLOB {})", text(), random.one_of(&["", "NOT "]), random.one_of(GLOBS)),
        19 => format!("{}({}, {})", random.one_of(&["coalesce", "ifnull", "nullif", "min", "max"]), inner(), inner()),
        20 => format!("{}({})", random.one_of(&["lower", "upper", "trim", "ltrim", "rtrim", "length", "hex"]), text()),
        21 => format!("{}({})", random.one_of(&["abs", "round", "length", "-", "~", "+"]), number()),
        22 => format!("substr({}, {}, {})", text(), random.one_of(&["1", "2", "4"]), random.one_of(&["0", "1", "9"])),
        23 => format!(
            "({} {} {} COLLATE {})",
            text(),
            random.one_of(COMPARISONS),
            text(),
            random.one_of(&["NOCASE", "RTRIM", "BINARY"])
        ),
        24 => format!("CAST({} AS {})", inner(), random.one_of(&["TEXT", "INTEGER", "REAL"])),
        _ => format!("({} IS {}{})", inner(), random.one_of(&["", "NOT "]), random.one_of(&["TRUE", "FALSE"])),
    }
}

#[test]
fn what_is_translated_means_the_same() {
    let random = Random::seeded("expressions at random");
    let mut databases = Databases::with(&grid::rows(&random, 60));
    let count = std::env::var("TENANTRY_EXPRESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let (mut translated, mut rows, mut out_of_range) = (0, 0, 0);
    let mut failures = Vec::new();
    for number in 0..count {
        let used = if number % 2 == 0 { Use::Condition } else { Use::Value };
        let depth = 1 + random.below(3);
        let expression = expression(&random, depth);
        let Ok(postgres) = translate(used, &expression) else { continue };
        translated += 1;
        match databases.compare(used, &expression, &postgres) {
            Ok(compared) => {
                rows += compared.same;
                out_of_range += compared.out_of_range;
            }
            Err(difference) => failures.push(difference),
        }
    }
    println!("{translated} of {count} translated, {rows} values the same, {out_of_range} out of range");
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n\n"));
    assert!(translated * 10 > count, "hardly any of the expressions is translated");
}
