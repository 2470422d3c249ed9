//! Expressions as SQLite text, with parentheses wherever SQLite's precedence could ask for them.

use super::{BinaryOperator, Expr, Schema, UnaryOperator};
use crate::ident::{is_reserved_in_sqlite, literal_for_sqlite, quote_for_sqlite};
use std::borrow::Cow;

/// Writes an expression; `None` where a part of it is written in PostgreSQL's own dialect.
pub fn sqlite_text<T>(schema: &Schema<T>, expr: &Expr) -> Option<String> {
    let whole = |expr: &Expr| sqlite_text(schema, expr);
    let operand = |expr: &Expr| {
        let text = sqlite_text(schema, expr)?;
        Some(if is_atom(expr) { text } else { format!("({text})") })
    };
    let list = |items: &[Expr]| Some(items.iter().map(whole).collect::<Option<Vec<_>>>()?.join(", "));
    Some(match expr {
        Expr::Null => "NULL".to_owned(),
        Expr::Boolean(value) => if *value { "1" } else { "0" }.to_owned(),
        Expr::Integer(number) => number.to_string(),
        Expr::Decimal(number) => number.clone(),
        Expr::Text(text) => literal_for_sqlite(text),
        Expr::Blob(bytes) => format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
        Expr::Column(column) => quote_for_sqlite(&schema.column(*column).name).into_owned(),
        Expr::Unary { operator: UnaryOperator::Not, operand: inner } => format!("NOT {}", operand(inner)?),
        Expr::Unary { operator: UnaryOperator::Minus, operand: inner } => format!("-{}", operand(inner)?),
        Expr::Unary { operator: UnaryOperator::BitNot, operand: inner } => format!("~{}", operand(inner)?),
        Expr::Unary { operator: UnaryOperator::Plus, operand: inner } => format!("+{}", operand(inner)?),
        Expr::Binary { operator, left, right } => {
            // As the right side of IS, a truth value is a question, not the number that it is elsewhere.
            if let (BinaryOperator::Is | BinaryOperator::IsNot, Expr::Boolean(truth)) = (operator, &**right) {
                let truth = if *truth { "TRUE" } else { "FALSE" };
                return Some(format!("{} {} {truth}", operand(left)?, symbol(*operator)));
            }
            // A chain of AND or of OR reads better without parentheses, and means the same.
            let side = |side: &Expr| if chains(*operator, side) { whole(side) } else { operand(side) };
            format!("{} {} {}", side(left)?, symbol(*operator), side(right)?)
        }
        Expr::IsNull { operand: inner, negated } => {
            format!("{} IS {}NULL", operand(inner)?, if *negated { "NOT " } else { "" })
        }
        Expr::InList { operand: inner, list: items, negated } => {
            format!("{} {}IN ({})", operand(inner)?, if *negated { "NOT " } else { "" }, list(items)?)
        }
        Expr::Between { operand: inner, low, high, negated } => {
            let not = if *negated { "NOT " } else { "" };
            format!("{} {not}BETWEEN {} AND {}", operand(inner)?, operand(low)?, operand(high)?)
        }
        Expr::Case { branches, otherwise } => {
            let mut text = "CASE".to_owned();
            for (when, then) in branches {
                text.push_str(&format!(" WHEN {} THEN {}", whole(when)?, whole(then)?));
            }
            if let Some(otherwise) = otherwise {
                text.push_str(&format!(" ELSE {}", whole(otherwise)?));
            }
            format!("{text} END")
        }
        Expr::Like { operand: inner, pattern, escape } => {
            let escape = match escape {
                Some(escape) => format!(" ESCAPE {}", operand(escape)?),
                None => String::new(),
            };
            format!("{} LIKE {}{escape}", operand(inner)?, operand(pattern)?)
        }
        Expr::Collate { operand: inner, collation } => {
            format!("{} COLLATE {}", operand(inner)?, plain_or_quoted(collation))
        }
        Expr::Cast { operand: inner, to } => format!("CAST({} AS {to})", whole(inner)?),
        Expr::Call { function, arguments } => match function.as_str() {
            "current_timestamp" | "current_date" | "current_time" => function.to_ascii_uppercase(),
            _ => format!("{}({})", plain_or_quoted(function), list(arguments)?),
        },
        Expr::Dialects { sqlite: written, .. } => whole(written)?,
        Expr::Postgres(_) => return None,
        Expr::Unsupported(text, _) => text.clone(),
    })
}

/// Quotes the name of a function or collation only where SQLite needs it.
fn plain_or_quoted(name: &str) -> Cow<'_, str> {
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_word && !is_reserved_in_sqlite(name) { Cow::Borrowed(name) } else { quote_for_sqlite(name) }
}

fn is_atom(expr: &Expr) -> bool {
    match expr {
        Expr::Integer(number) => *number >= 0,
        Expr::Dialects { sqlite, .. } => is_atom(sqlite),
        Expr::Unary { .. }
        | Expr::Binary { .. }
        | Expr::IsNull { .. }
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::Collate { .. }
        | Expr::Unsupported(..) => false,
        _ => true,
    }
}

/// Says whether an operand of AND or OR needs no parentheses: the same operator, or one that binds tighter.
fn chains(operator: BinaryOperator, operand: &Expr) -> bool {
    let logical = matches!(operator, BinaryOperator::And | BinaryOperator::Or);
    match operand {
        Expr::Binary { operator: inner, .. } => {
            logical && (*inner == operator || !matches!(inner, BinaryOperator::And | BinaryOperator::Or))
        }
        Expr::IsNull { .. } | Expr::InList { .. } => logical,
        _ => false,
    }
}

fn symbol(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "OR",
        BinaryOperator::And => "AND",
        BinaryOperator::Is => "IS",
        BinaryOperator::IsNot => "IS NOT",
        BinaryOperator::Equal => "=",
        BinaryOperator::NotEqual => "<>",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Concat => "||",
        BinaryOperator::Plus => "+",
        BinaryOperator::Minus => "-",
        BinaryOperator::Times => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::Modulo => "%",
        BinaryOperator::BitAnd => "&",
        BinaryOperator::BitOr => "|",
        BinaryOperator::ShiftLeft => "<<",
        BinaryOperator::ShiftRight => ">>",
        BinaryOperator::Glob => "GLOB",
        BinaryOperator::Matches => "REGEXP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::TargetSchema;

    fn shown(expr: &Expr) -> Option<String> {
        sqlite_text(&TargetSchema::default(), expr)
    }

    fn two(operator: BinaryOperator, left: Expr, right: Expr) -> Expr {
        Expr::Binary { operator, left: Box::new(left), right: Box::new(right) }
    }

    #[test]
    fn operands_are_grouped_by_sqlites_precedence() {
        use BinaryOperator as Op;
        let sum = || two(Op::Plus, Expr::Integer(1), Expr::Integer(-2));
        let equal = || two(Op::Equal, Expr::Integer(1), Expr::Integer(2));
        // SQLite binds || tighter than +, PostgreSQL the other way round.
        assert_eq!(shown(&two(Op::Concat, sum(), Expr::Text("a".into()))).unwrap(), "(1 + (-2)) || 'a'");
        assert_eq!(shown(&two(Op::Or, two(Op::And, equal(), equal()), equal())).unwrap(), "(1 = 2 AND 1 = 2) OR 1 = 2");
        assert_eq!(shown(&two(Op::Equal, equal(), equal())).unwrap(), "(1 = 2) = (1 = 2)");
    }

    #[test]
    fn constants_are_written_as_sqlite_reads_them() {
        assert_eq!(shown(&Expr::Boolean(true)).unwrap(), "1");
        assert_eq!(shown(&Expr::Blob(vec![0, 255])).unwrap(), "X'00FF'");
        assert_eq!(shown(&Expr::Text(r"\'".into())).unwrap(), r"'\'''");
        assert_eq!(shown(&two(BinaryOperator::And, Expr::Boolean(true), Expr::Postgres("now()".into()))), None);
    }
}
