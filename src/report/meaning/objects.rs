//! DDL text → objects with their clauses, by the forms that tenantry writes.

use crate::spec::{Uncut, cut, tokens};
use std::fmt;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Column,
    PrimaryKey,
    /// A unique key, a foreign key or a check: their names share the table's namespace.
    Constraint,
    Index,
    View,
    /// What has a name and is compared as a whole, by the word for it: a policy, a function.
    Named(&'static str),
    /// Anything else, which is its own name.
    Statement,
}

impl Kind {
    /// Says whether it cannot be without its table.
    pub fn is_part_of_table(self) -> bool {
        matches!(self, Self::Column | Self::PrimaryKey | Self::Constraint | Self::Index)
    }
}

/// One object of the DDL.
#[derive(Debug)]
pub(super) struct Object<'t> {
    pub kind: Kind,
    pub table: String,
    pub name: String,
    pub clauses: Vec<Clause<'t>>,
}

impl Object<'_> {
    pub fn is_same_object(&self, other: &Self) -> bool {
        let is_named_alike = self.kind == other.kind && self.table == other.table && self.name == other.name;
        let is_statement = self.kind == Kind::Statement;
        is_named_alike && (!is_statement || self.clauses[0].value == other.clauses[0].value)
    }
}

/// One thing that is said of an object.
#[derive(Debug)]
pub(super) struct Clause<'t> {
    /// What it is about, as a word of a sentence; with an empty value it is a property.
    pub about: &'static str,
    /// How the DDL begins it.
    pub keyword: &'static str,
    pub value: Words<'t>,
}

/// Some tokens; equal where the tokens are, whatever stands between them.
#[derive(Debug, Clone, Default)]
pub(super) struct Words<'t>(Vec<(&'t str, bool)>);

impl Words<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns those that `others` has as well.
    pub fn those_of(&self, others: &Words<'_>) -> Self {
        let is_there = |text: &str| others.0.iter().any(|(other, _)| *other == text);
        Self(self.0.iter().filter(|(text, _)| is_there(text)).copied().collect())
    }
}

impl PartialEq for Words<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|(text, _)| text).eq(other.0.iter().map(|(text, _)| text))
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (text, is_apart)) in self.0.iter().enumerate() {
            if *is_apart && position > 0 {
                f.write_str(" ")?;
            }
            f.write_str(text)?;
        }
        Ok(())
    }
}

/// Takes a text apart.
pub(super) fn objects(text: &str) -> Result<Vec<Object<'_>>, Uncut> {
    let mut objects = Vec::new();
    let (all, statements) = (tokens(text)?, cut(text)?);
    for (position, statement) in statements.iter().enumerate() {
        let end = statements.get(position + 1).map_or(text.len(), |next| next.place.start);
        let from = all.partition_point(|token| token.start < statement.place.start);
        let to = all.partition_point(|token| token.start < end);
        let mut words: Vec<(&str, bool)> = Vec::with_capacity(to - from);
        for at in from..to {
            let is_apart = at > from && all[at - 1].end < all[at].start;
            words.push((&text[all[at].clone()], is_apart));
        }
        while words.last().is_some_and(|(text, _)| *text == ";") {
            words.pop();
        }
        let mut found = Vec::new();
        match Reader(&words).statement(&mut found) {
            Some(()) => objects.append(&mut found),
            None => objects.push(whole(&words)),
        }
    }
    Ok(objects)
}

fn whole<'t>(words: &[(&'t str, bool)]) -> Object<'t> {
    let clauses = vec![clause("text", "", words)];
    Object { kind: Kind::Statement, table: String::new(), name: String::new(), clauses }
}

/// Reads tokens; each step is `None` where the text has another form.
struct Reader<'r, 't>(&'r [(&'t str, bool)]);

impl<'r, 't> Reader<'r, 't> {
    fn statement(mut self, objects: &mut Vec<Object<'t>>) -> Option<()> {
        if self.eat(&["CREATE", "TABLE"]) {
            return self.table(objects);
        }
        if self.eat(&["ALTER", "TABLE"]) {
            let table = self.qualified()?;
            self.eat(&["ADD", "CONSTRAINT"]).then_some(())?;
            return self.constraint(table, objects);
        }
        let unique = self.eat(&["CREATE", "UNIQUE", "INDEX"]);
        if unique || self.eat(&["CREATE", "INDEX"]) {
            return self.index(unique, objects);
        }
        if self.eat(&["CREATE", "VIEW"]) {
            let name = self.qualified()?;
            let options = clause("options", "", self.until(&["AS"]));
            self.eat(&["AS"]).then_some(())?;
            let clauses = vec![options, clause("query", "", self.0)];
            objects.push(Object { kind: Kind::View, table: String::new(), name, clauses });
            return Some(());
        }
        self.named(objects)
    }

    /// What has a name of its own, and is compared as a whole.
    fn named(mut self, objects: &mut Vec<Object<'t>>) -> Option<()> {
        const NOUNS: &[(&str, &str)] = &[
            ("POLICY", "policy"),
            ("FUNCTION", "function"),
            ("TRIGGER", "trigger"),
            ("EXTENSION", "extension"),
            ("COLLATION", "collation"),
            ("SCHEMA", "schema"),
        ];
        let text = clause("text", "", self.0);
        (self.eat(&["CREATE", "OR", "REPLACE"]) || self.eat(&["CREATE"])).then_some(())?;
        let noun = NOUNS.iter().find(|(word, _)| self.eat(&[word]))?.1;
        self.eat(&["IF", "NOT", "EXISTS"]);
        let name = self.qualified()?;
        let mut table = String::new();
        if matches!(noun, "policy" | "trigger") {
            self.until(&["ON"]);
            self.eat(&["ON"]).then_some(())?;
            table = self.qualified()?;
        }
        objects.push(Object { kind: Kind::Named(noun), table, name, clauses: vec![text] });
        Some(())
    }

    fn table(mut self, objects: &mut Vec<Object<'t>>) -> Option<()> {
        let table = self.qualified()?;
        let items = self.parenthesised()?;
        self.0.is_empty().then_some(())?;
        let mut columns: Vec<&'t str> = Vec::new();
        let at = objects.len();
        for item in split(items) {
            let mut item = Reader(item);
            if item.eat(&["CONSTRAINT"]) {
                item.constraint(table.clone(), objects)?;
            } else {
                columns.push(item.0.first()?.0);
                item.column(table.clone(), objects)?;
            }
        }
        let order = columns.iter().map(|name| (*name, true)).collect::<Vec<_>>();
        let clauses = vec![Clause { about: "columns", keyword: "", value: Words(order) }];
        objects.insert(at, Object { kind: Kind::Table, table, name: String::new(), clauses });
        Some(())
    }

    fn column(mut self, table: String, objects: &mut Vec<Object<'t>>) -> Option<()> {
        let name = self.name()?;
        const ENDS: &[&str] = &["NOT", "DEFAULT", "GENERATED", "COLLATE"];
        let mut clauses = vec![clause("type", "", self.until(ENDS))];
        while !self.0.is_empty() {
            if self.eat(&["NOT", "NULL"]) {
                clauses.push(clause("NOT NULL", "NOT NULL", &[]));
            } else if self.eat(&["COLLATE"]) {
                clauses.push(clause("collation", "COLLATE", self.until(ENDS)));
            } else if self.eat(&["GENERATED"]) {
                clauses.push(clause("generation", "GENERATED", self.0));
                self.0 = &[];
            } else if self.eat(&["DEFAULT"]) {
                clauses.push(clause("default", "DEFAULT", self.0));
                self.0 = &[];
            } else {
                return None;
            }
        }
        objects.push(Object { kind: Kind::Column, table, name, clauses });
        Some(())
    }

    fn constraint(mut self, table: String, objects: &mut Vec<Object<'t>>) -> Option<()> {
        let written = self.0.get(..1)?;
        let name = self.name()?;
        if self.eat(&["PRIMARY", "KEY"]) {
            let clauses = vec![clause("columns", "", self.list()?), clause("name", "", written)];
            self.0.is_empty().then_some(())?;
            objects.push(Object { kind: Kind::PrimaryKey, table, name: String::new(), clauses });
            return Some(());
        }
        let mut clauses = Vec::new();
        if self.eat(&["UNIQUE"]) {
            clauses.push(clause("unique", "UNIQUE", &[]));
            clauses.push(clause("columns", "", self.list()?));
        } else if self.eat(&["CHECK"]) {
            clauses.push(clause("a CHECK", "CHECK", &[]));
            clauses.push(clause("condition", "", self.list()?));
        } else if self.eat(&["FOREIGN", "KEY"]) {
            clauses.push(clause("a foreign key", "FOREIGN KEY", &[]));
            clauses.push(clause("columns", "", self.list()?));
            self.eat(&["REFERENCES"]).then_some(())?;
            const ENDS: &[&str] = &["MATCH", "ON", "DEFERRABLE", "INITIALLY"];
            clauses.push(clause("target", "to", self.until(ENDS)));
            if self.eat(&["MATCH", "FULL"]) {
                clauses.push(clause("MATCH FULL", "MATCH FULL", &[]));
            }
            if self.eat(&["ON", "UPDATE"]) {
                clauses.push(clause("action ON UPDATE", "ON UPDATE", self.until(ENDS)));
            }
            if self.eat(&["ON", "DELETE"]) {
                clauses.push(clause("action ON DELETE", "ON DELETE", self.until(ENDS)));
            }
            if !self.0.is_empty() {
                clauses.push(clause("deferral", "", self.0));
                self.0 = &[];
            }
        }
        (self.0.is_empty() && !clauses.is_empty()).then_some(())?;
        objects.push(Object { kind: Kind::Constraint, table, name, clauses });
        Some(())
    }

    fn index(mut self, unique: bool, objects: &mut Vec<Object<'t>>) -> Option<()> {
        let name = self.name()?;
        self.eat(&["ON"]).then_some(())?;
        let table = self.qualified()?;
        let mut clauses = Vec::new();
        if unique {
            clauses.push(clause("unique", "UNIQUE", &[]));
        }
        if self.eat(&["USING"]) {
            clauses.push(clause("access method", "USING", &self.0[..1.min(self.0.len())]));
            self.name()?;
        }
        clauses.push(clause("columns", "", self.list()?));
        if self.eat(&["INCLUDE"]) {
            clauses.push(clause("included columns", "INCLUDE", self.list()?));
        }
        if self.eat(&["WHERE"]) {
            clauses.push(clause("predicate", "WHERE", self.0));
            self.0 = &[];
        }
        self.0.is_empty().then_some(())?;
        objects.push(Object { kind: Kind::Index, table, name, clauses });
        Some(())
    }

    /// Takes some words, where they stand here.
    fn eat(&mut self, words: &[&str]) -> bool {
        let found = self.0.len() >= words.len()
            && words.iter().zip(self.0).all(|(word, (text, _))| word.eq_ignore_ascii_case(text));
        if found {
            self.0 = &self.0[words.len()..];
        }
        found
    }

    fn name(&mut self) -> Option<String> {
        let ((text, _), rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(inside) => inside.replace("\"\"", "\""),
            None => text.to_lowercase(),
        })
    }

    /// Reads a name with the schema it stands in.
    fn qualified(&mut self) -> Option<String> {
        let mut name = self.name()?;
        while self.eat(&["."]) {
            name = format!("{name}.{}", self.name()?);
        }
        Some(name)
    }

    /// Takes what stands in parentheses here, with them.
    fn list(&mut self) -> Option<&'r [(&'t str, bool)]> {
        let (before, all) = (self.0, self.parenthesised()?);
        Some(&before[..all.len() + 2])
    }

    /// Takes what stands in parentheses here, without them.
    fn parenthesised(&mut self) -> Option<&'r [(&'t str, bool)]> {
        let inside = self.0.split_first().filter(|((text, _), _)| *text == "(")?.1;
        let mut depth = 1_usize;
        for (position, (text, _)) in inside.iter().enumerate() {
            match *text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &inside[position + 1..];
                return Some(&inside[..position]);
            }
        }
        None
    }

    /// Takes everything before the first of some words that stands in no parentheses.
    fn until(&mut self, ends: &[&str]) -> &'r [(&'t str, bool)] {
        let mut depth = 0_usize;
        let mut end = self.0.len();
        for (position, (text, _)) in self.0.iter().enumerate() {
            match *text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                word if depth == 0 && ends.iter().any(|end| end.eq_ignore_ascii_case(word)) => {
                    end = position;
                    break;
                }
                _ => {}
            }
        }
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}

fn clause<'t>(about: &'static str, keyword: &'static str, words: &[(&'t str, bool)]) -> Clause<'t> {
    Clause { about, keyword, value: Words(words.to_vec()) }
}

/// Splits a list at its commas.
fn split<'r, 't>(words: &'r [(&'t str, bool)]) -> Vec<&'r [(&'t str, bool)]> {
    let mut depth = 0_usize;
    words
        .split(|(text, _)| {
            match *text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0 && *text == ","
        })
        .collect()
}
