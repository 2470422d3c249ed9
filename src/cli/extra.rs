//! The files of `extra:`: read, cut into statements, and kept within the transactions of a cutover's steps.

use super::project::{Paths, shown};
use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, Sources, Span};
use crate::spec::{ExtraFile, ExtraSection, Spans, SpecFile, SqlStatement, cut};

/// Reads the files that the spec adds.
///
/// # Errors
/// All at once: paths that lead outside or cannot be read, text that is no SQL, statements that begin or end transactions.
pub(super) fn read(
    file: &SpecFile,
    spans: &Spans,
    paths: &Paths,
    sources: &mut Sources,
) -> Result<Vec<ExtraFile>, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut files = Vec::new();
    for (section, list) in [
        (ExtraSection::PreData, &file.extra.pre_data),
        (ExtraSection::PostData, &file.extra.post_data),
        (ExtraSection::Isolation, &file.extra.isolation),
    ] {
        for (position, path) in list.iter().enumerate() {
            let position = position.to_string();
            let key = ["extra", section.name(), position.as_str()];
            let Some(resolved) = paths.resolve(path, &key, spans, &mut errors) else { continue };
            let text = match std::fs::read_to_string(&resolved) {
                Ok(text) => text,
                Err(error) => {
                    let message = format!("{} cannot be read: {error}", shown(&resolved));
                    errors.push(Diagnostic::error("extra-unreadable", message).label(spans.value(&key), "this file"));
                    continue;
                }
            };
            let source = sources.add(shown(&resolved), text.clone());
            if let Some(statements) = statements(&text, source, &mut errors) {
                files.push(ExtraFile { section, path: path.clone(), statements });
            }
        }
    }
    errors.into_result(files)
}

fn statements(text: &str, source: SourceId, errors: &mut Diagnostics) -> Option<Vec<String>> {
    let statements = match cut(text) {
        Ok(statements) => statements,
        Err(uncut) => {
            let message = format!("the SQL cannot be read: {}", uncut.message);
            let place = Span::new(source, uncut.place);
            errors.push(Diagnostic::error("sql-syntax", message).label(place, "here"));
            return None;
        }
    };
    for statement in statements.iter().filter(|statement| is_transaction_control(statement)) {
        errors.push(
            Diagnostic::error("transaction-control", "the file begins or ends a transaction")
                .label(Span::new(source, statement.place.clone()), "this statement")
                .help("leave it out: all statements of a plan run in the transaction of the cutover"),
        );
    }
    Some(statements.into_iter().map(|statement| statement.text).collect())
}

fn is_transaction_control(statement: &SqlStatement) -> bool {
    let words: Vec<&str> = statement.begins.iter().map(String::as_str).collect();
    matches!(
        words[..],
        ["BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE", ..]
            | ["PREPARE", "TRANSACTION", ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_are_the_cutovers() {
        let found = |text: &str| {
            let mut errors = Diagnostics::default();
            statements(text, SourceId(0), &mut errors);
            errors.0.iter().map(|error| error.code).collect::<Vec<_>>()
        };
        assert_eq!(found("BEGIN; SELECT 1; commit"), ["transaction-control"; 2]);
        assert_eq!(found("/* x */ prepare transaction 'x'"), ["transaction-control"]);
        assert_eq!(found("PREPARE x AS SELECT 1; CREATE TABLE \"end\" ()"), [""; 0]);
        assert_eq!(found("SELECT 'a"), ["sql-syntax"]);
    }
}
