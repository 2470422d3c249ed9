//! The grammar of SQLite's CREATE statements (`parse.y`), and statements made from it until every branch is taken.

use super::compare::{Verdict, compare};
use super::statements::Script;
use std::collections::BTreeMap;

/// Productions: words stand for themselves, `<x>` for a production; in a word `~` is a space, and `!` alone a tilde.
const GRAMMAR: &[(&str, &[&str])] = &[
    (
        "table",
        &[
            "CREATE <temp> TABLE <unless> <of> <t> ( <columns> <constraints> ) <options>",
            "CREATE TABLE t ( a INTEGER , <b> , <name> PRIMARY KEY ( a AUTOINCREMENT ) )",
            "CREATE TABLE t AS <select>",
        ],
    ),
    ("temp", &["", "TEMP", "TEMPORARY"]),
    ("unless", &["", "IF NOT EXISTS"]),
    ("of", &["", "", "", "main ."]),
    ("t", &["t", "\"t\"", "[t]", "`t`", "'t'", "\"odd~\"\"name\"\";~--\""]),
    ("columns", &["<a>", "<a> , <b>", "<a> , <b>", "<a> , <b> , <c>", "<a> , <b> , <c>"]),
    (
        "a",
        &[
            "a <type> <clauses>",
            "\"a\" <type> <clauses>",
            "INTEGER <clauses>",
            "a INTEGER PRIMARY KEY <direction> <conflict> <counting>",
        ],
    ),
    ("b", &["b <type> <clauses>", "[b] <type> <clauses>", "'b' <type> <clauses>"]),
    ("c", &["c <type> <clauses>", "`c` <type> <clauses>", "c <generated>", "größe", "key", "\"select\""]),
    (
        "type",
        &[
            "",
            "INT",
            "integer",
            "TEXT",
            "BLOB",
            "REAL",
            "UNSIGNED BIG INT",
            "VARCHAR ( 10 )",
            "DECIMAL ( +10 , -2 )",
            "NUMERIC(1.5e1)",
            "\"quoted~type\"",
            "'another~one'",
            "[br~bt]",
            "TEXT AFTER description",
            "ANY",
            "LONG NAME OF ( 3 )",
        ],
    ),
    // What SQLite takes twice and keeps once stands there once.
    (
        "clauses",
        &[
            "",
            "",
            "<default>",
            "<null> <default>",
            "<collate> <key> <null>",
            "<check> <null> <check>",
            "<ref> <default> <collate>",
            "<key> <conflict> <check> <ref>",
            "<name> <generated> <check>",
            "<key> <name> <generated> <null>",
            "<default> CONSTRAINT alone",
        ],
    ),
    ("name", &["", "", "", "CONSTRAINT n", "CONSTRAINT \"n~2\"", "CONSTRAINT [n] CONSTRAINT 'm'"]),
    (
        "default",
        &[
            "<name> DEFAULT <term>",
            "<name> DEFAULT + <number>",
            "<name> DEFAULT - <number>",
            "<name> DEFAULT ( <constant> )",
            "DEFAULT word",
            "DEFAULT 1_000",
            "DEFAULT \"quoted\"",
            "DEFAULT true",
        ],
    ),
    ("null", &["NULL <conflict>", "<name> NOT NULL <conflict>"]),
    ("key", &["<name> PRIMARY KEY <direction>", "<name> UNIQUE"]),
    ("check", &["<name> CHECK ( <expr> )"]),
    ("ref", &["<name> <references>", "<name> <references> <deferral>"]),
    ("collate", &["<name> COLLATE <collation>"]),
    ("counting", &["", "AUTOINCREMENT"]),
    ("direction", &["", "", "ASC", "DESC"]),
    (
        "conflict",
        &[
            "",
            "",
            "",
            "ON CONFLICT ROLLBACK",
            "ON CONFLICT ABORT",
            "ON CONFLICT FAIL",
            "ON CONFLICT IGNORE",
            "ON CONFLICT REPLACE",
        ],
    ),
    ("collation", &["nocase", "BINARY", "'rtrim'", "\"NoCase\""]),
    ("generated", &["GENERATED ALWAYS AS ( <expr> ) <kept>", "AS ( <expr> ) <kept>"]),
    ("kept", &["", "STORED", "VIRTUAL"]),
    ("references", &["REFERENCES p <actions>", "REFERENCES p ( x ) <actions>", "REFERENCES [p] ( 'x' ) <actions>"]),
    ("actions", &["", "", "ON DELETE <act>", "ON UPDATE <act> ON DELETE <act>", "<silent> ON UPDATE <act> <silent>"]),
    ("silent", &["", "ON INSERT <act>", "MATCH full", "MATCH 'simple'"]),
    ("act", &["SET NULL", "SET DEFAULT", "CASCADE", "RESTRICT", "NO ACTION"]),
    ("deferral", &["NOT DEFERRABLE <when>", "DEFERRABLE <when>"]),
    ("when", &["", "INITIALLY DEFERRED", "INITIALLY IMMEDIATE"]),
    (
        "constraints",
        &["", "", ", <constraint>", ", <constraint> <separator> <constraint>", ", <constraint> , CONSTRAINT alone"],
    ),
    ("separator", &[",", ""]),
    (
        "constraint",
        &[
            "<name> PRIMARY KEY ( <parts> ) <conflict>",
            "<name> UNIQUE ( <parts> ) <conflict>",
            "<name> CHECK ( <expr> ) <conflict>",
            "<name> FOREIGN KEY ( a ) <references>",
            "<name> FOREIGN KEY ( a , b ) REFERENCES p ( y , z ) <actions>",
            "<name> FOREIGN KEY ( a ) <references> <deferral>",
        ],
    ),
    ("parts", &["<part>", "a , b", "b , a <direction>"]),
    ("part", &["a <direction>", "a COLLATE <collation> <direction>", "( a )"]),
    ("options", &["", "", "", "WITHOUT ROWID", "STRICT", "WITHOUT ROWID , STRICT", "STRICT , WITHOUT ROWID"]),
    ("index", &["CREATE <unique> INDEX <unless> <of> i ON base ( <keys> ) <where>"]),
    ("unique", &["", "UNIQUE"]),
    ("keys", &["<sort>", "<sort> , <sort>"]),
    (
        "sort",
        &[
            "a <direction>",
            "\"b\" COLLATE <collation> <direction>",
            "'c'",
            "( <expr> ) <direction>",
            "<expr>",
            "lower ( b ) COLLATE <collation>",
            "\"nosuch\"",
        ],
    ),
    ("where", &["", "WHERE <expr>", "WHERE b IS NOT NULL AND <expr>"]),
    (
        "view",
        &[
            "CREATE <temp> VIEW <unless> <of> w AS <select>",
            "CREATE VIEW w ( one , \"two\" ) AS SELECT a , b FROM base",
        ],
    ),
    (
        "select",
        &[
            "SELECT * FROM base",
            "SELECT a AS x , <expr> AS y FROM base WHERE <expr>",
            "SELECT 1 UNION ALL SELECT 2",
            "VALUES ( 1 , 2 )",
            "WITH r AS ( SELECT a FROM base ) SELECT * FROM r ORDER BY a LIMIT 1",
        ],
    ),
    (
        "trigger",
        &[
            "CREATE <temp> TRIGGER <unless> g <time> <event> ON base <each> <if> BEGIN <steps> END",
            "CREATE TRIGGER g INSTEAD OF <event> ON seen <each> <if> BEGIN <steps> END",
        ],
    ),
    ("time", &["", "BEFORE", "AFTER"]),
    ("event", &["INSERT", "DELETE", "UPDATE", "UPDATE OF a , b"]),
    ("each", &["", "FOR EACH ROW"]),
    ("if", &["", "WHEN 1 > 0", "WHEN CASE WHEN 1 THEN 2 END"]),
    ("steps", &["<step> ;", "<step> ; <step> ;"]),
    (
        "step",
        &[
            "SELECT CASE WHEN 1 THEN RAISE ( ABORT , 'no;~END' ) END",
            "UPDATE base SET c = 1 WHERE a = 2",
            "INSERT OR IGNORE INTO base ( c ) VALUES ( 1 )",
            "DELETE FROM base WHERE a = 1",
            "SELECT RAISE ( IGNORE )",
        ],
    ),
    (
        "virtual",
        &[
            "CREATE VIRTUAL TABLE <unless> <of> m USING fts5 ( x , y UNINDEXED , tokenize = 'porter~ascii' )",
            "CREATE VIRTUAL TABLE m USING fts4 ( x , tokenize=simple )",
            "CREATE VIRTUAL TABLE m USING rtree ( id , x0 , x1 )",
            "CREATE VIRTUAL TABLE m USING fts3",
        ],
    ),
    ("number", &["1", "2.5e3", ".5", "0x1F"]),
    ("term", &["<number>", "'it''s'", "NULL", "x'ab'", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"]),
    (
        "constant",
        &[
            "<term>",
            "<term> || <term>",
            "- <number>",
            "CASE WHEN <term> THEN <term> ELSE <term> END",
            "lower ( 'X' )",
            "- 1 << 2",
        ],
    ),
    (
        "expr",
        &[
            "a",
            "\"a\"",
            "<term>",
            "( <expr> )",
            "<expr> <operator> <expr>",
            "NOT <expr>",
            "- <expr>",
            "+ a",
            "! a",
            "a <test>",
            "a IS <not> <expr>",
            "a IS <not> DISTINCT FROM <expr>",
            "a <not> BETWEEN <term> AND <term>",
            "a <not> IN ( <term> , <expr> )",
            "a <not> IN ( )",
            "a <not> LIKE 'x%'",
            "a <not> LIKE 'x!%' ESCAPE '!'",
            "a <not> GLOB 'x*'",
            "CASE WHEN <expr> THEN <expr> END",
            "CASE a WHEN 1 THEN 1 ELSE <expr> END",
            "CAST ( <expr> AS <cast> )",
            "a COLLATE <collation>",
            "length ( <expr> )",
            "ifnull ( a , <expr> )",
            "a -> '$.x'",
            "a ->> 1",
            "\"no~column\"",
            "( a , 1 ) = ( 1 , 2 )",
            "max ( a , <term> )",
            "abs ( a ) > 0",
        ],
    ),
    ("cast", &["TEXT", "INTEGER", "DECIMAL ( 10 , 2 )", "UNSIGNED BIG INT"]),
    ("not", &["", "NOT"]),
    ("test", &["ISNULL", "NOTNULL", "NOT NULL", "IS NULL", "IS NOT NULL"]),
    (
        "operator",
        &[
            "+", "-", "*", "/", "%", "||", "=", "==", "<>", "!=", "<", "<=", ">", ">=", "AND", "OR", "&", "|", "<<",
            ">>",
        ],
    ),
];

type Branch = (usize, usize);

/// Makes statements, and prefers the branches that were taken least.
struct Maker {
    state: u64,
    taken: BTreeMap<Branch, u32>,
}

impl Maker {
    fn below(&mut self, count: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) as usize % count
    }

    fn expand(&mut self, production: &str, depth: usize, text: &mut String, branches: &mut Vec<Branch>) {
        let number = GRAMMAR.iter().position(|(name, _)| *name == production).unwrap_or_else(|| panic!("{production}"));
        let alternatives = GRAMMAR[number].1;
        let recursive = |alternative: &str| alternative.contains("<expr>") || alternative.contains("<clauses>");
        let fits = |at: &usize| depth < 6 || !recursive(alternatives[*at]);
        let open: Vec<usize> = (0..alternatives.len()).filter(fits).collect();
        let rarest = open.iter().copied().min_by_key(|&at| self.taken.get(&(number, at)).copied().unwrap_or(0));
        let chosen = match self.below(3) {
            0 => rarest.unwrap_or(0),
            _ if open.is_empty() => 0,
            _ => open[self.below(open.len())],
        };
        branches.push((number, chosen));
        for word in alternatives[chosen].split(' ') {
            match word.strip_prefix('<').and_then(|word| word.strip_suffix('>')).filter(|word| !word.is_empty()) {
                Some(inner) if GRAMMAR.iter().any(|(name, _)| *name == inner) => {
                    self.expand(inner, depth + 1, text, branches);
                }
                _ => {
                    let word = if word == "!" { "~".to_owned() } else { word.replace('~', " ") };
                    text.push_str([" ", "\n", " /* ; ) */ ", " -- '\n"][self.below(24).saturating_sub(20)]);
                    let lower = word.bytes().all(|byte| byte.is_ascii_uppercase()) && self.below(4) == 0;
                    text.push_str(&if lower { word.to_ascii_lowercase() } else { word });
                }
            }
        }
    }
}

#[test]
fn every_branch_of_the_grammar_is_read_without_loss() {
    const EACH: usize = 800;
    let mut maker = Maker { state: 0x9e37_79b9_7f4a_7c15, taken: BTreeMap::new() };
    let (mut accepted, mut made) = (0, 0);
    let mut failures = Vec::new();
    for (start, count) in [("table", 2 * EACH), ("index", EACH), ("view", 60), ("trigger", 200), ("virtual", 30)] {
        for _ in 0..count {
            let (mut text, mut branches) = (String::new(), Vec::new());
            maker.expand(start, 0, &mut text, &mut branches);
            made += 1;
            let script = Script::new(&[]);
            for statement in [
                "CREATE TABLE base(a INT, b TEXT COLLATE nocase, c REAL)",
                "CREATE VIEW seen AS SELECT * FROM base",
                "CREATE TABLE p(x INTEGER PRIMARY KEY, y, z, UNIQUE (y, z))",
            ] {
                script.run(statement).unwrap();
            }
            let Some(subject) = script.run_exactly(text.trim()) else { continue };
            accepted += 1;
            for branch in branches {
                *maker.taken.entry(branch).or_default() += 1;
            }
            match compare(&subject) {
                Ok(Verdict::Same) => {}
                Ok(Verdict::LeadsNowhere) => failures.push(format!("{text}\nleads nowhere")),
                Err(error) => failures.push(format!("{text}\n{error}")),
            }
        }
    }
    let never = GRAMMAR.iter().enumerate().flat_map(|(number, (name, alternatives))| {
        let taken = &maker.taken;
        (0..alternatives.len())
            .filter(move |&at| !taken.contains_key(&(number, at)))
            .map(move |at| format!("{name}: {}", alternatives[at]))
    });
    let never: Vec<String> = never.collect();
    println!("{accepted} of {made} statements are SQLite's");
    assert!(failures.is_empty(), "{} statements lose something:\n{}", failures.len(), failures.join("\n\n"));
    assert!(never.is_empty(), "branches never taken: {never:#?}");
    assert!(accepted * 3 > made, "only {accepted} of {made} statements count");
}
