//! Defaults that are constants, by value: the server writes a constant in few ways, all of which can be read.
//!
//! What cannot be read as a constant on either side is compared as the server writes it (`expressions`).

use crate::ident::visible;
use crate::schema::{Expr, PgType, TableId, TargetSchema, UnaryOperator};

/// Finds columns whose defaults are two different constants, one fragment each.
pub(super) fn differences<'s>(
    planned: (&'s TargetSchema, TableId),
    live: (&'s TargetSchema, TableId),
) -> impl Iterator<Item = String> + 's {
    planned.0.table(planned.1).columns.iter().filter_map(move |&id| {
        let column = planned.0.column(id);
        let found = live
            .0
            .column(live.0.table(live.1).columns.iter().copied().find(|&id| live.0.column(id).name == column.name)?);
        let (Expr::Postgres(text), planned) = (found.default.as_ref()?, column.default.as_ref()?) else { return None };
        if same(column.data_type, planned, text)? {
            return None;
        }
        let [found, expected] = [of_server(text)?, of_plan(planned)?].map(|constant| visible(&constant).into_owned());
        Some(format!("the default of {} is {found}, and is to be {expected}", visible(&column.name)))
    })
}

/// Says whether two defaults are the same constant; `None` where they cannot be told by value.
pub(super) fn same(data_type: PgType, planned: &Expr, live: &str) -> Option<bool> {
    let (found, expected) = (of_server(live)?, of_plan(planned)?);
    match data_type {
        PgType::Boolean => Some(found.eq_ignore_ascii_case(&expected)),
        data_type if data_type.is_text() => Some(found == expected),
        data_type if is_number(data_type) => Some(found.parse::<f64>().ok()? == expected.parse::<f64>().ok()?),
        _ => None,
    }
}

fn is_number(data_type: PgType) -> bool {
    data_type.is_integer() || matches!(data_type, PgType::Numeric(_) | PgType::Real | PgType::Double)
}

fn of_plan(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Boolean(value) => Some(value.to_string()),
        Expr::Integer(number) => Some(number.to_string()),
        Expr::Decimal(number) => Some(number.clone()),
        Expr::Text(text) => Some(text.clone()),
        Expr::Dialects { postgres, .. } => of_plan(postgres),
        // The spec's own, in the server's dialect already.
        Expr::Postgres(text) => of_server(text),
        Expr::Unary { operator: UnaryOperator::Minus, operand } => Some(format!("-{}", of_plan(operand)?)),
        _ => None,
    }
}

/// Reads `1`, `'-1'::integer`, `'it''s'::text`, `true`.
fn of_server(text: &str) -> Option<String> {
    let text = text.trim_start_matches('(');
    let Some(quoted) = text.strip_prefix('\'') else {
        let text = text.split("::").next()?.trim_end_matches(')');
        let is_constant = matches!(text, "true" | "false") || text.parse::<f64>().is_ok_and(f64::is_finite);
        return is_constant.then(|| text.to_owned());
    };
    let mut constant = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('\'')?;
        constant.push_str(before);
        match after.strip_prefix('\'') {
            Some(more) => {
                constant.push('\'');
                rest = more;
            }
            None => {
                let cast = after.trim_start_matches(')');
                // Anything else behind it makes it more than a constant.
                let is_cast = cast.strip_prefix("::").is_some_and(|name| {
                    name.chars()
                        .all(|character| character.is_ascii_alphanumeric() || matches!(character, ' ' | '_' | '"'))
                });
                return (cast.is_empty() || is_cast).then_some(constant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_read_and_nothing_else() {
        for (text, expected) in [
            ("1", Some("1")),
            ("'-1'::integer", Some("-1")),
            ("(-1)", Some("-1")),
            ("0.50", Some("0.50")),
            ("'it''s'::text", Some("it's")),
            ("''::character varying", Some("")),
            ("true", Some("true")),
            ("now()", None),
            ("'a'::text || 'b'::text", None),
            ("nextval('s'::regclass)", None),
            ("NULL::text", None),
            ("'2024-01-01'::date + 1", None),
        ] {
            assert_eq!(of_server(text).as_deref(), expected, "{text}");
        }
    }
}
