//! Declared SQLite type → PostgreSQL type.
//!
//! The table follows what people chose by hand in migrations of this kind; where they differ, the choice that cannot
//! lose a value wins: INTEGER is `bigint`, CHAR(n) is `varchar(n)`, which pads nothing.

use crate::schema::{Affinity, Declared, PgType};

/// Returns the PostgreSQL type for a declared one; `None` where only a person can tell.
pub fn postgres_type(declared: &Declared) -> Option<PgType> {
    let (words, arguments) = declared.words_and_arguments();
    let varchar = || match arguments[..] {
        [length] if (1..=10_485_760).contains(&length) => PgType::Varchar(u32::try_from(length).ok()),
        _ => PgType::Varchar(None),
    };
    Some(match words.as_str() {
        "INT2" | "SMALLINT" | "TINYINT" => PgType::Smallint,
        "BOOL" | "BOOLEAN" => PgType::Boolean,
        "VARCHAR"
        | "CHARACTER VARYING"
        | "VARYING CHARACTER"
        | "NVARCHAR"
        | "NATIONAL VARYING CHARACTER"
        | "VARCHAR2"
        | "NATIONAL CHARACTER VARYING"
        | "CHAR"
        | "CHARACTER"
        | "NCHAR"
        | "NATIVE CHARACTER"
        | "NATIONAL CHARACTER"
        | "CHAR VARYING"
        | "NCHAR VARYING"
        | "NATIONAL CHAR VARYING"
        | "NATIONAL CHAR"
            if !arguments.is_empty() =>
        {
            varchar()
        }
        "DATE" => PgType::Date,
        "TIME" => PgType::Time,
        "DATETIME" | "TIMESTAMP" | "TIMESTAMP WITHOUT TIME ZONE" | "SMALLDATETIME" | "DATETIME2" => PgType::Timestamp,
        "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" | "DATETIMEOFFSET" => PgType::Timestamptz,
        "DECIMAL" | "NUMERIC" | "NUMBER" | "DEC" | "MONEY" => match arguments[..] {
            [precision @ 1..=1000, scale] if (0..=precision).contains(&scale) => {
                PgType::Numeric(Some((precision as u16, scale as i16)))
            }
            [precision @ 1..=1000] => PgType::Numeric(Some((precision as u16, 0))),
            _ => PgType::Numeric(None),
        },
        "JSON" | "JSONB" => PgType::Jsonb,
        "UUID" | "GUID" | "UNIQUEIDENTIFIER" => PgType::Uuid,
        "BYTEA" | "BINARY" | "VARBINARY" | "IMAGE" => PgType::Bytea,
        "" => PgType::Text,
        _ => match declared.affinity() {
            Affinity::Integer => PgType::Bigint,
            Affinity::Text => PgType::Text,
            Affinity::Blob => PgType::Bytea,
            Affinity::Real => PgType::Double,
            Affinity::Numeric => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds() {
        for (declared, expected) in [
            ("INTEGER", "bigint"),
            ("int", "bigint"),
            ("UNSIGNED BIG INT", "bigint"),
            ("SMALLINT", "smallint"),
            ("VARCHAR(100)", "varchar(100)"),
            ("nvarchar( 20 )", "varchar(20)"),
            ("VARCHAR", "text"),
            ("CHAR(36)", "varchar(36)"),
            ("TEXT", "text"),
            ("", "text"),
            ("CLOB", "text"),
            ("BOOLEAN", "boolean"),
            ("BLOB", "bytea"),
            ("REAL", "double precision"),
            ("FLOAT", "double precision"),
            ("DOUBLE PRECISION", "double precision"),
            ("DECIMAL(10,2)", "numeric(10,2)"),
            ("NUMERIC", "numeric"),
            ("DATE", "date"),
            ("DATETIME", "timestamp"),
            ("TIMESTAMP WITH TIME ZONE", "timestamptz"),
            ("JSON", "jsonb"),
            ("UUID", "uuid"),
        ] {
            let found = postgres_type(&Declared(declared.into())).map(|data_type| data_type.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{declared}");
        }
    }

    #[test]
    fn junk_of_numeric_affinity_is_for_a_person_to_decide() {
        assert_eq!(postgres_type(&Declared("STRING".into())), None);
        assert_eq!(postgres_type(&Declared("WHATEVER(3)".into())), None);
    }
}
