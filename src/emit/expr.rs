//! Expressions as PostgreSQL text, with parentheses only where precedence asks for them.

use crate::ident::{literal, quote, quote_always};
use crate::schema::{BinaryOperator, Expr, TargetSchema, UnaryOperator};

/// Writes an expression.
pub fn postgres(schema: &TargetSchema, expr: &Expr) -> String {
    let mut text = String::new();
    write(schema, expr, Level::Lowest, &mut text);
    text
}

/// Writes what stands behind DEFAULT: tests and conditions stand in parentheses there.
pub(super) fn default(schema: &TargetSchema, expr: &Expr) -> String {
    let text = postgres(schema, expr);
    if (Level::Or..=Level::In).contains(&level(expr)) { format!("({text})") } else { text }
}

/// PostgreSQL's precedence, lowest first; an operand is put in parentheses where it binds less than its place asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Lowest,
    Or,
    And,
    Not,
    Is,
    Comparison,
    In,
    Other,
    Sum,
    Product,
    Minus,
    Collate,
    Atom,
}

fn level(expr: &Expr) -> Level {
    match expr {
        Expr::Unary { operator: UnaryOperator::Not, operand } => match negated(operand) {
            Some(_) => level(operand),
            None => Level::Not,
        },
        // The minus binds tightest of all before an operand, `~` like any operator that has no place of its own.
        Expr::Unary { operator: UnaryOperator::Minus | UnaryOperator::Plus, .. } => Level::Minus,
        Expr::Unary { operator: UnaryOperator::BitNot, .. } => Level::Other,
        Expr::Binary { operator, .. } => binary(*operator).1,
        Expr::IsNull { .. } => Level::Is,
        Expr::InList { .. } | Expr::Between { .. } | Expr::Like { .. } => Level::In,
        Expr::Collate { .. } => Level::Collate,
        Expr::Dialects { postgres, .. } => level(postgres),
        Expr::Integer(number) if *number < 0 => Level::Minus,
        Expr::Postgres(_) | Expr::Unsupported(..) => Level::Lowest,
        _ => Level::Atom,
    }
}

/// Takes apart a match that has an operator of its own for its opposite.
fn negated(operand: &Expr) -> Option<(&Expr, &'static str, &Expr)> {
    match operand {
        Expr::Like { operand, pattern, escape: None } => Some((operand, " NOT LIKE ", pattern)),
        Expr::Binary { operator: BinaryOperator::Matches, left, right } => Some((left, " !~ ", right)),
        _ => None,
    }
}

fn binary(operator: BinaryOperator) -> (&'static str, Level) {
    match operator {
        BinaryOperator::Or => ("OR", Level::Or),
        BinaryOperator::And => ("AND", Level::And),
        BinaryOperator::Is => ("IS NOT DISTINCT FROM", Level::Is),
        BinaryOperator::IsNot => ("IS DISTINCT FROM", Level::Is),
        BinaryOperator::Equal => ("=", Level::Comparison),
        BinaryOperator::NotEqual => ("<>", Level::Comparison),
        BinaryOperator::Less => ("<", Level::Comparison),
        BinaryOperator::LessOrEqual => ("<=", Level::Comparison),
        BinaryOperator::Greater => (">", Level::Comparison),
        BinaryOperator::GreaterOrEqual => (">=", Level::Comparison),
        BinaryOperator::Concat => ("||", Level::Other),
        BinaryOperator::BitAnd => ("&", Level::Other),
        BinaryOperator::BitOr => ("|", Level::Other),
        BinaryOperator::ShiftLeft => ("<<", Level::Other),
        BinaryOperator::ShiftRight => (">>", Level::Other),
        BinaryOperator::Glob => ("GLOB", Level::Other),
        BinaryOperator::Matches => ("~", Level::Other),
        BinaryOperator::Plus => ("+", Level::Sum),
        BinaryOperator::Minus => ("-", Level::Sum),
        BinaryOperator::Times => ("*", Level::Product),
        BinaryOperator::Divide => ("/", Level::Product),
        BinaryOperator::Modulo => ("%", Level::Product),
    }
}

fn write(schema: &TargetSchema, expr: &Expr, place: Level, text: &mut String) {
    if level(expr) < place {
        text.push('(');
        write(schema, expr, Level::Lowest, text);
        text.push(')');
        return;
    }
    // The operand on the right of an operator of the same level is grouped: `a - (b - c)`.
    let above = |level: Level| match level {
        Level::Or => Level::And,
        Level::And => Level::Not,
        Level::Is | Level::Comparison => Level::In,
        Level::Other => Level::Sum,
        Level::Sum => Level::Product,
        _ => Level::Minus,
    };
    match expr {
        Expr::Null => text.push_str("NULL"),
        Expr::Boolean(value) => text.push_str(if *value { "true" } else { "false" }),
        Expr::Integer(number) => text.push_str(&number.to_string()),
        Expr::Decimal(number) => text.push_str(number),
        Expr::Text(value) => text.push_str(&literal(value)),
        Expr::Blob(bytes) => {
            text.push_str("'\\x");
            bytes.iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
            text.push_str("'::bytea");
        }
        Expr::Column(column) => text.push_str(&quote(&schema.column(*column).name)),
        Expr::Unary { operator: UnaryOperator::Not, operand } if negated(operand).is_some() => {
            if let Some((left, operator, right)) = negated(operand) {
                write(schema, left, Level::Other, text);
                text.push_str(operator);
                write(schema, right, Level::Sum, text);
            }
        }
        Expr::Unary { operator: UnaryOperator::Not, operand } => {
            text.push_str("NOT ");
            write(schema, operand, Level::Not, text);
        }
        Expr::Unary { operator, operand } => {
            text.push(match operator {
                UnaryOperator::BitNot => '~',
                UnaryOperator::Plus => '+',
                UnaryOperator::Minus | UnaryOperator::Not => '-',
            });
            write(schema, operand, Level::Atom, text);
        }
        Expr::Binary { operator, left, right } => {
            let (symbol, own) = binary(*operator);
            let left_place = if matches!(own, Level::Is | Level::Comparison) { above(own) } else { own };
            // AND and OR are associative, so a chain needs no parentheses.
            let right_place = if matches!(own, Level::And | Level::Or) { own } else { above(own) };
            write(schema, left, left_place, text);
            text.push_str(&format!(" {symbol} "));
            write(schema, right, right_place, text);
        }
        Expr::IsNull { operand, negated } => {
            write(schema, operand, Level::In, text);
            text.push_str(if *negated { " IS NOT NULL" } else { " IS NULL" });
        }
        Expr::InList { operand, list, negated } => {
            write(schema, operand, Level::Other, text);
            text.push_str(if *negated { " NOT IN (" } else { " IN (" });
            write_list(schema, list, text);
            text.push(')');
        }
        Expr::Between { operand, low, high, negated } => {
            write(schema, operand, Level::Other, text);
            text.push_str(if *negated { " NOT BETWEEN " } else { " BETWEEN " });
            write(schema, low, Level::Other, text);
            text.push_str(" AND ");
            write(schema, high, Level::Other, text);
        }
        Expr::Case { branches, otherwise } => {
            text.push_str("CASE");
            for (when, then) in branches {
                text.push_str(" WHEN ");
                write(schema, when, Level::Lowest, text);
                text.push_str(" THEN ");
                write(schema, then, Level::Lowest, text);
            }
            if let Some(otherwise) = otherwise {
                text.push_str(" ELSE ");
                write(schema, otherwise, Level::Lowest, text);
            }
            text.push_str(" END");
        }
        Expr::Like { operand, pattern, escape } => {
            write(schema, operand, Level::Other, text);
            text.push_str(" LIKE ");
            write(schema, pattern, Level::Other, text);
            if let Some(escape) = escape {
                text.push_str(" ESCAPE ");
                write(schema, escape, Level::Other, text);
            }
        }
        Expr::Collate { operand, collation } => {
            write(schema, operand, Level::Collate, text);
            text.push_str(&format!(" COLLATE {}", quote_always(collation)));
        }
        Expr::Cast { operand, to } => {
            write(schema, operand, Level::Atom, text);
            text.push_str(&format!("::{to}"));
        }
        Expr::Call { function, arguments } => {
            text.push_str(function);
            text.push('(');
            write_list(schema, arguments, text);
            text.push(')');
        }
        Expr::Dialects { postgres, .. } => write(schema, postgres, place, text),
        Expr::Postgres(sql) | Expr::Unsupported(sql, _) => text.push_str(sql),
    }
}

fn write_list(schema: &TargetSchema, list: &[Expr], text: &mut String) {
    for (position, item) in list.iter().enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        write(schema, item, if list.len() == 1 { Level::Lowest } else { Level::Or }, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: i64) -> Box<Expr> {
        Box::new(Expr::Integer(number))
    }

    fn two(operator: BinaryOperator, left: Box<Expr>, right: Box<Expr>) -> Box<Expr> {
        Box::new(Expr::Binary { operator, left, right })
    }

    fn shown(expr: &Expr) -> String {
        postgres(&TargetSchema::default(), expr)
    }

    #[test]
    fn parentheses_stand_where_precedence_asks_for_them() {
        use BinaryOperator as Op;
        let sum = || two(Op::Plus, number(1), number(2));
        assert_eq!(shown(&two(Op::Times, sum(), number(3))), "(1 + 2) * 3");
        assert_eq!(shown(&two(Op::Plus, two(Op::Times, number(1), number(2)), number(3))), "1 * 2 + 3");
        assert_eq!(shown(&two(Op::Minus, number(1), two(Op::Minus, number(2), number(3)))), "1 - (2 - 3)");
        let equal = || two(Op::Equal, number(1), number(2));
        assert_eq!(shown(&two(Op::And, two(Op::Or, equal(), equal()), equal())), "(1 = 2 OR 1 = 2) AND 1 = 2");
        assert_eq!(shown(&two(Op::And, equal(), two(Op::And, equal(), equal()))), "1 = 2 AND 1 = 2 AND 1 = 2");
        assert_eq!(shown(&two(Op::Equal, equal(), equal())), "(1 = 2) = (1 = 2)");
        let not = Expr::Unary { operator: UnaryOperator::Not, operand: two(Op::Or, equal(), equal()) };
        assert_eq!(shown(&not), "NOT (1 = 2 OR 1 = 2)");
        let minus = Expr::Unary { operator: UnaryOperator::Minus, operand: number(-1) };
        assert_eq!(shown(&minus), "-(-1)");
    }

    #[test]
    fn casts_collations_and_bits_bind_as_the_server_reads_them() {
        let text = || Expr::Text("a".into());
        assert_eq!(shown(&Expr::Integer(-1).cast("bigint")), "(-1)::bigint");
        assert_eq!(shown(&Expr::call("lower", [text().collate("C")]).cast("text")), "lower('a' COLLATE \"C\")::text");
        assert_eq!(shown(&text().collate("C").cast("text")), "('a' COLLATE \"C\")::text");
        let not = Expr::unary(UnaryOperator::BitNot, Expr::Integer(1));
        assert_eq!(shown(&Expr::binary(BinaryOperator::Plus, not.clone(), Expr::Integer(2))), "(~1) + 2");
        assert_eq!(shown(&Expr::binary(BinaryOperator::BitAnd, Expr::Integer(2), not)), "2 & (~1)");
        let like = Expr::Like { operand: Box::new(text()), pattern: Box::new(text()), escape: None };
        assert_eq!(shown(&Expr::unary(UnaryOperator::Not, like)), "'a' NOT LIKE 'a'");
        let not = Expr::unary(UnaryOperator::Not, Expr::binary(BinaryOperator::Matches, text(), text()));
        assert_eq!(shown(&Expr::binary(BinaryOperator::And, not.clone(), not)), "'a' !~ 'a' AND 'a' !~ 'a'");
    }

    #[test]
    fn constants_keep_their_bytes() {
        assert_eq!(shown(&Expr::Text("it's".into())), "'it''s'");
        assert_eq!(shown(&Expr::Blob(vec![0, 255])), "'\\x00ff'::bytea");
        assert_eq!(shown(&Expr::Boolean(true)), "true");
    }
}
