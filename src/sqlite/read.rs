//! Reads a source's schema: SQL text, a folder of migrations, or a database.

use super::assemble::assemble;
use super::database::Database;
use super::guard::Guarded;
use super::load::load;
use super::place::place_in_own_text;
use super::pragmas::schema_rows;
use super::source_file::{self, SourceFile, busy};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, Sources};
use crate::ident::visible;
use crate::schema::SourceSchema;
use std::cmp::Ordering;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Reads the schema of a DDL file or dump, of a folder of ordered migrations, or of a database file.
///
/// All texts go into `sources`, and the schema's spans point there; a database's statements are written into a text of
/// their own. Nothing is ever created or changed. In text, statements that only move rows or tune a connection are
/// skipped, and TEMP objects end with it; functions and collations of the application's own are no obstacle. Fails with all errors found: `source-missing`, `source-unreadable`,
/// `source-empty`, `source-busy`, `source-not-a-database`, `not-utf8`, `invalid-ddl`, `forbidden-statement`,
/// `rolled-back`, `time-limit`, `unreadable-ddl`, `internal-disagreement`.
pub fn read_source(path: &Path, sources: &mut Sources) -> Result<SourceSchema, Diagnostics> {
    let schema = if path.is_dir() {
        read_texts(&migrations(path)?, sources)?
    } else if source_file::is_database(path)? {
        read_database_file(path, sources)?
    } else {
        read_texts(&[path.to_owned()], sources)?
    };
    if schema.tables.is_empty() && schema.others.is_empty() {
        return Err(Diagnostic::error("source-empty", format!("{} holds no table", shown(path)))
            .help("check the path: a wrong one often names an empty file")
            .into());
    }
    Ok(schema)
}

/// Reads the schema of an open database, as [`read_source`] does for a file.
pub fn read_schema(database: &Database, sources: &mut Sources) -> Result<SourceSchema, Diagnostics> {
    let rows = schema_rows(database.connection()).map_err(|error| database.unreadable(&error))?;
    let rows = rows.into_iter().map(|row| (0, row)).collect();
    let placed = place_in_own_text("the database's schema", rows, sources);
    assemble(&[database.connection()], &placed, Vec::new())
}

/// Hashes the statements that a database's schema consists of, in any order: of two databases with the same hash, what one
/// is the other is.
pub fn schema_hash(database: &Database) -> Result<String, Diagnostic> {
    let rows = schema_rows(database.connection()).map_err(|error| database.unreadable(&error))?;
    let mut statements: Vec<[String; 4]> =
        rows.into_iter().map(|row| [row.kind, row.name, row.table, row.sql]).collect();
    statements.sort();
    let mut hasher = blake3::Hasher::new();
    for text in statements.iter().flatten() {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn read_database_file(path: &Path, sources: &mut Sources) -> Result<SourceSchema, Diagnostics> {
    let SourceFile { connection, watch, .. } = source_file::open(path)?;
    let unreadable = |error: rusqlite::Error| source_file::unreadable(path, &error);
    let guarded = Guarded::for_reading(connection)?;
    let rows = schema_rows(&guarded.connection).map_err(unreadable)?;
    let rows = rows.into_iter().map(|row| (0, row)).collect();
    let placed = place_in_own_text(&format!("{} (schema)", path.display()), rows, sources);
    let schema = assemble(&[&guarded.connection], &placed, Vec::new())?;
    if watch.is_unchanged() { Ok(schema) } else { Err(busy(path).into()) }
}

fn read_texts(paths: &[PathBuf], sources: &mut Sources) -> Result<SourceSchema, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut ids: Vec<SourceId> = Vec::new();
    for path in paths {
        match read_text(path) {
            Ok(text) => ids.push(sources.add(shown(path), text)),
            Err(error) => errors.push(error),
        }
    }
    let loaded = errors.into_result(()).and_then(|()| load(&ids, sources))?;
    let connections: Vec<_> = loaded.databases.iter().map(|database| &database.connection).collect();
    assemble(&connections, &loaded.placed, loaded.foreign)
}

fn read_text(path: &Path) -> Result<String, Diagnostic> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let utf16 = error.as_bytes().starts_with(&[0xff, 0xfe]) || error.as_bytes().starts_with(&[0xfe, 0xff]);
        Diagnostic::error("not-utf8", format!("{} is not UTF-8 at byte {at}", shown(path))).help(if utf16 {
            "it is UTF-16: save it as UTF-8"
        } else {
            "save it as UTF-8 text, or name the database itself"
        })
    })
}

/// Lists a folder's migrations in their order: `*.sql`, or `up.sql` and `migration.sql` in folders of their own.
///
/// Numbers in names count as numbers, so that `10_b.sql` follows `9_a.sql`. What undoes a migration is left out: `*.down.sql`,
/// and Flyway's `U2__b.sql`; its `R__view.sql`, which runs again and again, comes last.
fn migrations(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        let name = file_name(&path);
        if path.is_dir() {
            found.extend(
                entries(&path)?.into_iter().filter(|path| matches!(&*file_name(path), "up.sql" | "migration.sql")),
            );
        } else if name.ends_with(".sql") && !is_undo(&name) {
            found.push(path);
        }
    }
    let is_repeatable = |path: &PathBuf| file_name(path).starts_with("r__");
    found.sort_by(|a, b| natural_order(&a.to_string_lossy(), &b.to_string_lossy()).then_with(|| a.cmp(b)));
    found.sort_by_key(is_repeatable);
    if found.is_empty() {
        return Err(Diagnostic::error("source-empty", format!("{} holds no .sql file", shown(folder)))
            .help("name the folder that holds the migrations themselves"));
    }
    Ok(found)
}

fn is_undo(name: &str) -> bool {
    let is_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains("__");
    name == "down.sql" || name.ends_with(".down.sql") || name.strip_prefix('u').is_some_and(is_version)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let list = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    list.map_err(|error: io::Error| unreadable(folder, &error))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error("source-unreadable", format!("cannot read {}: {error}", shown(path)))
}

fn shown(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

/// Compares texts with runs of digits taken as numbers.
fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (digits_a, digits_b) = (leading_digits(a), leading_digits(b));
        let order = if digits_a > 0 && digits_b > 0 {
            let (number_a, number_b) = (a[..digits_a].trim_start_matches('0'), b[..digits_b].trim_start_matches('0'));
            (a, b) = (&a[digits_a..], &b[digits_b..]);
            number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b))
        } else {
            let (mut chars_a, mut chars_b) = (a.chars(), b.chars());
            let (next_a, next_b) = (chars_a.next(), chars_b.next());
            (a, b) = (chars_a.as_str(), chars_b.as_str());
            if next_a.is_none() && next_b.is_none() {
                return Ordering::Equal;
            }
            next_a.cmp(&next_b)
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn leading_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Deferral, Expr, KeyKind, OtherKind, Unread};
    use proptest::prelude::*;

    fn read(text: &str) -> Result<(SourceSchema, Sources), Diagnostics> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.sql");
        fs::write(&path, text).unwrap();
        let mut sources = Sources::default();
        let schema = read_source(&path, &mut sources);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was created");
        schema.map(|schema| (schema, sources))
    }

    fn slice<'s>(sources: &'s Sources, span: &crate::diagnostic::Span) -> &'s str {
        &sources.get(span.source).unwrap().text[span.range.clone()]
    }

    #[test]
    fn a_table_is_ordered_by_what_its_keys_and_plain_indexes_begin_with() {
        let text = "CREATE TABLE t (a INT, b INT, c TEXT, d INT, e INT, PRIMARY KEY (a, b), UNIQUE (d, a));
            CREATE INDEX plain ON t (c, e); CREATE INDEX falling ON t (e DESC, b); CREATE INDEX some ON t (b, d) WHERE d > 1;
            CREATE INDEX folded ON t (c COLLATE NOCASE, b); CREATE INDEX sums ON t (b + d, e);";
        let (schema, _) = read(text).unwrap();
        let table = schema.find_table("t").unwrap();
        let ordered = |columns: &str| {
            let columns: Vec<_> =
                columns.chars().map(|name| schema.find_column(table, &name.to_string()).unwrap()).collect();
            schema.is_ordered_by(table, &columns)
        };
        assert!(["a", "ab", "d", "da", "c", "ce"].into_iter().all(ordered));
        assert!(!["b", "ba", "abc", "ad", "e", "eb", "bd", "cb", "cea"].into_iter().any(ordered));
    }

    #[test]
    fn a_schema_comes_out_with_keys_references_and_spans() {
        let text =
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, Email TEXT NOT NULL UNIQUE, age INT CHECK (age > 0));
            CREATE TABLE invoices (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                customer_id INTEGER NOT NULL REFERENCES Customers ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
                total DECIMAL(10,2) DEFAULT 0,
                CONSTRAINT one UNIQUE (customer_id, total)
            );
            CREATE INDEX by_total ON invoices(total DESC) WHERE total > 5;
            CREATE VIEW v AS SELECT 1;";
        let (schema, sources) = read(text).unwrap();
        let invoices = schema.find_table("INVOICES").unwrap();
        let table = schema.table(invoices);
        assert_eq!((slice(&sources, table.span.as_ref().unwrap()), table.autoincrement), ("invoices", true));
        assert_eq!(table.rowid_alias, Some(table.columns[0]));
        let key = schema.foreign_key(table.foreign_keys[0]);
        assert_eq!(schema.column_names(&key.referenced_columns).collect::<Vec<_>>(), ["id"]);
        assert_eq!((key.deferral, key.on_delete.sql()), (Deferral::InitiallyDeferred, "CASCADE"));
        assert!(slice(&sources, key.span.as_ref().unwrap()).starts_with("REFERENCES Customers"));
        assert_eq!(schema.column(table.columns[2]).default, Some(Expr::Integer(0)));
        let unique = schema.key(table.unique_keys[0]);
        assert_eq!((unique.kind, unique.name.as_deref(), unique.columns.len()), (KeyKind::Unique, Some("one"), 2));
        let index = schema.index(table.indexes[0]);
        assert!(index.parts[0].descending && index.predicate.as_ref().unwrap().unsupported().is_none());
        assert_eq!(slice(&sources, index.span.as_ref().unwrap()), "by_total");
        assert_eq!(schema.others[0].kind, OtherKind::View);
    }

    #[test]
    fn comments_and_directions_are_no_obstacle_and_no_loss() {
        let (schema, _) = read(
            "CREATE TABLE t(a INT DEFAULT ( -- one
            1 /* two */ ), b CHECK (b -> 1 -- ')
            ), PRIMARY KEY (a DESC, b));",
        )
        .unwrap();
        assert_eq!(schema.columns[0].default, Some(Expr::Integer(1)));
        assert_eq!(schema.checks[0].expr, Expr::Unsupported("b -> 1".into(), Unread::Unknown));
        let clauses: Vec<_> = schema.unmapped.iter().map(|clause| clause.clause.as_str()).collect();
        assert_eq!(clauses, ["PRIMARY KEY DESC"]);
    }

    #[test]
    fn references_that_lead_nowhere_say_why() {
        let text = "CREATE TABLE p(id INTEGER PRIMARY KEY, a, b, c COLLATE nocase UNIQUE, UNIQUE (a, b));
            CREATE UNIQUE INDEX part ON p(b) WHERE b > 1; CREATE UNIQUE INDEX coll ON p(a COLLATE nocase);
            CREATE TABLE n(x); CREATE VIEW v AS SELECT 1 AS id;
            CREATE TABLE c(a REFERENCES nosuch, b REFERENCES p(zz), d REFERENCES p(b), e REFERENCES p(a), f REFERENCES n,
                g REFERENCES v(id), h REFERENCES P(C), i, FOREIGN KEY (h, i) REFERENCES p, FOREIGN KEY (h, i) REFERENCES p(B, A),
                FOREIGN KEY (h, i) REFERENCES p(A, a));";
        let (schema, sources) = read(text).unwrap();
        let reasons: Vec<_> = schema.dangling.iter().map(|reference| reference.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "no such table",
                "no such column \"zz\"",
                "the key is not unique",
                "the key is not unique",
                "the table has no primary key",
                "not a table",
                "the primary key has 1 columns, the reference 2",
                "the key is not unique",
            ]
        );
        assert_eq!(slice(&sources, schema.dangling[0].span.as_ref().unwrap()), "REFERENCES nosuch");
        assert_eq!(schema.foreign_keys.len(), 2);
    }

    #[test]
    fn virtual_tables_are_others_and_their_shadows_nothing() {
        let (schema, _) = read(
            "CREATE VIRTUAL TABLE ft USING fts5(a); CREATE VIRTUAL TABLE r USING rtree(i, a, b); CREATE TABLE t(a);",
        )
        .unwrap();
        assert_eq!(schema.tables.len(), 1);
        let names: Vec<_> = schema.others.iter().map(|other| (other.kind, other.name.as_str())).collect();
        assert_eq!(names, [(OtherKind::VirtualTable, "ft"), (OtherKind::VirtualTable, "r")]);
    }

    #[test]
    fn shadows_of_a_module_that_is_not_there_are_nothing_either() {
        // What sqlite-vec 0.1.9 makes, as a dump writes it; the last four are the application's own.
        let text = "CREATE TABLE IF NOT EXISTS \"Vec_items_info\" (key text primary key, value any);
            CREATE TABLE \"vec_items_chunks\"(chunk_id INTEGER PRIMARY KEY AUTOINCREMENT, size INTEGER NOT NULL, validity BLOB NOT NULL, rowids BLOB NOT NULL);
            CREATE TABLE \"vec_items_rowids\"(rowid INTEGER PRIMARY KEY AUTOINCREMENT, id, chunk_id INTEGER, chunk_offset INTEGER);
            CREATE TABLE \"vec_items_vector_chunks00\"(rowid PRIMARY KEY, vectors BLOB NOT NULL);
            CREATE TABLE \"vec_items_auxiliary\"(rowid integer PRIMARY KEY, value00);
            CREATE TABLE \"vec_items_metadatachunks00\"(rowid PRIMARY KEY, data BLOB NOT NULL);
            CREATE TABLE \"vec_items_metadatatext01\"(rowid PRIMARY KEY, data TEXT);
            CREATE INDEX later ON vec_items_rowids (id);
            CREATE TABLE items(id INTEGER PRIMARY KEY); CREATE TABLE items_info(id INTEGER PRIMARY KEY);
            CREATE TABLE vec_items_vector_chunks(a); CREATE TABLE vec_items_notes(a);";
        for create in [
            "CREATE VIRTUAL TABLE vec_items USING vec0(embedding float[4]);",
            "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table','vec_items','vec_items',0,'CREATE VIRTUAL TABLE vec_items USING VEC0(embedding float[4])');",
        ] {
            let (schema, _) = read(&format!("{create} {text}")).unwrap();
            let names: Vec<_> = schema.tables.iter().map(|table| table.name.as_str()).collect();
            assert_eq!(names, ["items", "items_info", "vec_items_vector_chunks", "vec_items_notes"], "{create}");
            assert_eq!(schema.others.len(), 1);
            assert!(schema.indexes.is_empty());
        }
        let (schema, _) = read(&format!("CREATE VIRTUAL TABLE vec_items USING spellfix1; {text}")).unwrap();
        assert_eq!(schema.tables.len(), 11, "another module has other shadow tables");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.db");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch(text).unwrap();
        database
            .execute_batch(
                "PRAGMA writable_schema = ON; INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES('table',\
                 'vec_items','vec_items',0,'CREATE VIRTUAL TABLE vec_items USING vec0(embedding float[4])');",
            )
            .unwrap();
        drop(database);
        let schema = read_source(&path, &mut Sources::default()).unwrap();
        assert_eq!((schema.tables.len(), schema.others.len()), (4, 1));
    }

    #[test]
    fn hostile_and_broken_texts_are_diagnostics() {
        let deep = format!("CREATE TABLE t(a CHECK ({}a{}))", "(".repeat(10_000), ")".repeat(10_000));
        let wide = format!("CREATE TABLE t({})", (0..3000).map(|n| format!("c{n}")).collect::<Vec<_>>().join(","));
        for (text, code) in [
            ("", "source-empty"),
            ("-- nothing", "source-empty"),
            ("CREATE TABLE t(a); ATTACH 'evil.db' AS e; CREATE TABLE e.t(a);", "forbidden-statement"),
            ("CREATE TABLE t(a); VACUUM INTO 'evil.db'", "forbidden-statement"),
            ("CREATE TABLE t AS SELECT load_extension('x')", "forbidden-statement"),
            ("CREATE TABLE t(a)\u{0}", "invalid-ddl"),
            ("hello world", "invalid-ddl"),
            ("CREATE TABLE t(order INT)", "invalid-ddl"),
            (&wide, "invalid-ddl"),
            ("CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1", "invalid-ddl"),
        ] {
            assert_eq!(read(text).unwrap_err().0[0].code, code, "{}", &text[..text.len().min(60)]);
        }
        // SQLite's parser has a depth limit of its own; either way it is no crash.
        if let Ok((schema, _)) = read(&deep) {
            assert!(schema.checks[0].expr.unsupported().is_some());
        }
        let odd = "CREATE TABLE \"a\nb; DROP\"\"x\" ([c\n] INT, \"\" TEXT)";
        assert_eq!(read(odd).unwrap().0.tables[0].name, "a\nb; DROP\"x");
    }

    #[test]
    fn migrations_run_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("10_more.up.sql", "ALTER TABLE a ADD COLUMN c;");
        write("9_add.up.sql", "ALTER TABLE a ADD COLUMN b;");
        write("1_first.up.sql", "CREATE TABLE a(id);");
        write("10_more.down.sql", "DROP TABLE a;");
        write("11_last/up.sql", "CREATE TABLE z(id);");
        write("11_last/down.sql", "DROP TABLE z;");
        write("README.md", "nothing");
        let mut sources = Sources::default();
        let schema = read_source(folder.path(), &mut sources).unwrap();
        assert_eq!(schema.column_names(&schema.tables[0].columns).collect::<Vec<_>>(), ["id", "b", "c"]);
        assert_eq!(schema.tables.len(), 2);
        assert_eq!(read_source(&folder.path().join("nosuch"), &mut sources).unwrap_err().0[0].code, "source-missing");
    }

    #[test]
    fn flyways_undo_migrations_are_left_out_and_its_repeatable_ones_come_last() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("V1__first.sql", "CREATE TABLE a(id);"),
            ("V10__more.sql", "ALTER TABLE a ADD COLUMN c;"),
            ("V9.1__more.sql", "ALTER TABLE a ADD COLUMN b;"),
            ("U10__more.sql", "ALTER TABLE a DROP COLUMN c;"),
            ("R__index.sql", "DROP INDEX IF EXISTS i; CREATE INDEX i ON a(c);"),
            ("users.sql", "CREATE TABLE users(id);"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let schema = read_source(folder.path(), &mut Sources::default()).unwrap();
        assert_eq!(schema.column_names(&schema.tables[0].columns).collect::<Vec<_>>(), ["id", "b", "c"]);
        assert_eq!((schema.tables.len(), schema.indexes.len()), (2, 1));
    }

    #[test]
    fn a_database_reads_as_the_text_it_was_made_from() {
        let text = "CREATE TABLE t(id INTEGER PRIMARY KEY, 'odd name' TEXT DEFAULT \"x\", g AS (id + 1) STORED, r REFERENCES t);
            CREATE INDEX i ON t(\"odd name\", lower(g));";
        for encoding in ["UTF-8", "UTF-16"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let connection = rusqlite::Connection::open(&path).unwrap();
            connection
                .execute_batch(&format!("PRAGMA encoding = '{encoding}'; PRAGMA journal_mode = WAL; {text}"))
                .unwrap();
            drop(connection);
            let before = fs::read(&path).unwrap();
            let mut sources = Sources::default();
            let from_file = read_source(&path, &mut sources).unwrap();
            assert_eq!((fs::read(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count()), (before, 1));
            let (from_text, _) = read(text).unwrap();
            assert_eq!(super::super::schema_differences(&from_text, &from_file), Vec::<String>::new());
            let span = from_file.tables[0].span.as_ref().unwrap();
            assert_eq!(slice(&sources, span), "t");
        }
    }

    #[test]
    fn text_in_another_encoding_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema.sql");
        fs::write(&path, [0xff, 0xfe, b'C', 0]).unwrap();
        let error = read_source(&path, &mut Sources::default()).unwrap_err();
        assert_eq!((error.0[0].code, error.0[0].help.as_deref()), ("not-utf8", Some("it is UTF-16: save it as UTF-8")));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(CREATE|TABLE|INDEX|t|a|INT|\\(|\\)|,|;|'x|\"|DEFAULT|CHECK|PRIMARY|KEY|AS|ON|REFERENCES|--|/\\*|[ \n]|é|\\PC){0,40}") {
            let _ = read(&text);
        }
    }
}
