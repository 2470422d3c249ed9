//! Expressions keep SQLite's meaning under PostgreSQL's types, or are refused.
//!
//! SQLite compares, adds and tests anything with anything: it converts by affinity, orders numbers before texts, and
//! takes a number for a truth value. PostgreSQL does none of this. So every part gets a class, the conversions that
//! SQLite makes on constants are made here once, truth and collations are spelled out, and what would still mix classes
//! is an error, never a cast (<https://sqlite.org/datatype3.html>, <https://sqlite.org/lang_expr.html>).

mod arithmetic;
mod comparisons;
mod constants;
mod functions;
mod now;
mod operand;
mod parts;
mod patterns;
mod storage;
mod truth;

use super::collations::{self, Compared};
use super::draft::Draft;
use crate::diagnostic::{Diagnostic, Span};
use crate::schema::{Affinity, BinaryOperator, ColumnId, Expr, PgType, SourceSchema, Unread, sqlite_text};
use crate::spec::Conversion;
use operand::{Class, Operand};

/// Translates expressions of the source into expressions over the target's columns.
pub(super) struct Translator<'a> {
    draft: &'a Draft<'a>,
    /// Whether the value is computed when a row is inserted, and never again.
    is_default: bool,
}

/// Builds the error for an expression without a safe translation; `keys` is what decides it in the spec.
pub(super) fn untranslated(
    schema: &SourceSchema,
    what: &str,
    expr: &Expr,
    reason: &str,
    keys: &str,
    span: Option<Span>,
) -> Diagnostic {
    // Of one that is too large to be read, nobody reads the text in a message either: it is underlined.
    let is_large = matches!(expr, Expr::Unsupported(_, Unread::Nested(_) | Unread::Long(_)));
    let shown = sqlite_text(schema, expr).filter(|_| !is_large);
    let shown = shown.map(|text| format!(" (`{}`)", crate::ident::visible(&text)));
    let message = format!("{what} has no safe translation{}: {reason}", shown.unwrap_or_default());
    let otherwise =
        if is_large { "take out the parentheses that it does not need, or split it; otherwise " } else { "" };
    Diagnostic::error("untranslated-expression", message).label_opt(span, "this expression").help(format!(
        "{otherwise}write it in PostgreSQL's dialect under the table, or `omit` it:\n  {}",
        crate::ident::visible(keys)
    ))
}

impl<'a> Translator<'a> {
    pub fn new(draft: &'a Draft<'a>) -> Self {
        Self { draft, is_default: false }
    }

    /// Translates a CHECK, for which NULL counts as true; `None` where the target's types say it already.
    pub fn check(&self, expr: &Expr) -> Result<Option<Expr>, String> {
        let mut kept: Option<Expr> = None;
        for condition in conjuncts(expr) {
            let translated = self.truth(condition)?;
            if !holds_or_is_null(&translated) {
                kept = Some(match kept {
                    Some(kept) => Expr::binary(BinaryOperator::And, kept, translated),
                    None => translated,
                });
            }
        }
        Ok(kept.map(|kept| self.both(expr, kept)))
    }

    /// Translates what has to be true or false: the predicate of an index.
    pub fn condition(&self, expr: &Expr) -> Result<Expr, String> {
        self.truth(expr).map(|translated| self.both(expr, translated))
    }

    /// Translates an index's expression, as its collation compares it.
    pub fn value(&self, expr: &Expr, collation: Option<&str>) -> Result<Expr, String> {
        if let Expr::Column(column) = expr {
            let operand = self.column(*column)?;
            let written = match collation {
                Some(collation) => expr.clone().collate(collation),
                None => expr.clone(),
            };
            return match collations::compared(self.draft, *column, collation) {
                Compared::Column => Ok(operand.expr),
                Compared::Folded(name) => {
                    comparisons::folded(operand, &name, false).map(|folded| self.both(&written, folded))
                }
                Compared::Bytes => Ok(self.both(&written, operand.bytewise())),
            };
        }
        let mut operand = self.operand(expr)?;
        if operand.is_constant() && operand.class == Class::Text {
            // A constant alone has no type in PostgreSQL.
            return Ok(self.both(expr, operand.expr.cast("text")));
        }
        let collation = collation.map(str::to_owned).or_else(|| operand.collation.clone().map(|(name, _)| name));
        let collation = collation.unwrap_or_else(|| "BINARY".to_owned());
        if operand.class != Class::Text {
            return Ok(self.both(expr, operand.expr));
        }
        operand.collation = None;
        let translated = comparisons::folded(operand, &collation, false)?;
        let written =
            if collation.eq_ignore_ascii_case("binary") { expr.clone() } else { expr.clone().collate(&collation) };
        Ok(self.both(&written, translated))
    }

    /// Translates a generated column's expression: a value that fits the column.
    pub fn generated(&self, expr: &Expr, column: ColumnId) -> Result<Expr, String> {
        let mut names_generated = None;
        expr.for_each_column(&mut |used| {
            let used = self.draft.source.column(used);
            if used.generated.is_some() {
                names_generated = Some(used.name.clone());
            }
        });
        if let Some(name) = names_generated {
            return Err(format!("PostgreSQL computes no column from another generated one, `{name}`"));
        }
        let source = self.draft.source.column(column);
        let Some(target) = self.draft.column_of(column) else { return Err("its column is left out".to_owned()) };
        let data_type = self.draft.target.column(target).data_type;
        let translated = self.fitted(self.operand(expr)?, source.data_type.affinity(), data_type)?;
        Ok(self.both(expr, translated))
    }

    /// Translates a DEFAULT of a column; `None` where there is nothing to say, as for NULL.
    ///
    /// `rule` is how the spec reads the column's values: the default yields one of them.
    pub fn default(
        &self,
        expr: &Expr,
        affinity: Affinity,
        data_type: PgType,
        rule: Option<&Conversion>,
    ) -> Result<Option<Expr>, String> {
        let translator = Self { draft: self.draft, is_default: true };
        let translated = match expr {
            Expr::Null => return Ok(None),
            Expr::Call { function, arguments } => match now::recognise(function, arguments) {
                Some(now) => {
                    let now = now?;
                    let filled = match rule {
                        Some(rule) => now.as_read(rule, data_type),
                        None => now.as_type(data_type),
                    };
                    let in_utc = rule.map(|rule| Conversion { zone: None, ..rule.clone() });
                    filled.ok_or_else(|| match rule.and_then(|rule| rule.read) {
                        _ if in_utc.is_some_and(|rule| now.as_read(&rule, data_type).is_some()) => {
                            "it is the time in UTC, and the column's times are read in another zone".to_owned()
                        }
                        Some(read) => format!("it is another form of time than `read: {}` takes", read.name()),
                        None => format!("the present time does not fit a column of type {data_type}"),
                    })?
                }
                None => translator.fitted(translator.operand(expr)?, affinity, data_type)?,
            },
            _ => translator.fitted(translator.operand(expr)?, affinity, data_type)?,
        };
        Ok(Some(self.both(expr, translated)))
    }

    /// Keeps SQLite's own words beside a translation that differs from them.
    fn both(&self, expr: &Expr, translated: Expr) -> Expr {
        let Some(sqlite) = self.over_target(expr) else { return translated };
        if sqlite == translated {
            return translated;
        }
        Expr::Dialects { sqlite: Box::new(sqlite), postgres: Box::new(translated) }
    }

    fn over_target(&self, expr: &Expr) -> Option<Expr> {
        let mut all_there = true;
        expr.for_each_column(&mut |column| all_there &= self.draft.column_of(column).is_some());
        all_there.then(|| expr.map_columns(&|column| self.draft.column_of(column).unwrap_or(column)))
    }

    /// Converts a value as SQLite's affinity does when it is stored, and holds it to the column's type.
    fn fitted(&self, value: Operand, affinity: Affinity, data_type: PgType) -> Result<Expr, String> {
        if value.class == Class::Null {
            return Ok(value.expr);
        }
        if value.is_constant() {
            return constants::stored(&value, affinity, data_type);
        }
        let own = Class::of_column(affinity, data_type);
        match (own, value.class) {
            (own, class) if own == class => Ok(value.expr),
            (Class::Integer | Class::Number, Class::Boolean) => Ok(value.into_number().expr),
            (Class::Double | Class::Number, class) if class.is_number() => Ok(value.expr),
            (Class::Text, Class::Integer | Class::Boolean) if affinity == Affinity::Text => {
                functions::text(value).map(|text| text.expr)
            }
            (Class::Opaque(_), Class::Integer | Class::Boolean) if data_type.is_text() => {
                Err("SQLite would store a number in it".to_owned())
            }
            (_, class) => Err(format!("it is {}, and the column has the type {data_type}", class.shown())),
        }
    }
}

/// Takes a condition apart at its outermost ANDs.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Binary { operator: BinaryOperator::And, left, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        other => vec![other],
    }
}

/// Says whether a condition can never be false.
fn holds_or_is_null(expr: &Expr) -> bool {
    match expr {
        Expr::Boolean(true) | Expr::Null => true,
        Expr::Binary { operator: BinaryOperator::Or, left, right } => holds_or_is_null(left) || holds_or_is_null(right),
        _ => false,
    }
}
