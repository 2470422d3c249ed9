//! The PostgreSQL types that the tool writes.

use std::fmt;

/// A PostgreSQL column type; [`fmt::Display`] gives its name in DDL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PgType {
    /// `boolean`.
    Boolean,
    /// `smallint`.
    Smallint,
    /// `integer`.
    Integer,
    /// `bigint`.
    Bigint,
    /// `real`.
    Real,
    /// `double precision`.
    Double,
    /// `numeric`, with precision and scale where they are given.
    Numeric(Option<(u16, i16)>),
    /// `text`.
    Text,
    /// `citext`, of the extension of that name: a text that takes letters of either case for the same.
    Citext,
    /// `varchar`, with its length in characters where one is given.
    Varchar(Option<u32>),
    /// `char(n)`.
    Char(u32),
    /// `bytea`.
    Bytea,
    /// `date`.
    Date,
    /// `time` without time zone.
    Time,
    /// `timestamp` without time zone.
    Timestamp,
    /// `timestamptz`.
    Timestamptz,
    /// `uuid`.
    Uuid,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
}

impl PgType {
    /// Reads a type name as people write it in a spec: any case, PostgreSQL's aliases, lengths in parentheses.
    ///
    /// Returns `None` for a type that the tool does not write.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (words, arguments) = match text.split_once('(') {
            Some((before, after)) => {
                let (inside, behind) = after.split_once(')')?;
                (
                    format!("{before} {behind}"),
                    inside.split(',').map(|n| n.trim().parse().ok()).collect::<Option<Vec<i32>>>()?,
                )
            }
            None => (text, Vec::new()),
        };
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let plain = |data_type: Self| arguments.is_empty().then_some(data_type);
        let length = || match arguments[..] {
            [length] if length > 0 && length <= 10_485_760 => u32::try_from(length).ok(),
            _ => None,
        };
        match words.as_str() {
            "boolean" | "bool" => plain(Self::Boolean),
            "smallint" | "int2" => plain(Self::Smallint),
            "integer" | "int" | "int4" => plain(Self::Integer),
            "bigint" | "int8" => plain(Self::Bigint),
            "real" | "float4" => plain(Self::Real),
            "double precision" | "float8" | "float" => plain(Self::Double),
            "numeric" | "decimal" => match arguments[..] {
                [] => Some(Self::Numeric(None)),
                [precision @ 1..=1000] => Some(Self::Numeric(Some((precision as u16, 0)))),
                [precision @ 1..=1000, scale @ -1000..=1000] => {
                    Some(Self::Numeric(Some((precision as u16, scale as i16))))
                }
                _ => None,
            },
            "text" => plain(Self::Text),
            "citext" => plain(Self::Citext),
            "varchar" | "character varying" if arguments.is_empty() => Some(Self::Varchar(None)),
            "varchar" | "character varying" => length().map(|length| Self::Varchar(Some(length))),
            "char" | "character" if arguments.is_empty() => Some(Self::Char(1)),
            "char" | "character" => length().map(Self::Char),
            "bytea" => plain(Self::Bytea),
            "date" => plain(Self::Date),
            "time" | "time without time zone" => plain(Self::Time),
            "timestamp" | "timestamp without time zone" => plain(Self::Timestamp),
            "timestamptz" | "timestamp with time zone" => plain(Self::Timestamptz),
            "uuid" => plain(Self::Uuid),
            "json" => plain(Self::Json),
            "jsonb" => plain(Self::Jsonb),
            _ => None,
        }
    }

    /// Says whether identity columns may have the type.
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Smallint | Self::Integer | Self::Bigint)
    }

    /// Says whether the type holds characters.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Citext | Self::Varchar(_) | Self::Char(_))
    }

    /// Returns the type without its length or precision.
    ///
    /// A cast to the type with a length cuts silently, which in a policy lets another tenant in.
    #[must_use]
    pub fn without_length(self) -> Self {
        match self {
            Self::Varchar(_) | Self::Char(_) => Self::Text,
            Self::Numeric(_) => Self::Numeric(None),
            other => other,
        }
    }

    /// Says whether the object id of a type in `pg_type`, which has this type's name, is this type's.
    ///
    /// Those of the types that PostgreSQL brings along are the same everywhere. An extension's is not, but is none of
    /// theirs.
    pub fn has_oid(self, oid: i64) -> bool {
        /// The first that PostgreSQL gives to what is not its own (`FirstNormalObjectId`).
        const FIRST_OF_OTHERS: i64 = 16384;
        self.oid().map_or(oid >= FIRST_OF_OTHERS, |own| i64::from(own) == oid)
    }

    fn oid(self) -> Option<u32> {
        Some(match self {
            Self::Citext => return None,
            Self::Boolean => 16,
            Self::Bytea => 17,
            Self::Bigint => 20,
            Self::Smallint => 21,
            Self::Integer => 23,
            Self::Text => 25,
            Self::Json => 114,
            Self::Real => 700,
            Self::Double => 701,
            Self::Char(_) => 1042,
            Self::Varchar(_) => 1043,
            Self::Date => 1082,
            Self::Time => 1083,
            Self::Timestamp => 1114,
            Self::Timestamptz => 1184,
            Self::Numeric(_) => 1700,
            Self::Uuid => 2950,
            Self::Jsonb => 3802,
        })
    }
}

impl fmt::Display for PgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Smallint => f.write_str("smallint"),
            Self::Integer => f.write_str("integer"),
            Self::Bigint => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Double => f.write_str("double precision"),
            Self::Numeric(None) => f.write_str("numeric"),
            Self::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Self::Text => f.write_str("text"),
            Self::Citext => f.write_str("citext"),
            Self::Varchar(None) => f.write_str("varchar"),
            Self::Varchar(Some(length)) => write!(f, "varchar({length})"),
            Self::Char(length) => write!(f, "char({length})"),
            Self::Bytea => f.write_str("bytea"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Timestamptz => f.write_str("timestamptz"),
            Self::Uuid => f.write_str("uuid"),
            Self::Json => f.write_str("json"),
            Self::Jsonb => f.write_str("jsonb"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_aliases_and_display_writes_one_form() {
        for (text, shown) in [
            ("VARCHAR(100)", "varchar(100)"),
            ("character varying ( 5 )", "varchar(5)"),
            ("int8", "bigint"),
            ("decimal(10, 2)", "numeric(10,2)"),
            ("numeric(5)", "numeric(5,0)"),
            ("timestamp with time zone", "timestamptz"),
            ("char", "char(1)"),
        ] {
            let parsed = PgType::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(PgType::parse(shown), Some(parsed));
        }
    }

    #[test]
    fn parse_refuses_what_the_tool_does_not_write() {
        for text in ["varchar(0)", "varchar(a)", "text(5)", "money", "numeric(0,1)", "int(", "", "numeric(1,2,3)"] {
            assert_eq!(PgType::parse(text), None, "{text}");
        }
    }
}
