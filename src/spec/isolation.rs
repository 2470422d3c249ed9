//! The meaning of `rls`, `roles`, `views`, `triggers` and `extra` over a schema.

use crate::diagnostic::Span;
use crate::schema::{ColumnId, TableId};

/// Who may see and change which rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Isolation {
    /// The setting that holds a session's tenant, whether or not policies read it.
    pub setting: String,
    /// Row-level security, where the spec asks for it.
    pub rls: Option<Rls>,
    /// The roles that the spec names.
    pub roles: Roles,
}

/// Row-level security on the tables of tenants.
#[derive(Debug, Clone, PartialEq)]
pub struct Rls {
    /// The role that the policies are for; `None` for everybody.
    pub role: Option<String>,
    /// Whether the policies bind the tables' owner too.
    pub force: bool,
    /// Columns by which a tenant can be found before it is known.
    pub lookups: Vec<Lookup>,
}

/// A column by which a tenant can be found before it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    /// The source table.
    pub table: TableId,
    /// The source column.
    pub column: ColumnId,
    /// The place in the spec.
    pub span: Span,
}

/// The names of the roles, where the spec gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Owns the tables and runs migrations.
    pub owner: Option<String>,
    /// What the application connects as.
    pub app: Option<String>,
    /// Reads every row.
    pub verifier: Option<String>,
}

impl Roles {
    /// Lists the roles that have a name.
    pub fn named(&self) -> impl Iterator<Item = (Role, &str)> {
        let all = [(Role::Owner, &self.owner), (Role::App, &self.app), (Role::Verifier, &self.verifier)];
        all.into_iter().filter_map(|(role, name)| Some((role, name.as_deref()?)))
    }

    /// Says whether the spec names none.
    pub fn is_empty(&self) -> bool {
        self.named().next().is_none()
    }
}

/// What a role is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Owns the tables and runs migrations.
    Owner,
    /// What the application connects as.
    App,
    /// Reads every row, whatever the policies say: it needs BYPASSRLS.
    Verifier,
}

impl Role {
    /// Returns the spec's key for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::App => "app",
            Self::Verifier => "verifier",
        }
    }

    /// Returns the environment variable that its password comes from when it is created.
    pub fn password_variable(self) -> &'static str {
        match self {
            Self::Owner => "TENANTRY_OWNER_PASSWORD",
            Self::App => "TENANTRY_APP_PASSWORD",
            Self::Verifier => "TENANTRY_VERIFIER_PASSWORD",
        }
    }
}

/// What becomes of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewTenancy {
    /// Its name in the source.
    pub name: String,
    /// Its query in PostgreSQL's dialect; `None` leaves it out.
    pub query: Option<ViewQuery>,
}

/// A view's query in PostgreSQL's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewQuery {
    /// The query, without a semicolon.
    pub sql: String,
    /// The other views that it names.
    pub uses: Vec<String>,
}

/// What becomes of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerTenancy {
    /// Its name in the source.
    pub name: String,
    /// The statements that make it, each without a semicolon; none leaves it out.
    pub statements: Vec<String>,
}

/// A file of statements that become part of the plan as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFile {
    /// The section that they run in.
    pub section: ExtraSection,
    /// Its path as the spec writes it.
    pub path: String,
    /// Its statements, each without a semicolon.
    pub statements: Vec<String>,
}

/// The sections that take files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraSection {
    /// Before the tables.
    PreData,
    /// Behind all that is made over the rows.
    PostData,
    /// Behind ownership, policies and grants, which it may narrow or widen.
    Isolation,
}

impl ExtraSection {
    /// Returns the spec's key for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreData => "pre-data",
            Self::PostData => "post-data",
            Self::Isolation => "isolation",
        }
    }
}
