//! The foreign-key graph as a picture: before and after, placements in colour, the way to the tenant marked.
//!
//! [`Picture`] says what is to be seen; Mermaid, DOT and SVG are three ways to write it down.

mod build;
mod layers;
mod layout;
mod panel;
mod svg;
mod text;

pub use build::{Around, Side, picture};
pub use svg::graph_svg;
pub use text::{graph_dot, graph_mermaid};

/// One side of a plan: tables, and the foreign keys between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Which side it is.
    pub side: Side,
    /// The tables, by name.
    tables: Vec<TableBox>,
    /// The foreign keys, in the order of their tables.
    references: Vec<Reference>,
}

/// A table as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TableBox {
    name: String,
    placed: Placed,
    /// Whose its rows are, in words.
    about: String,
    /// Its primary key, and other keys that are referred to.
    keys: Vec<String>,
    /// The columns of its foreign keys.
    foreign_keys: Vec<String>,
    /// Whether the marked way leads through it.
    marked: bool,
}

impl TableBox {
    /// Returns what stands in its rows: keys, then foreign keys.
    fn rows(&self) -> impl Iterator<Item = &String> {
        self.keys.iter().chain(&self.foreign_keys)
    }
}

/// A foreign key as it is shown: from a row of one box to a row of another, by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reference {
    from: usize,
    from_row: usize,
    to: usize,
    to_row: usize,
    kind: ReferenceKind,
    /// Whether the marked way leads along it.
    marked: bool,
}

/// What a table is to tenancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Placed {
    Root,
    Tenant,
    Shared,
    Local,
    Omitted,
}

impl Placed {
    const ALL: [Self; 5] = [Self::Root, Self::Tenant, Self::Shared, Self::Local, Self::Omitted];

    /// Returns the word for the legend and for classes.
    fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Tenant => "tenant",
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Omitted => "omit",
        }
    }

    /// Returns the colours of the area and of its border; each pair differs in lightness as well as in hue.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Root => ("#ffe8a3", "#8a6100"),
            Self::Tenant => ("#dcecff", "#1f5fa8"),
            Self::Shared => ("#e6f4e3", "#2f7a35"),
            Self::Local => ("#ffffff", "#555555"),
            Self::Omitted => ("#f1f1f1", "#8c8c8c"),
        }
    }
}

/// What a foreign key is to tenancy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ReferenceKind {
    /// As SQLite has it, or the same in PostgreSQL.
    Plain,
    /// SQLite does not declare it, the spec does.
    Undeclared,
    /// It holds the row's own tenant.
    PerTenant,
    /// It holds a tenant column of its own.
    OwnColumn,
    /// From a row to its tenant's row in the root.
    ToRoot,
}

impl ReferenceKind {
    const ALL: [Self; 5] = [Self::Plain, Self::Undeclared, Self::PerTenant, Self::OwnColumn, Self::ToRoot];

    fn words(self) -> &'static str {
        match self {
            Self::Plain => "foreign key",
            Self::Undeclared => "only in the spec",
            Self::PerTenant => "holds the row's tenant",
            Self::OwnColumn => "tenant column of its own",
            Self::ToRoot => "to the tenant root",
        }
    }

    /// Returns the colour of the line and its dashes.
    fn line(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Plain => ("#666666", None),
            Self::Undeclared => ("#666666", Some("2 4")),
            Self::PerTenant => ("#1f5fa8", None),
            Self::OwnColumn => ("#8e3b9e", Some("7 3")),
            Self::ToRoot => ("#a8842a", None),
        }
    }
}

/// The colour of the marked way.
const MARK: &str = "#c2260c";
