//! Reading the source in the passes that `remap` asks for.

use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::remap::{Remapper, TablePass};
use crate::schema::{ColumnId, TableId, Value};
use crate::sqlite::{Database, row_expression};

/// Runs every key pass, so that rows can be remapped afterwards.
pub fn learn_keys(remapper: &mut Remapper<'_>, plan: &Plan, database: &Database) -> Result<(), Diagnostic> {
    for position in 0..remapper.key_passes().len() {
        let pass = &remapper.key_passes()[position];
        let names = selected(plan, pass.table, &pass.columns, &pass.expressions)?;
        let sql = select(&names, &plan.source.table(pass.table).name);
        database.for_each_row::<Diagnostic>(&sql, &[], &mut |values| {
            remapper.learn(position, values);
            Ok(())
        })?;
        remapper.learnt(position);
    }
    Ok(())
}

/// Called with each row: the values that its pass names, and those of its key.
pub type EachRow<'f, E> = dyn FnMut(&[Value<'_>], &[Value<'_>]) -> Result<(), E> + 'f;

/// One table's rows as `remap` wants them, each with the key that a person knows it by.
pub struct SourceTable {
    /// What the rows are remapped with.
    pub pass: TablePass,
    names: Vec<String>,
    name: String,
    width: usize,
    key_names: Vec<String>,
    /// The rows themselves, of a table that the source does not have.
    created: Option<Vec<Vec<Value<'static>>>>,
}

impl SourceTable {
    /// Prepares to read the source of a target table.
    ///
    /// # Errors
    /// Those of expressions in the spec that cannot be run.
    pub fn new(plan: &Plan, remapper: &mut Remapper<'_>, target: TableId) -> Result<Self, Diagnostic> {
        let pass = remapper.table_pass(target);
        let table = plan.source.table(pass.table);
        let key: Vec<ColumnId> = match table.primary_key {
            Some(key) => plan.source.key(key).columns.clone(),
            None => Vec::new(),
        };
        let created = plan.tenancy.is_created(pass.table).then(|| remapper.created_rows(&pass));
        let mut names = selected(plan, pass.table, &pass.columns, &pass.expressions)?;
        let width = names.len();
        names.extend(plan.source.column_names(&key).map(quote_always));
        let mut key_names: Vec<String> = plan.source.column_names(&key).map(str::to_owned).collect();
        // A column named rowid hides the rowid; such a table without a key has nothing to know its rows by.
        if key.is_empty() && plan.source.find_column(pass.table, "rowid").is_none() {
            names.push("rowid".to_owned());
            key_names.push("rowid".to_owned());
        }
        Ok(Self { width, pass, names, name: table.name.clone(), key_names, created })
    }

    /// Reads more expressions of SQLite's dialect with each row; [`SourceTable::read_beside`] finds their values.
    pub fn also_read(&mut self, expressions: impl IntoIterator<Item = String>) {
        self.names.extend(expressions);
    }

    /// Returns the values of the expressions that are read beside a row, from the values behind those of its pass.
    pub fn read_beside<'k, 'v>(&self, key: &'k [Value<'v>]) -> &'k [Value<'v>] {
        key.get(self.key_names.len()..).unwrap_or_default()
    }

    /// Calls `f` with each row.
    pub fn for_each<E: From<Diagnostic>>(&self, database: &Database, f: &mut EachRow<'_, E>) -> Result<(), E> {
        match &self.created {
            Some(rows) => rows.iter().try_for_each(|values| f(values, &[])),
            None => {
                let sql = select(&self.names, &self.name);
                database.for_each_row(&sql, &[], &mut |values| f(&values[..self.width], &values[self.width..]))
            }
        }
    }

    /// Writes a key as a person would look it up: `id=42`; text in quotes, blobs as their length.
    pub fn key_text(&self, key: &[Value<'_>]) -> String {
        let part = |(name, value): (&String, &Value<'_>)| {
            let shown = match value {
                Value::Null => "NULL".to_owned(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                Value::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
                Value::Blob(bytes) => format!("a blob of {} bytes", bytes.len()),
            };
            format!("{name}={shown}")
        };
        self.key_names.iter().zip(key).map(part).collect::<Vec<_>>().join(", ")
    }
}

/// Writes what a pass reads: columns, then expressions.
fn selected(
    plan: &Plan,
    table: TableId,
    columns: &[ColumnId],
    expressions: &[String],
) -> Result<Vec<String>, Diagnostic> {
    let mut selected: Vec<String> = plan.source.column_names(columns).map(quote_always).collect();
    for expression in expressions {
        selected.push(format!("({})", row_expression(&plan.source, table, expression)?));
    }
    Ok(selected)
}

fn select(names: &[String], table: &str) -> String {
    let list = if names.is_empty() { "NULL".to_owned() } else { names.join(", ") };
    format!("SELECT {list} FROM {}", quote_always(table))
}
