//! Writes CREATE TABLE statements from a seed, and knows what it has put into them.

use crate::schema::{Deferral, KeyKind};
use std::collections::BTreeMap;

/// A key: kind, name, columns with their collations, conflict clause.
type PutKey = (KeyKind, Option<String>, Vec<(String, Option<String>)>, Option<String>);

/// A foreign key: name, columns, table and columns referred to, deferral.
type PutForeignKey = (Option<String>, Vec<String>, String, Vec<String>, Deferral);

/// What was put into a statement.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Put {
    pub not_null_conflicts: Vec<Option<String>>,
    pub collations: Vec<Option<String>>,
    pub defaults: Vec<Option<String>>,
    pub generated: Vec<Option<(String, bool)>>,
    pub keys: Vec<PutKey>,
    pub foreign_keys: Vec<PutForeignKey>,
    pub checks: Vec<(Option<String>, String)>,
    pub options: (bool, bool, bool),
}

/// Writes statements from a seed; the same seed writes the same statement.
pub(super) struct Writer {
    state: u64,
    pub text: String,
    pub branches: BTreeMap<&'static str, u32>,
}

const NAMES: &[(&str, &str)] = &[
    ("a", "a"),
    ("'b c'", "b c"),
    ("\"d\"\"e\"", "d\"e"),
    ("[f g]", "f g"),
    ("`h`", "h"),
    ("key", "key"),
    ("größe", "größe"),
    ("\"select\"", "select"),
    ("generated", "generated"),
    ("desc", "desc"),
    ("left", "left"),
    ("'it''s'", "it's"),
    ("[a\nb]", "a\nb"),
    ("$x", ""),
];
const TYPES: &[&str] = &[
    "",
    "INT",
    "integer",
    "UNSIGNED BIG INT",
    "VARCHAR(10)",
    "VARCHAR ( 10 , 20 )",
    "TEXT AFTER description",
    "'quoted type'",
    "\"q t\"",
    "DECIMAL(+5, -2)",
    "[br] `bt`",
    "long name of(1)",
];
const EXPRESSIONS: &[&str] = &[
    "1",
    "NULL",
    "(1 + 2) * 3",
    "'a,)(b' || \"x\"",
    "CASE WHEN 1 THEN 2 END",
    "1 IS NOT 2",
    "3 NOT NULL",
    "2 ISNULL",
    "x'00' <> 0x1F",
    "1 IN (1, (2))",
    "abs(-1) BETWEEN 0 AND 9",
    "CAST(1 AS TEXT)",
    "'a' LIKE 'b' ESCAPE 'c'",
    "lower('X') GLOB '*'",
];
const TERMS: &[&str] = &[
    "1",
    "-1",
    "+ 2.5e3",
    "'it''s'",
    "\"word\"",
    "word",
    "NULL",
    "CURRENT_TIMESTAMP",
    "x'ab'",
    "0x1F",
    "true",
    "1_000",
    "replace",
];

impl Writer {
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, text: String::new(), branches: BTreeMap::new() }
    }

    fn pick(&mut self, count: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 33) as usize % count
    }

    fn one_in(&mut self, count: usize, branch: &'static str) -> bool {
        let taken = self.pick(count) == 0;
        *self.branches.entry(branch).or_default() += u32::from(taken);
        taken
    }

    /// Writes tokens with white space or a comment between them, keywords in either case.
    fn put(&mut self, words: &str) {
        for word in words.split(' ') {
            let separator = [" ", "\n", "\t ", " /* , ) ' */ ", " -- ( ;\n"][self.pick(12).min(4)];
            self.text.push_str(separator);
            let lower = word.bytes().all(|byte| byte.is_ascii_uppercase()) && self.pick(3) == 0;
            self.text.push_str(&if lower { word.to_ascii_lowercase() } else { word.to_owned() });
        }
    }

    /// Writes text that has to stay as it is.
    fn raw(&mut self, text: &str) {
        self.text.push(' ');
        self.text.push_str(text);
    }

    fn name(&mut self) -> Option<String> {
        if !self.one_in(3, "CONSTRAINT name") {
            return None;
        }
        self.put("CONSTRAINT");
        if self.one_in(6, "CONSTRAINT twice") {
            self.raw("bare CONSTRAINT");
        }
        let (written, name) = [("n1", "n1"), ("\"n 2\"", "n 2"), ("'n3'", "n3"), ("[n4]", "n4")][self.pick(4)];
        self.raw(written);
        Some(name.to_owned())
    }

    fn conflict(&mut self) -> Option<String> {
        if !self.one_in(4, "ON CONFLICT") {
            return None;
        }
        self.put("ON CONFLICT");
        let action = ["ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE"][self.pick(5)];
        self.put(action);
        (action != "ABORT").then(|| action.to_owned())
    }

    fn deferral(&mut self) -> Deferral {
        let negated = self.one_in(3, "NOT DEFERRABLE");
        self.put(if negated { "NOT DEFERRABLE" } else { "DEFERRABLE" });
        let deferred = match self.pick(3) {
            0 => false,
            1 => {
                self.put("INITIALLY IMMEDIATE");
                false
            }
            _ => {
                self.put("INITIALLY DEFERRED");
                true
            }
        };
        match (negated, deferred) {
            (true, _) => Deferral::NotDeferrable,
            (false, true) => Deferral::InitiallyDeferred,
            (false, false) => Deferral::InitiallyImmediate,
        }
    }

    fn references(&mut self, count: usize) -> (String, Vec<String>) {
        self.put("REFERENCES");
        let (written, table) = [("p", "p"), ("\"other t\"", "other t"), ("'q'", "q")][self.pick(3)];
        self.raw(written);
        let mut columns = Vec::new();
        if self.one_in(2, "referenced columns") {
            columns = ["x", "y"][..count].iter().map(|name| (*name).to_owned()).collect();
            let list = columns.join(" , ");
            self.put(&format!("( {list} )"));
        }
        for _ in 0..self.pick(3) {
            let action = ["SET NULL", "SET DEFAULT", "CASCADE", "RESTRICT", "NO ACTION"][self.pick(5)];
            let event = ["ON DELETE", "ON UPDATE", "MATCH full", "MATCH 'simple'", "ON INSERT"][self.pick(5)];
            self.put(event);
            if event.starts_with("ON") {
                self.put(action);
            }
        }
        (table.to_owned(), columns)
    }

    fn expression(&mut self) -> String {
        let expression = EXPRESSIONS[self.pick(EXPRESSIONS.len())];
        self.raw(&format!("({expression})"));
        expression.to_owned()
    }

    fn column(&mut self, put: &mut Put, (written, name): (&str, &str), primary: &mut bool) {
        self.raw(written);
        let declared = TYPES[self.pick(TYPES.len())];
        self.raw(declared);
        let (mut not_null, mut collation, mut default, mut generated) = (None, None, None, None);
        let mut unique = false;
        for _ in 0..self.pick(5) {
            let own = |collation| (name.to_owned(), collation);
            match self.pick(9) {
                0 => {
                    self.name();
                    self.put("DEFAULT");
                    default = Some(if self.one_in(2, "DEFAULT (…)") {
                        self.expression()
                    } else {
                        let term = TERMS[self.pick(TERMS.len())];
                        self.raw(term);
                        term.to_owned()
                    });
                }
                1 => {
                    self.name();
                    self.put("NOT NULL");
                    not_null = self.conflict();
                }
                2 => {
                    self.put("NULL");
                    self.conflict();
                }
                3 if !*primary => {
                    *primary = true;
                    let name = self.name();
                    self.put("PRIMARY KEY");
                    if self.one_in(3, "PRIMARY KEY DESC") {
                        self.put("DESC");
                    }
                    let conflict = self.conflict();
                    put.keys.push((KeyKind::Primary, name, vec![own(None)], conflict));
                    if self.one_in(2, "AUTOINCREMENT") {
                        self.put("AUTOINCREMENT");
                        put.options.2 = true;
                    }
                }
                4 if !unique => {
                    unique = true;
                    let name = self.name();
                    self.put("UNIQUE");
                    let conflict = self.conflict();
                    put.keys.push((KeyKind::Unique, name, vec![own(None)], conflict));
                }
                5 => {
                    let name = self.name();
                    self.put("CHECK");
                    let expression = self.expression();
                    put.checks.push((name, expression));
                }
                6 => {
                    let constraint = self.name();
                    let (table, columns) = self.references(1);
                    let mut deferral = Deferral::NotDeferrable;
                    if self.one_in(2, "DEFERRABLE of a column") {
                        deferral = self.deferral();
                    }
                    put.foreign_keys.push((constraint, vec![name.to_owned()], table, columns, deferral));
                }
                7 => {
                    self.name();
                    self.put("COLLATE");
                    let written = ["nocase", "\"RTRIM\"", "'binary'", "[own]"][self.pick(4)];
                    self.raw(written);
                    collation = Some(super::token::dequote(written));
                }
                _ if generated.is_none() && default.is_none() => {
                    if self.one_in(2, "GENERATED ALWAYS") {
                        self.put("GENERATED ALWAYS");
                    }
                    self.put("AS");
                    let expression = self.expression();
                    let stored = self.one_in(2, "STORED");
                    if stored {
                        self.put("STORED");
                    } else if self.one_in(2, "VIRTUAL") {
                        self.put("VIRTUAL");
                    }
                    generated = Some((expression, stored));
                }
                _ => {}
            }
        }
        if self.one_in(12, "bare CONSTRAINT at the end of a column") {
            self.raw("CONSTRAINT bare");
        }
        put.not_null_conflicts.push(not_null);
        put.collations.push(collation);
        put.defaults.push(default);
        put.generated.push(generated);
    }

    fn key_columns(&mut self, columns: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
        let mut parts = Vec::new();
        self.put("(");
        for (position, (written, name)) in columns.iter().enumerate() {
            if position > 0 {
                self.put(",");
            }
            let wrapped = self.one_in(5, "a key's column in parentheses");
            self.raw(&if wrapped { format!("({written})") } else { (*written).to_owned() });
            let collation = self.one_in(4, "COLLATE in a key").then(|| {
                self.put("COLLATE");
                self.raw("nocase");
                "nocase".to_owned()
            });
            if self.one_in(4, "direction in a key") {
                let direction = ["ASC", "DESC"][self.pick(2)];
                self.put(direction);
            }
            parts.push(((*name).to_owned(), collation));
        }
        self.put(")");
        parts
    }

    fn table_constraint(&mut self, put: &mut Put, columns: &[(&str, &str)], primary: &mut bool) {
        let some = &columns[..1 + self.pick(columns.len().min(2))];
        let name = self.name();
        match self.pick(4) {
            0 if !*primary => {
                *primary = true;
                self.put("PRIMARY KEY");
                let parts = self.key_columns(some);
                let conflict = self.conflict();
                put.keys.push((KeyKind::Primary, name, parts, conflict));
            }
            1 => {
                self.put("UNIQUE");
                let parts = self.key_columns(some);
                let conflict = self.conflict();
                put.keys.push((KeyKind::Unique, name, parts, conflict));
            }
            2 => {
                let list: Vec<_> = some.iter().map(|(written, _)| *written).collect();
                self.put("FOREIGN KEY (");
                self.raw(&list.join(", "));
                self.put(")");
                let (table, referenced) = self.references(some.len());
                let mut deferral = Deferral::NotDeferrable;
                if self.one_in(2, "DEFERRABLE of a table") {
                    deferral = self.deferral();
                }
                let own = some.iter().map(|(_, name)| (*name).to_owned()).collect();
                put.foreign_keys.push((name, own, table, referenced, deferral));
            }
            _ => {
                self.put("CHECK");
                let expression = self.expression();
                self.conflict();
                put.checks.push((name, expression));
            }
        }
    }

    pub fn table(&mut self) -> Put {
        let mut put = Put::default();
        let mut primary = false;
        let first = self.pick(NAMES.len());
        let count = 1 + self.pick(4);
        let columns: Vec<_> = (0..count).map(|n| NAMES[(first + n) % (NAMES.len() - 1)]).collect();
        self.put("CREATE TABLE");
        if self.one_in(4, "IF NOT EXISTS") {
            self.put("IF NOT EXISTS");
        }
        if self.one_in(4, "schema name") {
            self.raw("main.");
        }
        let table = ["t", "\"t\"", "'t'", "[t]"][self.pick(4)];
        self.raw(table);
        self.put("(");
        for (position, column) in columns.iter().enumerate() {
            if position > 0 {
                self.put(",");
            }
            self.column(&mut put, *column, &mut primary);
        }
        for position in 0..self.pick(4) {
            if position == 0 || !self.one_in(2, "no comma between constraints") {
                self.put(",");
            }
            self.table_constraint(&mut put, &columns, &mut primary);
        }
        self.put(")");
        let without_rowid = primary && self.one_in(4, "WITHOUT ROWID");
        let strict = self.one_in(8, "STRICT");
        match (without_rowid, strict) {
            (true, true) => {
                let options = ["WITHOUT ROWID , STRICT", "STRICT , WITHOUT ROWID"][self.pick(2)];
                self.put(options);
            }
            (true, false) => self.put("WITHOUT ROWID"),
            (false, true) => self.put("STRICT"),
            (false, false) => {}
        }
        put.options = (without_rowid, strict, put.options.2);
        put
    }
}
