//! Several sources of one schema: which files, and the tenant of each.

use super::project::{Project, shown};
use crate::copy::TenantFile;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::ident::visible;
use crate::plan::Plan;
use crate::remap::Remapper;
use crate::schema::Value;
use crate::sqlite::{Snapshot, schema_hash};
use clap::Args;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// How the tenant of a source is found where the spec leaves it to the run.
#[derive(Debug, Args)]
pub(super) struct TenantNames {
    /// The tenant of the tables that are `per_run`, as the source spells its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["tenant_query", "tenant_map"])]
    pub tenant: Option<String>,
    /// Of several sources: asks each for its tenant, by a query that gives one value [default: the name of the file
    /// without its ending]
    #[arg(long, value_name = "SELECT", conflicts_with = "tenant_map")]
    pub tenant_query: Option<String>,
    /// Of several sources: reads their tenants from a file with the header `path,tenant`; paths count from its folder
    #[arg(long, value_name = "CSV")]
    pub tenant_map: Option<PathBuf>,
}

/// What `--source` names.
pub(super) enum Chosen {
    /// No file: the run that is continued knows it.
    Nothing,
    /// One database.
    Database(PathBuf),
    /// Files with a tenant each, in the order of their names.
    Files(Vec<PathBuf>),
}

/// Finds out what `--source` names: a pattern stands for the files that match it.
///
/// # Errors
/// `source-missing` where a pattern matches nothing, `source-twice`, `tenant-for-several`.
pub(super) fn choose(sources: &[PathBuf], names: &TenantNames) -> Result<Chosen, Diagnostics> {
    let is_asked = names.tenant_query.is_some() || names.tenant_map.is_some();
    match sources {
        [] => return Ok(Chosen::Nothing),
        [only] if !is_asked && !is_pattern(only) => return Ok(Chosen::Database(only.clone())),
        _ => {}
    }
    let mut errors = Diagnostics::default();
    if names.tenant.is_some() {
        let message = "--tenant names one tenant, and --source several files";
        let help = "leave --tenant out: each file's name is its tenant, or see --tenant-query and --tenant-map";
        errors.push(Diagnostic::error("tenant-for-several", message).help(help));
    }
    match files(sources) {
        Ok(paths) => errors.into_result(Chosen::Files(paths)),
        Err(found) => {
            errors.extend(found);
            Err(errors)
        }
    }
}

/// Lists the files that paths and patterns name, in the order of their names.
///
/// # Errors
/// `source-missing` where a pattern matches nothing, `source-twice`.
pub(super) fn files(sources: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostics> {
    let mut errors = Diagnostics::default();
    let mut paths = Vec::new();
    for source in sources {
        match matching(source) {
            Ok(found) => paths.extend(found),
            Err(error) => errors.push(error),
        }
    }
    paths.sort();
    let mut real: HashMap<PathBuf, &Path> = HashMap::new();
    for path in &paths {
        let file = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if let Some(before) = real.insert(file, path) {
            let message = match before == path {
                true => format!("{} is named twice", shown(path)),
                false => format!("{} and {} are one file", shown(before), shown(path)),
            };
            errors.push(Diagnostic::error("source-twice", message).help("name each file once"));
        }
    }
    errors.into_result(paths)
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '[']) && !path.exists()
}

/// Lists the files that a path or a pattern names, without what SQLite keeps beside a database.
fn matching(source: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if !is_pattern(source) {
        return Ok(vec![source.to_owned()]);
    }
    let pattern = source.to_string_lossy();
    let paths = glob::glob(&pattern).map_err(|error| {
        let message = format!("{} is no pattern that names files: {}", shown(source), error.msg);
        Diagnostic::error("source-missing", message).help("quote it, and write * and ? where names differ")
    })?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| {
            let message = format!("cannot look into {}: {}", shown(error.path()), error.error());
            Diagnostic::error("source-unreadable", message)
        })?;
        if !is_beside(&path) {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(Diagnostic::error("source-missing", format!("no file matches {}", shown(source)))
            .help("check the pattern; quote it, so that the shell leaves it alone"));
    }
    Ok(found)
}

fn is_beside(path: &Path) -> bool {
    let name = path.to_string_lossy();
    ["-wal", "-shm", "-journal"]
        .iter()
        .any(|suffix| name.strip_suffix(suffix).is_some_and(|database| Path::new(database).exists()))
}

/// Takes a snapshot of each file by `take`, checks that all have the spec's schema, and finds their tenants.
///
/// # Errors
/// All that is wrong with any of them: `files-of-many-tenants`, those of snapshots, `source-differs`,
/// `tenant-not-found`, `tenant-map-unreadable`, `tenant-map-differs`, `tenant-twice`.
pub(super) fn gather(
    project: &mut Project,
    paths: &[PathBuf],
    names: &TenantNames,
    take: &mut dyn FnMut(usize) -> Result<Snapshot, Diagnostic>,
) -> Result<Vec<TenantFile>, Diagnostics> {
    if !project.plan.is_of_one_tenant() {
        return Err(Diagnostic::error(
            "files-of-many-tenants",
            "the spec finds the tenants of rows in the rows themselves",
        )
        .help("several files go in together where each is one tenant: `tenant: per_run` where a path to it begins")
        .into());
    }
    let mut errors = Diagnostics::default();
    let mut map = match names.tenant_map.as_deref().map(read_map).transpose() {
        Ok(map) => map,
        Err(error) => {
            errors.push(error);
            None
        }
    };
    let mut same_schema = BTreeSet::new();
    let mut files = Vec::with_capacity(paths.len());
    for (number, path) in paths.iter().enumerate() {
        let snapshot = match take(number) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        if let Err(found) = refuse_other_schema(project, path, &snapshot, &mut same_schema) {
            errors.extend(found);
            continue;
        }
        let tenant = match (&names.tenant_query, &mut map) {
            (Some(query), _) => asked(query, &snapshot),
            (None, Some(map)) => map.remove(&real(path)).ok_or_else(|| "the map has no line for it".to_owned()),
            // What is wrong with the map has been said.
            (None, None) if names.tenant_map.is_some() => continue,
            (None, None) => match path.file_stem().and_then(|stem| stem.to_str()) {
                Some(stem) => Ok(stem.to_owned()),
                None => Err("its name is no text".to_owned()),
            },
        };
        match tenant {
            Ok(tenant) => files.push(TenantFile::new(shown(path), tenant, snapshot)),
            Err(reason) => errors.push(no_tenant(&shown(path), &reason)),
        }
    }
    for path in map.iter().flat_map(|map| map.keys()) {
        let message = format!("the map has a line for {}, which --source does not name", shown(path));
        errors.push(Diagnostic::error("tenant-map-differs", message).help("bring the map and --source into agreement"));
    }
    let files = in_order(&project.plan, files, &mut errors);
    errors.into_result(files)
}

/// Puts files into the order of their tenants' ids in the target; refuses ids that it does not take, or has twice.
fn in_order(plan: &Plan, files: Vec<TenantFile>, errors: &mut Diagnostics) -> Vec<TenantFile> {
    let mut remapper = Remapper::new(plan);
    let mut by_id: BTreeMap<Vec<u8>, TenantFile> = BTreeMap::new();
    for file in files {
        match remapper.tenant_field(&file.tenant) {
            Err(reason) => errors.push(no_tenant(&file.name, &format!("{}: {reason}", visible(&file.tenant)))),
            // Without the length before it, which would count first.
            Ok(id) => match by_id.get(&id[4..]) {
                Some(first) => {
                    let names = format!("{} and {}", visible(&first.name), visible(&file.name));
                    let message = format!("{names} are both of the tenant {}", visible(&file.tenant));
                    errors.push(Diagnostic::error("tenant-twice", message).help(
                        "a tenant has one file; see --tenant-query and --tenant-map where names of files say nothing",
                    ));
                }
                None => drop(by_id.insert(id[4..].to_vec(), file)),
            },
        }
    }
    by_id.into_values().collect()
}

fn no_tenant(file: &str, reason: &str) -> Diagnostic {
    Diagnostic::error("tenant-not-found", format!("no tenant is found for {}: {}", visible(file), visible(reason)))
        .help("a file's tenant is its name without the ending, or what --tenant-query or --tenant-map says")
}

/// Makes sure that a file has the spec's schema; one that has the statements of a file which has it is not read again.
fn refuse_other_schema(
    project: &mut Project,
    path: &Path,
    snapshot: &Snapshot,
    same: &mut BTreeSet<String>,
) -> Result<(), Diagnostics> {
    let hash = schema_hash(&snapshot.open()?)?;
    if !same.contains(&hash) {
        super::audit::refuse_other_schema(&project.plan, &mut project.sources, path, snapshot)?;
        same.insert(hash);
    }
    Ok(())
}

/// Asks a file for its tenant.
fn asked(query: &str, snapshot: &Snapshot) -> Result<String, String> {
    let mut answers = Vec::new();
    let database = snapshot.open().map_err(|error| error.message)?;
    database
        .for_each_row::<Diagnostic>(query, &[], &mut |values| {
            answers.push(match values {
                [Value::Text(text)] => String::from_utf8(text.to_vec()).map_err(|_| "a text that is not UTF-8"),
                [Value::Integer(number)] => Ok(number.to_string()),
                [other] => Err(other.storage()),
                _ => Err("several columns"),
            });
            Ok(())
        })
        .map_err(|error| error.message)?;
    match &mut answers[..] {
        [Ok(tenant)] => Ok(std::mem::take(tenant)),
        [Err(other)] => Err(format!("the query gives {other}")),
        [] => Err("the query gives no row".to_owned()),
        more => Err(format!("the query gives {} rows", more.len())),
    }
}

/// Reads the tenant of each file, by its path without links.
fn read_map(path: &Path) -> Result<BTreeMap<PathBuf, String>, Diagnostic> {
    let failed = |reason: String| {
        Diagnostic::error("tenant-map-unreadable", format!("the map {} cannot be read: {reason}", shown(path)))
            .help("its first line is `path,tenant`, and each other one a path, counted from its folder, and an id")
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let header: Vec<String> =
        reader.headers().map_err(|error| failed(error.to_string()))?.iter().map(str::to_owned).collect();
    if header != ["path", "tenant"] {
        return Err(failed("its first line is another".to_owned()));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut map = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| failed(error.to_string()))?;
        let (file, tenant) = (record.get(0).unwrap_or_default(), record.get(1).unwrap_or_default());
        if map.insert(real(&folder.join(file)), tenant.to_owned()).is_some() {
            return Err(failed(format!("{} stands there twice", visible(file))));
        }
    }
    Ok(map)
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
