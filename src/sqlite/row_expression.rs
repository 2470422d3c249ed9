//! An expression over one row's columns, as a person writes it into a spec.
//!
//! It is run on somebody's database, as one more selected column. So it is read by sqlparser as exactly one expression,
//! every word of it is looked up, and it is written again from its tokens: what runs is what was looked at, and gives
//! the same for the same row at any time.

use super::repair::for_sqlparser;
use super::token::{Token, TokenKind, tokenize};
use crate::diagnostic::{Diagnostic, nearest};
use crate::ident::visible;
use crate::schema::{SourceSchema, TableId};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

/// Words of SQLite's expression grammar, without those of queries.
const KEYWORDS: &[&str] = &[
    "and", "as", "between", "case", "cast", "collate", "distinct", "else", "end", "escape", "false", "from", "glob",
    "in", "is", "isnull", "like", "not", "notnull", "null", "or", "then", "true", "when",
];

/// What may follow CAST … AS and COLLATE.
const TYPES_AND_COLLATIONS: &[&str] =
    &["blob", "int", "integer", "numeric", "real", "text", "binary", "nocase", "rtrim"];

/// Functions that give the same for the same arguments, at any time and on any machine.
const FUNCTIONS: &[&str] = &[
    "abs",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "format",
    "glob",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "json_array_length",
    "json_extract",
    "json_type",
    "json_valid",
    "length",
    "like",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "octet_length",
    "printf",
    "quote",
    "replace",
    "round",
    "rtrim",
    "sign",
    "substr",
    "substring",
    "trim",
    "typeof",
    "unhex",
    "unicode",
    "upper",
];

/// How deep parentheses may nest.
const DEPTH: usize = 50;

/// Checks an expression over a table's columns and writes it again.
///
/// # Errors
/// `row-expression`, without a label: not exactly one expression, a column that the table lacks, a function that is
/// not on the list or depends on more than its arguments.
pub fn row_expression(schema: &SourceSchema, table: TableId, text: &str) -> Result<String, Diagnostic> {
    let described = schema.table(table);
    let is_column = |name: &str| schema.find_column(table, name).is_some();
    let refused = |message: String| Diagnostic::error("row-expression", message);
    let spelled = for_sqlparser(text, &is_column);
    let is_one = spelled.is_some_and(|spelled| {
        let dialect = SQLiteDialect {};
        let parser = Parser::new(&dialect).with_recursion_limit(DEPTH).try_with_sql(&spelled);
        parser.is_ok_and(|mut parser| {
            parser.parse_expr().is_ok() && parser.peek_token().token == sqlparser::tokenizer::Token::EOF
        })
    });
    if !is_one {
        return Err(refused(format!("`{}` cannot be read as one expression", visible(text)))
            .help("write one expression over the row's columns, as in \"substr(path, 1, 4)\""));
    }
    let tokens: Vec<Token> = tokenize(text).collect();
    for (position, token) in tokens.iter().enumerate() {
        let followed_by = |symbol: &str| tokens.get(position + 1).is_some_and(|next| next.is_symbol(text, symbol));
        if !matches!(token.kind, TokenKind::Word | TokenKind::Quoted) {
            continue;
        }
        let name = token.name(text);
        let lower = name.to_ascii_lowercase();
        let is_word = token.kind == TokenKind::Word;
        let known = |words: &[&str]| is_word && words.contains(&lower.as_str());
        if is_column(&name) && !followed_by("(") {
            continue;
        }
        if followed_by("(") && !known(KEYWORDS) {
            if !known(FUNCTIONS) {
                return Err(refused(format!("the expression calls `{}`, which it may not", visible(&name))).help(
                    "only functions that depend on nothing but their arguments are allowed: no date of today, no random \
                     number, no function of other rows",
                ));
            }
            continue;
        }
        let qualifies = followed_by(".") && name.eq_ignore_ascii_case(&described.name);
        let typed = position > 0
            && ["AS", "COLLATE"].iter().any(|word| tokens[position - 1].is_word(text, word))
            && known(TYPES_AND_COLLATIONS);
        if qualifies || typed || known(KEYWORDS) {
            continue;
        }
        let diagnostic = refused(format!("`{}` has no column `{}`", described.name, visible(&name)));
        return Err(match nearest(&name, schema.column_names(&described.columns)) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic.help("an expression names columns of its own row only"),
        });
    }
    aggregates(text, &tokens).map_or(Ok(()), |name| {
        Err(refused(format!("`{name}` of one argument looks at other rows"))
            .help("with two arguments or more it looks at them alone"))
    })?;
    Ok(tokens.iter().map(|token| token.text(text)).collect::<Vec<_>>().join(" "))
}

/// Finds a call of min or max with one argument: that is an aggregate.
fn aggregates(text: &str, tokens: &[Token]) -> Option<String> {
    tokens.iter().enumerate().find_map(|(position, token)| {
        let is_call = tokens.get(position + 1).is_some_and(|next| next.is_symbol(text, "("));
        if !is_call || !(token.is_word(text, "MIN") || token.is_word(text, "MAX")) {
            return None;
        }
        let mut depth = 0_usize;
        for token in &tokens[position + 1..] {
            match token.text(text) {
                "(" => depth += 1,
                ")" if depth == 1 => return Some(token_name(text, &tokens[position])),
                ")" => depth -= 1,
                "," if depth == 1 => return None,
                _ => {}
            }
        }
        Some(token_name(text, &tokens[position]))
    })
}

fn token_name(text: &str, token: &Token) -> String {
    token.text(text).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, Declared};

    fn checked(text: &str) -> Result<String, Diagnostic> {
        let mut schema = SourceSchema::default();
        let table = schema.add_table("files", None);
        for name in ["path", "owner id", "n"] {
            schema.add_column(Column {
                table,
                name: name.into(),
                data_type: Declared("TEXT".into()),
                not_null: false,
                default: None,
                generated: None,
                identity: false,
                collation: None,
                span: None,
            });
        }
        row_expression(&schema, table, text)
    }

    #[test]
    fn expressions_over_the_row_are_written_again_token_by_token() {
        for (text, expected) in [
            ("substr(path,1,4)", "substr ( path , 1 , 4 )"),
            ("files.path || '/' -- why", "files . path || '/'"),
            (
                "CASE WHEN n > 1 THEN \"owner id\" ELSE lower(path) END",
                "CASE WHEN n > 1 THEN \"owner id\" ELSE lower ( path ) END",
            ),
            ("json_extract(path, '$.org')", "json_extract ( path , '$.org' )"),
            ("CAST(n AS INTEGER) + max(n, 2)", "CAST ( n AS INTEGER ) + max ( n , 2 )"),
            ("path IN ('a', 'b') AND n IS NOT NULL", "path IN ( 'a' , 'b' ) AND n IS NOT NULL"),
        ] {
            assert_eq!(checked(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_more_than_one_expression_over_the_row_is_refused() {
        for text in [
            "",
            "path, n",
            "path; DROP TABLE files",
            "path) FROM files --",
            "(SELECT path FROM files)",
            "EXISTS (SELECT 1)",
            "random()",
            "datetime('now')",
            "strftime('%s', path)",
            "current_timestamp",
            "load_extension('x')",
            "count(*)",
            "max(n)",
            "min ( (n) )",
            "?1",
            "nosuch",
            "\"nosuch\"",
            "other.path",
            "path /* a comment without an end",
            "'unterminated",
        ] {
            let found = checked(text);
            assert!(
                matches!(&found, Err(error) if error.code == "row-expression")
                    || text.starts_with("path /*") && found.as_deref() == Ok("path"),
                "{text}: {found:?}"
            );
        }
        assert_eq!(checked("paths").unwrap_err().help.as_deref(), Some("did you mean `path`?"));
    }
}
