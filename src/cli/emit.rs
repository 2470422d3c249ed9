//! `emit`: the DDL, to stdout or to the spec's `output:`.

use super::Format;
use super::exit::CLEAN;
use super::output::Output;
use super::project::{Project, shown};
use crate::diagnostic::Diagnostic;
use crate::emit::{MigrationFile, Wrap, bootstrap, postgres, sqlite, wrapped};
use crate::plan::Section;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};

/// Writes the DDL, to stdout or to the spec's output file
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry emit specs/bai.yaml
  tenantry emit specs/bai.yaml --section post-data
  tenantry emit specs/bai.yaml --section bootstrap         roles and database, for an administrator's psql
  tenantry emit specs/bai.yaml --write                     into the file that `output:` names
  tenantry emit specs/bai.yaml --dialect sqlite            the same tenancy, for development
  tenantry emit specs/bai.yaml --wrap alembic --into migrations/versions --after 3f8e21c07b5a")]
pub(super) struct Arguments {
    /// The tenancy spec
    spec: PathBuf,
    /// Writes the file that the spec's `output:` names
    #[arg(long, conflicts_with = "section")]
    write: bool,
    /// Only this section
    #[arg(long, value_enum)]
    section: Option<SectionName>,
    /// The dialect of the DDL
    #[arg(long, value_enum, default_value_t, conflicts_with_all = ["write", "section"])]
    dialect: Dialect,
    /// Writes two migrations, one before the rows and one behind them, each with its way back
    #[arg(long, value_enum, requires = "into", conflicts_with_all = ["write", "section", "dialect"])]
    wrap: Option<WrapName>,
    /// The folder of migrations that they are written into
    #[arg(long, value_name = "FOLDER", requires = "wrap")]
    into: Option<PathBuf>,
    /// The migration that they follow: Alembic's revision, or the number of the last file
    #[arg(long, value_name = "REVISION", requires = "wrap")]
    after: Option<String>,
    /// Lets the spec name paths outside its repository
    #[arg(long)]
    allow_outside: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SectionName {
    /// Tables.
    PreData,
    /// Keys, indexes, foreign keys, views and triggers.
    PostData,
    /// Ownership, row-level security and grants: to run last.
    Isolation,
    /// Roles, database and default privileges: a script for an administrator's psql.
    Bootstrap,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Dialect {
    /// What the spec's `output:` holds.
    #[default]
    Postgres,
    /// The same tenancy for development: `id INTEGER PRIMARY KEY`, composite foreign keys.
    Sqlite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WrapName {
    /// Two revisions in Python, which do nothing but on PostgreSQL.
    Alembic,
    /// Two files, each with `migrate:up` and `migrate:down`.
    Dbmate,
    /// Two pairs of `.up.sql` and `.down.sql`.
    Sqlx,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> u8 {
    let project = match Project::load(&arguments.spec, arguments.allow_outside) {
        Ok(project) => project,
        Err(failure) => return output.errors(&failure.errors, &failure.sources, Format::Text),
    };
    if let (Some(wrap), Some(folder)) = (arguments.wrap, &arguments.into) {
        return match migrations(arguments, &project, wrap, folder) {
            Ok(files) => {
                files.iter().for_each(|file| output.note(&format!("wrote {}", shown(&folder.join(&file.name)))));
                CLEAN
            }
            Err(error) => output.error(error, &project.sources, Format::Text),
        };
    }
    if arguments.dialect == Dialect::Sqlite {
        output.result(&sqlite(&project.plan));
        return CLEAN;
    }
    if arguments.section == Some(SectionName::Bootstrap) && project.plan.tenancy.isolation.roles.is_empty() {
        let error = Diagnostic::error("missing-key", "the spec has no `roles`, so there is nothing to prepare")
            .help("name them, as in `roles: {owner: shop_owner, app: shop_app}`");
        return output.error(error, &project.sources, Format::Text);
    }
    let ddl = match arguments.section {
        None => postgres(&project.plan, &Section::DDL),
        Some(SectionName::PreData) => postgres(&project.plan, &[Section::PreData]),
        Some(SectionName::PostData) => postgres(&project.plan, &[Section::PostData]),
        Some(SectionName::Isolation) => postgres(&project.plan, &[Section::Isolation]),
        Some(SectionName::Bootstrap) => bootstrap(&project.plan),
    };
    if !arguments.write {
        output.result(&ddl);
        return CLEAN;
    }
    let Some(path) = &project.output else {
        let error = Diagnostic::error("missing-key", "the spec has no `output`")
            .help("name the file to write, as in `output: schema.postgres.sql`");
        return output.error(error, &project.sources, Format::Text);
    };
    match write_whole(path, &ddl) {
        Ok(()) => {
            output.note(&format!("wrote {}", shown(path)));
            CLEAN
        }
        Err(error) => output.error(unwritable(path, &error), &project.sources, Format::Text),
    }
}

/// Writes the migrations into their folder.
fn migrations(
    arguments: &Arguments,
    project: &Project,
    wrap: WrapName,
    folder: &Path,
) -> Result<Vec<MigrationFile>, Diagnostic> {
    let wrap = match wrap {
        WrapName::Alembic => Wrap::Alembic,
        WrapName::Dbmate => Wrap::Dbmate,
        WrapName::Sqlx => Wrap::Sqlx,
    };
    let name = arguments.spec.file_stem().unwrap_or_default().to_string_lossy();
    let files = wrapped(&project.plan, wrap, &name, arguments.after.as_deref())?;
    for file in &files {
        let path = folder.join(&file.name);
        write_whole(&path, &file.text).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(files)
}

/// Says that a file cannot be written, without the name of the temporary file that was to become it.
fn unwritable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let name = shown(path);
    match (error.kind(), path.parent()) {
        (std::io::ErrorKind::NotFound, Some(folder)) => {
            Diagnostic::error("output-unwritable", format!("{name} cannot be written: its folder does not exist"))
                .help(format!("make it first: mkdir -p {}", shown(folder)))
        }
        (kind, _) => Diagnostic::error("output-unwritable", format!("{name} cannot be written: {kind}"))
            .help("check the folder and its rights"),
    }
}

/// Writes a file as a whole or not at all, so that an interrupted run leaves no half of it.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The private mode of a temporary file is not what a committed file has.
        let mode = std::fs::metadata(path).map_or(0o644, |present| present.permissions().mode());
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    file.persist(path)?;
    Ok(())
}
