//! `init`: a spec for a schema that has none yet.

use super::Format;
use super::exit::{CLEAN, FINDINGS};
use super::output::Output;
use super::project::{relative, shown};
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::ident::visible;
use crate::scaffold::{Outline, Request, Scaffold, all_shared, with_tenancy};
use crate::schema::{ColumnId, SourceSchema, TableId};
use crate::spec::unknown_table;
use crate::sqlite::{self, Snapshot, agreement, undeclared_references};
use clap::Args;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Writes a spec for a schema, with the reason for every decision in it
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 where the spec can be used as it is, with 1 where choices are left to make in it.

Examples:
  tenantry init --source app.db --root accounts -o app.yaml  tenancy: each row belongs to a row of accounts
  tenantry init --source app.db -o app.yaml                  the same, with the root as a choice
  tenantry init --source schema.sql --root accounts --sample app.db -o app.yaml
                                                             and what the rows say about the choices
  tenantry init --source app.db --all-shared -o app.yaml     a plain conversion to PostgreSQL, without tenancy
  tenantry emit app.yaml")]
pub(super) struct Arguments {
    /// DDL, a folder of migrations in order, or a SQLite database
    #[arg(long, value_name = "DB_OR_DDL")]
    source: PathBuf,
    /// Where to write the spec; a file that is there already is left alone. To stdout where absent
    #[arg(short, long, value_name = "SPEC")]
    output: Option<PathBuf>,
    /// The table with one row a tenant
    #[arg(long, value_name = "TABLE", conflicts_with = "all_shared")]
    root: Option<String>,
    /// A database of that schema: its rows are counted, to say beside each choice what they agree with
    #[arg(long, value_name = "DB", conflicts_with = "all_shared")]
    sample: Option<PathBuf>,
    /// No tenancy: each table is there once, and nothing is left to choose
    #[arg(long)]
    all_shared: bool,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let mut sources = Sources::default();
    let written = scaffold(arguments, &mut sources).and_then(|scaffold| {
        match &arguments.output {
            None => output.result(&scaffold.text),
            Some(path) => write_new(path, &scaffold.text)?,
        }
        Ok(scaffold)
    });
    let scaffold = match written {
        Ok(scaffold) => scaffold,
        Err(errors) => return output.errors(&errors, &sources, Format::Text),
    };
    if let Some(path) = &arguments.output {
        output.note(&format!("wrote {}", shown(path)));
    }
    if !scaffold.open.is_empty() {
        let noun = if scaffold.open.len() == 1 { "choice is" } else { "choices are" };
        output.note(&format!("{} {noun} left to make, marked CHOOSE:", scaffold.open.len()));
        for key in &scaffold.open {
            output.note(&format!("  {}", visible(key)));
        }
    }
    if !scaffold.remaining.is_empty() {
        output.note("the spec needs more before it can be used:");
        output.errors(&scaffold.remaining, &sources, Format::Text);
    }
    if scaffold.open.is_empty() && scaffold.remaining.is_empty() { CLEAN } else { FINDINGS }
}

fn scaffold(arguments: &Arguments, sources: &mut Sources) -> Result<Scaffold, Diagnostics> {
    let schema = sqlite::read_source(&arguments.source, sources)?;
    let spec = arguments.output.clone().unwrap_or_else(|| PathBuf::from("schema.yaml"));
    let stem = spec.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (source, ddl) = (relative(&arguments.source, &spec), format!("{stem}.postgres.sql"));
    let request = Request { source: &source, output: &ddl };
    if arguments.all_shared {
        return Ok(all_shared(&schema, &request));
    }
    let root = arguments.root.as_ref().map(|name| root(&schema, name)).transpose()?;
    let mut outline = with_tenancy(&schema, &request, root);
    if let Some(path) = &arguments.sample {
        sample(&schema, path, &mut outline, sources)?;
    }
    Ok(outline.finish())
}

fn root(schema: &SourceSchema, name: &str) -> Result<TableId, Diagnostic> {
    schema.find_table(name).ok_or_else(|| unknown_table(schema, name))
}

/// Asks the rows about the choices, and writes down what they say.
fn sample(schema: &SourceSchema, path: &Path, outline: &mut Outline, sources: &mut Sources) -> Result<(), Diagnostics> {
    let snapshot = Snapshot::take(path)?;
    let database = snapshot.open()?;
    let differences = sqlite::schema_differences(schema, &sqlite::read_schema(&database, sources)?);
    if !differences.is_empty() {
        let list: Vec<String> = differences.iter().map(|difference| format!("  {difference}")).collect();
        return Err(Diagnostic::error("source-differs", format!("{} has another schema than the source", shown(path)))
            .help(format!("{}\nname a database of the same schema", list.join("\n")))
            .into());
    }
    for question in outline.questions() {
        let Some((first, others)) = question.ways.split_first() else { continue };
        for other in others {
            let found =
                agreement(&database, schema, question.table, (&first.hops, first.tenant), (&other.hops, other.tenant))?;
            let text = format!(
                "in {} rows: {} finds a tenant for {}, {} for {}; where both do, they agree in {} and differ in {}",
                found.rows, first.yaml, found.first, other.yaml, found.other, found.same, found.different
            );
            outline.remark(&question, text);
        }
    }
    for found in undeclared_references(&database, schema)? {
        let place = |column: ColumnId| (&schema.table(schema.column(column).table).name, &schema.column(column).name);
        let ((table, column), (parent, key)) = (place(found.column), place(found.key));
        let text = format!(
            "`{column}` refers to `{parent}` without a foreign key: all {} rows with a value ({} different ones) name a \
             row of it. Declared as foreign_keys: {{{column}: {{references: \"{parent}({key})\"}}}}, it counts",
            found.rows, found.values
        );
        outline.note(table, text);
    }
    Ok(())
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<(), Diagnostic> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Diagnostic::error("spec-exists", format!("{} is there already", shown(path)))
                .help("a spec is edited by hand, so it is never written over: choose another name, or move it away")
        }
        _ => Diagnostic::error("output-unwritable", format!("{} cannot be written: {error}", shown(path)))
            .help("check the folder and its rights"),
    };
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
