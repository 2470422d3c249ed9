//! The CREATE statements of a Tcl script, as far as SQLite takes them.

use super::compare::Subject;
use rusqlite::Connection;
use tenantry::ident::quote_always;

/// Cuts out what could be CREATE statements: from the keyword to a semicolon, a closing brace, or the end.
pub fn candidates(script: &str) -> Vec<String> {
    let bytes = script.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = find_create(bytes, at) {
        found.push(script[start..end_of(script, start)].trim().to_owned());
        at = start + 6;
    }
    found
}

fn find_create(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len().saturating_sub(6)).find(|&at| {
        bytes[at..at + 6].eq_ignore_ascii_case(b"create")
            && bytes[at + 6].is_ascii_whitespace()
            && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric())
    })
}

fn end_of(script: &str, start: usize) -> usize {
    let bytes = script.as_bytes();
    let head = script[start..].chars().take(60).collect::<String>().to_ascii_lowercase();
    let words: Vec<&str> = head.split_whitespace().take(3).collect();
    let is_trigger = words.contains(&"trigger");
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        match bytes[at] {
            quote @ (b'\'' | b'"' | b'`') => {
                let skipped = bytes[at + 1..].iter().position(|&byte| byte == quote);
                at += skipped.map_or(0, |length| length + 1);
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at += bytes[at..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - at - 1);
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at += script[at..].find("*/").map_or(0, |length| length + 1);
            }
            b'{' => depth += 1,
            b'}' if depth == 0 => return at,
            b'}' => depth -= 1,
            b';' if !is_trigger => return at,
            b';' => {
                let before = script[start..at].trim_end();
                if before.len() > 4 && before.get(before.len() - 4..).is_some_and(ends_block) {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn ends_block(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes[1..].eq_ignore_ascii_case(b"end") && (bytes[0].is_ascii_whitespace() || bytes[0] == b';')
}

/// Databases in which one script's statements run, one after the other.
pub struct Script {
    connection: Connection,
    databases: Vec<&'static str>,
}

/// The names that SQLite's own tests like to attach databases by.
pub const ATTACHED: &[&str] = &["aux", "aux1", "aux2", "aux3", "db2", "db3", "two"];

impl Script {
    pub fn new(attached: &[&'static str]) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        for name in attached {
            connection.execute_batch(&format!("ATTACH ':memory:' AS {name}")).unwrap();
        }
        Self { connection, databases: ["main", "temp"].iter().chain(attached).copied().collect() }
    }

    /// Runs a candidate; returns what it made, or `None` where SQLite refuses it.
    pub fn run(&self, candidate: &str) -> Option<Subject> {
        // In a Tcl string the first quote that is not SQL's ends it.
        let cuts = candidate.match_indices(['"', ']', '}']).map(|(at, _)| &candidate[..at]);
        std::iter::once(candidate).chain(cuts).find_map(|text| self.try_run(text.trim()))
    }

    /// Runs a statement as it stands.
    pub fn run_exactly(&self, text: &str) -> Option<Subject> {
        self.try_run(text)
    }

    fn try_run(&self, text: &str) -> Option<Subject> {
        let before = self.objects();
        for _ in 0..3 {
            match self.connection.execute_batch(text) {
                Ok(()) => break,
                Err(error) => self.make_room(&error.to_string())?,
            }
        }
        let made = self.objects().into_iter().find(|object| !before.contains(object))?;
        let (database, kind, name, table, sql) = made;
        let is_virtual = sql.get(..20).is_some_and(|head| head.to_ascii_uppercase().starts_with("CREATE VIRTUAL"));
        let kind = match kind.as_str() {
            "table" if is_virtual => "virtual table",
            "table" => "table",
            "index" => "index",
            "view" => "view",
            _ => "trigger",
        };
        let owner = (kind == "index" || kind == "trigger").then(|| self.statement_of(&database, &table)).flatten();
        let mut subject = Subject { kind, name, table, before: owner.into_iter().collect(), sql };
        for _ in 0..5 {
            let Err(message) = super::compare::database(subject.before.iter().chain([&subject.sql])) else { break };
            let missing = message.split_once("no such table: ").and_then(|(_, rest)| rest.split([' ', '\n']).next());
            let name = missing.map(|name| name.split_once('.').map_or(name, |(_, name)| name));
            let Some(statement) = name.and_then(|name| self.statement_of(&database, name)) else { break };
            subject.before.insert(0, statement);
        }
        Some(subject)
    }

    /// Drops the object that is in the way; `None` where the statement is refused for another reason.
    fn make_room(&self, message: &str) -> Option<()> {
        let name = message.split(" already exists").next()?.rsplit("table ").next()?;
        let name = name.rsplit("index ").next()?.rsplit("view ").next()?.rsplit("trigger ").next()?;
        if !message.contains(" already ") {
            return None;
        }
        let name = quote_always(name.trim_matches(['"', '\'', '[', ']', '`']));
        let kinds = ["TABLE", "VIEW", "INDEX", "TRIGGER"];
        kinds.iter().find_map(|kind| self.connection.execute_batch(&format!("DROP {kind} {name}")).ok())
    }

    fn objects(&self) -> Vec<(String, String, String, String, String)> {
        let mut objects = Vec::new();
        for database in &self.databases {
            let sql = format!("SELECT type, name, tbl_name, sql FROM {database}.sqlite_master WHERE sql IS NOT NULL");
            let Ok(mut statement) = self.connection.prepare(&sql) else { continue };
            let Ok(found) = statement
                .query_map([], |row| Ok(((*database).to_owned(), row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            else {
                continue;
            };
            objects.extend(found.filter_map(Result::ok));
        }
        objects
    }

    fn statement_of(&self, database: &str, table: &str) -> Option<String> {
        let sql = |database: &str| {
            let sql = format!("SELECT sql FROM {database}.sqlite_master WHERE name = ?1 COLLATE NOCASE");
            self.connection.query_row(&sql, [table], |row| row.get(0)).ok()
        };
        sql(database).or_else(|| sql("main"))
    }
}
