//! Identifiers: the only code that quotes them, escapes them for display, and keeps them within 63 bytes.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// The most bytes PostgreSQL keeps of a name (`NAMEDATALEN - 1`); longer ones it cuts with a NOTICE only.
pub const MAX_BYTES: usize = 63;

/// Quotes a name for PostgreSQL where it has to be quoted.
pub fn quote(name: &str) -> Cow<'_, str> {
    if is_plain(name) && !RESERVED.contains(&name) { Cow::Borrowed(name) } else { Cow::Owned(quote_always(name)) }
}

/// Quotes a name for SQLite, where it has to be quoted there or in PostgreSQL.
pub fn quote_for_sqlite(name: &str) -> Cow<'_, str> {
    if is_reserved_in_sqlite(name) { Cow::Owned(quote_always(name)) } else { quote(name) }
}

/// Says whether SQLite takes a word as no name without quotes.
pub fn is_reserved_in_sqlite(word: &str) -> bool {
    RESERVED_IN_SQLITE.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// Quotes a name whatever it is: the form that PostgreSQL and SQLite both read.
pub fn quote_always(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes names and joins them with commas, as in a key's column list.
pub fn quote_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// Quotes a text as a PostgreSQL string constant, in the `E''` form where it holds a backslash.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Quotes a text as an SQLite string constant: there a backslash is a character like any other.
pub fn literal_for_sqlite(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Makes a name harmless to look at: control characters, line breaks and direction marks become `\u{…}`.
///
/// Everything that shows a name outside a quoted identifier goes through here: SQL comments, messages, reports.
pub fn visible(name: &str) -> Cow<'_, str> {
    if !name.chars().any(is_deceiving) {
        return Cow::Borrowed(name);
    }
    let mut shown = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        if is_deceiving(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn is_deceiving(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Cuts a name that is too long to a prefix and eight hexadecimal digits of its hash.
///
/// Names of at most [`MAX_BYTES`] come back as they are; but for the empty one, which only SQLite has: of it the hash is
/// all there is. The result depends on the name alone.
pub fn shorten(name: &str) -> Cow<'_, str> {
    if (1..=MAX_BYTES).contains(&name.len()) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(with_hash(name, name))
}

fn with_hash(name: &str, hashed: &str) -> String {
    let digest = blake3::hash(hashed.as_bytes()).to_hex();
    format!("{}_{}", cut(name, MAX_BYTES - 9), &digest[..8])
}

/// Returns the first bytes of a name, without half a character at the end.
fn cut(name: &str, bytes: usize) -> &str {
    let mut end = bytes.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Hands out names that are unique within one of PostgreSQL's namespaces.
#[derive(Debug, Clone, Default)]
pub struct Namespace {
    taken: BTreeSet<String>,
}

impl Namespace {
    /// Says whether a name, shortened where needed, is taken.
    pub fn contains(&self, name: &str) -> bool {
        self.taken.contains(shorten(name).as_ref())
    }

    /// Claims a constraint's name as PostgreSQL makes them unique: with a number behind.
    pub fn claim_numbered(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut round = 0;
        while self.contains(&name) {
            round += 1;
            name = format!("{wanted}{round}");
        }
        self.claim(&name, wanted)
    }

    /// Claims `wanted`, shortened where needed; on a collision a name with a hash of `owner` added.
    ///
    /// `owner` has to tell apart the objects that could want one name, as `table.constraint` does.
    pub fn claim(&mut self, wanted: &str, owner: &str) -> String {
        let mut name = shorten(wanted).into_owned();
        let mut round = 0_u32;
        while !self.taken.insert(name.clone()) {
            name = with_hash(wanted, &format!("{owner}\0{wanted}\0{round}"));
            round += 1;
        }
        name
    }
}

/// Returns the name that PostgreSQL gives the sequence of an identity column, unless the name is taken: the longer of the
/// two is cut until both fit (`makeObjectName` in its sources).
pub fn sequence_name(table: &str, column: &str) -> String {
    let (mut first, mut second) = (table.len(), column.len());
    while first + second + "__seq".len() > MAX_BYTES {
        if first > second {
            first -= 1;
        } else {
            second -= 1;
        }
    }
    format!("{}_{}_seq", cut(table, first), cut(column, second))
}

/// Returns the name that a CHECK without one gets: `items_price_check` after its first column where it has one or two,
/// `items_check` otherwise. `columns` are those in the condition, each once.
pub fn check_name<'a>(table: &str, columns: impl IntoIterator<Item = &'a str>) -> String {
    let columns: Vec<&str> = columns.into_iter().collect();
    match columns[..] {
        [first] | [first, _] => format!("{table}_{first}_check"),
        _ => format!("{table}_check"),
    }
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// PostgreSQL's reserved words and those that cannot be a column, type or function name without quotes
/// (PostgreSQL 15 to 17, `pg_get_keywords()` with a category other than unreserved), sorted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Words that SQLite 3 takes as no name without quotes; its other keywords fall back to names. Sorted.
const RESERVED_IN_SQLITE: &[&str] = &[
    "add",
    "all",
    "alter",
    "and",
    "as",
    "autoincrement",
    "between",
    "case",
    "cast",
    "check",
    "collate",
    "commit",
    "constraint",
    "create",
    "current_date",
    "current_time",
    "current_timestamp",
    "default",
    "deferrable",
    "delete",
    "distinct",
    "drop",
    "else",
    "escape",
    "except",
    "exists",
    "foreign",
    "from",
    "group",
    "having",
    "if",
    "in",
    "index",
    "insert",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "limit",
    "not",
    "nothing",
    "notnull",
    "null",
    "on",
    "or",
    "order",
    "primary",
    "raise",
    "references",
    "returning",
    "select",
    "set",
    "table",
    "then",
    "to",
    "transaction",
    "union",
    "unique",
    "update",
    "using",
    "values",
    "when",
    "where",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(quote("invoices"), "invoices");
        assert_eq!(quote("order"), "\"order\"");
        assert_eq!(quote("Order Details"), "\"Order Details\"");
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote("1st"), "\"1st\"");
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote_list(["id", "user"]), "id, \"user\"");
    }

    #[test]
    fn reserved_words_are_sorted() {
        assert!(RESERVED.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(RESERVED_IN_SQLITE.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\b'"), r"E'a\\b'''");
    }

    #[test]
    fn sqlite_has_reserved_words_of_its_own_and_plain_backslashes() {
        assert_eq!((quote("index"), quote_for_sqlite("index")), ("index".into(), "\"index\"".into()));
        assert_eq!((quote_for_sqlite("user"), quote_for_sqlite("invoices")), ("\"user\"".into(), "invoices".into()));
        assert_eq!(literal_for_sqlite(r"a\b'"), r"'a\b'''");
    }

    #[test]
    fn visible_leaves_no_line_break_and_no_direction_mark() {
        assert_eq!(visible("a\n; DROP"), r"a\u{a}; DROP");
        assert_eq!(visible("a\u{202e}b"), r"a\u{202e}b");
        assert_eq!(visible("Größe"), "Größe");
    }

    #[test]
    fn shortening_counts_bytes_and_keeps_characters_whole() {
        let long = "ü".repeat(40);
        let short = shorten(&long);
        assert!(short.len() <= MAX_BYTES && short.starts_with('ü'), "{short}");
        assert_eq!(shorten("invoices"), "invoices");
        assert_eq!(shorten(""), "_af1349b9");
        assert_ne!(shorten(&format!("{long}a")), shorten(&format!("{long}b")));
    }

    #[test]
    fn sequences_are_named_as_postgresql_names_them() {
        for (table, column, expected) in [
            ("users", "id", "users_id_seq".to_owned()),
            (&"t".repeat(63), "id", format!("{}_id_seq", "t".repeat(56))),
            ("t", &"c".repeat(63), format!("t_{}_seq", "c".repeat(57))),
            (&"t".repeat(40), &"c".repeat(40), format!("{}_{}_seq", "t".repeat(29), "c".repeat(29))),
            (&"é".repeat(31), "ids", format!("{}_ids_seq", "é".repeat(27))),
        ] {
            assert_eq!(sequence_name(table, column), expected);
        }
    }

    #[test]
    fn a_namespace_never_hands_out_a_name_twice() {
        let mut namespace = Namespace::default();
        assert_eq!(namespace.claim("a_key", "t1"), "a_key");
        let second = namespace.claim("a_key", "t2");
        assert_ne!(second, "a_key");
        let mut other = Namespace::default();
        other.claim("a_key", "t1");
        assert_eq!(other.claim("a_key", "t2"), second, "deterministic");
    }
}
