//! Reading the source in the passes that `remap` asks for.

use crate::diagnostic::Diagnostic;
use crate::ident::quote_always;
use crate::plan::Plan;
use crate::remap::{Remapper, TablePass};
use crate::schema::{ColumnId, TableId, Value};
use crate::sqlite::{Database, RowPart, row_expression};

/// Runs every key pass, so that rows can be remapped afterwards.
pub fn learn_keys(remapper: &mut Remapper<'_>, plan: &Plan, database: &Database) -> Result<(), Diagnostic> {
    for position in 0..remapper.key_passes().len() {
        let pass = &remapper.key_passes()[position];
        let mut reads = Reads::new(plan, pass.table, &pass.columns);
        reads.add_expressions(plan, pass.table, &pass.expressions)?;
        reads.for_each::<Diagnostic>(database, &plan.source.table(pass.table).name, &mut |values| {
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
    reads: Reads,
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
        let mut reads = Reads::new(plan, pass.table, &pass.columns);
        reads.add_expressions(plan, pass.table, &pass.expressions)?;
        let width = reads.0.len();
        reads.0.extend(Reads::new(plan, pass.table, &key).0);
        let mut key_names: Vec<String> = plan.source.column_names(&key).map(str::to_owned).collect();
        // A column named rowid hides the rowid; such a table without a key has nothing to know its rows by.
        if key.is_empty() && plan.source.find_column(pass.table, "rowid").is_none() {
            reads.0.push(Part::Plain(RowPart::Rowid));
            key_names.push("rowid".to_owned());
        }
        Ok(Self { width, pass, reads, name: table.name.clone(), key_names, created })
    }

    /// Reads more expressions of SQLite's dialect with each row; [`SourceTable::read_beside`] finds their values.
    pub fn also_read(&mut self, expressions: impl IntoIterator<Item = String>) {
        self.reads.0.extend(expressions.into_iter().map(Part::Expression));
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
                let each = &mut |values: &[Value<'_>]| f(&values[..self.width], &values[self.width..]);
                self.reads.for_each(database, &self.name, each)
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

/// What is read of each row of a table, in this order.
struct Reads(Vec<Part>);

/// One value of a row.
enum Part {
    /// It stands in the row.
    Plain(RowPart),
    /// SQLite computes it.
    Expression(String),
}

impl Reads {
    fn new(plan: &Plan, table: TableId, columns: &[ColumnId]) -> Self {
        debug_assert!(columns.iter().all(|&column| plan.source.column(column).table == table));
        let part = |name: &str| Part::Plain(RowPart::Column(name.to_owned()));
        Self(plan.source.column_names(columns).map(part).collect())
    }

    fn add_expressions(&mut self, plan: &Plan, table: TableId, expressions: &[String]) -> Result<(), Diagnostic> {
        for expression in expressions {
            self.0.push(Part::Expression(format!("({})", row_expression(&plan.source, table, expression)?)));
        }
        Ok(())
    }

    /// Calls `f` with the values of each row.
    fn for_each<E: From<Diagnostic>>(
        &self,
        database: &Database,
        table: &str,
        f: &mut dyn FnMut(&[Value<'_>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let plain = |part: &Part| match part {
            Part::Plain(part) => Some(part.clone()),
            Part::Expression(_) => None,
        };
        if let Some(parts) = self.0.iter().map(plain).collect::<Option<Vec<RowPart>>>() {
            return database.for_each_row_of(table, &parts, f);
        }
        let sql = |part: &Part| match part {
            Part::Plain(part) => part.sql(),
            Part::Expression(sql) => sql.clone(),
        };
        let list = self.0.iter().map(sql).collect::<Vec<_>>().join(", ");
        database.for_each_row(&format!("SELECT {list} FROM {}", quote_always(table)), &[], f)
    }
}
