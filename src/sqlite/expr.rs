//! Turns the text of an expression into the model's syntax tree.
//!
//! sqlparser reads the text; what it reads is taken over only where it agrees with SQLite's precedence and where the
//! tree says the same thing. Everything else becomes [`Expr::Unsupported`] with the text as written. What the tree means
//! to PostgreSQL is no question here.

use super::repair::for_sqlparser;
use crate::schema::{BinaryOperator, ColumnId, Expr, UnaryOperator, Unread};
use sqlparser::ast::{self, Expr as Ast};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::{Parser, ParserError};

/// How deep parentheses, calls and operands may nest; deeper ones are kept as text.
const DEPTH: usize = 50;

/// How many operators an expression may have. A chain of them is a tree as deep as it is long, and everything that
/// walks such a tree takes stack for it.
const OPERATORS: usize = 250;

/// The table whose columns an expression may name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'a> {
    /// The table's name.
    pub table: &'a str,
    /// Its columns; none for a default, which may name no column.
    pub columns: &'a [(&'a str, ColumnId)],
}

impl Scope<'_> {
    fn column(&self, name: &str) -> Option<ColumnId> {
        self.columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(name)).map(|(_, id)| *id)
    }
}

/// Converts an expression.
pub(super) fn convert(text: &str, scope: &Scope<'_>) -> Expr {
    try_convert(text, scope).unwrap_or_else(|why| Expr::Unsupported(without_margins(text).to_owned(), why))
}

/// Cuts off white space and comments around an expression: what is written behind it must not end up in a comment.
fn without_margins(text: &str) -> &str {
    let mut tokens = super::token::tokenize(text);
    let Some(first) = tokens.next() else { return text.trim() };
    let end = tokens.last().map_or(first.range.end, |last| last.range.end);
    text.get(first.range.start..end).unwrap_or(text)
}

/// Converts what stands behind DEFAULT, where a bare or quoted word is a text.
pub(super) fn convert_default(text: &str) -> Expr {
    let mut tokens = super::token::tokenize(text);
    match (tokens.next(), tokens.next()) {
        (Some(only), None) => {
            let name = only.name(text);
            let is = |word: &str| name.eq_ignore_ascii_case(word);
            match only.kind {
                super::token::TokenKind::Quoted => Expr::Text(name),
                super::token::TokenKind::Word if is("true") || is("false") => Expr::Boolean(is("true")),
                super::token::TokenKind::Word
                    if !["null", "current_date", "current_time", "current_timestamp"].iter().any(|word| is(word)) =>
                {
                    Expr::Text(name)
                }
                _ => convert(text, &Scope::default()),
            }
        }
        _ => convert(text, &Scope::default()),
    }
}

fn try_convert(text: &str, scope: &Scope<'_>) -> Result<Expr, Unread> {
    let operators = super::token::tokenize(text).filter(|token| {
        let is_comma = token.is_symbol(text, ",");
        let is_operator = ["AND", "OR", "NOT", "IS", "COLLATE"].iter().any(|word| token.is_word(text, word));
        is_operator || (token.kind == super::token::TokenKind::Symbol && !is_comma)
    });
    if operators.count() > OPERATORS {
        return Err(Unread::Long(OPERATORS));
    }
    let spelled = for_sqlparser(text, &|name| scope.column(name).is_some()).ok_or(Unread::Unknown)?;
    let why = |error| match error {
        ParserError::RecursionLimitExceeded => Unread::Nested(DEPTH),
        ParserError::ParserError(_) | ParserError::TokenizerError(_) => Unread::Unknown,
    };
    let dialect = SQLiteDialect {};
    // sqlparser counts the whole as well, and tries at the bottom whether a name is a type's.
    let mut parser = Parser::new(&dialect).with_recursion_limit(DEPTH + 2).try_with_sql(&spelled).map_err(why)?;
    let ast = parser.parse_expr().map_err(why)?;
    let is_all = parser.peek_token().token == sqlparser::tokenizer::Token::EOF;
    is_all.then(|| Converter { scope }.expr(&ast, 0)).flatten().ok_or(Unread::Unknown)
}

/// SQLite's precedence, from loose to tight (<https://sqlite.org/lang_expr.html#operators_and_parse_affecting_attributes>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Not,
    Equality,
    Comparison,
    Bits,
    Sum,
    Product,
    Concat,
    Collate,
    Unary,
    Operand,
}

fn level(ast: &Ast) -> Level {
    use ast::BinaryOperator as B;
    match ast {
        Ast::BinaryOp { op, .. } => match op {
            B::Or => Level::Or,
            B::And => Level::And,
            B::Lt | B::LtEq | B::Gt | B::GtEq => Level::Comparison,
            B::BitwiseAnd | B::BitwiseOr | B::BitwiseXor => Level::Bits,
            B::Plus | B::Minus => Level::Sum,
            B::Multiply | B::Divide | B::Modulo => Level::Product,
            B::StringConcat => Level::Concat,
            _ => Level::Equality,
        },
        Ast::UnaryOp { op: ast::UnaryOperator::Not, .. } => Level::Not,
        Ast::UnaryOp { .. } => Level::Unary,
        Ast::Collate { .. } => Level::Collate,
        Ast::Identifier(_)
        | Ast::CompoundIdentifier(_)
        | Ast::Value(_)
        | Ast::Nested(_)
        | Ast::Function(_)
        | Ast::Case { .. }
        | Ast::Cast { .. } => Level::Operand,
        _ => Level::Equality,
    }
}

struct Converter<'a> {
    scope: &'a Scope<'a>,
}

impl Converter<'_> {
    fn boxed(&self, ast: &Ast, depth: usize) -> Option<Box<Expr>> {
        self.expr(ast, depth + 1).map(Box::new)
    }

    /// Converts an operand that has to bind at least as tightly as `at_least`: a tree that keeps to this everywhere is
    /// the one SQLite's grammar gives.
    fn operand(&self, ast: &Ast, at_least: Level, depth: usize) -> Option<Box<Expr>> {
        if level(ast) < at_least { None } else { self.boxed(ast, depth) }
    }

    fn list(&self, list: &[Ast], depth: usize) -> Option<Vec<Expr>> {
        list.iter().map(|item| self.expr(item, depth + 1)).collect()
    }

    fn expr(&self, ast: &Ast, depth: usize) -> Option<Expr> {
        if depth > 2 * OPERATORS {
            return None;
        }
        Some(match ast {
            Ast::Nested(inner) => self.expr(inner, depth + 1)?,
            Ast::Identifier(ident) => Expr::Column(self.scope.column(&ident.value)?),
            Ast::CompoundIdentifier(parts) => match &parts[..] {
                [table, column] if table.value.eq_ignore_ascii_case(self.scope.table) => {
                    Expr::Column(self.scope.column(&column.value)?)
                }
                _ => return None,
            },
            Ast::Value(value) => constant(&value.value)?,
            Ast::UnaryOp { op: ast::UnaryOperator::Not, expr } => {
                Expr::Unary { operator: UnaryOperator::Not, operand: self.operand(expr, Level::Not, depth)? }
            }
            Ast::UnaryOp { op: ast::UnaryOperator::Minus, expr } => self.minus(expr, depth)?,
            Ast::UnaryOp { op: ast::UnaryOperator::BitwiseNot, expr } => {
                Expr::Unary { operator: UnaryOperator::BitNot, operand: self.operand(expr, Level::Unary, depth)? }
            }
            Ast::UnaryOp { op: ast::UnaryOperator::Plus, expr } => {
                // On a column, plus takes its affinity and collation away; on a number it does nothing.
                match *self.operand(expr, Level::Unary, depth)? {
                    number @ (Expr::Integer(_) | Expr::Decimal(_)) => number,
                    operand => Expr::unary(UnaryOperator::Plus, operand),
                }
            }
            Ast::BinaryOp { left, op: ast::BinaryOperator::BitwiseXor, right } if shifted_right(left).is_some() => {
                let left = shifted_right(left)?;
                self.binary(left, &ast::BinaryOperator::PGBitwiseShiftRight, right, Level::Bits, depth)?
            }
            Ast::BinaryOp { left, op, right } => self.binary(left, op, right, level(ast), depth)?,
            Ast::IsNull(operand) => {
                Expr::IsNull { operand: self.operand(operand, Level::Equality, depth)?, negated: false }
            }
            Ast::IsNotNull(operand) => {
                Expr::IsNull { operand: self.operand(operand, Level::Equality, depth)?, negated: true }
            }
            Ast::InList { expr, list, negated } => Expr::InList {
                operand: self.operand(expr, Level::Equality, depth)?,
                list: self.list(list, depth)?,
                negated: *negated,
            },
            Ast::Between { expr, negated, low, high } => Expr::Between {
                operand: self.operand(expr, Level::Equality, depth)?,
                low: self.operand(low, Level::Comparison, depth)?,
                high: self.operand(high, Level::Comparison, depth)?,
                negated: *negated,
            },
            Ast::Case { operand, conditions, else_result, .. } => {
                let mut branches = Vec::with_capacity(conditions.len());
                for branch in conditions {
                    let condition = self.expr(&branch.condition, depth + 1)?;
                    let condition = match operand {
                        None => condition,
                        Some(operand) => Expr::Binary {
                            operator: BinaryOperator::Equal,
                            left: self.boxed(operand, depth)?,
                            right: Box::new(condition),
                        },
                    };
                    branches.push((condition, self.expr(&branch.result, depth + 1)?));
                }
                let otherwise = match else_result {
                    Some(otherwise) => Some(self.boxed(otherwise, depth)?),
                    None => None,
                };
                Expr::Case { branches, otherwise }
            }
            Ast::Like { negated, any: false, expr, pattern, escape_char } => {
                let like = Expr::Like {
                    operand: self.operand(expr, Level::Equality, depth)?,
                    pattern: self.operand(pattern, Level::Comparison, depth)?,
                    escape: match escape_char {
                        Some(escape) => Some(self.operand(escape, Level::Comparison, depth)?),
                        None => None,
                    },
                };
                if *negated { Expr::unary(UnaryOperator::Not, like) } else { like }
            }
            // GLOB, as it is spelled for sqlparser.
            Ast::SimilarTo { negated, expr, pattern, escape_char: None } => {
                let glob = Expr::Binary {
                    operator: BinaryOperator::Glob,
                    left: self.operand(expr, Level::Equality, depth)?,
                    right: self.operand(pattern, Level::Comparison, depth)?,
                };
                if *negated { Expr::unary(UnaryOperator::Not, glob) } else { glob }
            }
            Ast::Collate { expr, collation } => match &collation.0[..] {
                [ast::ObjectNamePart::Identifier(name)] => {
                    Expr::Collate { operand: self.operand(expr, Level::Collate, depth)?, collation: name.value.clone() }
                }
                _ => return None,
            },
            Ast::Cast { kind: ast::CastKind::Cast, expr, data_type, format: None } => {
                Expr::Cast { operand: self.boxed(expr, depth)?, to: data_type.to_string().to_ascii_uppercase() }
            }
            Ast::Function(call) => self.call(call, depth)?,
            _ => return None,
        })
    }

    fn minus(&self, operand: &Ast, depth: usize) -> Option<Expr> {
        // The smallest integer has no positive counterpart; SQLite reads it as one number, too.
        if let Ast::Value(value) = operand
            && matches!(&value.value, ast::Value::Number(digits, _) if digits == "9223372036854775808")
        {
            return Some(Expr::Integer(i64::MIN));
        }
        Some(match *self.operand(operand, Level::Unary, depth)? {
            Expr::Integer(number) if number >= 0 => Expr::Integer(-number),
            Expr::Decimal(number) if !number.starts_with('-') => Expr::Decimal(format!("-{number}")),
            other => Expr::Unary { operator: UnaryOperator::Minus, operand: Box::new(other) },
        })
    }

    fn binary(&self, left: &Ast, op: &ast::BinaryOperator, right: &Ast, own: Level, depth: usize) -> Option<Expr> {
        use ast::BinaryOperator as B;
        let operator = match op {
            B::And => BinaryOperator::And,
            B::Or => BinaryOperator::Or,
            B::Eq => BinaryOperator::Equal,
            B::NotEq => BinaryOperator::NotEqual,
            B::Lt => BinaryOperator::Less,
            B::LtEq => BinaryOperator::LessOrEqual,
            B::Gt => BinaryOperator::Greater,
            B::GtEq => BinaryOperator::GreaterOrEqual,
            B::Spaceship => BinaryOperator::Is,
            B::PGRegexNotMatch => BinaryOperator::IsNot,
            B::Plus => BinaryOperator::Plus,
            B::Minus => BinaryOperator::Minus,
            B::Multiply => BinaryOperator::Times,
            B::Divide => BinaryOperator::Divide,
            B::Modulo => BinaryOperator::Modulo,
            B::BitwiseAnd => BinaryOperator::BitAnd,
            B::BitwiseOr => BinaryOperator::BitOr,
            B::BitwiseXor => BinaryOperator::ShiftLeft,
            B::PGBitwiseShiftRight => BinaryOperator::ShiftRight,
            B::StringConcat => BinaryOperator::Concat,
            _ => return None,
        };
        if level(left) < own || level(right) <= own {
            return None;
        }
        Some(Expr::Binary { operator, left: self.boxed(left, depth)?, right: self.boxed(right, depth)? })
    }

    fn call(&self, call: &ast::Function, depth: usize) -> Option<Expr> {
        let [ast::ObjectNamePart::Identifier(name)] = &call.name.0[..] else { return None };
        if call.filter.is_some()
            || call.over.is_some()
            || call.null_treatment.is_some()
            || !call.within_group.is_empty()
        {
            return None;
        }
        let arguments = match &call.args {
            ast::FunctionArguments::None => Vec::new(),
            ast::FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => list
                .args
                .iter()
                .map(|argument| match argument {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => self.expr(expr, depth + 1),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()?,
            _ => return None,
        };
        Some(Expr::Call { function: name.value.to_ascii_lowercase(), arguments })
    }
}

/// Returns `x` of `x ^ $right`, which is how `x >>` is spelled for sqlparser.
fn shifted_right(ast: &Ast) -> Option<&Ast> {
    match ast {
        Ast::BinaryOp { left, op: ast::BinaryOperator::BitwiseXor, right } => match &**right {
            Ast::Value(value) if matches!(value.value, ast::Value::Placeholder(_)) => Some(left),
            _ => None,
        },
        _ => None,
    }
}

fn constant(value: &ast::Value) -> Option<Expr> {
    Some(match value {
        ast::Value::Null => Expr::Null,
        ast::Value::Boolean(truth) => Expr::Boolean(*truth),
        ast::Value::SingleQuotedString(text) => Expr::Text(text.clone()),
        ast::Value::HexStringLiteral(digits) => Expr::Blob(
            (0..digits.len() / 2)
                .map(|byte| u8::from_str_radix(digits.get(byte * 2..byte * 2 + 2)?, 16).ok())
                .collect::<Option<Vec<u8>>>()?,
        ),
        ast::Value::Number(digits, false) => match digits.parse::<i64>() {
            Ok(number) => Expr::Integer(number),
            // An integer that does not fit is a double in SQLite.
            Err(_) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Expr::Decimal(format!("{digits}.0")),
            Err(_) => Expr::Decimal(digits.clone()),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: Expr = Expr::Column(ColumnId(0));
    const B: Expr = Expr::Column(ColumnId(1));

    fn unknown(text: &str) -> Expr {
        Expr::Unsupported(text.to_owned(), Unread::Unknown)
    }

    fn read(text: &str) -> Expr {
        let columns = [("a", ColumnId(0)), ("b", ColumnId(1)), ("date", ColumnId(2))];
        convert(text, &Scope { table: "t", columns: &columns })
    }

    #[test]
    fn operators_and_names_are_read() {
        use BinaryOperator as O;
        let (binary, unary) = (Expr::binary, Expr::unary);
        for (text, expected) in [
            ("a == B", binary(O::Equal, A, B)),
            ("t.a != \"b\"", binary(O::NotEqual, A, B)),
            ("a IS [b]", binary(O::Is, A, B)),
            ("a IS TRUE", binary(O::Is, A, Expr::Boolean(true))),
            ("a is not 'x'", binary(O::IsNot, A, Expr::Text("x".into()))),
            ("a = \"x\"", binary(O::Equal, A, Expr::Text("x".into()))),
            ("a > 0x1F", binary(O::Greater, A, Expr::Integer(31))),
            ("a ISNULL", Expr::IsNull { operand: Box::new(A), negated: false }),
            ("a NOT NULL", Expr::IsNull { operand: Box::new(A), negated: true }),
            ("date", Expr::Column(ColumnId(2))),
            ("-5", Expr::Integer(-5)),
            ("+5", Expr::Integer(5)),
            ("-9223372036854775808", Expr::Integer(i64::MIN)),
            ("9223372036854775808", Expr::Decimal("9223372036854775808.0".into())),
            ("x'00fF'", Expr::Blob(vec![0, 255])),
            ("a || b || 'c'", binary(O::Concat, binary(O::Concat, A, B), Expr::Text("c".into()))),
            ("a / b % 2", binary(O::Modulo, binary(O::Divide, A, B), Expr::Integer(2))),
            ("~a & b", binary(O::BitAnd, unary(UnaryOperator::BitNot, A), B)),
            ("a << 1", binary(O::ShiftLeft, A, Expr::Integer(1))),
            ("a >> 1 = b", binary(O::Equal, binary(O::ShiftRight, A, Expr::Integer(1)), B)),
            ("a < b | 4", binary(O::Less, A, binary(O::BitOr, B, Expr::Integer(4)))),
            ("+a", unary(UnaryOperator::Plus, A)),
            ("a NOT GLOB 'x*'", unary(UnaryOperator::Not, binary(O::Glob, A, Expr::Text("x*".into())))),
            ("a COLLATE nocase = b", binary(O::Equal, A.collate("nocase"), B)),
            ("CAST(a AS varchar(10))", A.cast("VARCHAR(10)")),
            (
                "a LIKE 'x%' ESCAPE '!'",
                Expr::Like {
                    operand: Box::new(A),
                    pattern: Box::new(Expr::Text("x%".into())),
                    escape: Some(Box::new(Expr::Text("!".into()))),
                },
            ),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn calls_are_read_whatever_their_name_is_to_other_parsers() {
        for (text, function, arguments) in [
            ("IfNull(a, 0)", "ifnull", vec![A, Expr::Integer(0)]),
            ("trim(a)", "trim", vec![A]),
            ("trim(a, 'x')", "trim", vec![A, Expr::Text("x".into())]),
            ("substr(a, 1, 2)", "substr", vec![A, Expr::Integer(1), Expr::Integer(2)]),
            ("substring(a, 1)", "substring", vec![A, Expr::Integer(1)]),
            ("replace(a, 'x', '')", "replace", vec![A, Expr::Text("x".into()), Expr::Text(String::new())]),
            ("iif(a, b, 1)", "iif", vec![A, B, Expr::Integer(1)]),
            ("CURRENT_TIMESTAMP", "current_timestamp", vec![]),
            ("datetime('now')", "datetime", vec![Expr::Text("now".into())]),
        ] {
            assert_eq!(read(text), Expr::call(function, arguments), "{text}");
        }
    }

    #[test]
    fn what_the_tree_cannot_say_stays_text() {
        for text in [
            "rowid > 1",
            "a IN (SELECT 1)",
            "(a, b) = (1, 2)",
            "count(*) > 1",
            "other.a = 1",
            "a -> 'b'",
            "a REGEXP 'x'",
            "RAISE(ABORT, 'x')",
        ] {
            assert_eq!(read(text), unknown(text));
            assert_eq!(read(&format!("/* ( */ {text} -- )")), unknown(text));
        }
    }

    #[test]
    fn a_tree_that_sqlite_would_build_otherwise_stays_text() {
        // sqlparser groups these to the left; SQLite binds || tighter than *, and < tighter than =.
        for text in ["2 * a || b", "a = b < 1", "a LIKE b = 1", "NOT a IS b = NOT b"] {
            assert_eq!(read(text), unknown(text));
        }
        assert_ne!(read("a = (b < 1)"), unknown("a = (b < 1)"));
        assert_ne!(read("a + 1 > b AND NOT b = 2 OR a IS NULL"), unknown(""));
        assert_eq!(read("a + 1 > b AND NOT b = 2 OR a IS NULL").unsupported(), None);
    }

    #[test]
    fn defaults_take_words_for_texts() {
        assert_eq!(convert_default("\"hello\""), Expr::Text("hello".into()));
        assert_eq!(convert_default("hello"), Expr::Text("hello".into()));
        assert_eq!(convert_default("TRUE"), Expr::Boolean(true));
        assert_eq!(convert_default("NULL"), Expr::Null);
        assert_eq!(convert_default("0x1F"), Expr::Integer(31));
        assert_eq!(convert_default("- 1.50"), Expr::Decimal("-1.50".into()));
        assert_eq!(convert_default("current_timestamp"), Expr::call("current_timestamp", []));
        let blob = Expr::call("randomblob", [Expr::Integer(16)]);
        assert_eq!(convert_default("lower(hex(randomblob(16)))"), Expr::call("lower", [Expr::call("hex", [blob])]));
    }

    #[test]
    fn depth_does_not_overflow() {
        for levels in [100, 10_000] {
            let deep = format!("{}a{}", "abs(".repeat(levels), ")".repeat(levels));
            let why = if levels > 200 { Unread::Long(OPERATORS) } else { Unread::Nested(DEPTH) };
            assert_eq!(read(&deep), Expr::Unsupported(deep, why));
        }
        let nested = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
        assert_eq!(read(&nested(DEPTH)), A);
        assert_eq!(read(&nested(DEPTH + 1)), Expr::Unsupported(nested(DEPTH + 1), Unread::Nested(DEPTH)));
        let long = vec!["a"; 100_000].join(" + ");
        assert_eq!(read(&long), Expr::Unsupported(long, Unread::Long(OPERATORS)));
        assert_eq!(read(&vec!["a"; 250].join(" + ")).unsupported(), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_kept(text in "[ab0-9'\"\\[\\]()<>=!|+*.,x -]{0,40}|\\PC{0,40}") {
            read(&text);
            convert_default(&text);
        }
    }
}
