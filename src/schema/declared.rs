//! A column type as SQLite keeps it: the declared words, and the affinity that follows from them.

/// How SQLite coerces values stored in a column (<https://sqlite.org/datatype3.html>, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Affinity {
    /// INTEGER: as NUMERIC.
    Integer,
    /// TEXT: numbers become text.
    Text,
    /// BLOB: nothing is coerced.
    Blob,
    /// REAL: as NUMERIC, integers become floating point.
    Real,
    /// NUMERIC: text that reads as a number becomes one.
    Numeric,
}

/// Holds a declared type such as `VARCHAR(100)`; empty where a column has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Declared(pub String);

impl Declared {
    /// Derives the affinity by SQLite's five rules, in their order: INT, then CHAR/CLOB/TEXT, then BLOB or nothing,
    /// then REAL/FLOA/DOUB, else NUMERIC. So `CHARINT` and `FLOATING POINT` are INTEGER.
    pub fn affinity(&self) -> Affinity {
        let upper = self.0.to_ascii_uppercase();
        let has = |word| upper.contains(word);
        if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || upper.trim().is_empty() {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }

    /// Returns the type's words in upper case with single spaces, and its arguments: `varchar( 10 )` is
    /// `("VARCHAR", [10])`. Arguments that are no numbers are left out.
    ///
    /// SQLite keeps the comments between the words.
    pub fn words_and_arguments(&self) -> (String, Vec<i64>) {
        let text = without_comments(&self.0);
        let (words, arguments) = match text.split_once('(') {
            Some((before, after)) => {
                let (inside, behind) = after.rsplit_once(')').unwrap_or((after, ""));
                (format!("{before} {behind}"), inside)
            }
            None => (text.clone(), ""),
        };
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
        (words, arguments.split(',').filter_map(|argument| argument.trim().parse().ok()).collect())
    }
}

/// Puts a space in place of each comment.
fn without_comments(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find("/*").into_iter().chain(rest.find("--")).min() {
        let end = if rest[start..].starts_with("--") { "\n" } else { "*/" };
        kept.push_str(&rest[..start]);
        kept.push(' ');
        // Neither ends where it begins: "/*/" is open.
        let behind = &rest[start + 2..];
        rest = behind.split_once(end).map_or("", |(_, behind)| behind);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_follows_the_order_of_sqlites_rules() {
        for (declared, affinity) in [
            ("INTEGER", Affinity::Integer),
            ("CHARINT", Affinity::Integer),
            ("FLOATING POINT", Affinity::Integer),
            ("varchar(10)", Affinity::Text),
            ("BLOB", Affinity::Blob),
            ("", Affinity::Blob),
            ("DOUBLE PRECISION", Affinity::Real),
            ("STRING", Affinity::Numeric),
            ("JSON", Affinity::Numeric),
            ("DECIMAL(10,2)", Affinity::Numeric),
            ("DATETIME", Affinity::Numeric),
        ] {
            assert_eq!(Declared(declared.into()).affinity(), affinity, "{declared}");
        }
    }

    #[test]
    fn words_and_arguments_come_apart() {
        let parts = |text: &str| Declared(text.into()).words_and_arguments();
        assert_eq!(parts("varchar( 10 )"), ("VARCHAR".into(), vec![10]));
        assert_eq!(parts("decimal(10, 2) unsigned"), ("DECIMAL UNSIGNED".into(), vec![10, 2]));
        assert_eq!(parts("unsigned  big int"), ("UNSIGNED BIG INT".into(), vec![]));
        assert_eq!(parts("enum('a','b')"), ("ENUM".into(), vec![]));
        assert_eq!(parts("varchar /* bytes? */ (10)"), ("VARCHAR".into(), vec![10]));
        assert_eq!(parts("decimal(10 /*p*/, --s\n 2)"), ("DECIMAL".into(), vec![10, 2]));
        assert_eq!(parts("big/*/ x */int -- y"), ("BIG INT".into(), vec![]));
    }
}
