//! The functions that have a counterpart, and for which arguments.

use super::Translator;
use super::arithmetic::number;
use super::constants::by_storage;
use super::operand::{Class, Operand, is_constant};
use crate::schema::{BinaryOperator, Expr};

/// Translates a call; a function that is not known here has no counterpart.
pub(super) fn call(translator: &Translator<'_>, function: &str, arguments: &[Expr]) -> Result<Operand, String> {
    match (function, arguments) {
        ("coalesce", [_, _, ..]) | ("ifnull", [_, _]) => {
            let (arguments, class) = translator.joined(arguments)?;
            Ok(Operand::new(Expr::call("coalesce", arguments), class))
        }
        ("iif" | "if", [when, then, rest @ ..]) if rest.len() < 2 => {
            let otherwise = rest.first().map(|otherwise| Box::new(otherwise.clone()));
            translator.operand(&Expr::Case { branches: vec![(when.clone(), then.clone())], otherwise })
        }
        ("likely" | "unlikely", [argument]) => translator.operand(argument),
        ("nullif", [one, other]) => nullif(translator.operand(one)?, translator.operand(other)?),
        ("length", [argument]) => length(translator.operand(argument)?),
        ("lower" | "upper", [argument]) => {
            // Under "C" both know ASCII letters only, as in SQLite.
            let text = text(translator.operand(argument)?)?;
            Ok(Operand::new(Expr::call(function, [text.bytewise()]), Class::Text))
        }
        ("trim" | "ltrim" | "rtrim", [argument, characters @ ..]) if characters.len() < 2 => {
            let name = if function == "trim" { "btrim" } else { function };
            let mut arguments = vec![text(translator.operand(argument)?)?.plain()];
            for characters in characters {
                arguments.push(text(translator.operand(characters)?)?.plain());
            }
            Ok(Operand::new(Expr::call(name, arguments), Class::Text))
        }
        ("replace", [text_in, Expr::Text(from), to]) if !from.is_empty() => {
            let arguments = [
                text(translator.operand(text_in)?)?.plain(),
                Expr::Text(from.clone()),
                text(translator.operand(to)?)?.plain(),
            ];
            Ok(Operand::new(Expr::call("replace", arguments), Class::Text))
        }
        ("replace", [_, _, _]) => Err("only a constant text, and not an empty one, is replaced alike".to_owned()),
        ("substr" | "substring", [argument, numbers @ ..]) if matches!(numbers.len(), 1 | 2) => {
            let text = text(translator.operand(argument)?)?.plain();
            let limits = |number: &Expr, least| matches!(number, Expr::Integer(number) if (least..=i64::from(i32::MAX / 2)).contains(number));
            if !limits(&numbers[0], 1) || !numbers[1..].iter().all(|length| limits(length, 0)) {
                return Err("only constant positions from 1 on, and lengths, mean the same in PostgreSQL".to_owned());
            }
            let arguments: Vec<Expr> = std::iter::once(text).chain(numbers.iter().cloned()).collect();
            Ok(Operand::new(Expr::call("substr", arguments), Class::Text))
        }
        ("instr", [haystack, needle]) => {
            let arguments = [text(translator.operand(haystack)?)?.plain(), text(translator.operand(needle)?)?.plain()];
            Ok(Operand {
                narrow: super::operand::Narrow::Bits,
                ..Operand::new(Expr::call("strpos", arguments), Class::Integer)
            })
        }
        ("abs", [argument]) => {
            let number = number(translator.operand(argument)?)?;
            let class = number.class;
            Ok(Operand::new(Expr::call("abs", [number.plain()]), class))
        }
        ("round", [argument, digits @ ..]) if digits.len() < 2 && digits.iter().all(is_constant) => {
            match number(translator.operand(argument)?)? {
                number if number.class == Class::Integer => {
                    Ok(Operand::new(number.expr.cast("double precision"), Class::Double))
                }
                _ => Err("the two databases round halves in different ways".to_owned()),
            }
        }
        ("min" | "max", [_, _, ..]) => extreme(translator, function == "max", arguments),
        ("hex", [argument]) => match translator.operand(argument)? {
            blob if blob.class == Class::Bytes => {
                let digits = Expr::call("encode", [blob.expr, Expr::Text("hex".to_owned())]);
                let digits = Expr::call("upper", [digits.collate("C")]);
                // Of NULL, SQLite yields an empty text.
                let empty = Expr::Text(String::new());
                Ok(Operand::new(
                    if blob.nullable { Expr::call("coalesce", [digits, empty]) } else { digits },
                    Class::Text,
                ))
            }
            other => Err(format!("only a blob has the same bytes in both databases, this is {}", other.class.shown())),
        },
        ("typeof", [_]) => Err("only typeof(column) = 'type' is translated".to_owned()),
        ("json_valid", [argument]) => json_valid(translator, argument),
        _ => Err(format!("{}() has no counterpart with these arguments", crate::ident::visible(function))),
    }
}

/// Returns an operand that is a text; an integer is one in the same digits.
pub(super) fn text(operand: Operand) -> Result<Operand, String> {
    match operand.class {
        Class::Text => Ok(operand),
        Class::Integer => Ok(Operand::new(operand.expr.cast("text"), Class::Text)),
        Class::Boolean => text(operand.into_number()),
        class => Err(format!("SQLite would turn {} into a text", class.shown())),
    }
}

/// SQLite compares the arguments as they are: no affinity, but a collation.
fn nullif(one: Operand, other: Operand) -> Result<Operand, String> {
    let is_binary =
        |operand: &Operand| operand.collation.as_ref().is_none_or(|(name, _)| name.eq_ignore_ascii_case("binary"));
    let (a, b) = (one.class, other.class);
    let alike = a == b || a == Class::Null || b == Class::Null || (a.is_number() && b.is_number());
    let one_or_zero = a == Class::Boolean && matches!(other.expr, Expr::Integer(0 | 1));
    if !(alike || one_or_zero) || matches!(a, Class::Opaque(_)) {
        return Err(by_storage(a, &b.shown()));
    }
    if !is_binary(&one) || !is_binary(&other) {
        return Err("SQLite would compare its arguments by their collation".to_owned());
    }
    let arguments = if one_or_zero {
        [one.expr, Expr::Boolean(other.expr == Expr::Integer(1))]
    } else {
        [one.plain(), other.plain()]
    };
    Ok(Operand::new(Expr::call("nullif", arguments), a))
}

fn length(operand: Operand) -> Result<Operand, String> {
    let argument = match operand.class {
        Class::Bytes => operand.expr,
        _ => text(operand)?.plain(),
    };
    Ok(Operand {
        narrow: super::operand::Narrow::Bits,
        ..Operand::new(Expr::call("length", [argument]), Class::Integer)
    })
}

/// `max(a, b)` is NULL where one of them is; PostgreSQL's `greatest` passes NULLs over.
fn extreme(translator: &Translator<'_>, greatest: bool, arguments: &[Expr]) -> Result<Operand, String> {
    let operands = arguments.iter().map(|argument| translator.operand(argument)).collect::<Result<Vec<_>, _>>()?;
    let classes: Vec<Class> = operands.iter().map(|operand| operand.class).collect();
    let numbers = classes.iter().all(|class| *class == Class::Integer)
        || classes.iter().all(|class| matches!(class, Class::Double))
        || classes.iter().all(|class| matches!(class, Class::Number));
    let texts = classes.iter().all(|class| *class == Class::Text)
        && operands
            .iter()
            .all(|operand| operand.collation.as_ref().is_none_or(|(name, _)| name.eq_ignore_ascii_case("binary")));
    let moments = classes.iter().all(|class| *class == classes[0])
        && matches!(classes[0], Class::Date | Class::Time | Class::Timestamp);
    if !numbers && !texts && !moments {
        return Err("SQLite would order values of several types by how they are stored".to_owned());
    }
    let nullable: Vec<Expr> =
        operands.iter().filter(|operand| operand.nullable).map(|operand| operand.expr.clone()).collect();
    let values: Vec<Expr> =
        operands.into_iter().map(|operand| if texts { operand.bytewise() } else { operand.plain() }).collect();
    let extreme = Expr::call(if greatest { "greatest" } else { "least" }, values);
    let any_null = nullable
        .into_iter()
        .map(|operand| Expr::IsNull { operand: Box::new(operand), negated: false })
        .reduce(|one, other| Expr::binary(BinaryOperator::Or, one, other));
    let expr = match any_null {
        Some(any_null) => Expr::Case { branches: vec![(any_null, Expr::Null)], otherwise: Some(Box::new(extreme)) },
        None => extreme,
    };
    Ok(Operand::new(expr, classes[0]))
}

/// A column of a JSON type holds nothing else; of NULL, SQLite says NULL.
fn json_valid(translator: &Translator<'_>, argument: &Expr) -> Result<Operand, String> {
    use crate::schema::PgType;
    let argument = translator.operand(argument)?;
    if !matches!(argument.class, Class::Opaque(PgType::Json | PgType::Jsonb)) {
        return Err("only a column of type json or jsonb is known to hold JSON".to_owned());
    }
    if !argument.nullable {
        return Ok(Operand::new(Expr::Boolean(true), Class::Boolean));
    }
    let is_there = Expr::IsNull { operand: Box::new(argument.expr), negated: true };
    Ok(Operand::new(Expr::binary(BinaryOperator::Or, is_there, Expr::Null), Class::Boolean))
}
