//! Loads SQL text into guarded in-memory databases.

use super::guard::{self, Guarded, forbidden};
use super::place::{Origin, Origins, Placed, key, place};
use super::pragmas::{is_reserved, schema_rows};
use super::spread::spread;
use super::statements::{Created, Purpose, Statement, split};
use super::token::{TokenKind, dequote};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, Sources, Span};
use crate::schema::{Other, OtherKind};
use rusqlite::config::DbConfig;
use std::collections::BTreeSet;
use std::ops::Range;

/// How many functions and collations of the application's own one statement may name.
const STAND_INS: usize = 200;

/// A schema that SQLite has taken in.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The databases that hold it: one, or several for a large schema.
    pub databases: Vec<Guarded>,
    /// Its statements.
    pub placed: Vec<Placed>,
    /// Virtual tables of modules that SQLite does not bring along, and triggers on shadow tables: kept as text.
    pub foreign: Vec<Other>,
}

/// Runs the schema statements of some texts in order.
///
/// Statements that only move rows or tune a connection are skipped, not run: they do not change the schema. Fails with
/// `invalid-ddl` for what SQLite refuses, in SQLite's words, and `forbidden-statement`; goes on behind each.
pub(super) fn load(ids: &[SourceId], sources: &mut Sources) -> Result<Loaded, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut statements: Vec<(SourceId, &str, Statement, Purpose)> = Vec::new();
    for &id in ids {
        let Some(source) = sources.get(id) else { continue };
        if let Some(at) = source.text.find('\0') {
            let nul = Diagnostic::error("invalid-ddl", "the text holds a NUL byte");
            let nul = nul.label(Span::new(id, at..at + 1), "here");
            errors.push(nul.help("SQLite reads no further than a NUL: take it out"));
            continue;
        }
        let text = up_part(&source.text);
        let shaping = split(text).map(|statement| (statement.purpose(text), statement));
        let shaping = shaping.filter(|(purpose, _)| *purpose != Purpose::Skipped);
        statements.extend(shaping.map(|(purpose, statement)| (id, text, statement, purpose)));
    }
    let homes = spread(statements.iter().map(|(_, text, statement, _)| (*text, statement)));
    let count = homes.as_ref().and_then(|homes| homes.iter().max()).map_or(1, |last| last + 1);
    let databases = (0..count).map(|_| Guarded::for_schema()).collect::<Result<_, _>>()?;
    let mut loader =
        Loader { databases, present: 0, origins: Origins::new(), failed: BTreeSet::new(), foreign: Vec::new(), errors };
    for (position, (id, text, statement, purpose)) in statements.iter().enumerate() {
        loader.present = homes.as_ref().and_then(|homes| homes.get(position)).copied().unwrap_or(0);
        loader.statement(*id, text, statement, *purpose);
    }
    let Loader { databases, origins, foreign, errors, .. } = loader;
    errors.into_result(())?;
    let mut rows = Vec::new();
    for (position, database) in databases.iter().enumerate() {
        let found = schema_rows(&database.connection).map_err(|error| database.diagnose("invalid-ddl", &error))?;
        rows.extend(found.into_iter().map(|row| (position, row)));
    }
    let placed = place(rows, &origins, sources);
    Ok(Loaded { databases, placed, foreign })
}

/// Leaves out the half of a migration file that undoes it, as goose, sql-migrate and dbmate mark it.
fn up_part(text: &str) -> &str {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        // Lines of a dump can be long; only comments are looked into.
        let comment = if line.starts_with("--") { line } else { "" };
        let words: Vec<_> = comment.split_whitespace().map(str::to_ascii_lowercase).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        if matches!(words[..], ["--", "+goose" | "+migrate", "down", ..] | ["--", "migrate:down", ..]) {
            return text.get(..at).unwrap_or(text);
        }
        at += line.len();
    }
    text
}

struct Loader {
    databases: Vec<Guarded>,
    /// The database that statements go into now.
    present: usize,
    origins: Origins,
    failed: BTreeSet<String>,
    foreign: Vec<Other>,
    errors: Diagnostics,
}

impl Loader {
    fn guarded(&self) -> &Guarded {
        &self.databases[self.present]
    }

    fn statement(&mut self, source: SourceId, text: &str, statement: &Statement, purpose: Purpose) {
        let sql = &text[statement.range.clone()];
        let whole = || Span::new(source, first_line(text, &statement.range));
        match purpose {
            Purpose::Skipped => {}
            Purpose::Schema if self.drops_foreign(text, statement) => {}
            Purpose::Schema => {
                let created = statement.created(text);
                if let Some(created) = &created {
                    if created.is_virtual && self.is_foreign_module(source, text, statement, created) {
                        return;
                    }
                    let name = &statement.tokens[created.name];
                    let origin = Origin { source, range: name.range.start..statement.range.end };
                    self.origins.entry(key(created.kind, &name.name(text))).or_default().push(origin);
                }
                self.run(source, text, statement, sql, created.as_ref());
            }
            Purpose::DumpedVirtualTable => self.dumped(source, text, statement),
            Purpose::LegacyAlterTable(on) => {
                let set = self.guarded().connection.set_db_config(DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, on);
                if let Err(error) = set {
                    let diagnostic = self.guarded().diagnose("invalid-ddl", &error);
                    self.errors.push(diagnostic.label(whole(), "refused"));
                }
            }
            Purpose::Forbidden(what) => self.errors.push(forbidden(what).label(whole(), "refused")),
            Purpose::Rollback => self.errors.push(
                Diagnostic::error("rolled-back", "the text takes back what it creates")
                    .label(whole(), "ROLLBACK")
                    .help("sqlite3's .dump ends so when it could not read everything: repair the database and dump it again"),
            ),
            Purpose::Unknown => match self.guarded().connection.prepare(sql).map(drop) {
                Err(error) => self.refused(source, text, statement, &error),
                Ok(()) => self.errors.push(forbidden("it does not shape a schema").label(whole(), "refused")),
            },
        }
    }

    /// Runs a schema statement; where it names a function or collation that SQLite lacks, a stand-in is put there.
    fn run(&mut self, source: SourceId, text: &str, statement: &Statement, sql: &str, created: Option<&Created>) {
        let connection = &self.guarded().connection;
        for _ in 0..STAND_INS {
            let Err(error) = connection.prepare(sql).and_then(|mut prepared| prepared.execute([])) else { return };
            let message = guard::message(&error);
            let stood_in = if let Some((_, name)) = message.split_once("no such function: ") {
                self.guarded().stand_in_for_function(name).is_ok()
            } else if let Some((_, name)) = message.split_once("no such collation sequence: ") {
                self.guarded().stand_in_for_collation(name).is_ok()
            } else {
                false
            };
            if stood_in {
                continue;
            }
            let name = created.map(|created| statement.tokens[created.name].name(text));
            if self.is_about_shadow_table(source, text, statement, created, &message) {
                return;
            }
            let missing = message
                .split_once("no such table: ")
                .map(|(_, name)| name.strip_prefix("main.").unwrap_or(name).to_ascii_lowercase());
            if missing.is_some_and(|name| self.failed.contains(&name)) {
                return;
            }
            self.failed.extend(name.map(|name| name.to_ascii_lowercase()));
            return self.refused(source, text, statement, &error);
        }
    }

    /// Passes over what SQLite refuses to do with a virtual table's shadow tables by hand; returns false for all else.
    ///
    /// They are no part of the schema that is read: their virtual table makes them. A dump writes them all the same.
    fn is_about_shadow_table(
        &mut self,
        source: SourceId,
        text: &str,
        statement: &Statement,
        created: Option<&Created>,
        message: &str,
    ) -> bool {
        if let Some(created) = created
            && message == "cannot create triggers on shadow tables"
        {
            self.keep_as_text(OtherKind::Trigger, source, text, statement, created);
            return true;
        }
        let named = message
            .strip_prefix("object name reserved for internal use: ")
            .or_else(|| message.strip_prefix("table ")?.strip_suffix(" may not be dropped"));
        named.is_some_and(|name| !is_reserved(name))
    }

    fn keep_as_text(
        &mut self,
        kind: OtherKind,
        source: SourceId,
        text: &str,
        statement: &Statement,
        created: &Created,
    ) {
        let name = &statement.tokens[created.name];
        self.foreign.push(Other {
            kind,
            name: name.name(text),
            sql: text[statement.range.clone()].to_owned(),
            span: Some(Span::new(source, name.range.clone())),
        });
    }

    /// Takes back what was kept as text because SQLite could not run it.
    fn drops_foreign(&mut self, text: &str, statement: &Statement) -> bool {
        let names = statement.tokens.last().filter(|_| statement.tokens[0].is_word(text, "DROP"));
        let Some(name) = names.map(|token| token.name(text)) else { return false };
        let before = self.foreign.len();
        self.foreign.retain(|other| !other.name.eq_ignore_ascii_case(&name));
        self.foreign.len() < before
    }

    /// Underlines where SQLite points, or the name that its message ends with, or the statement's first line.
    fn refused(&mut self, source: SourceId, text: &str, statement: &Statement, error: &rusqlite::Error) {
        let diagnostic = self.guarded().diagnose("invalid-ddl", error);
        let pointed = match error {
            rusqlite::Error::SqlInputError { offset, .. } => usize::try_from(*offset).ok(),
            _ => None,
        };
        let pointed = pointed.map(|offset| statement.range.start + offset);
        let at_offset =
            |token: &&super::token::Token| pointed.is_some_and(|at| token.range.start <= at && at < token.range.end);
        let message = guard::message(error);
        let named = message.rsplit(": ").next().unwrap_or_default();
        let place = statement
            .tokens
            .iter()
            .find(at_offset)
            .or_else(|| {
                statement
                    .tokens
                    .iter()
                    .rev()
                    .find(|token| token.kind != TokenKind::Symbol && token.name(text).eq_ignore_ascii_case(named))
            })
            .map_or_else(|| first_line(text, &statement.range), |token| token.range.clone());
        self.errors.push(diagnostic.label(Span::new(source, place), "SQLite refuses this"));
    }

    /// Runs the CREATE VIRTUAL TABLE that a dump writes as a text into sqlite_schema.
    fn dumped(&mut self, source: SourceId, text: &str, statement: &Statement) {
        let literal = statement.tokens.iter().rev().find(|token| token.kind == TokenKind::String);
        let Some(literal) = literal else { return };
        let sql = dequote(literal.text(text));
        let mut inner = split(&sql);
        let (Some(create), None) = (inner.next(), inner.next()) else { return };
        let Some(created) = create.created(&sql).filter(|created| created.is_virtual) else {
            let span = Span::new(source, first_line(text, &statement.range));
            return self.errors.push(forbidden("it changes the schema table by hand").label(span, "refused"));
        };
        if self.is_foreign_module(source, &sql, &create, &created) {
            // Its spans would count in the unquoted text.
            if let Some(other) = self.foreign.last_mut() {
                other.span = Some(Span::new(source, literal.range.clone()));
            }
            return;
        }
        let name = create.tokens[created.name].clone();
        let start = literal.range.start + 1 + name.range.start;
        self.origins
            .entry(key("table", &name.name(&sql)))
            .or_default()
            .push(Origin { source, range: start..literal.range.end });
        let before = self.errors.0.len();
        self.run(source, &sql, &create, &sql, None);
        for error in self.errors.0.iter_mut().skip(before) {
            error.labels.clear();
            error.labels.push(crate::diagnostic::Label {
                span: Span::new(source, literal.range.clone()),
                text: "SQLite refuses this".into(),
            });
        }
    }

    /// Keeps a virtual table whose module SQLite does not bring along as text; returns false for any other.
    fn is_foreign_module(&mut self, source: SourceId, text: &str, statement: &Statement, created: &Created) -> bool {
        let Some(module) = statement.module(text, created) else { return false };
        if guard::is_known_module(&module) {
            return false;
        }
        self.keep_as_text(OtherKind::VirtualTable, source, text, statement, created);
        true
    }
}

fn first_line(text: &str, range: &Range<usize>) -> Range<usize> {
    let line = text.get(range.clone()).and_then(|statement| statement.lines().next()).map_or(0, str::len);
    range.start..range.start + line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_load(text: &str) -> (Result<Loaded, Diagnostics>, Sources) {
        let mut sources = Sources::default();
        let id = sources.add("schema.sql", text);
        (load(&[id], &mut sources), sources)
    }

    fn codes(text: &str) -> Vec<(&'static str, String)> {
        let (loaded, _) = try_load(text);
        let errors = loaded.expect_err(text);
        errors.0.iter().map(|e| (e.code, text[e.labels[0].span.range.clone()].to_owned())).collect()
    }

    #[test]
    fn spans_point_at_the_statement_that_stands() {
        let text =
            "CREATE TABLE IF NOT EXISTS main.a(b);\n/* x */ create  table a2 (c) ;DROP TABLE a; CREATE TABLE a(d, e);";
        let (loaded, sources) = try_load(text);
        let loaded = loaded.unwrap();
        assert_eq!(sources.get(SourceId(1)).map(|s| s.name.clone()), None, "nothing synthesized");
        for placed in &loaded.placed {
            assert!(text[placed.offset..].starts_with(&placed.text));
        }
        assert_eq!(loaded.placed[1].offset, text.rfind("a(d").unwrap());
    }

    #[test]
    fn what_alter_changed_gets_a_text_of_its_own() {
        let (loaded, sources) =
            try_load("CREATE TABLE a(b); CREATE TABLE k(l); ALTER TABLE a ADD COLUMN c INT DEFAULT 3;");
        let loaded = loaded.unwrap();
        assert_eq!(loaded.placed[0].text, "a(b, c INT DEFAULT 3)");
        let own = &sources.get(loaded.placed[0].source).unwrap().text;
        assert!(own[loaded.placed[0].offset..].starts_with("a(b, c INT"));
        assert_eq!(loaded.placed[1].source, SourceId(0));
    }

    #[test]
    fn all_errors_come_at_once_with_their_places() {
        let text = "CREATE TABLE a(b, b);\nCREATE TABLE c(d INT,);\nCREATE INDEX i ON a(b);\nCREATE INDEX j ON nosuch(b);\nATTACH 'x' AS y;\n";
        assert_eq!(
            codes(text),
            [
                ("invalid-ddl", "b".into()),
                ("invalid-ddl", ")".into()),
                ("invalid-ddl", "CREATE INDEX j ON nosuch(b)".into()),
                ("forbidden-statement", "ATTACH 'x' AS y".into())
            ]
        );
    }

    #[test]
    fn a_dump_is_read_without_its_rows() {
        let text = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nINSERT INTO t VALUES('x;y');
PRAGMA writable_schema=ON;
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)VALUES('table','ft','ft',0,'CREATE VIRTUAL TABLE ft USING fts5(x, tokenize=''ascii'')');
CREATE TABLE IF NOT EXISTS 'ft_data'(id INTEGER PRIMARY KEY, block BLOB);
DELETE FROM sqlite_sequence;
PRAGMA writable_schema=OFF;
COMMIT;";
        let (loaded, _) = try_load(text);
        let loaded = loaded.unwrap();
        let names: Vec<_> = loaded.placed.iter().map(|placed| placed.row.name.as_str()).collect();
        assert_eq!(names[..2], ["t", "ft"]);
        assert_eq!(codes("CREATE TABLE t(a);ROLLBACK; -- due to errors"), [("rolled-back", "ROLLBACK".into())]);
    }

    #[test]
    fn functions_collations_and_modules_of_the_application_do_not_stop_the_rest() {
        let text = "CREATE TABLE t(a CHECK (iban(a) AND bic(a)) COLLATE german); CREATE INDEX i ON t(a);
                    CREATE VIRTUAL TABLE g USING spellfix1; CREATE INDEX j ON t(a COLLATE other);";
        let (loaded, _) = try_load(text);
        let loaded = loaded.unwrap();
        assert_eq!(loaded.placed.len(), 3);
        assert_eq!(loaded.foreign[0].name, "g");
    }

    #[test]
    fn shadow_tables_are_nobodys_business() {
        let text = "CREATE VIRTUAL TABLE ft USING fts5(x); DROP TABLE ft_idx; CREATE TABLE ft_extra(a);
                    CREATE TRIGGER tr AFTER DELETE ON ft_content BEGIN SELECT 1; END;
                    CREATE VIRTUAL TABLE g USING spellfix1; DROP TABLE IF EXISTS G;";
        let (loaded, _) = try_load(text);
        let foreign = loaded.unwrap().foreign;
        assert_eq!(
            foreign.iter().map(|other| (other.kind, other.name.as_str())).collect::<Vec<_>>(),
            [(OtherKind::Trigger, "tr")]
        );
        assert_eq!(codes("DROP TABLE sqlite_schema"), [("invalid-ddl", "DROP TABLE sqlite_schema".into())]);
    }

    #[test]
    fn renaming_keeps_references_as_sqlite_would() {
        let text = |legacy: &str| {
            format!(
            "PRAGMA legacy_alter_table={legacy}; CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(x REFERENCES p(id));
             ALTER TABLE p RENAME TO old; CREATE TABLE p(id INTEGER PRIMARY KEY, n); DROP TABLE old;")
        };
        for (legacy, refers_to) in [("ON", "REFERENCES p"), ("OFF", "REFERENCES \"old\"")] {
            let (loaded, _) = try_load(&text(legacy));
            let loaded = loaded.unwrap();
            let child = loaded.placed.iter().find(|placed| placed.row.name == "c").unwrap();
            assert!(child.text.contains(refers_to), "{legacy}: {}", child.text);
        }
    }

    #[test]
    fn only_the_up_half_of_a_migration_runs() {
        let (loaded, _) = try_load("-- +goose Up\nCREATE TABLE a(b);\n-- +goose Down\nDROP TABLE a;");
        assert_eq!(loaded.unwrap().placed.len(), 1);
    }
}
