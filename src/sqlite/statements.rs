//! Splits SQL text into statements and tells what each one is for.
//!
//! A statement ends where `sqlite3_complete` says it does: at a semicolon outside strings and comments, and that of a
//! CREATE TRIGGER only at `; END ;`.

use super::token::{Token, TokenKind, tokenize};
use std::ops::Range;

/// One statement of a text.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// Where it stands, without its semicolon.
    pub range: Range<usize>,
    /// Its tokens; their ranges count in the whole text.
    pub tokens: Vec<Token>,
}

/// What a statement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Shapes the schema: CREATE, ALTER, DROP. Run.
    Schema,
    /// Moves rows or tunes the connection: INSERT, PRAGMA, BEGIN and so on. Skipped: the schema is the same without.
    Skipped,
    /// How `.dump` writes a virtual table: an INSERT into sqlite_schema whose last text is the CREATE statement.
    DumpedVirtualTable,
    /// Switches how ALTER TABLE RENAME treats references; the flag says whether on.
    LegacyAlterTable(bool),
    /// Must not run: reads or writes other files, or changes sqlite_schema by hand.
    Forbidden(&'static str),
    /// Throws away what came before it.
    Rollback,
    /// None of these: SQLite is asked what is wrong with it.
    Unknown,
}

/// What a CREATE statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Created {
    /// `table`, `index`, `view` or `trigger`, as in `sqlite_schema.type`.
    pub kind: &'static str,
    /// CREATE VIRTUAL TABLE.
    pub is_virtual: bool,
    /// Position of the name's token.
    pub name: usize,
}

/// Splits a text into its statements, one at a time: a dump can be large. Empty statements are left out.
pub(super) fn split(text: &str) -> impl Iterator<Item = Statement> + use<'_> {
    let mut tokens = tokenize(text);
    std::iter::from_fn(move || {
        let mut current: Vec<Token> = Vec::new();
        for token in tokens.by_ref() {
            let ends = token.is_symbol(text, ";") && (!is_trigger(text, &current) || ends_trigger(text, &current));
            if !ends {
                current.push(token);
            } else if !current.is_empty() {
                break;
            }
        }
        (!current.is_empty()).then(|| statement(current))
    })
}

fn statement(tokens: Vec<Token>) -> Statement {
    let range = match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.range.start..last.range.end,
        _ => 0..0,
    };
    Statement { range, tokens }
}

fn is_trigger(text: &str, tokens: &[Token]) -> bool {
    let mut words = tokens.iter().skip_while(|token| {
        token.is_word(text, "EXPLAIN") || token.is_word(text, "QUERY") || token.is_word(text, "PLAN")
    });
    words.next().is_some_and(|token| token.is_word(text, "CREATE"))
        && words
            .find(|token| !token.is_word(text, "TEMP") && !token.is_word(text, "TEMPORARY"))
            .is_some_and(|token| token.is_word(text, "TRIGGER"))
}

fn ends_trigger(text: &str, tokens: &[Token]) -> bool {
    matches!(tokens, [.., semicolon, end] if semicolon.is_symbol(text, ";") && end.is_word(text, "END"))
}

impl Statement {
    /// Says what the statement is for.
    pub fn purpose(&self, text: &str) -> Purpose {
        let word = |index: usize| match self.tokens.get(index) {
            Some(token) if token.kind == TokenKind::Word => token.text(text).to_ascii_uppercase(),
            Some(token) if matches!(token.kind, TokenKind::Quoted | TokenKind::String) => {
                token.name(text).to_ascii_uppercase()
            }
            _ => String::new(),
        };
        let is_schema = |name: &str| matches!(name, "SQLITE_SCHEMA" | "SQLITE_MASTER");
        match word(0).as_str() {
            "CREATE" | "ALTER" | "DROP" => Purpose::Schema,
            "INSERT" if is_schema(&word(2)) => Purpose::DumpedVirtualTable,
            "UPDATE" if is_schema(&word(1)) => Purpose::Forbidden("it changes the schema table by hand"),
            "DELETE" if is_schema(&word(2)) => Purpose::Forbidden("it changes the schema table by hand"),
            "ATTACH" => Purpose::Forbidden("it opens another database"),
            "DETACH" => Purpose::Forbidden("it closes a database"),
            "VACUUM" if self.tokens.iter().any(|token| token.is_word(text, "INTO")) => {
                Purpose::Forbidden("it writes a file")
            }
            "PRAGMA" if word(1) == "LEGACY_ALTER_TABLE" => {
                let value = self.tokens.last().map(|token| token.text(text));
                let value = value.filter(|&value| value != ")").or_else(|| {
                    self.tokens.len().checked_sub(2).and_then(|index| self.tokens.get(index)).map(|t| t.text(text))
                });
                Purpose::LegacyAlterTable(value.is_some_and(|value| {
                    ["1", "on", "true", "yes"].iter().any(|on| super::token::dequote(value).eq_ignore_ascii_case(on))
                }))
            }
            "ROLLBACK" if word(1) != "TO" && word(2) != "TO" => Purpose::Rollback,
            "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "SELECT" | "VALUES" | "WITH" | "PRAGMA" | "BEGIN"
            | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "ANALYZE" | "REINDEX" | "VACUUM"
            | "EXPLAIN" => Purpose::Skipped,
            _ => Purpose::Unknown,
        }
    }

    /// Reads the head of a CREATE statement: what it creates, and where the name stands.
    ///
    /// Returns `None` for anything else and for a head that SQLite would refuse.
    pub fn created(&self, text: &str) -> Option<Created> {
        let is = |index: usize, word: &str| self.tokens.get(index).is_some_and(|token| token.is_word(text, word));
        if !is(0, "CREATE") {
            return None;
        }
        let mut at = 1;
        while is(at, "TEMP") || is(at, "TEMPORARY") || is(at, "UNIQUE") {
            at += 1;
        }
        let is_virtual = is(at, "VIRTUAL");
        at += usize::from(is_virtual);
        let kind = ["table", "index", "view", "trigger"].into_iter().find(|kind| is(at, kind))?;
        at += 1;
        if is(at, "IF") && is(at + 1, "NOT") && is(at + 2, "EXISTS") {
            at += 3;
        }
        if self.tokens.get(at + 1).is_some_and(|token| token.is_symbol(text, ".")) {
            at += 2;
        }
        self.tokens.get(at)?;
        Some(Created { kind, is_virtual, name: at })
    }

    /// Reads the module of the virtual table that it creates.
    pub fn module(&self, text: &str, created: &Created) -> Option<String> {
        match self.tokens.get(created.name + 1..)? {
            [using, module, ..] if created.is_virtual && using.is_word(text, "USING") => Some(module.name(text)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).map(|statement| &text[statement.range]).collect()
    }

    #[test]
    fn semicolons_in_strings_names_comments_and_triggers_do_not_split() {
        assert_eq!(texts("a ';' b; \"c;\" ; [d;] -- e;\n; /* ; */ ;; f"), ["a ';' b", "\"c;\"", "[d;]", "f"]);
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM b; END";
        assert_eq!(texts(&format!("{trigger};\nCREATE TABLE c(d);")), [trigger, "CREATE TABLE c(d)"]);
        assert_eq!(texts(trigger), [trigger]);
    }

    #[test]
    fn purposes_are_told_apart() {
        for (text, purpose) in [
            ("create table a(b)", Purpose::Schema),
            ("INSERT INTO a VALUES('sqlite_schema')", Purpose::Skipped),
            ("INSERT INTO sqlite_schema(type) VALUES('table')", Purpose::DumpedVirtualTable),
            ("DELETE FROM sqlite_master", Purpose::Forbidden("it changes the schema table by hand")),
            ("VACUUM", Purpose::Skipped),
            ("VACUUM INTO 'x'", Purpose::Forbidden("it writes a file")),
            ("attach 'x' as y", Purpose::Forbidden("it opens another database")),
            ("PRAGMA legacy_alter_table=ON", Purpose::LegacyAlterTable(true)),
            ("PRAGMA legacy_alter_table(0)", Purpose::LegacyAlterTable(false)),
            ("ROLLBACK", Purpose::Rollback),
            ("ROLLBACK TO x", Purpose::Skipped),
            ("CREAT TABLE x(y)", Purpose::Unknown),
        ] {
            assert_eq!(split(text).next().unwrap().purpose(text), purpose, "{text}");
        }
    }

    #[test]
    fn the_head_of_a_create_statement_gives_kind_and_name() {
        for (text, kind, name) in [
            ("CREATE TABLE a(b)", "table", "a"),
            ("CREATE TEMP TABLE IF NOT EXISTS main.\"a b\"(c)", "table", "a b"),
            ("CREATE UNIQUE INDEX [i] ON t(a)", "index", "i"),
            ("CREATE VIRTUAL TABLE v USING fts5(a)", "table", "v"),
            ("CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END", "trigger", "t"),
            ("CREATE TABLE if(b)", "table", "if"),
        ] {
            let statement = split(text).next().unwrap();
            let created = statement.created(text).unwrap();
            assert_eq!((created.kind, statement.tokens[created.name].name(text).as_str()), (kind, name), "{text}");
        }
    }
}
