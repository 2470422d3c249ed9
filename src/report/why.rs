//! The decisions behind one table, column or key, with the lines of the spec that made them.

use super::decision::{decided, object_name};
use super::json::{SCHEMA_VERSION, decision_json};
use crate::diagnostic::{Diagnostic, Sources};
use crate::emit;
use crate::ident::visible;
use crate::plan::{Makes, Plan};
use crate::schema::TableId;
use crate::spec::{About, Decision, Origin, unknown_table};
use serde_json::{Value, json};

/// What a person asks about: a table, or one object of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    table: TableId,
    object: Option<String>,
}

impl Asked {
    /// Reads `TABLE` or `TABLE.OBJECT`, where OBJECT is a column, the name of a key or index, a key's columns, or
    /// `primary_key`.
    ///
    /// # Errors
    /// `unknown-table` and `unknown-object`, with what there is.
    pub fn parse(text: &str, plan: &Plan) -> Result<Self, Diagnostic> {
        // A table's name may hold dots, so the longest that is one wins.
        let splits = text.match_indices('.').map(|(dot, _)| (&text[..dot], Some(&text[dot + 1..])));
        let found = std::iter::once((text, None))
            .chain(splits.collect::<Vec<_>>().into_iter().rev())
            .find_map(|(name, object)| Some((plan.source.find_table(name)?, object)));
        let Some((table, object)) = found else {
            return Err(unknown_table(&plan.source, text.split('.').next().unwrap_or(text)));
        };
        let asked = Self { table, object: object.map(str::to_owned) };
        if asked.decisions(plan).is_empty() {
            let known: Vec<String> = plan.decisions_about(table).map(|decision| object_name(&decision.about)).collect();
            let message = format!("nothing is decided about `{text}`");
            return Err(Diagnostic::error("unknown-object", message).help(format!(
                "decisions of `{}`: {}",
                plan.source.table(table).name,
                known.join(", ")
            )));
        }
        Ok(asked)
    }

    fn decisions<'p>(&self, plan: &'p Plan) -> Vec<&'p Decision> {
        plan.decisions_about(self.table).filter(|decision| self.is_about(plan, decision)).collect()
    }

    fn is_about(&self, plan: &Plan, decision: &Decision) -> bool {
        let Some(object) = &self.object else { return true };
        let holds = |columns: &str| columns.split(", ").any(|column| column.eq_ignore_ascii_case(object));
        let named = object_name(&decision.about);
        named.eq_ignore_ascii_case(object)
            || named.split_once('.').is_some_and(|(_, name)| name.eq_ignore_ascii_case(object))
            || match &decision.about {
                About::Unique(key) | About::ForeignKey(key, _) | About::Column(key) => holds(key),
                About::PrimaryKey => plan.source.table(self.table).primary_key.is_some_and(|key| {
                    plan.source
                        .column_names(&plan.source.key(key).columns)
                        .any(|name| name.eq_ignore_ascii_case(object))
                }),
                About::Tenant => holds(decision.choice.trim_matches(['{', '}']).split(": ").last().unwrap_or_default()),
                _ => false,
            }
    }
}

/// Writes the decisions asked about, each with its line of the spec and what else it could be.
pub fn why_text(plan: &Plan, sources: &Sources, asked: &Asked) -> String {
    let mut text = String::new();
    for decision in asked.decisions(plan) {
        let shown = decided(plan, decision, sources);
        text.push_str(&format!("{}: {}\n", shown.what, shown.choice));
        text.push_str(&format!("    because: {}\n", shown.reason));
        if let Some(line) = spec_line(&decision.origin, sources) {
            text.push_str(&format!("             {}\n", visible(line.trim())));
        }
        if !shown.alternatives.is_empty() {
            text.push_str(&format!("    else:    {}\n", shown.alternatives));
        }
    }
    for hazard in plan.hazards().iter().filter(|hazard| hazard.table == asked.table) {
        text.push_str(&format!("! {}: {}\n    {}\n", hazard.code, visible(&hazard.message), visible(&hazard.help)));
    }
    let statements = statements(plan, asked);
    if !statements.is_empty() {
        text.push_str("\nin PostgreSQL:\n");
        for sql in statements {
            text.push('\n');
            for line in sql.lines() {
                text.push_str(&format!("    {}\n", visible(line)));
            }
        }
    }
    text
}

/// Writes the decisions asked about as JSON.
pub fn why_json(plan: &Plan, sources: &Sources, asked: &Asked) -> Value {
    let decisions: Vec<Value> =
        asked.decisions(plan).into_iter().map(|decision| decision_json(plan, decision, sources)).collect();
    let hazards: Vec<Value> = plan
        .hazards()
        .iter()
        .filter(|hazard| hazard.table == asked.table)
        .map(|hazard| json!({ "code": hazard.code, "message": hazard.message, "help": hazard.help }))
        .collect();
    json!({
        "schema_version": SCHEMA_VERSION,
        "table": plan.source.table(asked.table).name,
        "decisions": decisions,
        "hazards": hazards,
        "statements": statements(plan, asked),
    })
}

fn spec_line<'s>(origin: &Origin, sources: &'s Sources) -> Option<&'s str> {
    let Origin::Spec(span) = origin else { return None };
    let line = sources.line(span)?;
    sources.get(span.source)?.text.lines().nth(line - 1)
}

/// Returns the statements that make the table asked about, or those of its statements that name the object.
fn statements(plan: &Plan, asked: &Asked) -> Vec<String> {
    let target = &plan.rewritten.target;
    let Some(table) = plan.rewritten.source_tables.iter().position(|&source| source == asked.table) else {
        return Vec::new();
    };
    let belongs = |makes: Makes| match makes {
        Makes::Table(id) | Makes::Distribution(id) | Makes::Replication(id) => id.index() == table,
        Makes::Key(id) => target.key(id).table.index() == table,
        Makes::Index(id) => target.index(id).table.index() == table,
        Makes::ForeignKey(id) => target.foreign_key(id).table.index() == table,
        Makes::Isolation(step) => step.table(plan).is_some_and(|id| id.index() == table),
        Makes::Schema
        | Makes::Citext
        | Makes::Collation
        | Makes::Rows(_)
        | Makes::View(_)
        | Makes::Trigger(..)
        | Makes::Extra(..) => false,
    };
    plan.statements
        .iter()
        .filter(|statement| belongs(statement.makes))
        .filter_map(|statement| emit::statement(plan, statement))
        .filter(|sql| match &asked.object {
            None => true,
            Some(object) => !sql.starts_with("CREATE TABLE") && mentions(sql, object),
        })
        .collect()
}

/// Says whether a statement names something, as a whole word.
fn mentions(sql: &str, name: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    sql.match_indices(name)
        .any(|(start, found)| !sql[..start].ends_with(part) && !sql[start + found.len()..].starts_with(part))
        || (name == "primary_key" && sql.contains("PRIMARY KEY"))
}
