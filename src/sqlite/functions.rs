//! The SQL functions that text from elsewhere may call.
//!
//! A whitelist: a function that a later SQLite adds is refused until somebody has looked at it. Left out are those that
//! load code, read or write files, or hand out pointers (`load_extension`, `fts3_tokenizer`, `edit`, …).

use rusqlite::Connection;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Functions of SQLite's core, dates, JSON, aggregates, windows and full-text search, in lower case, sorted.
const ALLOWED: &[&str] = &[
    "->",
    "->>",
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "auxdata",
    "avg",
    "bm25",
    "ceil",
    "ceiling",
    "changes",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "current_date",
    "current_time",
    "current_timestamp",
    "date",
    "datetime",
    "degrees",
    "dense_rank",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "highlight",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_insert",
    "json_array_length",
    "json_error_position",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_pretty",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "jsonb",
    "jsonb_array",
    "jsonb_array_insert",
    "jsonb_extract",
    "jsonb_group_array",
    "jsonb_group_object",
    "jsonb_insert",
    "jsonb_object",
    "jsonb_patch",
    "jsonb_remove",
    "jsonb_replace",
    "jsonb_set",
    "julianday",
    "lag",
    "last_insert_rowid",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "match",
    "matchinfo",
    "max",
    "median",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "octet_length",
    "offsets",
    "optimize",
    "percent_rank",
    "percentile",
    "percentile_cont",
    "percentile_disc",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "raise",
    "random",
    "randomblob",
    "rank",
    "regexp",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "snippet",
    "soundex",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_drop_column",
    "sqlite_rename_column",
    "sqlite_rename_quotefix",
    "sqlite_rename_table",
    "sqlite_rename_test",
    "sqlite_source_id",
    "sqlite_version",
    "sqrt",
    "strftime",
    "string_agg",
    "substr",
    "substring",
    "subtype",
    "sum",
    "tan",
    "tanh",
    "time",
    "timediff",
    "total",
    "total_changes",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "unistr",
    "unistr_quote",
    "unixepoch",
    "unlikely",
    "upper",
    "zeroblob",
];

/// Says whether a built-in function may be called.
pub(super) fn is_allowed(name: &str) -> bool {
    ALLOWED.binary_search(&name.to_ascii_lowercase().as_str()).is_ok()
}

/// Returns the functions that this SQLite has and the list lacks, in lower case. They are the same on all connections.
pub(super) fn off_the_list(connection: &Connection) -> rusqlite::Result<&'static BTreeSet<String>> {
    static FOUND: OnceLock<BTreeSet<String>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    // The pragma itself: a hostile database can have a table that is called pragma_function_list.
    let mut statement = connection.prepare("PRAGMA function_list")?;
    let names = statement.query_map([], |row| row.get::<_, String>("name"))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let refused = names.into_iter().map(|name| name.to_ascii_lowercase()).filter(|name| !is_allowed(name));
    Ok(FOUND.get_or_init(|| refused.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(ALLOWED.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", ALLOWED.windows(2).find(|p| p[0] >= p[1]));
    }

    #[test]
    fn functions_that_load_or_touch_files_are_not_allowed() {
        for name in ["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "sqlite_dbpage"] {
            assert!(!is_allowed(name), "{name}");
        }
        assert!(is_allowed("COALESCE"));
    }

    #[test]
    fn all_else_that_the_bundled_sqlite_has_is_refused_knowingly() {
        let connection = Connection::open_in_memory().unwrap();
        let refused: Vec<_> = off_the_list(&connection).unwrap().iter().collect();
        // Loading, logging and raw pages; inner functions of FTS5 and R*Tree that only queries on them use.
        let known = [
            "fts3_tokenizer",
            "fts5",
            "fts5_get_locale",
            "fts5_insttoken",
            "fts5_locale",
            "fts5_source_id",
            "load_extension",
            "rtreecheck",
            "rtreedepth",
            "rtreenode",
            "sqlite_log",
        ];
        assert_eq!(refused, known.iter().collect::<Vec<_>>());
    }
}
