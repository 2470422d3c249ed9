//! Schema → the text of a spec: every decision that has to be made, with its reason as a comment.
//!
//! The spec is worked out by trying it: it is read, resolved and planned as any other, and each error that says which
//! line would settle it gets that line, until none is left. So a spec from here says exactly what is needed, and the
//! messages and `init` cannot disagree.

mod sheet;
mod tenancy;
mod ways;
mod write;

pub use ways::{Question, Way};

use crate::diagnostic::{Diagnostic, Diagnostics, SourceId};
use crate::plan::Plan;
use crate::schema::{SourceSchema, TableId};
use crate::spec::{self, About, Decision, Origin};
use sheet::{Alternative, Sheet, Value};
use std::collections::BTreeMap;
use write::Open;

/// What a spec is to be written for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The source's path, as the spec is to name it.
    pub source: &'a str,
    /// The path of the DDL, as the spec is to name it.
    pub output: &'a str,
}

/// A spec, and what it leaves to a person.
#[derive(Debug, Clone)]
pub struct Scaffold {
    /// The text of the spec.
    pub text: String,
    /// How many lines were decided, by the code of the diagnostic that asked for them and the spec's key.
    pub decided: BTreeMap<String, usize>,
    /// The keys of the spec that a person has to choose a line for: `tables.invoices.tenant`.
    pub open: Vec<String>,
    /// What is wrong with the spec beside that; empty where it can be used once the choices are made.
    pub remaining: Diagnostics,
}

/// A spec that has been worked out, before it is written.
#[derive(Debug)]
pub struct Outline {
    header: &'static [&'static str],
    sheet: Sheet,
    decided: BTreeMap<String, usize>,
    settled: Result<Plan, Diagnostics>,
}

const PLAIN: &[&str] = &[
    "A plain conversion without tenancy, begun by `tenantry init --all-shared`: each table is there once.",
    "What could not go over as it is has been decided here, with the reason above it. `tenantry plan` shows all.",
];

/// What an editor looks for in the first line: the schema that `tenantry schema` writes, beside the spec. A path within
/// the user's own repository works for everybody who has it, with the very version of tenantry that is in use.
const MODELINE: &str = "yaml-language-server: $schema=tenantry.schema.json";

const TENANCY: &[&str] = &[
    "Begun by `tenantry init`: what follows from the schema stands here with its reason, and is yours to change.",
    "Each CHOOSE is for you: take the # away from one of the lines below it, and from the keys above that line.",
    "`tenantry plan` then shows what comes of it, and `tenantry audit` whether the rows agree.",
    "For completion in an editor, run `tenantry schema > tenantry.schema.json` beside this file.",
];

/// Writes a spec without tenancy: a plain, faithful conversion, with nothing left to choose.
pub fn all_shared(schema: &SourceSchema, request: &Request<'_>) -> Scaffold {
    let mut sheet = begun(request);
    for table in &schema.tables {
        sheet.decide(&["tables", &table.name, "placement"], Value::Text("shared".into()), &[]);
    }
    Outline::new(PLAIN, schema, sheet).finish()
}

/// Works out a spec with tenancy: what the foreign keys say is decided, what they leave open is a choice.
///
/// `root` is the table with one row a tenant; without it, how tenants are told apart is a choice as well.
pub fn with_tenancy(schema: &SourceSchema, request: &Request<'_>, root: Option<TableId>) -> Outline {
    let mut sheet = begun(request);
    let (column, root) = tenancy::tenant(schema, &mut sheet, root);
    tenancy::tables_with_the_column(schema, &mut sheet, root, &column);
    let word = |text: &str| Value::Yaml(text.to_owned());
    let key = format!("a key becomes ({column}, id): two tenants may have rows with the same id");
    sheet.decide(&["defaults", "primary_key"], word("per_tenant"), &[&key]);
    let reference = format!("a reference carries `{column}` along, so that no row can refer to another tenant's");
    sheet.decide(&["defaults", "foreign_keys"], word("per_tenant"), &[&reference]);
    let index = format!("`{column}` stands in front of each index, as it does in each query of a tenant");
    sheet.decide(&["defaults", "indexes"], word("per_tenant"), &[&index]);
    Outline::new(TENANCY, schema, sheet)
}

impl Outline {
    fn new(header: &'static [&'static str], schema: &SourceSchema, mut sheet: Sheet) -> Self {
        let mut decided = BTreeMap::new();
        let settled = settle(schema, &mut sheet, &mut decided);
        if let Ok(plan) = &settled {
            spell_out(plan, &mut sheet);
            note_decisions(plan, &mut sheet);
        }
        Self { header, sheet, decided, settled }
    }

    /// Returns what the rows could tell about the choices that are open.
    pub fn questions(&self) -> Vec<Question> {
        self.settled.as_ref().map_or_else(|_| Vec::new(), |plan| ways::questions(plan, &self.sheet))
    }

    /// Adds a comment to the choice that a question is about.
    pub fn remark(&mut self, question: &Question, text: String) {
        self.sheet.remark(&question.path, text);
    }

    /// Adds a comment above a table.
    pub fn note(&mut self, table: &str, text: String) {
        self.sheet.note(table, text);
    }

    /// Writes the spec.
    pub fn finish(self) -> Scaffold {
        let header: Vec<String> = [MODELINE].iter().chain(self.header).map(|&line| line.to_owned()).collect();
        Scaffold {
            text: write::write(&self.sheet, &header, Open::Choices),
            open: self.sheet.open().map(|(path, _)| path.join(".")).collect(),
            decided: self.decided,
            remaining: self.settled.err().unwrap_or_default(),
        }
    }
}

fn begun(request: &Request<'_>) -> Sheet {
    let mut sheet = Sheet::default();
    sheet.decide(&["version"], Value::Yaml("1".into()), &[]);
    sheet.decide(&["source"], Value::Text(request.source.into()), &[]);
    sheet.decide(&["output"], Value::Text(request.output.into()), &[]);
    sheet
}

/// Tries the spec and takes over what its errors suggest, until it has none.
///
/// # Errors
/// Those that nothing is suggested for.
fn settle(
    schema: &SourceSchema,
    sheet: &mut Sheet,
    decided: &mut BTreeMap<String, usize>,
) -> Result<Plan, Diagnostics> {
    loop {
        let text = write::write(sheet, &[], Open::StandIn);
        // The text is not kept, so nothing can point into it.
        let errors = match plan(schema, &text) {
            Ok(plan) => return Ok(plan),
            Err(errors) => errors,
        };
        let mut is_further = false;
        for error in &errors.0 {
            for suggestion in &error.lines.suggestions {
                let is_new = sheet.take(suggestion, reasons(error, &suggestion.reason));
                is_further |= is_new;
                if is_new {
                    *decided.entry(kind(error, &suggestion.path)).or_default() += 1;
                }
            }
            is_further |= choose(schema, sheet, error);
        }
        if !is_further {
            return Err(errors);
        }
    }
}

/// Writes down what only a person can choose; `false` where the sheet has it already.
fn choose(schema: &SourceSchema, sheet: &mut Sheet, error: &Diagnostic) -> bool {
    let Some(first) = error.lines.choices.first() else { return false };
    let path: Vec<&str> = first.path.iter().map(String::as_str).collect();
    if let ("undecided-unique", ["tables", table, "unique", key]) = (error.code, &path[..])
        && let Some(reason) = tenancy::stays_global(schema, table, key)
    {
        return sheet.decide(&path, Value::Yaml("global".into()), &[&format!("suggested: {reason}")]);
    }
    let key = |path: &[String]| path.last().cloned().unwrap_or_default();
    let alternatives = error.lines.choices.iter().map(|choice| Alternative {
        key: key(&choice.path),
        value: Value::Yaml(choice.yaml.clone()),
        means: choice.means.clone(),
    });
    let mut alternatives: Vec<Alternative> = alternatives.collect();
    if let ("undecided-table", ["tables", table, _]) = (error.code, &path[..]) {
        tenancy::users(schema, table, &mut alternatives);
    }
    sheet.leave_open(&path, vec![error.message.clone()], alternatives)
}

/// Writes what the tool inferred as lines of the spec.
fn spell_out(plan: &Plan, sheet: &mut Sheet) {
    for decision in &plan.tenancy.decisions {
        if let (About::Tenant, Origin::Inferred(reason)) = (&decision.about, &decision.origin) {
            let table = &plan.source.table(decision.table).name;
            sheet.decide(&["tables", table, "tenant"], Value::Yaml(decision.choice.clone()), &[reason]);
        }
    }
}

fn plan(schema: &SourceSchema, text: &str) -> Result<Plan, Diagnostics> {
    let (file, spans) = spec::read(text, SourceId(u32::MAX))?;
    let tenancy = spec::resolve(&file, &spans, schema)?;
    Plan::new(schema.clone(), tenancy)
}

/// Writes why a line is there: the fact, and what the line makes of it.
fn reasons(error: &Diagnostic, means: &str) -> Vec<String> {
    // Such a message lists all of them.
    match error.code {
        "undecided-view" | "undecided-trigger" | "undecided-virtual-table" => vec![means.to_owned()],
        _ => vec![error.message.clone(), format!("so: {means}")],
    }
}

/// Names the kind of a decision: the diagnostic's code, and which key of the spec settles it.
fn kind(error: &Diagnostic, path: &[String]) -> String {
    let key = match path {
        [_, _, section, _, key] if section == "columns" => key.as_str(),
        [_, _, section, ..] => section.as_str(),
        [top, ..] => top.as_str(),
        [] => "",
    };
    format!("{} ({key})", error.code)
}

/// Says whether a reference goes over in a way of its own: between tenants' rows, and between rows of none, it does not.
fn is_of_note(decision: &Decision) -> bool {
    matches!(decision.about, About::ForeignKey(..))
        && decision.choice != "global"
        && matches!(&decision.origin, Origin::Inferred(reason) if reason.contains("names a tenant") || reason.contains("root"))
}

/// What a plan warns of that a person who reads the spec has no use for: it concerns the application's queries, or stands
/// there already.
const NOT_OF_THE_SCHEMA: &[&str] = &[
    "insert-needs-tenant",
    "lookup-by-id-alone",
    "no-primary-key",
    "primary-key-weakened",
    "unindexed-foreign-key",
    "unique-weakened",
];

/// Writes what the tool decided on its own above the tables concerned.
fn note_decisions(plan: &Plan, sheet: &mut Sheet) {
    let references = plan.tenancy.decisions.iter().filter(|decision| is_of_note(decision));
    for decision in references.chain(&plan.rewritten.decisions) {
        let Origin::Inferred(reason) = &decision.origin else { continue };
        let about = match &decision.about {
            About::Name => "name".to_owned(),
            About::PrimaryKey => "primary key".to_owned(),
            About::Column(name) => format!("column {name}"),
            About::Check(name) => format!("check {name}"),
            About::Index(name) => format!("index {name}"),
            About::Unique(name) => format!("unique {name}"),
            About::ForeignKey(name, _) => format!("foreign key {name}"),
            About::Placement | About::Tenant | About::Rls | About::Rows => continue,
        };
        let instead = match &decision.alternatives[..] {
            [] => String::new(),
            alternatives => format!("; instead of {}", alternatives.join(", ")),
        };
        let text = format!("{about}: {} ({reason}{instead})", decision.choice);
        sheet.note(&plan.source.table(decision.table).name, text);
    }
    for hazard in plan.hazards().iter().filter(|hazard| !NOT_OF_THE_SCHEMA.contains(&hazard.code)) {
        sheet.note(&plan.source.table(hazard.table).name, format!("{}: {}", hazard.code, hazard.message));
    }
}
