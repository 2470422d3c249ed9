//! Arithmetic and bits: SQLite's integers, doubles and NULL for a division by zero.

use super::operand::{Class, Operand};
use crate::schema::{BinaryOperator, Expr, UnaryOperator};

/// Translates `left operator right`.
pub(super) fn binary(operator: BinaryOperator, left: Operand, right: Operand) -> Result<Operand, String> {
    use BinaryOperator as Op;
    let (left, right) = (number(left)?, number(right)?);
    match operator {
        Op::Plus | Op::Minus | Op::Times => plain(operator, left, right),
        Op::Divide => {
            if is_mixed(&left, &right) {
                return Err("SQLite divides two integers without a fraction, and it stores whole numbers as \
                            integers here"
                    .to_owned());
            }
            let right = divisor(right)?;
            plain(operator, left, right)
        }
        Op::Modulo => {
            let (left, right) = (integer(left)?, divisor(integer(right)?)?);
            plain(operator, left, right)
        }
        Op::ShiftLeft | Op::ShiftRight => match right.expr {
            Expr::Integer(0..=63) => {
                let left = integer(left)?;
                let left = if left.is_constant() { left.expr.cast("bigint") } else { left.plain() };
                Ok(Operand::new(Expr::binary(operator, left, right.expr), Class::Integer))
            }
            _ => Err("only shifts by a constant from 0 to 63 mean the same in PostgreSQL".to_owned()),
        },
        _ => {
            let (left, right) = (integer(left)?, integer(right)?);
            Ok(Operand::new(Expr::binary(operator, left.plain(), right.plain()), Class::Integer))
        }
    }
}

/// Translates `-operand` and `~operand`.
pub(super) fn unary(operator: UnaryOperator, operand: Operand) -> Result<Operand, String> {
    let operand = number(operand)?;
    if operator == UnaryOperator::BitNot {
        return Ok(Operand::new(Expr::unary(operator, integer(operand)?.plain()), Class::Integer));
    }
    let class = operand.class;
    Ok(Operand::new(Expr::unary(operator, operand.plain()), class))
}

/// Returns an operand as the number that arithmetic makes of it.
pub(super) fn number(operand: Operand) -> Result<Operand, String> {
    match operand.class {
        Class::Boolean => Ok(operand.into_number()),
        class if class.is_number() => Ok(operand),
        class => Err(format!("SQLite would turn {} into a number", class.shown())),
    }
}

fn integer(operand: Operand) -> Result<Operand, String> {
    match operand.class {
        Class::Integer => Ok(operand),
        _ => Err("SQLite would cut off a fraction first".to_owned()),
    }
}

/// Says whether it depends on the stored values whether SQLite divides integers or doubles.
fn is_mixed(left: &Operand, right: &Operand) -> bool {
    let is = |class| left.class == class || right.class == class;
    is(Class::Number) && !is(Class::Double)
}

/// SQLite's quotient by zero is NULL.
fn divisor(operand: Operand) -> Result<Operand, String> {
    let is_zero = |number: &str| number.parse::<f64>().is_ok_and(|number| number == 0.0);
    match &operand.expr {
        Expr::Integer(0) => Err("it divides by zero".to_owned()),
        Expr::Decimal(number) if is_zero(number) => Err("it divides by zero".to_owned()),
        Expr::Integer(_) | Expr::Decimal(_) => Ok(operand),
        _ => {
            let class = operand.class;
            Ok(Operand::new(Expr::call("nullif", [operand.plain(), Expr::Integer(0)]), class))
        }
    }
}

fn plain(operator: BinaryOperator, left: Operand, right: Operand) -> Result<Operand, String> {
    use Class as C;
    if let (Expr::Integer(a), Expr::Integer(b)) = (&left.expr, &right.expr) {
        let folded = match operator {
            BinaryOperator::Plus => a.checked_add(*b),
            BinaryOperator::Minus => a.checked_sub(*b),
            BinaryOperator::Times => a.checked_mul(*b),
            BinaryOperator::Divide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        };
        // SQLite goes on with doubles where 64 bits do not suffice.
        return folded.map(Operand::integer).ok_or_else(|| "it exceeds 64 bits".to_owned());
    }
    let class = match (left.class, right.class) {
        (C::Integer, C::Integer) => C::Integer,
        (C::Double, _) | (_, C::Double) => C::Double,
        // Decimals are computed as decimals, which is what the type is chosen for.
        (C::Number, _) | (_, C::Number) => C::Number,
        _ => C::Double,
    };
    let side = |side: Operand| match (&side.expr, class) {
        (Expr::Decimal(_), C::Double) => side.expr.cast("double precision"),
        _ => side.plain(),
    };
    Ok(Operand::new(Expr::binary(operator, side(left), side(right)), class))
}
