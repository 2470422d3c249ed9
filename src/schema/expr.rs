//! Expressions of defaults, checks, generated columns and indexes, as a closed syntax tree.
//!
//! In a source schema the tree says what SQLite's text says, with SQLite's operators, functions and collations; what it
//! cannot say is [`Expr::Unsupported`]. In a target schema it says what PostgreSQL is to compute. Which of the former
//! have one of the latter is decided in one place, when a schema is rewritten.

use super::ColumnId;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// NULL.
    Null,
    /// A boolean constant: TRUE or FALSE in either dialect, or 0 and 1 where a boolean is wanted.
    Boolean(bool),
    /// An integer constant.
    Integer(i64),
    /// A constant with a fraction or exponent, as written.
    Decimal(String),
    /// A text constant, unquoted.
    Text(String),
    /// A blob constant.
    Blob(Vec<u8>),
    /// A column of the table that the expression belongs to.
    Column(ColumnId),
    /// An operator before its operand.
    Unary {
        /// The operator.
        operator: UnaryOperator,
        /// What it applies to.
        operand: Box<Expr>,
    },
    /// An operator between its operands.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// `operand IS [NOT] NULL`.
    IsNull {
        /// What is tested.
        operand: Box<Expr>,
        /// IS NOT NULL.
        negated: bool,
    },
    /// `operand [NOT] IN (list)`.
    InList {
        /// What is looked for.
        operand: Box<Expr>,
        /// Where it is looked for.
        list: Vec<Expr>,
        /// NOT IN.
        negated: bool,
    },
    /// `operand [NOT] BETWEEN low AND high`.
    Between {
        /// What is compared.
        operand: Box<Expr>,
        /// The lower bound, included.
        low: Box<Expr>,
        /// The upper bound, included.
        high: Box<Expr>,
        /// NOT BETWEEN.
        negated: bool,
    },
    /// A searched CASE.
    Case {
        /// Conditions and results, in order.
        branches: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
    /// A plain call of a function.
    Call {
        /// The function's name in lower case, as the schema's dialect has it.
        function: String,
        /// Its arguments.
        arguments: Vec<Expr>,
    },
    /// `operand LIKE pattern [ESCAPE escape]`; the escape is a backslash in PostgreSQL, and none in SQLite, where it is
    /// not said.
    Like {
        /// What is matched.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// What makes the character behind it stand for itself.
        escape: Option<Box<Expr>>,
    },
    /// `operand COLLATE collation`.
    Collate {
        /// What is compared.
        operand: Box<Expr>,
        /// The collation's name, unquoted.
        collation: String,
    },
    /// `CAST(operand AS type)`.
    Cast {
        /// What is converted.
        operand: Box<Expr>,
        /// The type's name, as the schema's dialect has it.
        to: String,
    },
    /// The same meaning in the words of either dialect, over the columns of a target schema.
    Dialects {
        /// What SQLite computes.
        sqlite: Box<Expr>,
        /// What PostgreSQL computes.
        postgres: Box<Expr>,
    },
    /// Text written in PostgreSQL's own dialect by the spec.
    Postgres(String),
    /// An expression that is not read, as written in the DDL, and why.
    Unsupported(String, Unread),
}

/// Why an expression is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It has no safe translation, or none is known.
    Unknown,
    /// It nests in more levels than these: parentheses, calls and operands are one each.
    Nested(usize),
    /// It has more operators and parentheses than these.
    Long(usize),
}

/// Operators that stand before one operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnaryOperator {
    /// NOT.
    Not,
    /// Minus.
    Minus,
    /// `~`: all bits the other way round.
    BitNot,
    /// SQLite's unary plus: the value without the column's affinity and collation.
    Plus,
}

/// Operators that stand between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryOperator {
    /// AND.
    And,
    /// OR.
    Or,
    /// `=`.
    Equal,
    /// `<>`.
    NotEqual,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
    /// IS between two values: IS NOT DISTINCT FROM in PostgreSQL. With a boolean constant on its right it asks for truth.
    Is,
    /// IS NOT between two values: IS DISTINCT FROM in PostgreSQL.
    IsNot,
    /// `+`.
    Plus,
    /// `-`.
    Minus,
    /// `*`.
    Times,
    /// `/`.
    Divide,
    /// `%`.
    Modulo,
    /// `||`.
    Concat,
    /// `&`.
    BitAnd,
    /// `|`.
    BitOr,
    /// `<<`.
    ShiftLeft,
    /// `>>`.
    ShiftRight,
    /// GLOB, in SQLite.
    Glob,
    /// `~`, in PostgreSQL: a match with a regular expression.
    Matches,
}

impl Expr {
    /// Puts an operator before an operand.
    #[must_use]
    pub fn unary(operator: UnaryOperator, operand: Self) -> Self {
        Self::Unary { operator, operand: Box::new(operand) }
    }

    /// Puts an operator between two operands.
    #[must_use]
    pub fn binary(operator: BinaryOperator, left: Self, right: Self) -> Self {
        Self::Binary { operator, left: Box::new(left), right: Box::new(right) }
    }

    /// Calls a function.
    #[must_use]
    pub fn call(function: &str, arguments: impl Into<Vec<Self>>) -> Self {
        Self::Call { function: function.to_owned(), arguments: arguments.into() }
    }

    /// Casts to a type.
    #[must_use]
    pub fn cast(self, to: &str) -> Self {
        Self::Cast { operand: Box::new(self), to: to.to_owned() }
    }

    /// Compares by a collation.
    #[must_use]
    pub fn collate(self, collation: &str) -> Self {
        Self::Collate { operand: Box::new(self), collation: collation.to_owned() }
    }

    /// Calls `visit` on every column in the expression, in order of appearance.
    pub fn for_each_column(&self, visit: &mut impl FnMut(ColumnId)) {
        if let Self::Column(column) = self {
            visit(*column);
        }
        for child in self.children() {
            child.for_each_column(visit);
        }
    }

    /// Says whether a COLLATE stands anywhere in the expression.
    pub fn holds_collate(&self) -> bool {
        matches!(self, Self::Collate { .. }) || self.children().into_iter().any(Self::holds_collate)
    }

    /// Returns the source text of the first part without a safe translation.
    pub fn unsupported(&self) -> Option<&str> {
        match self {
            Self::Unsupported(text, _) => Some(text),
            _ => self.children().into_iter().find_map(Self::unsupported),
        }
    }

    /// Returns the same expression over other columns, as when a table moves into another schema.
    #[must_use]
    pub fn map_columns(&self, map: &impl Fn(ColumnId) -> ColumnId) -> Self {
        let boxed = |expr: &Expr| Box::new(expr.map_columns(map));
        match self {
            Self::Column(column) => Self::Column(map(*column)),
            Self::Unary { operator, operand } => Self::Unary { operator: *operator, operand: boxed(operand) },
            Self::Binary { operator, left, right } => {
                Self::Binary { operator: *operator, left: boxed(left), right: boxed(right) }
            }
            Self::IsNull { operand, negated } => Self::IsNull { operand: boxed(operand), negated: *negated },
            Self::InList { operand, list, negated } => Self::InList {
                operand: boxed(operand),
                list: list.iter().map(|item| item.map_columns(map)).collect(),
                negated: *negated,
            },
            Self::Between { operand, low, high, negated } => {
                Self::Between { operand: boxed(operand), low: boxed(low), high: boxed(high), negated: *negated }
            }
            Self::Case { branches, otherwise } => Self::Case {
                branches: branches.iter().map(|(when, then)| (when.map_columns(map), then.map_columns(map))).collect(),
                otherwise: otherwise.as_deref().map(boxed),
            },
            Self::Call { function, arguments } => Self::Call {
                function: function.clone(),
                arguments: arguments.iter().map(|argument| argument.map_columns(map)).collect(),
            },
            Self::Like { operand, pattern, escape } => {
                Self::Like { operand: boxed(operand), pattern: boxed(pattern), escape: escape.as_deref().map(boxed) }
            }
            Self::Collate { operand, collation } => {
                Self::Collate { operand: boxed(operand), collation: collation.clone() }
            }
            Self::Cast { operand, to } => Self::Cast { operand: boxed(operand), to: to.clone() },
            Self::Dialects { sqlite, postgres } => Self::Dialects { sqlite: boxed(sqlite), postgres: boxed(postgres) },
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Decimal(_)
            | Self::Text(_)
            | Self::Blob(_)
            | Self::Postgres(_)
            | Self::Unsupported(..) => self.clone(),
        }
    }

    fn children(&self) -> Vec<&Expr> {
        match self {
            Self::Unary { operand, .. }
            | Self::IsNull { operand, .. }
            | Self::Collate { operand, .. }
            | Self::Cast { operand, .. } => vec![operand],
            Self::Like { operand, pattern, escape } => {
                [operand, pattern].into_iter().chain(escape).map(|child| &**child).collect()
            }
            // Both sides name the same columns.
            Self::Dialects { postgres, .. } => vec![postgres],
            Self::Binary { left, right, .. } => vec![left, right],
            Self::InList { operand, list, .. } => std::iter::once(&**operand).chain(list).collect(),
            Self::Between { operand, low, high, .. } => vec![operand, low, high],
            Self::Case { branches, otherwise } => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain(otherwise.as_deref()).collect()
            }
            Self::Call { arguments, .. } => arguments.iter().collect(),
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Decimal(_)
            | Self::Text(_)
            | Self::Blob(_)
            | Self::Column(_)
            | Self::Postgres(_)
            | Self::Unsupported(..) => Vec::new(),
        }
    }
}
