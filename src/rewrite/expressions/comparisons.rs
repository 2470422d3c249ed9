//! Comparisons: SQLite's collation and order, whatever those of PostgreSQL's columns are.

use super::constants::{beside, by_storage, not_compared};
use super::operand::{Class, Narrow, Operand};
use crate::schema::{BinaryOperator, Expr};

/// Returns the two sides as PostgreSQL has to compare them.
pub(super) fn compared(operator: BinaryOperator, left: Operand, right: Operand) -> Result<(Expr, Expr), String> {
    let (left, right) = match (left.is_constant(), right.is_constant()) {
        (false, true) => {
            let right = beside(&left, operator, right)?;
            (left, right)
        }
        (true, false) => (beside(&right, flipped(operator), left)?, right),
        _ => (left, right),
    };
    let (a, b) = (left.class, right.class);
    match (a, b) {
        (Class::Null, _) | (_, Class::Null) => Ok((left.plain(), right.plain())),
        (Class::Text, Class::Text) => texts(operator, left, right),
        (Class::Boolean, b) if b.is_number() => numbers(left.into_number(), right),
        (a, Class::Boolean) if a.is_number() => numbers(left, right.into_number()),
        (a, b) if a.is_number() && b.is_number() => numbers(left, right),
        (Class::Opaque(data_type), _) | (_, Class::Opaque(data_type)) => Err(not_compared(data_type)),
        (a, b) if a == b => Ok((left.expr, right.expr)),
        _ => Err(by_storage(a, &b.shown())),
    }
}

/// SQLite compares integers with doubles exactly; PostgreSQL first makes doubles of the integers.
fn numbers(left: Operand, right: Operand) -> Result<(Expr, Expr), String> {
    let exact = |one: &Operand, other: &Operand| match (&one.expr, one.class, other.class) {
        (Expr::Integer(number), _, Class::Double) => number.unsigned_abs() <= 1 << 53,
        (_, Class::Integer, Class::Double) => false,
        _ => true,
    };
    if !exact(&left, &right) || !exact(&right, &left) {
        return Err("PostgreSQL would compare an integer with a double as doubles".to_owned());
    }
    Ok((left.expr, right.expr))
}

/// Returns the operator that says the same with its operands changed over.
fn flipped(operator: BinaryOperator) -> BinaryOperator {
    match operator {
        BinaryOperator::Less => BinaryOperator::Greater,
        BinaryOperator::LessOrEqual => BinaryOperator::GreaterOrEqual,
        BinaryOperator::Greater => BinaryOperator::Less,
        BinaryOperator::GreaterOrEqual => BinaryOperator::LessOrEqual,
        other => other,
    }
}

fn texts(operator: BinaryOperator, left: Operand, right: Operand) -> Result<(Expr, Expr), String> {
    let explicit = |operand: &Operand| operand.collation.clone().filter(|(_, explicit)| *explicit);
    let collation = explicit(&left)
        .or_else(|| explicit(&right))
        .or_else(|| left.collation.clone())
        .or_else(|| right.collation.clone())
        .map_or_else(|| "BINARY".to_owned(), |(name, _)| name);
    use BinaryOperator as Op;
    let orders = matches!(operator, Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual);
    // A collation on one side is that of the comparison.
    let left_is_constant = left.is_constant();
    let (on_left, on_right) = (orders && !left_is_constant, orders && left_is_constant);
    Ok((folded(left, &collation, on_left)?, folded(right, &collation, on_right)?))
}

/// Returns a text so that plain equality, and with `ordered` plain order, is that of SQLite's collation.
pub(super) fn folded(text: Operand, collation: &str, ordered: bool) -> Result<Expr, String> {
    let is = |name: &str| collation.eq_ignore_ascii_case(name);
    Ok(match text.expr {
        _ if is("BINARY") && ordered => text.bytewise(),
        _ if is("BINARY") => text.plain(),
        Expr::Text(constant) if is("NOCASE") => Expr::Text(constant.to_ascii_lowercase()),
        Expr::Text(constant) if is("RTRIM") => {
            let trimmed = Expr::Text(constant.trim_end_matches(' ').to_owned());
            if ordered { trimmed.collate("C") } else { trimmed }
        }
        // Under "C" lower() knows ASCII letters only, as NOCASE does.
        _ if is("NOCASE") => Expr::call("lower", [text.bytewise()]),
        _ if is("RTRIM") => {
            let text = if ordered || text.narrow == Narrow::Collation { text.bytewise() } else { text.plain() };
            Expr::call("rtrim", [text, Expr::Text(" ".to_owned())])
        }
        _ => return Err(format!("the collation {} is the application's own", crate::ident::visible(collation))),
    })
}
