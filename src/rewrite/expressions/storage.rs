//! `typeof(column) = 'integer'`: what a CHECK says of storage, the target's type says already.

use super::Translator;
use super::operand::{Class, Operand};
use crate::schema::{Affinity, ColumnId, Expr, PgType};

/// Returns the column of `typeof(column)`.
pub(super) fn column(expr: &Expr) -> Option<ColumnId> {
    match expr {
        Expr::Call { function, arguments } if function == "typeof" => match arguments[..] {
            [Expr::Column(column)] => Some(column),
            _ => None,
        },
        _ => None,
    }
}

impl Translator<'_> {
    /// Translates `typeof(column) [NOT] IN (names)`.
    pub(super) fn storage(&self, call: &Expr, names: &[String], negated: bool) -> Result<Operand, String> {
        let Some(id) = column(call) else { return Err("only typeof(column) is translated".to_owned()) };
        let operand = self.column(id)?;
        let Some(target) = self.draft.column_of(id) else { return Err("its column is left out".to_owned()) };
        let data_type = self.draft.target.column(target).data_type;
        let stored = storages(&operand, data_type)?;
        let named = |storage: &str| names.iter().any(|name| name == storage);
        let of_values = match stored.iter().filter(|storage| named(storage)).count() {
            0 => false,
            count if count == stored.len() => true,
            _ => {
                return Err(format!("a column of type {data_type} does not tell {} apart", stored.join(" from ")));
            }
        };
        let of_null = named("null") || !operand.nullable;
        let expr = match (of_values != negated, of_null != negated) {
            // Where the column is never NULL, only its values count.
            (values, _) if !operand.nullable => Expr::Boolean(values),
            (true, true) => Expr::Boolean(true),
            (true, false) => Expr::IsNull { operand: Box::new(operand.expr), negated: true },
            (false, true) => Expr::IsNull { operand: Box::new(operand.expr), negated: false },
            (false, false) => Expr::Boolean(false),
        };
        if expr == Expr::Boolean(false) {
            return Err(format!("no value of type {data_type} is stored so"));
        }
        Ok(Operand { nullable: false, ..Operand::new(expr, Class::Boolean) })
    }
}

/// Lists how SQLite stores the values that a column's type takes over.
fn storages(operand: &Operand, data_type: PgType) -> Result<&'static [&'static str], String> {
    let numeric = operand.affinity != Some(Affinity::Real);
    match operand.class {
        Class::Integer => Ok(&["integer"]),
        Class::Double => Ok(&["real"]),
        Class::Number if numeric => Ok(&["integer", "real"]),
        Class::Number => Ok(&["real"]),
        Class::Text | Class::Date | Class::Time | Class::Timestamp => Ok(&["text"]),
        Class::Bytes => Ok(&["blob"]),
        _ => Err(format!("a column of type {data_type} takes values that are stored in several ways")),
    }
}
