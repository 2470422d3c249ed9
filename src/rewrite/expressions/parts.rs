//! The walk over an expression: every part becomes an operand of a class.

use super::comparisons::compared;
use super::operand::{Class, Narrow, Operand};
use super::{Translator, arithmetic, constants, functions, now, patterns, storage};
use crate::schema::{Affinity, BinaryOperator, ColumnId, Declared, Expr, PgType, UnaryOperator, Unread};

/// Says why an expression was not read.
fn unread(why: Unread) -> String {
    match why {
        Unread::Unknown => "tenantry does not know what it means".to_owned(),
        Unread::Nested(most) => {
            format!("it nests deeper than the {most} levels that are read, of parentheses, calls and operands")
        }
        Unread::Long(most) => format!("it has more than the {most} operators and parentheses that are read"),
    }
}

impl Translator<'_> {
    /// Translates a part of an expression.
    pub(super) fn operand(&self, expr: &Expr) -> Result<Operand, String> {
        let operand = self.part(expr)?;
        if operand.class == Class::Null {
            // PostgreSQL would take a CASE of nothing but NULLs for a text.
            return Ok(Operand { nullable: true, ..Operand::new(Expr::Null, Class::Null) });
        }
        let is_outside = matches!(
            expr,
            Expr::Collate { .. } | Expr::Cast { .. } | Expr::Unary { operator: UnaryOperator::Plus, .. }
        );
        if operand.class == Class::Text && !is_outside && expr.holds_collate() {
            return Err("SQLite lets a COLLATE inside of it hold for the whole".to_owned());
        }
        Ok(operand)
    }

    fn part(&self, expr: &Expr) -> Result<Operand, String> {
        Ok(match expr {
            Expr::Null => Operand { nullable: true, ..Operand::new(Expr::Null, Class::Null) },
            Expr::Boolean(_) => Operand::new(expr.clone(), Class::Boolean),
            Expr::Integer(_) => Operand::new(expr.clone(), Class::Integer),
            Expr::Decimal(written) => {
                constants::fraction(written).ok_or_else(|| "the number is too large for a double".to_owned())?
            }
            Expr::Text(_) => Operand::new(expr.clone(), Class::Text),
            Expr::Blob(_) => Operand::new(expr.clone(), Class::Bytes),
            Expr::Column(column) => self.column(*column)?,
            Expr::Unary { operator: UnaryOperator::Not, operand } => {
                boolean(Expr::unary(UnaryOperator::Not, self.truth(operand)?))
            }
            Expr::Unary { operator: UnaryOperator::Plus, operand } => {
                Operand { affinity: None, ..self.operand(operand)? }
            }
            Expr::Unary { operator, operand } => arithmetic::unary(*operator, self.operand(operand)?)?,
            Expr::Binary { operator, left, right } => self.binary(*operator, left, right)?,
            Expr::IsNull { operand, negated } => {
                let operand = Box::new(self.operand(operand)?.expr);
                Operand { nullable: false, ..boolean(Expr::IsNull { operand, negated: *negated }) }
            }
            Expr::InList { operand, list, negated } => boolean(self.in_list(operand, list, *negated)?),
            Expr::Between { operand, low, high, negated } => boolean(self.between(operand, low, high, *negated)?),
            Expr::Case { branches, otherwise } => {
                let results: Vec<Expr> =
                    branches.iter().map(|(_, then)| then).chain(otherwise.as_deref()).cloned().collect();
                let (mut results, class) = self.joined(&results)?;
                let otherwise = if otherwise.is_some() { results.pop().map(Box::new) } else { None };
                let conditions = branches.iter().map(|(when, _)| self.truth(when)).collect::<Result<Vec<_>, _>>()?;
                Operand::new(Expr::Case { branches: conditions.into_iter().zip(results).collect(), otherwise }, class)
            }
            Expr::Call { function, arguments } => match now::recognise(function, arguments) {
                Some(now) => self.now(&now?)?,
                None => functions::call(self, function, arguments)?,
            },
            Expr::Like { operand, pattern, escape } => {
                boolean(patterns::like(self.operand(operand)?, pattern, escape.as_deref())?)
            }
            Expr::Collate { operand, collation } => {
                Operand { collation: Some((collation.clone(), true)), ..self.operand(operand)? }
            }
            Expr::Cast { operand, to } => cast(self.operand(operand)?, to)?,
            Expr::Postgres(_) | Expr::Dialects { .. } => return Err("it is PostgreSQL's already".to_owned()),
            Expr::Unsupported(_, why) => return Err(unread(*why)),
        })
    }

    pub(super) fn column(&self, id: ColumnId) -> Result<Operand, String> {
        let source = self.draft.source.column(id);
        let Some(column) = self.draft.column_of(id) else {
            return Err(format!("the column `{}` is left out", source.name));
        };
        let target = self.draft.target.column(column);
        let affinity = source.data_type.affinity();
        Ok(Operand {
            expr: Expr::Column(column),
            class: Class::of_column(affinity, target.data_type),
            affinity: Some(affinity),
            collation: Some((source.collation.clone().unwrap_or_else(|| "BINARY".to_owned()), false)),
            nullable: !target.not_null,
            narrow: match target.data_type {
                PgType::Smallint | PgType::Integer | PgType::Real => Narrow::Bits,
                PgType::Char(_) | PgType::Citext => Narrow::Text,
                _ if target.collation.is_some() => Narrow::Collation,
                _ => Narrow::No,
            },
        })
    }

    fn now(&self, now: &now::Now) -> Result<Operand, String> {
        if !self.is_default {
            return Err("what depends on the present time can only be a default".to_owned());
        }
        Ok(match now.epoch() {
            // As a text of digits it is the same number to everything that computes with it.
            Some(epoch) => Operand { nullable: false, ..Operand::new(epoch, Class::Integer) },
            None => Operand { nullable: false, ..Operand::new(now.text(), Class::Text) },
        })
    }

    fn binary(&self, operator: BinaryOperator, left: &Expr, right: &Expr) -> Result<Operand, String> {
        use BinaryOperator as Op;
        Ok(match operator {
            Op::And | Op::Or => boolean(Expr::binary(operator, self.truth(left)?, self.truth(right)?)),
            // `x IS TRUE` asks for truth.
            Op::Is | Op::IsNot if matches!(right, Expr::Boolean(_)) => {
                let asked = Expr::binary(operator, self.truth(left)?, right.clone());
                Operand { nullable: false, ..boolean(asked) }
            }
            Op::Equal | Op::NotEqual | Op::Is | Op::IsNot if storage::column(left).is_some() => {
                let Expr::Text(name) = right else { return Err("typeof() is compared with no constant".to_owned()) };
                let negated = matches!(operator, Op::NotEqual | Op::IsNot);
                self.storage(left, std::slice::from_ref(name), negated)?
            }
            Op::Equal
            | Op::NotEqual
            | Op::Less
            | Op::LessOrEqual
            | Op::Greater
            | Op::GreaterOrEqual
            | Op::Is
            | Op::IsNot => {
                let (left, right) = compared(operator, self.operand(left)?, self.operand(right)?)?;
                boolean(Expr::binary(operator, left, right))
            }
            Op::Concat => {
                let (left, right) = (functions::text(self.operand(left)?)?, functions::text(self.operand(right)?)?);
                Operand::new(Expr::binary(operator, left.plain(), right.plain()), Class::Text)
            }
            Op::Glob => boolean(patterns::glob(self.operand(left)?, right)?),
            Op::Matches => return Err("it is PostgreSQL's already".to_owned()),
            _ => arithmetic::binary(operator, self.operand(left)?, self.operand(right)?)?,
        })
    }

    fn in_list(&self, operand: &Expr, list: &[Expr], negated: bool) -> Result<Expr, String> {
        if storage::column(operand).is_some() {
            let names = list.iter().map(|item| match item {
                Expr::Text(name) => Ok(name.clone()),
                _ => Err("typeof() is compared with no constant".to_owned()),
            });
            return Ok(self.storage(operand, &names.collect::<Result<Vec<_>, _>>()?, negated)?.expr);
        }
        let of = self.operand(operand)?;
        let mut pairs = Vec::with_capacity(list.len());
        for item in list {
            // The affinity of the list's members does not count.
            let item = Operand { affinity: None, ..self.operand(item)? };
            pairs.push(compared(BinaryOperator::Equal, of.clone(), item)?);
        }
        let Some((first, _)) = pairs.first().cloned() else {
            return Err("the list is empty".to_owned());
        };
        if pairs.iter().all(|(left, _)| *left == first) {
            let list = pairs.into_iter().map(|(_, right)| right).collect();
            return Ok(Expr::InList { operand: Box::new(first), list, negated });
        }
        let any = pairs
            .into_iter()
            .map(|(left, right)| Expr::binary(BinaryOperator::Equal, left, right))
            .reduce(|one, other| Expr::binary(BinaryOperator::Or, one, other));
        let any = any.unwrap_or(Expr::Boolean(false));
        Ok(if negated { Expr::unary(UnaryOperator::Not, any) } else { any })
    }

    fn between(&self, operand: &Expr, low: &Expr, high: &Expr, negated: bool) -> Result<Expr, String> {
        let of = self.operand(operand)?;
        let (from, low) = compared(BinaryOperator::GreaterOrEqual, of.clone(), self.operand(low)?)?;
        let (to, high) = compared(BinaryOperator::LessOrEqual, of, self.operand(high)?)?;
        if from == to {
            return Ok(Expr::Between { operand: Box::new(from), low: Box::new(low), high: Box::new(high), negated });
        }
        let within = Expr::binary(
            BinaryOperator::And,
            Expr::binary(BinaryOperator::GreaterOrEqual, from, low),
            Expr::binary(BinaryOperator::LessOrEqual, to, high),
        );
        Ok(if negated { Expr::unary(UnaryOperator::Not, within) } else { within })
    }

    /// Translates values of which one is chosen, so that they are of one class.
    pub(super) fn joined(&self, values: &[Expr]) -> Result<(Vec<Expr>, Class), String> {
        let operands = values.iter().map(|value| self.operand(value)).collect::<Result<Vec<_>, _>>()?;
        let one_or_zero = |operand: &Operand| {
            matches!(operand.class, Class::Boolean | Class::Null) || matches!(operand.expr, Expr::Integer(0 | 1))
        };
        if operands.iter().any(|operand| operand.class == Class::Boolean) && operands.iter().all(one_or_zero) {
            let as_truth = |operand: Operand| match operand.expr {
                Expr::Integer(number) => Expr::Boolean(number == 1),
                expr => expr,
            };
            return Ok((operands.into_iter().map(as_truth).collect(), Class::Boolean));
        }
        let mut class = Class::Null;
        let mut joined = Vec::with_capacity(operands.len());
        for operand in operands {
            let operand = operand.into_number();
            class = match (class, operand.class) {
                (Class::Null, other) | (other, Class::Null) => other,
                (one, other) if one == other => one,
                // Which of the two it is depends on the row; a decimal holds both.
                (
                    Class::Integer | Class::Number | Class::Fraction,
                    Class::Integer | Class::Number | Class::Fraction,
                ) => Class::Number,
                (Class::Double, Class::Fraction) | (Class::Fraction, Class::Double) => Class::Double,
                (Class::Date | Class::Time | Class::Timestamp, Class::Text) if operand.is_constant() => {
                    let moment = Operand::new(Expr::Null, class);
                    joined.push(constants::beside(&moment, BinaryOperator::Equal, operand)?.expr);
                    continue;
                }
                (one, other) => {
                    return Err(format!("it yields {} or {}, depending on the row", one.shown(), other.shown()));
                }
            };
            joined.push(operand.plain());
        }
        Ok((joined, class))
    }
}

fn boolean(expr: Expr) -> Operand {
    Operand::new(expr, Class::Boolean)
}

/// Translates the casts that change no value, or change it alike.
fn cast(operand: Operand, to: &str) -> Result<Operand, String> {
    let affinity = Declared(to.to_owned()).affinity();
    let collation = operand.collation.clone();
    let nullable = operand.nullable;
    let cast = match (affinity, operand.class) {
        (Affinity::Integer | Affinity::Numeric, Class::Integer)
        | (Affinity::Real, Class::Double)
        | (Affinity::Text, Class::Text)
        | (Affinity::Blob, Class::Bytes) => operand,
        (Affinity::Integer | Affinity::Numeric, Class::Boolean) => operand.into_number(),
        (Affinity::Real, Class::Integer) => Operand::new(operand.expr.cast("double precision"), Class::Double),
        (Affinity::Text, Class::Integer | Class::Boolean) => functions::text(operand)?,
        (_, class) => return Err(format!("a cast of {} to {to} may change the value", class.shown())),
    };
    Ok(Operand { affinity: Some(affinity), collation, nullable, ..cast })
}
