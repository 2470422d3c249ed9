//! The DDL as files of a migration tool: one step before the rows, one behind them, each with its way back.
//!
//! The steps are two because rows belong between them. Isolation is the end of the second.

mod alembic;
mod plain;

use super::statement::statement;
use super::undo::undo;
use crate::diagnostic::Diagnostic;
use crate::ident::{quote, visible};
use crate::plan::{Makes, Plan, Section};

/// A migration tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    /// Alembic's revisions, in Python.
    Alembic,
    /// dbmate's files, with the way back in the same file.
    Dbmate,
    /// Files of sqlx, with the way back in one of their own.
    Sqlx,
}

/// A file for a folder of migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationFile {
    /// Its name without a folder.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One migration: what it does and what undoes it, statement by statement.
struct Step {
    /// `pre-data` or `post-data`.
    section: Section,
    up: Vec<String>,
    down: Vec<String>,
}

/// Writes the files.
///
/// `name` is what people call the system. `after` is the migration that these follow: a revision of Alembic's, or a number
/// for the others. The same plan, name and `after` give the same files.
///
/// # Errors
/// `not-a-number` where `after` has to be a number and is none.
pub fn wrapped(plan: &Plan, wrap: Wrap, name: &str, after: Option<&str>) -> Result<Vec<MigrationFile>, Diagnostic> {
    let steps = [
        Step::new(plan, Section::PreData, &[Section::PreData]),
        Step::new(plan, Section::PostData, &[Section::PostData, Section::Isolation]),
    ];
    match wrap {
        Wrap::Alembic => Ok(alembic::files(&steps, name, after)),
        Wrap::Dbmate => plain::dbmate(&steps, name, after),
        Wrap::Sqlx => plain::sqlx(&steps, name, after),
    }
}

impl Step {
    fn new(plan: &Plan, section: Section, sections: &[Section]) -> Self {
        let made: Vec<_> = sections.iter().flat_map(|&section| plan.section(section)).collect();
        let mut up: Vec<String> = made.iter().filter_map(|made| statement(plan, made)).collect();
        let mut down: Vec<String> = made.iter().rev().filter_map(|made| undo(plan, made)).collect();
        let is_verbatim = |makes| matches!(makes, Makes::View(_) | Makes::Trigger(..) | Makes::Extra(..));
        let schema = &plan.tenancy.target_schema;
        if schema != "public" && made.iter().any(|made| is_verbatim(made.makes)) {
            // Only for these statements: the tool's own table is looked for in the schema it was made in.
            for list in [&mut up, &mut down] {
                list.insert(0, format!("SET LOCAL search_path TO {}, pg_temp", quote(schema)));
                list.push("SET LOCAL search_path TO DEFAULT".to_owned());
            }
        }
        Self { section, up, down }
    }

    /// Says what the step does, as words for a file's name.
    fn words(&self, name: &str) -> String {
        let kept =
            |character: char| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '_' };
        let name: String = name.chars().map(kept).collect();
        format!("{name}_{}", self.section.name().replace('-', "_"))
    }

    /// Says what the step does, for people.
    fn sentence(&self, name: &str) -> String {
        let what = match self.section {
            Section::PreData => "the tables; the rows come next",
            _ => "keys, indexes, foreign keys and isolation, behind the rows",
        };
        format!("{}: {what}", visible(name))
    }
}
