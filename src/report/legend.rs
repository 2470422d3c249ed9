//! What the words of a plan mean: a line for each that stands in it.

use super::explain::explanation;
use crate::plan::{ADDED, AS_IT_IS, FILLED_IN, KEPT, Plan};
use crate::spec::{About, Decision, UNSAID};

/// What a word is said of; the same one means different things of a table, a key and a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// A table as a whole.
    Table,
    /// A primary or unique key.
    Key,
    /// A foreign key.
    ForeignKey,
    /// An index.
    Index,
    /// A column.
    Column,
    /// A CHECK constraint.
    Check,
    /// Rows that do not go through.
    Rows,
    /// Row-level security of a table.
    Rls,
}

/// How a word is found.
enum Word {
    /// It is a choice, or an alternative.
    Is(&'static str),
    /// It is part of one.
    In(&'static str),
    /// One begins with it.
    Begins(&'static str),
    /// It stands in the plan's text.
    Text(&'static str),
    /// A key of the source is declared with DESC.
    DescendingKey,
    /// An index of the target descends.
    DescendingIndex,
}

use Of::{Check, Column, ForeignKey, Index, Key, Rls, Rows, Table};
use Word::{Begins, DescendingIndex, DescendingKey, In, Is, Text};

/// Whatever a word is said of.
const ANY: &[Of] = &[];

const PATH: &str = "A → B: on the way to a tenant, no change: column A refers to a row of the table that B names";

/// The words in the order in which they are told, each with what it is said of and what it means.
const WORDS: &[(Word, &[Of], &str)] = &[
    // Marks.
    (Text(" → "), ANY, "→: what it becomes, except on a way to a tenant; without an arrow it stays as it is"),
    (Text("\n  tenant of a row, "), ANY, PATH),
    (Text("the one path to a tenant"), ANY, PATH),
    (
        Text("; else "),
        ANY,
        "else: what could be chosen instead, in the spec's words; a line without it follows from other lines, or leaves \
         no choice",
    ),
    (
        Text(""),
        ANY,
        "FILE:LINE: the spec chose, there; other words say why the tool did. \"the default\": the spec says nothing of it",
    ),
    (
        Text("\n  ! "),
        ANY,
        "!: what gets weaker, or can hurt, with a code that `tenantry explain CODE` tells more of; where no ! stands, \
         nothing gets weaker",
    ),
    // Whose a row is.
    (
        Text(" (the tenant root)"),
        ANY,
        "the tenant root, root: of a table, each row is a tenant, named by its own key; {root: TABLE} at the top of the \
         spec chooses another table",
    ),
    (Text(" (tenant)"), ANY, "tenant: of a table, each row belongs to a tenant, which its tenant column names"),
    (Is("shared"), &[Table], "shared: of a table, one copy for all tenants, without the tenant column"),
    (Is("local"), &[Table], "local: of a table, outside tenancy, on one node of the cluster"),
    (Is("omit"), &[Table], "omit: of a table, it is not migrated: its rows stay behind"),
    (
        Text("\n  name: "),
        ANY,
        "name: what the table is called in PostgreSQL, which keeps 63 bytes of a name and no empty one",
    ),
    (
        Is("no default"),
        &[Column],
        "no default: of a column, its DEFAULT is left out: SQLite gives a row without a key the next number, never that",
    ),
    (In("{column: "), &[Table], "{column: X}: of a row, its own column X names its tenant"),
    (In("{via: "), &[Table], "{via: X}: of a row, its tenant is that of the row which its column X refers to"),
    (Is("every"), &[Table], "every: of a row, each tenant gets a copy of it, with the same key"),
    (
        In("per_run"),
        &[Table],
        "per_run: of a row, its tenant is the one that the run names: by --tenant, or by its file's name",
    ),
    (
        In("{used_by: "),
        &[Table],
        "{used_by: T.X}: of a row, its tenant is that of the rows of T which refer to it by X; are those of several, \
         `several: fail` stops the audit, and `several: copy` gives each a copy",
    ),
    (
        In("{by: "),
        &[Table],
        "{by: X, key: Y, cases: …}: of a row, X says which table the key in Y is of; its tenant is that row's",
    ),
    (In("{first: "), &[Table], "{first: […]}: of a row, its tenant is what the first of these finds"),
    (In("{constant: "), &[Table], "{constant: X}: of a row, its tenant is X"),
    (In("{sql: "), &[Table], "{sql: X}: of a row, its tenant is what this SQLite expression yields"),
    (
        Text("\n  tenant of a row"),
        ANY,
        "tenant of a row: else lists the references that lead to one; a constant, an SQL expression or the rows that \
         refer to it can name it as well (docs/spec.md)",
    ),
    (
        Is(KEPT),
        &[Column],
        "kept: the tenant column is the source's own; NOT NULL, since a NULL would switch foreign keys off",
    ),
    (
        Is(ADDED),
        &[Column],
        "added: of a column, the source has none; all tables get it by the one name in `tenant: {column: NAME}` at the top \
         of the spec. The copy fills it in; afterwards an INSERT has to name it, unless `tenant: {default: …}` there gives \
         it a DEFAULT: setting, the tenant that the session names, or an SQL expression",
    ),
    (Is(FILLED_IN), &[Column], "filled in: where the source's own column is NULL, the tenant found elsewhere stands"),
    // Keys and indexes.
    (
        Is("per_tenant"),
        &[Key],
        "per_tenant: of a key, the tenant column is part of it (without an arrow: it was already), unique within each \
         tenant; it stands first in keys, and last in all of them by `tenant: {in_keys: last}` at the top of the spec",
    ),
    (Is("per_tenant"), &[Index], "per_tenant: of an index, the tenant column stands in it"),
    (
        Is("global"),
        &[Key],
        "global: of a key, without the tenant column: no two rows have the same value, whoever they belong to",
    ),
    (Is("global"), &[Index], "global: of an index, without the tenant column"),
    (Begins("["), &[Key, Index], "[COLUMN, …]: of a key or an index, exactly these columns in place of its own"),
    (Is("none"), &[Key], "none: of a primary key, the table has none"),
    (Is(AS_IT_IS), &[Key, Index], "as it is: of a key or an index, no tenant column is put into it"),
    (Is(ADDED), &[Key], "added: of a unique key, it stands beside the global one, and refuses nothing more"),
    (
        Is("omit"),
        &[Key, ForeignKey, Check],
        "omit: of a key, a foreign key or a check, the constraint is not made: its columns and their values stay",
    ),
    (
        DescendingKey,
        ANY,
        "DESC: of a key, SQLite was told so. PostgreSQL's keys ascend, and are read backwards as fast: nothing is lost",
    ),
    (In(""), &[Index], "index: the source's and new ones are all listed, besides those that keys have by themselves"),
    (In("new "), &[Index], "new: of an index, the source has none; it is made of just what stands here"),
    (DescendingIndex, ANY, "DESC: of an index, largest first; it orders queries, and decides nothing about rows"),
    (Text(" NULLS "), ANY, "NULLS LAST, NULLS FIRST: of an index, where rows without a value stand"),
    (In(" using "), &[Index], "using: of an index, PostgreSQL's access method in place of btree"),
    (In(" include "), &[Index], "include: of an index, columns that it carries and does not order by"),
    (In("new unique "), &[Index], "new unique: of an index, it refuses two equal rows"),
    (Text(" where "), &[Index], "where: of an index, it holds only these rows"),
    (Is("omit"), &[Index], "omit: of an index, it is not made: no row is refused or let in by that"),
    // References.
    (
        Is("per_tenant"),
        &[ForeignKey],
        "per_tenant: of a foreign key, the row's tenant column goes with it, or is all of it: it reaches rows of its own \
         tenant only",
    ),
    (
        Is("global"),
        &[ForeignKey],
        "global: of a foreign key, its own columns alone: it reaches any row of the table that it refers to, whoever's. \
         That table needs a key of just those columns, so a tenant table has to have `primary_key: global`, or \
         `unique: {…: global}`",
    ),
    (
        In("{column: "),
        &[ForeignKey],
        "{column: X}: of a foreign key, it gets a tenant column X of its own, which has to name the row's tenant",
    ),
    (
        In("cross_tenant: allow"),
        &[ForeignKey],
        "cross_tenant: allow: of a foreign key, that column of its own may name another tenant than the row's",
    ),
    (
        Is("from_root"),
        &[ForeignKey],
        "from_root: of a foreign key, a tenant's own row refers to a row of that tenant; checked at COMMIT",
    ),
    (
        Is("{enforce: false}"),
        &[ForeignKey],
        "{enforce: false}: of a foreign key, a way to the tenant, and no constraint",
    ),
    (Is("{enforce: true}"), &[ForeignKey], "{enforce: true}: of a foreign key, the target has it as well"),
    (In("{references: "), &[ForeignKey], "{references: \"TABLE(COLUMN)\"}: of a foreign key, what it is to refer to"),
    (
        Is(ADDED),
        &[ForeignKey],
        "added: of a foreign key, every tenant table has one to the tenant root, and the source has none, or it is left \
         out; {foreign_key: X} in `tenant: {root: {table: T, …}}` chooses its ON DELETE for all tables: restrict refuses \
         just what it refuses without ON DELETE, and says that this is wanted, so that no ! warns of it; none makes none. In \
         one table on_delete can choose only where the column is the source's own: `foreign_keys: {X: {references: \
         \"T(KEY)\", on_delete: …}}`",
    ),
    (
        Text("\n  foreign key "),
        ANY,
        "foreign key: a row cannot be deleted while rows refer to it, even if a cascade over other tables would delete \
         these as well, unless ON DELETE says what becomes of them. ON DELETE and ON UPDATE are the source's, unless \
         the line names on_delete or on_update; else leaves out that each foreign key of the source can have {on_delete: X}, \
         {on_update: X} with X of no_action, restrict (both refuse), cascade, set_null, set_default",
    ),
    (
        Text("ON DELETE CASCADE"),
        ANY,
        "ON DELETE CASCADE: with a row go all that refer to it; where the tenant column is part of the reference, those \
         are of the same tenant",
    ),
    (
        Text("ON DELETE SET NULL"),
        ANY,
        "ON DELETE SET NULL (X): when the row referred to is deleted, X becomes NULL. Without (X): each column of the \
         foreign key does. The row's tenant column never does",
    ),
    (
        Text("ON DELETE SET DEFAULT"),
        ANY,
        "ON DELETE SET DEFAULT (X): when the row referred to goes, X gets its default, and the tenant column stays",
    ),
    (Text(" as on_delete says"), ANY, "as on_delete says: the spec chose that ON DELETE, in place of the source's"),
    (Text(" as on_update says"), ANY, "as on_update says: the spec chose that ON UPDATE, in place of the source's"),
    (Text("ON UPDATE "), ANY, "ON UPDATE: the same, when the key of the row referred to changes"),
    // Columns.
    (In("{type: "), &[Column], "{type: X}: of a column, PostgreSQL's type for it"),
    (In("as: "), &[Column], "as: of a column, its name in the target"),
    (In("read: iso"), &[Column], "read: iso: of a column, its values are texts of ISO 8601"),
    (In("read: epoch}"), &[Column], "read: epoch: of a column, its values are seconds since 1970"),
    (In("read: epoch,"), &[Column], "read: epoch: of a column, its values are seconds since 1970"),
    (In("read: epoch_ms"), &[Column], "read: epoch_ms: of a column, its values are milliseconds since 1970"),
    (In("read: julian"), &[Column], "read: julian: of a column, its values are Julian days"),
    (
        In("read: boolean"),
        &[Column],
        "read: boolean: of a column, its values are words for true and false: on, off, yes …",
    ),
    (In("read: decimal"), &[Column], "read: decimal: of a column, its values are decimal numbers, or texts of such"),
    (In("read: json"), &[Column], "read: json: of a column, its values are texts of JSON"),
    (In("read: text"), &[Column], "read: text: of a column, its values are written as text, whatever they are"),
    (In("zone: "), &[Column], "zone: of a column, the time zone of times that name none"),
    (
        In("null_if: "),
        &[Column],
        "null_if: of a column, these values become NULL; the others are read as ever, or as a `read` beside it says",
    ),
    (
        In("nul: "),
        &[Column],
        "nul: of a column, NUL characters, which PostgreSQL takes in no text: fail stops the audit, strip takes them \
         out, replace puts U+FFFD there",
    ),
    (In("utf8: "), &[Column], "utf8: of a column, the same of bytes that are no UTF-8: fail, strip or replace"),
    (In("default: "), &[Column], "default: of a column, its DEFAULT in PostgreSQL's dialect"),
    (In("generated: "), &[Column], "generated: of a column, what PostgreSQL computes it from"),
    (Is("stored"), &[Column], "stored: of a generated column, its values are kept rather than computed when read"),
    (Is("not null"), &[Column], "not null: of a column, NULL is refused from now on"),
    (
        In("collation: keys"),
        &[Column],
        "collation: keys: of a column, its keys and indexes go on comparing as SQLite did, queries do not",
    ),
    (In("collation: icu"), &[Column], "collation: icu: of a column, letters of either case are the same by ICU"),
    (In("collation: plain"), &[Column], "collation: plain: of a column, it compares byte by byte"),
    (Is("omit"), &[Column], "omit: of a column, it is left out with its values"),
    (In("{sql: "), &[Check], "{sql: X}: of a check, this condition in PostgreSQL's dialect takes its place"),
    (
        Is(UNSAID),
        &[Column],
        "unsaid: of a column, without the spec's line: its type, its default and how it is read follow from the type that \
         the source declares, which stands in front of the →",
    ),
    (Is(UNSAID), &[Index], "unsaid: of an index, without the spec's line: there is none"),
    // Rows.
    (
        Text("\n  tenant of a row"),
        ANY,
        "fail, reject: a row with one of these faults stops the audit before anything is moved (fail, where nothing is \
         said), or is recorded and left out (reject); each table can choose, as in `rows: {orphan: reject}`",
    ),
    (
        Text("\n  tenant of a row"),
        ANY,
        "no_tenant: a row that belongs to none, also where its tenant column is NULL, or names a tenant that no row of the \
         root is; orphan: whose foreign key refers to a row that does not exist (a tenant column that is a foreign key of \
         the source and names no row is both, and is rejected where both say reject); conflict: whose references lead to \
         two tenants; unfit: with a value that its column does not take",
    ),
    (
        In("set_null"),
        &[Rows],
        "orphan: set_null: the row is moved, and its reference becomes NULL; where that cannot be, since the column is NOT \
         NULL, in the primary key, in another foreign key or the tenant column, it is fail. The line names the \
         references that become NULL",
    ),
    (
        In("max_rejects: "),
        &[Rows],
        "max_rejects: N: counted in this table alone: when more than N of its rows are rejected, nothing of any table is \
         moved; without it any number may be",
    ),
    (
        In("keep: "),
        &[Rows],
        "keep: which rows are moved: all, none, or those that an SQLite expression (PREDICATE) is true for",
    ),
    (
        Is("false"),
        &[Rls],
        "row-level security: false: PostgreSQL shows this table's rows to every tenant; true: to their own",
    ),
    // What stands behind the tables.
    (
        Text("\ntenant: "),
        ANY,
        "types, defaults, checks and columns that are not listed follow the source: `tenantry emit` shows them, `columns:` \
         and `checks:` in the spec change them",
    ),
    (
        Text(", by the setting "),
        ANY,
        "row-level security: PostgreSQL itself shows a role the rows of one tenant only, which the session names by the \
         setting; the tables with a tenant are counted with the root; `rls: false` leaves a table out of it",
    ),
    (
        Text("\nlookups before"),
        ANY,
        "lookups: functions that find the tenant of one value, for a login or a link, and tell nothing else",
    ),
    (
        Text("\nroles: "),
        ANY,
        "roles: owner owns the tables, app is whom the application logs in as, verifier may read all rows for the proof",
    ),
    (Text("\nextra in "), ANY, "extra: SQL files of the spec's own, run in that section of the DDL"),
];

/// Says what each word means that stands in a plan, whose text is given.
pub(super) fn legend(plan: &Plan, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (word, of, meaning) in WORDS {
        let found = match word {
            Text(wanted) => text.contains(wanted),
            Is(wanted) => says(plan, of, |said| said == *wanted),
            In(wanted) => says(plan, of, |said| said.contains(wanted)),
            Begins(wanted) => says(plan, of, |said| said.starts_with(wanted)),
            DescendingKey => plan.source.unmapped.iter().any(|clause| clause.clause.ends_with(" DESC")),
            DescendingIndex => {
                let parts = plan.rewritten.target.indexes.iter().flat_map(|index| &index.parts);
                parts.into_iter().any(|part| part.descending)
            }
        };
        if found && !lines.iter().any(|line| line == meaning) {
            lines.push((*meaning).to_owned());
        }
    }
    // What is rare is told at its table.
    let mut codes: Vec<&str> = plan.hazards().iter().map(|hazard| hazard.code).collect();
    codes.retain(|code| is_common(plan, code));
    codes.sort_unstable();
    codes.dedup();
    let cures = codes.into_iter().filter_map(explanation);
    lines.extend(cures.map(|found| format!("! {}: {} {}", found.code, sentence(&found.cause), sentence(&found.cure))));
    lines
}

/// How many hazards are alike before what to do about them stands once, with the words.
const COMMON: usize = 4;

/// Says whether so many hazards have a code that repeating what to do would bury the rest.
pub(super) fn is_common(plan: &Plan, code: &str) -> bool {
    plan.hazards().iter().filter(|hazard| hazard.code == code).count() >= COMMON
}

fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// Says whether one of a plan's choices or alternatives of some kinds is as wanted.
fn says(plan: &Plan, of: &[Of], wanted: impl Fn(&str) -> bool) -> bool {
    plan.decisions.iter().filter(|decision| of.contains(&kind(decision))).any(|decision| {
        let said = std::iter::once(&decision.choice).chain(&decision.alternatives);
        said.into_iter().any(|said| wanted(said))
    })
}

fn kind(decision: &Decision) -> Of {
    match decision.about {
        About::Placement | About::Name | About::Tenant => Table,
        About::PrimaryKey | About::Unique(_) => Key,
        About::ForeignKey(..) => ForeignKey,
        About::Index(_) => Index,
        About::Column(_) => Column,
        About::Rls => Rls,
        About::Check(_) => Check,
        About::Rows => Rows,
    }
}
