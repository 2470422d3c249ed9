//! Rows and parameters of statements, as text.

use crate::diagnostic::Diagnostic;
use ::postgres::types::private::BytesMut;
use ::postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::error::Error;

/// One row of a query's answer: each value as text, `None` for NULL.
///
/// Text-like columns, booleans and integers come as they are (`true`, `42`); all others have to be cast to text by
/// the query, so that the server writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<Option<String>>);

impl Row {
    /// Returns a value, or `None` for NULL and for a column that is not there.
    pub fn optional(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_deref()
    }

    /// Returns a value; NULL is an error.
    pub fn text(&self, column: usize) -> Result<&str, Diagnostic> {
        self.optional(column).ok_or_else(|| unexpected(column))
    }

    /// Returns a value as an integer; NULL and anything else is an error.
    pub fn integer(&self, column: usize) -> Result<i64, Diagnostic> {
        self.text(column)?.parse().map_err(|_| unexpected(column))
    }

    /// Returns a value as a boolean; NULL and anything else is an error.
    pub fn boolean(&self, column: usize) -> Result<bool, Diagnostic> {
        self.text(column)?.parse().map_err(|_| unexpected(column))
    }
}

fn unexpected(column: usize) -> Diagnostic {
    Diagnostic::error(
        "unexpected-answer",
        format!("the server's answer has an unexpected value in column {}", column + 1),
    )
}

/// Sends a parameter as text, so that the server reads it as whatever type the statement needs there.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) Option<&'a str>);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(match self.0 {
            None => IsNull::Yes,
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                IsNull::No
            }
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Reads a value that arrives in binary back as text.
pub(super) struct Cell(pub(super) String);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(data_type: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *data_type {
            Type::BOOL => bool::from_sql(data_type, raw)?.to_string(),
            Type::INT2 => i16::from_sql(data_type, raw)?.to_string(),
            Type::INT4 => i32::from_sql(data_type, raw)?.to_string(),
            Type::INT8 => i64::from_sql(data_type, raw)?.to_string(),
            Type::OID => u32::from_sql(data_type, raw)?.to_string(),
            Type::VOID => String::new(),
            _ => std::str::from_utf8(raw)?.to_owned(),
        }))
    }

    fn accepts(data_type: &Type) -> bool {
        matches!(
            *data_type,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::OID
                | Type::VOID
                | Type::CHAR
                | Type::TEXT
                | Type::VARCHAR
                | Type::BPCHAR
                | Type::NAME
                | Type::JSON
                | Type::UNKNOWN
        )
    }
}
