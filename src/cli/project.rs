//! Spec file → plan, with the paths that the spec names.

use super::extra;
use crate::diagnostic::{Diagnostic, Diagnostics, Sources};
use crate::emit;
use crate::ident::visible;
use crate::plan::{Plan, Section};
use crate::spec::{self, About, Keep, Origin, Placement, Spans, SpecFile, TenantIdEntry, TenantIdFile, TenantSource};
use crate::sqlite;
use std::path::{Component, Path, PathBuf};

/// A spec that has been read and planned.
#[derive(Debug)]
pub struct Project {
    /// The texts that the plan's spans point into.
    pub sources: Sources,
    /// The plan.
    pub plan: Plan,
    /// Where the generated DDL is committed.
    pub output: Option<PathBuf>,
    /// What the spec and the files that it names for the rows say, byte for byte.
    texts: Vec<String>,
}

/// The errors of a spec, with the texts that they point into.
#[derive(Debug)]
pub struct Failure {
    /// The texts that the errors point into.
    pub sources: Sources,
    /// The errors.
    pub errors: Diagnostics,
}

impl Project {
    /// Reads a spec, the DDL that it names, and plans.
    ///
    /// Paths in a spec count from its folder and stay below the repository's root unless `allow_outside`.
    ///
    /// # Errors
    /// Those of the spec, of the DDL and of the plan, with their texts.
    pub fn load(path: &Path, allow_outside: bool) -> Result<Self, Failure> {
        let mut sources = Sources::default();
        match Self::read(path, allow_outside, &mut sources) {
            Ok((plan, output, texts)) => Ok(Self { sources, plan, output, texts }),
            Err(errors) => Err(Failure { sources, errors }),
        }
    }

    /// Returns the hash of all that decides what becomes of a row: what a run is bound to.
    pub fn run_hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let tenant = self.plan.tenancy.tenant.per_run.iter();
        for text in self.texts.iter().chain(tenant) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Returns the hexadecimal BLAKE3 hash of the DDL that the plan makes.
    pub fn ddl_hash(&self) -> String {
        blake3::hash(emit::postgres(&self.plan, &Section::DDL).as_bytes()).to_hex().to_string()
    }

    fn read(path: &Path, allow_outside: bool, sources: &mut Sources) -> Result<Read, Diagnostics> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Diagnostic::error("spec-unreadable", format!("the spec {} cannot be read: {error}", shown(path)))
                .help("name a spec, which is a YAML file; `tenantry init --source DB -o SPEC` writes a first one")
        })?;
        let id = sources.add(shown(path), text.clone());
        let (mut file, spans) = spec::read(&text, id)?;
        let paths = Paths::new(path, allow_outside);
        let mut errors = Diagnostics::default();
        let source = paths.source(&file, &spans, &mut errors);
        let output = paths.output(&file, &spans, &mut errors);
        let mut texts = vec![text];
        file.tenant_ids = paths.tenant_ids(&file, &spans, sources, &mut texts, &mut errors);
        let (Some(source), true) = (source, errors.is_empty()) else { return Err(errors) };
        let schema = sqlite::read_source(&source, sources)?;
        let extra = extra::read(&file, &spans, &paths, sources);
        let mut tenancy = spec::resolve(&file, &spans, &schema);
        match (&mut tenancy, extra) {
            (Ok(tenancy), Ok(extra)) => tenancy.extra = extra,
            (Err(errors), Err(more)) => errors.extend(more),
            (_, Err(errors)) => return Err(errors),
            (Err(_), Ok(_)) => {}
        }
        let plan = Plan::new(schema, tenancy?)?;
        check_expressions(&plan)?;
        Ok((plan, output, texts))
    }
}

/// A plan, where its DDL is committed, and the texts that decide about rows.
type Read = (Plan, Option<PathBuf>, Vec<String>);

/// Reads what the spec gives in SQLite's dialect, so that a mistake shows before there are rows.
fn check_expressions(plan: &Plan) -> Result<(), Diagnostics> {
    let mut errors = Diagnostics::default();
    for table in plan.source.table_ids() {
        if let Keep::Where(text) = &plan.tenancy.table(table).rows.keep
            && let Err(mut error) = sqlite::row_expression(&plan.source, table, text)
        {
            let decision = plan.decisions_about(table).find(|decision| decision.about == About::Rows);
            if let Some(Origin::Spec(span)) = decision.map(|decision| &decision.origin) {
                error = error.label(span.clone(), "`keep` of these");
            }
            errors.push(error);
        }
        let Placement::Tenant(source) = &plan.tenancy.table(table).placement else { continue };
        for source in source.alternatives() {
            let TenantSource::Sql(text) = source else { continue };
            if let Err(mut error) = sqlite::row_expression(&plan.source, table, text) {
                let decision = plan.decisions_about(table).find(|decision| decision.about == About::Tenant);
                if let Some(Origin::Spec(span)) = decision.map(|decision| &decision.origin) {
                    error = error.label(span.clone(), "this source");
                }
                errors.push(error);
            }
        }
    }
    errors.into_result(())
}

pub(super) struct Paths {
    folder: PathBuf,
    root: Option<PathBuf>,
}

impl Paths {
    fn new(spec: &Path, allow_outside: bool) -> Self {
        let spec = std::path::absolute(spec).unwrap_or_else(|_| spec.to_owned());
        let folder = spec.parent().map(normal).unwrap_or_default();
        let root = folder.ancestors().find(|folder| folder.join(".git").exists()).map(Path::to_owned);
        Self { folder, root: root.filter(|_| !allow_outside) }
    }

    fn source(&self, file: &SpecFile, spans: &Spans, errors: &mut Diagnostics) -> Option<PathBuf> {
        let list = &file.source.as_ref()?.0;
        match &list[..] {
            [only] => self.resolve(only, &["source"], spans, errors),
            _ => {
                errors.push(
                    Diagnostic::error("several-sources", "`source` names more than one path")
                        .label(spans.value(&["source"]), "these")
                        .help("name one file, or the folder that holds the files in order"),
                );
                None
            }
        }
    }

    fn output(&self, file: &SpecFile, spans: &Spans, errors: &mut Diagnostics) -> Option<PathBuf> {
        self.resolve(file.output.as_ref()?, &["output"], spans, errors)
    }

    /// Reads the file of new tenant ids, where the spec names one.
    fn tenant_ids(
        &self,
        file: &SpecFile,
        spans: &Spans,
        sources: &mut Sources,
        texts: &mut Vec<String>,
        errors: &mut Diagnostics,
    ) -> Option<TenantIdFile> {
        let Some(TenantIdEntry::File(path)) = file.tenant.as_ref()?.id.as_ref() else { return None };
        let key = ["tenant", "id", "file"];
        let path = self.resolve(path, &key, spans, errors)?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("the tenant ids {} cannot be read: {error}", shown(&path));
                errors.push(Diagnostic::error("tenant-ids-unreadable", message).label(spans.value(&key), "this file"));
                return None;
            }
        };
        let id = sources.add(shown(&path), text.clone());
        texts.push(text.clone());
        match TenantIdFile::parse(&text, id) {
            Ok(ids) => Some(ids),
            Err(found) => {
                errors.extend(found);
                None
            }
        }
    }

    /// Makes a path of the spec one that can be opened; `key` leads to it in the spec.
    pub fn resolve(&self, path: &str, key: &[&str], spans: &Spans, errors: &mut Diagnostics) -> Option<PathBuf> {
        let resolved = normal(&self.folder.join(path));
        match &self.root {
            Some(root) if !resolved.starts_with(root) => {
                errors.push(
                    Diagnostic::error("path-outside", format!("`{path}` leads out of the repository"))
                        .label(spans.value(key), "outside")
                        .help("keep it within the repository, or allow it with --allow-outside"),
                );
                None
            }
            _ => Some(short(&resolved)),
        }
    }
}

/// Writes a path as a spec names it: counted from the spec's folder.
pub(super) fn relative(path: &Path, spec: &Path) -> String {
    let absolute = |path: &Path| normal(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let (path, spec) = (absolute(path), absolute(spec));
    let folder: Vec<Component<'_>> = spec.parent().map(|folder| folder.components().collect()).unwrap_or_default();
    let parts: Vec<Component<'_>> = path.components().collect();
    let common = folder.iter().zip(&parts).take_while(|(one, other)| one == other).count();
    let up = folder[common..].iter().map(|_| "..".to_owned());
    let down = parts[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// Takes `.` and `..` out of a path without asking the file system.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

/// Shortens a path to the current folder where it lies below it, as people write it.
fn short(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).map_or_else(|| path.to_owned(), Path::to_owned)
}

/// Shows a path without anything that could deceive a terminal.
pub(super) fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}
