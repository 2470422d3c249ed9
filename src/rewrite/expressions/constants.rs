//! Constants: what SQLite makes of one beside a value, and how PostgreSQL spells it.

use super::operand::{Class, Operand};
use crate::ident::visible;
use crate::schema::{Affinity, BinaryOperator, Expr, PgType, Value, apply_affinity};
use std::borrow::Cow;

/// Writes a constant with a fraction or exponent as the double that SQLite takes it for; `None` for an infinite one.
pub(super) fn fraction(written: &str) -> Option<Operand> {
    let number = written.parse::<f64>().ok().filter(|number| number.is_finite())?;
    // The shortest decimal that reads back as the same double, without an exponent.
    Some(Operand::new(Expr::Decimal(number.to_string()), Class::Fraction))
}

/// Reads a text as numeric affinity does.
pub(super) fn number_in(text: &str) -> Option<Operand> {
    match apply_affinity(&Value::Text(Cow::Borrowed(text.as_bytes())), Affinity::Numeric) {
        Value::Integer(number) => Some(Operand::integer(number)),
        Value::Real(number) => fraction(&number.to_string()),
        _ => None,
    }
}

/// Writes a number as text affinity does.
pub(super) fn text_of(number: &Expr) -> Option<Operand> {
    let value = match number {
        Expr::Integer(number) => Value::Integer(*number),
        Expr::Decimal(number) => Value::Real(number.parse().ok()?),
        Expr::Boolean(truth) => Value::Integer(i64::from(*truth)),
        _ => return None,
    };
    match apply_affinity(&value, Affinity::Text) {
        Value::Text(text) => Some(Operand::new(Expr::Text(String::from_utf8(text.into_owned()).ok()?), Class::Text)),
        _ => None,
    }
}

/// Converts a constant to what SQLite compares an operand with: by affinity, which only columns and casts have.
///
/// The operator says how the two are compared, the operand on the left.
pub(super) fn beside(operand: &Operand, operator: BinaryOperator, constant: Operand) -> Result<Operand, String> {
    let numeric = matches!(operand.affinity, Some(Affinity::Integer | Affinity::Numeric | Affinity::Real));
    let class = operand.class;
    if constant.class == class && class != Class::Text || class == Class::Null {
        return Ok(constant);
    }
    match (class, &constant.expr) {
        (Class::Text, Expr::Text(text)) if numeric && number_in(text).is_some() => Err(by_storage(class, "a number")),
        (Class::Text, Expr::Text(_)) => Ok(constant),
        (Class::Text, number) if operand.affinity == Some(Affinity::Text) => {
            text_of(number).ok_or_else(|| by_storage(class, "a blob"))
        }
        (Class::Boolean, Expr::Integer(number @ (0 | 1))) => {
            Ok(Operand::new(Expr::Boolean(*number == 1), Class::Boolean))
        }
        (Class::Boolean, Expr::Integer(_) | Expr::Decimal(_)) => Ok(constant),
        (Class::Boolean, Expr::Text(text)) if numeric => match number_in(text) {
            Some(number) => beside(operand, operator, number),
            None => Err(by_storage(class, "a text")),
        },
        (_, Expr::Text(text)) if class.is_number() && numeric => {
            number_in(text).ok_or_else(|| by_storage(class, "a text"))
        }
        (_, Expr::Boolean(_)) if class.is_number() => Ok(constant.into_number()),
        (_, Expr::Integer(_) | Expr::Decimal(_)) if class.is_number() => Ok(constant),
        (Class::Date | Class::Time | Class::Timestamp, Expr::Text(text)) => moment(class, operator, text),
        (Class::Opaque(data_type), _) => Err(not_compared(data_type)),
        (_, _) => Err(by_storage(class, &constant.class.shown())),
    }
}

pub(super) fn not_compared(data_type: PgType) -> String {
    format!("values of type {data_type} are not what SQLite compares")
}

pub(super) fn by_storage(class: Class, other: &str) -> String {
    format!("SQLite would compare {} with {other} by how they are stored", class.shown())
}

/// Spells a date or time, where comparing texts and comparing moments come to the same.
///
/// `2024-01-31` comes before every time of that day as a text, and is its first moment in PostgreSQL: only `>=` and `<`
/// are the same then.
fn moment(class: Class, operator: BinaryOperator, text: &str) -> Result<Operand, String> {
    use BinaryOperator as Op;
    let opens = matches!(operator, Op::GreaterOrEqual | Op::Less);
    // PostgreSQL counts no year 0: before the year 1 comes 1 BC.
    let has_year = !text.starts_with("0000");
    let is_date = has_year && text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok();
    let is_moment = has_year && text.len() == 19 && text.parse::<jiff::civil::DateTime>().is_ok();
    let fits = match class {
        Class::Date => is_date,
        Class::Timestamp => (is_date && opens) || is_moment,
        _ => (text.len() == 8 || (text.len() == 5 && opens)) && text.parse::<jiff::civil::Time>().is_ok(),
    };
    if fits {
        return Ok(Operand::new(Expr::Text(text.to_owned()), class));
    }
    Err(format!("SQLite compares {} and '{}' as texts", class.shown(), visible(text)))
}

/// Turns a constant into what a column of a type holds once SQLite has stored the constant and the copy has taken it.
pub(super) fn stored(constant: &Operand, affinity: Affinity, data_type: PgType) -> Result<Expr, String> {
    let converted = match (affinity, &constant.expr) {
        (Affinity::Text, number @ (Expr::Integer(_) | Expr::Decimal(_) | Expr::Boolean(_))) => text_of(number),
        (Affinity::Integer | Affinity::Numeric | Affinity::Real, Expr::Text(text)) => number_in(text),
        _ => None,
    };
    let expr = converted.map_or_else(|| constant.expr.clone(), |converted| converted.expr);
    let shown = match &expr {
        Expr::Integer(number) => number.to_string(),
        Expr::Decimal(number) => number.clone(),
        Expr::Text(text) => format!("'{}'", visible(text)),
        Expr::Boolean(truth) => i64::from(*truth).to_string(),
        _ => "there".to_owned(),
    };
    spelled(expr, data_type).ok_or_else(|| format!("the constant {shown} does not fit the type {data_type}"))
}

fn spelled(expr: Expr, data_type: PgType) -> Option<Expr> {
    let is_moment = matches!(data_type, PgType::Date | PgType::Time | PgType::Timestamp);
    Some(match (data_type, expr) {
        (PgType::Boolean, Expr::Boolean(truth)) => Expr::Boolean(truth),
        (PgType::Boolean, Expr::Integer(number @ (0 | 1))) => Expr::Boolean(number == 1),
        (PgType::Boolean, Expr::Text(text)) => match text.to_ascii_lowercase().as_str() {
            "t" | "true" => Expr::Boolean(true),
            "f" | "false" => Expr::Boolean(false),
            _ => return None,
        },
        (data_type, Expr::Boolean(truth)) => return spelled(Expr::Integer(i64::from(truth)), data_type),
        (PgType::Smallint, Expr::Integer(number)) if i16::try_from(number).is_err() => return None,
        (PgType::Integer, Expr::Integer(number)) if i32::try_from(number).is_err() => return None,
        (PgType::Smallint | PgType::Integer | PgType::Bigint, Expr::Integer(number)) => Expr::Integer(number),
        // Integer affinity makes an integer of a double that is one.
        (PgType::Smallint | PgType::Integer | PgType::Bigint, Expr::Decimal(number)) => {
            Expr::Integer(number.parse().ok()?)
        }
        (PgType::Numeric(Some(limits)), number) if !fits_digits(&number, limits) => return None,
        (PgType::Real | PgType::Double | PgType::Numeric(_), number @ (Expr::Integer(_) | Expr::Decimal(_))) => number,
        (PgType::Varchar(Some(length)) | PgType::Char(length), Expr::Text(text))
            if text.chars().count() > length as usize =>
        {
            return None;
        }
        (data_type, Expr::Text(text)) if data_type.is_text() => Expr::Text(text),
        (data_type, Expr::Text(text)) if is_moment => {
            let (class, at_most) = match data_type {
                PgType::Date => (Class::Date, 10),
                PgType::Time => (Class::Time, 8),
                _ => (Class::Timestamp, 19),
            };
            let fits = text.len() <= at_most && moment(class, BinaryOperator::GreaterOrEqual, &text).is_ok();
            return fits.then_some(Expr::Text(text));
        }
        (PgType::Bytea, Expr::Blob(bytes)) => Expr::Blob(bytes),
        (PgType::Uuid, Expr::Text(text)) if text.len() == 36 && uuid::Uuid::try_parse(&text).is_ok() => {
            Expr::Text(text)
        }
        (PgType::Json | PgType::Jsonb, Expr::Integer(number)) => Expr::Text(number.to_string()),
        (PgType::Json | PgType::Jsonb, Expr::Decimal(number)) => Expr::Text(number),
        (PgType::Json, Expr::Text(text)) if is_json(&text) => Expr::Text(text),
        // A jsonb holds texts, and no text of PostgreSQL's holds this character.
        (PgType::Jsonb, Expr::Text(text)) if is_json(&text) && !text.contains("\\u0000") => Expr::Text(text),
        _ => return None,
    })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// Says whether a numeric with these limits, its digits in all and those behind the point, holds a number as it is.
fn fits_digits(number: &Expr, (precision, scale): (u16, i16)) -> bool {
    let written = match number {
        Expr::Integer(number) => number.to_string(),
        Expr::Decimal(number) => number.clone(),
        _ => return false,
    };
    let digits = written.trim_start_matches(['-', '+']);
    let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0').len() as i64;
    // A negative scale is only in a spec: such a column keeps no more than some digits in front.
    whole <= i64::from(precision) - i64::from(scale) && behind.len() as i64 <= i64::from(scale.max(0)) && scale >= 0
}
