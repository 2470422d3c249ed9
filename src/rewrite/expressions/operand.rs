//! What a part of an expression is: its PostgreSQL text to be, and what SQLite knows of its value.

use crate::schema::{Affinity, Expr, PgType};

/// What a value is in PostgreSQL, as far as SQLite's operators tell values apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// NULL: goes with everything.
    Null,
    /// An integer, stored as one in SQLite.
    Integer,
    /// A double, stored as one in SQLite.
    Double,
    /// A number that SQLite stores as an integer where it is one, else as a double.
    Number,
    /// A constant with a fraction or exponent: a double in SQLite.
    Fraction,
    /// A text.
    Text,
    /// The outcome of a test, or a column that holds 0 and 1 in SQLite.
    Boolean,
    /// A date, a text in SQLite.
    Date,
    /// A time, a text in SQLite.
    Time,
    /// A date and time without a zone, a text in SQLite.
    Timestamp,
    /// A blob.
    Bytes,
    /// A value that the two databases compare in different ways.
    Opaque(PgType),
}

impl Class {
    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Double | Self::Number | Self::Fraction)
    }

    /// Says what a value of the class is, to a person.
    pub fn shown(self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Integer => "an integer".to_owned(),
            Self::Double | Self::Number | Self::Fraction => "a number".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Boolean => "a boolean".to_owned(),
            Self::Date => "a date".to_owned(),
            Self::Time => "a time".to_owned(),
            Self::Timestamp => "a timestamp".to_owned(),
            Self::Bytes => "a blob".to_owned(),
            Self::Opaque(data_type) => format!("of type {data_type}"),
        }
    }

    /// Finds what a column is by SQLite's affinity and the type that it gets.
    ///
    /// Only values that the copy takes over count: a text in an INTEGER column is refused there. What the copy would
    /// change on the way, such as a number that becomes a text, is opaque.
    pub fn of_column(affinity: Affinity, data_type: PgType) -> Self {
        use Affinity as A;
        match (data_type, affinity) {
            (PgType::Boolean, A::Integer | A::Numeric) => Self::Boolean,
            (PgType::Smallint | PgType::Integer | PgType::Bigint, A::Integer | A::Numeric) => Self::Integer,
            (PgType::Double | PgType::Real, A::Real) => Self::Double,
            (PgType::Double | PgType::Real | PgType::Numeric(_), A::Integer | A::Numeric | A::Real) => Self::Number,
            (PgType::Text | PgType::Citext | PgType::Varchar(_) | PgType::Char(_), A::Text | A::Blob | A::Numeric) => {
                Self::Text
            }
            (PgType::Date, A::Text | A::Blob | A::Numeric) => Self::Date,
            (PgType::Time, A::Text | A::Blob | A::Numeric) => Self::Time,
            (PgType::Timestamp, A::Text | A::Blob | A::Numeric) => Self::Timestamp,
            (PgType::Bytea, _) => Self::Bytes,
            _ => Self::Opaque(data_type),
        }
    }
}

/// A translated part of an expression.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    /// What PostgreSQL computes.
    pub expr: Expr,
    /// What comes of it.
    pub class: Class,
    /// SQLite's affinity: only columns and casts have one.
    pub affinity: Option<Affinity>,
    /// SQLite's collation and whether COLLATE says it: only columns and COLLATE have one.
    pub collation: Option<(String, bool)>,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// What has to be said for PostgreSQL to treat it as the widest type of its class.
    pub narrow: Narrow,
}

/// How a column's type is narrower than its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Narrow {
    /// It is not.
    No,
    /// A type of fewer bits, whose arithmetic overflows earlier.
    Bits,
    /// A type of texts that ignores more than its collation does.
    Text,
    /// A collation that takes different texts for equal.
    Collation,
}

impl Operand {
    /// Builds an operand without affinity or collation.
    pub fn new(expr: Expr, class: Class) -> Self {
        let nullable = !is_constant(&expr);
        Self { expr, class, affinity: None, collation: None, nullable, narrow: Narrow::No }
    }

    /// Builds the operand of a constant.
    pub fn integer(number: i64) -> Self {
        Self::new(Expr::Integer(number), Class::Integer)
    }

    pub fn is_constant(&self) -> bool {
        is_constant(&self.expr)
    }

    /// Returns the value as its class has it: a text that equals only itself, a number of full width.
    pub fn plain(self) -> Expr {
        match (self.narrow, self.class) {
            (Narrow::No, _) => self.expr,
            (Narrow::Bits, Class::Integer) => self.expr.cast("bigint"),
            (Narrow::Bits, _) => self.expr.cast("double precision"),
            (Narrow::Text, _) => self.expr.cast("text"),
            (Narrow::Collation, _) => self.expr.collate("C"),
        }
    }

    /// Returns a text that is compared byte by byte, as SQLite does.
    pub fn bytewise(self) -> Expr {
        match self.narrow {
            Narrow::Text => self.expr.cast("text").collate("C"),
            _ => self.expr.collate("C"),
        }
    }

    /// Returns the number that SQLite takes a truth value for.
    pub fn into_number(self) -> Self {
        match (self.class, &self.expr) {
            (Class::Boolean, Expr::Boolean(truth)) => Self::integer(i64::from(*truth)),
            (Class::Boolean, _) => {
                let nullable = self.nullable;
                Self { nullable, narrow: Narrow::Bits, ..Self::new(self.expr.cast("integer"), Class::Integer) }
            }
            _ => self,
        }
    }
}

/// Says whether an expression is a constant other than NULL.
pub(super) fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Boolean(_) | Expr::Integer(_) | Expr::Decimal(_) | Expr::Text(_) | Expr::Blob(_))
}
