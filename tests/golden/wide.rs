//! Random schemas with whatever SQLite's DDL can say and PostgreSQL can be told: types, defaults, checks, generated columns,
//! collations, keys and indexes of all kinds, references, odd names.
//!
//! The DDL is applied to a real PostgreSQL, and its catalog is the model. The order of the tables does not matter.
//! Every run tries the same schemas; `TENANTRY_SEED` and `TENANTRY_CASES` try others, and more of them.

use super::expected::expect_catalog;
use super::random::from_environment;
use std::fmt::Write as _;
use std::fs;
use tenantry::cli::Project;
use tenantry::emit;
use tenantry::ident::quote_always;
use tenantry::plan::Section;

struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 16) as usize % count
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const NAMES: &[&str] = &[
    "order",
    "select",
    "sp ace",
    "ünï",
    "Group",
    "a.b",
    "x'y",
    "we\"ird",
    "😀",
    "user",
    "TABLE",
    "per%cent",
    "semi;colon",
    "--dash",
    "plain",
    "Mixed",
    "end",
    "/* c",
    "check",
    "key",
    "a=b",
    "xmin2",
    "123",
    "$1",
    "new\nline",
    "name",
    "label",
    "value",
    "a_name_that_is_rather_long_so_that_the_names_made_of_it_have_to_be_cut_short",
    "a_name_that_is_rather_long_so_that_the_names_made_of_it_too",
];

/// A kind of column: its declared type, defaults, and checks over `@`.
struct Kind {
    declared: &'static str,
    defaults: &'static [&'static str],
    checks: &'static [&'static str],
}

const INTEGER_DEFAULTS: &[&str] = &["0", "-5", "+7", "0x1F", "NULL", "(1 + 2)", "(-9223372036854775807)"];
const INTEGER_CHECKS: &[&str] = &[
    "@ > 0",
    "@ IN (1, 2, 3)",
    "@ BETWEEN 0 AND 9",
    "@ IS NOT 5",
    "@ IS NULL OR @ >= -1",
    "NOT (@ = 3)",
    "@ % 2 = 0",
    "CASE WHEN @ > 1 THEN @ < 9 ELSE @ <> 0 END",
    "coalesce(@, 0) >= 0",
    "@ ISNULL OR @ == 1",
];
const TEXT_DEFAULTS: &[&str] = &["'x'", "''", "'it''s'", "\"quoted\"", "word", "NULL", "'back\\slash'", "('a' || 'b')"];
const TEXT_CHECKS: &[&str] = &[
    "length(@) > 1",
    "@ <> ''",
    "@ IN ('a', 'b')",
    "@ LIKE 'a%'",
    "@ GLOB 'a*'",
    "lower(@) = @",
    "@ IS NOT NULL",
    "substr(@, 1, 1) = 'a'",
    "instr(@, 'x') > 0",
    "@ || 'x' <> 'yx'",
    "trim(@) <> ''",
];

const KINDS: &[Kind] = &[
    Kind { declared: "INTEGER", defaults: INTEGER_DEFAULTS, checks: INTEGER_CHECKS },
    Kind { declared: "INT", defaults: INTEGER_DEFAULTS, checks: INTEGER_CHECKS },
    Kind { declared: "UNSIGNED BIG INT", defaults: INTEGER_DEFAULTS, checks: INTEGER_CHECKS },
    Kind { declared: "SMALLINT", defaults: &["0", "1", "NULL"], checks: &["@ > 0", "@ IN (1, 2)"] },
    Kind { declared: "TEXT", defaults: TEXT_DEFAULTS, checks: TEXT_CHECKS },
    Kind { declared: "VARCHAR(40)", defaults: TEXT_DEFAULTS, checks: TEXT_CHECKS },
    Kind { declared: "CLOB", defaults: TEXT_DEFAULTS, checks: TEXT_CHECKS },
    Kind { declared: "CHARACTER VARYING(20)", defaults: &["'x'"], checks: &["@ <> ''"] },
    Kind { declared: "REAL", defaults: &["1.5", "0", "-2.5e3", "NULL"], checks: &["@ >= 0", "@ < 1.5"] },
    Kind { declared: "DOUBLE PRECISION", defaults: &["0.5"], checks: &["@ BETWEEN 0 AND 1"] },
    Kind { declared: "DECIMAL(10,2)", defaults: &["0", "1.50", "NULL"], checks: &["@ >= 0"] },
    Kind {
        declared: "BOOLEAN",
        defaults: &["0", "1", "TRUE", "false", "NULL"],
        checks: &["@ IN (0, 1)", "@ = 1 OR @ = 0"],
    },
    Kind {
        declared: "DATE",
        defaults: &["CURRENT_DATE", "(date('now'))", "'2020-01-31'", "NULL"],
        checks: &["@ IS NOT NULL"],
    },
    Kind {
        declared: "DATETIME",
        defaults: &["CURRENT_TIMESTAMP", "(datetime('now'))", "'2020-01-31 12:00:00'", "NULL"],
        checks: &["@ IS NOT NULL"],
    },
    Kind { declared: "TIME", defaults: &["'12:00:00'"], checks: &[] },
    Kind { declared: "BLOB", defaults: &["x'00ff'", "NULL"], checks: &["length(@) < 9"] },
    Kind { declared: "JSON", defaults: &["'{}'"], checks: &["json_valid(@)"] },
    Kind { declared: "UUID", defaults: &["NULL"], checks: &[] },
];

/// The kind that stands for a column without a type: nothing computes with it.
const UNTYPED: usize = 15;

const STRICT_KINDS: &[usize] = &[0, 1, 4];

struct Table {
    name: String,
    columns: Vec<(String, usize)>,
    /// Column lists that references may lead to, with their kinds.
    keys: Vec<Vec<usize>>,
    lines: Vec<String>,
    options: &'static str,
    indexes: Vec<String>,
    /// The lines of the spec that decide its unique keys.
    unique: Vec<String>,
}

/// A schema as statements, and the spec that decides it.
struct Written {
    tables: Vec<String>,
    indexes: Vec<String>,
    spec: String,
}

impl Table {
    fn new(name: String, is_tenant: bool, random: &mut Random) -> Self {
        let strict = random.chance(15);
        let mut table = Self {
            name,
            columns: Vec::new(),
            keys: Vec::new(),
            lines: Vec::new(),
            options: "",
            indexes: Vec::new(),
            unique: Vec::new(),
        };
        if is_tenant {
            table.lines.push("account_id INTEGER NOT NULL".to_owned());
        }
        table.options = match (table.add_key(random), strict) {
            (true, true) => " WITHOUT ROWID, STRICT",
            (true, false) => " WITHOUT ROWID",
            (false, true) => " STRICT",
            (false, false) => "",
        };
        for _ in 0..1 + random.below(5) {
            let kind = if strict { random.pick(STRICT_KINDS) } else { random.below(KINDS.len()) };
            table.add_column(kind, random);
        }
        table
    }

    fn free_name(&self, random: &mut Random) -> String {
        loop {
            let name = random.pick(NAMES);
            if !self.columns.iter().any(|(used, _)| used.eq_ignore_ascii_case(name)) {
                return name.to_owned();
            }
        }
    }

    /// Adds the primary key, of whatever form; returns whether the table is to be WITHOUT ROWID.
    fn add_key(&mut self, random: &mut Random) -> bool {
        match random.below(6) {
            0 | 1 => {
                let counting = if random.chance(50) { " AUTOINCREMENT" } else { "" };
                self.lines.push(format!("id INTEGER PRIMARY KEY{counting}"));
                self.columns.push(("id".to_owned(), 0));
                self.keys.push(vec![0]);
                false
            }
            2 => {
                self.lines.push("code TEXT NOT NULL PRIMARY KEY".to_owned());
                self.columns.push(("code".to_owned(), 4));
                self.keys.push(vec![0]);
                random.chance(40)
            }
            3 | 4 => {
                let name = if random.chance(50) { "CONSTRAINT \"the key\" " } else { "" };
                for column in ["one", "two"] {
                    self.lines.push(format!("{column} INTEGER NOT NULL"));
                    self.columns.push((column.to_owned(), 0));
                }
                self.lines.push(format!("{name}PRIMARY KEY (one, two)"));
                self.keys.push(vec![0, 1]);
                random.chance(40)
            }
            _ => false,
        }
    }

    fn add_column(&mut self, kind: usize, random: &mut Random) {
        let (name, described) = (self.free_name(random), &KINDS[kind]);
        let quoted = quote_always(&name);
        let mut line = format!("{quoted} {}", described.declared);
        let is_text = described.declared == "TEXT";
        let collation = if is_text && random.chance(30) { random.pick(&["NOCASE", "RTRIM", "BINARY"]) } else { "" };
        if !collation.is_empty() {
            write!(line, " COLLATE {collation}").unwrap();
        }
        let from = self.columns.iter().find(|(_, other)| *other == kind && kind == 0);
        if let Some((from, _)) = from.filter(|_| random.chance(30)) {
            let kept = random.pick(&["STORED", "VIRTUAL", ""]);
            write!(line, " GENERATED ALWAYS AS ({} + 1) {kept}", quote_always(from)).unwrap();
            self.insert_column(&line, name, kind);
            return;
        }
        if random.chance(30) {
            line.push_str(random.pick(&[" NOT NULL", " NOT NULL ON CONFLICT IGNORE", " CONSTRAINT nn NOT NULL"]));
        }
        if random.chance(50) {
            write!(line, " DEFAULT {}", random.pick(described.defaults)).unwrap();
        }
        if !described.checks.is_empty() && collation.is_empty() && random.chance(40) {
            let named = if random.chance(40) {
                format!("CONSTRAINT {} ", quote_always(&format!("c {name}")))
            } else {
                String::new()
            };
            write!(line, " {named}CHECK ({})", random.pick(described.checks).replace('@', &quoted)).unwrap();
        }
        let is_key = matches!(described.declared, "INTEGER" | "INT" | "TEXT" | "VARCHAR(40)");
        if is_key && collation.is_empty() && random.chance(25) {
            let conflict = random.pick(&["", " ON CONFLICT REPLACE"]);
            write!(line, " UNIQUE{conflict}").unwrap();
            self.keys.push(vec![self.columns.len()]);
            self.unique.push(format!("{}: per_tenant", serde_json::to_string(&name).unwrap()));
        }
        self.insert_column(&line, name, kind);
    }

    /// Puts a column before the constraints of the table.
    fn insert_column(&mut self, line: &str, name: String, kind: usize) {
        let is_constraint =
            |line: &String| ["PRIMARY", "CONSTRAINT", "FOREIGN"].iter().any(|word| line.starts_with(word));
        let at = self.lines.iter().position(is_constraint).unwrap_or(self.lines.len());
        self.lines.insert(at, line.to_owned());
        self.columns.push((name, kind));
    }

    fn add_index(&mut self, number: usize, random: &mut Random) {
        let column = |table: &Self, random: &mut Random| table.columns[random.below(table.columns.len())].clone();
        let (first, first_kind) = column(self, random);
        let (second, _) = column(self, random);
        let quoted = quote_always(&first);
        if KINDS[first_kind].declared == "JSON" || first == second {
            return;
        }
        let is_text = KINDS[first_kind].declared == "TEXT";
        let part = match random.below(5) {
            0 if is_text => format!("lower({quoted})"),
            1 if is_text => format!("{quoted} COLLATE NOCASE"),
            2 if first_kind == 0 => format!("{quoted} + 1 DESC"),
            _ => format!("{quoted}{}", random.pick(&["", " DESC", " ASC"])),
        };
        let predicate = match random.below(3) {
            0 => format!(" WHERE {quoted} IS NOT NULL"),
            1 if first_kind == 0 => format!(" WHERE {quoted} > 5 AND {quoted} IS NOT 7"),
            _ => String::new(),
        };
        let second = self.columns.iter().find(|(name, kind)| *name == second && KINDS[*kind].declared != "JSON");
        let second = second.map(|(name, _)| format!(", {} DESC", quote_always(name))).unwrap_or_default();
        let name = format!("ix {number} {}", self.name);
        let unique = random.chance(20);
        if unique {
            self.unique.push(format!("{}: per_tenant", serde_json::to_string(&name).unwrap()));
        }
        self.indexes.push(format!(
            "CREATE {}INDEX {} ON {} ({part}{second}){predicate};",
            if unique { "UNIQUE " } else { "" },
            quote_always(&name),
            quote_always(&self.name)
        ));
    }
}

fn add_reference(tables: &mut [Table], own: usize, number: usize, random: &mut Random) {
    let parent = random.below(tables.len());
    if tables[parent].keys.is_empty() {
        return;
    }
    let key = random.below(tables[parent].keys.len());
    let columns: Vec<(String, usize)> =
        tables[parent].keys[key].iter().map(|&at| tables[parent].columns[at].clone()).collect();
    let is_primary = key == 0 && matches!(columns[0].0.as_str(), "id" | "code" | "one");
    let names: Vec<String> = (0..columns.len()).map(|part| format!("ref{number}_{part}")).collect();
    let action = [
        "",
        " ON DELETE CASCADE",
        " ON DELETE SET NULL",
        " ON DELETE RESTRICT",
        " ON UPDATE CASCADE ON DELETE NO ACTION",
    ];
    let deferral = ["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED", " NOT DEFERRABLE INITIALLY DEFERRED"];
    let named = if random.chance(30) { format!("CONSTRAINT \"fk {number}\" ") } else { String::new() };
    let to: Vec<String> = columns.iter().map(|(name, _)| quote_always(name)).collect();
    let to = if is_primary && random.chance(40) { String::new() } else { format!(" ({})", to.join(", ")) };
    let clause = format!(
        "REFERENCES {}{to}{}{}",
        quote_always(&tables[parent].name),
        random.pick(&action),
        random.pick(&deferral)
    );
    let table = &mut tables[own];
    for (name, (_, kind)) in names.iter().zip(&columns) {
        let reference = if names.len() == 1 { format!(" {named}{clause}") } else { String::new() };
        let strict = table.options.contains("STRICT");
        let declared = if !strict && random.chance(20) { "" } else { KINDS[*kind].declared };
        let declared = if strict && declared.starts_with("VARCHAR") { "TEXT" } else { declared };
        table.insert_column(
            &format!("{name} {declared}{reference}"),
            name.clone(),
            if declared.is_empty() { UNTYPED } else { *kind },
        );
    }
    if names.len() > 1 {
        table.lines.push(format!("{named}FOREIGN KEY ({}) {clause}", names.join(", ")));
    }
}

fn write(random: &mut Random) -> Written {
    let is_tenant = random.chance(60);
    let mut names: Vec<&str> = NAMES.to_vec();
    let mut tables: Vec<Table> = (0..2 + random.below(5))
        .map(|_| {
            let name = names.swap_remove(random.below(names.len())).to_owned();
            Table::new(name, is_tenant, random)
        })
        .collect();
    for own in 0..tables.len() {
        for number in 0..random.below(3) {
            add_reference(&mut tables, own, number, random);
        }
        for number in 0..random.below(4) {
            tables[own].add_index(number, random);
        }
    }
    let mut spec =
        String::from("version: 1\nsource: schema.sql\ntenant: {column: account_id, type: bigint}\ntables:\n");
    for table in &tables {
        let name = serde_json::to_string(&table.name).unwrap();
        match is_tenant {
            true => {
                writeln!(spec, "  {name}: {{tenant: {{column: account_id}}, unique: {{{}}}}}", table.unique.join(", "))
            }
            false => writeln!(spec, "  {name}: shared"),
        }
        .unwrap();
    }
    let create = |table: &Table| {
        format!(
            "CREATE TABLE {} (\n    {}\n){};",
            quote_always(&table.name),
            table.lines.join(",\n    "),
            table.options
        )
    };
    Written {
        indexes: tables.iter().flat_map(|table| table.indexes.clone()).collect(),
        tables: tables.iter().map(create).collect(),
        spec,
    }
}

fn load(tables: &[String], indexes: &[String], spec: &str) -> Result<Project, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("schema.sql"), format!("{}\n{}\n", tables.join("\n"), indexes.join("\n"))).unwrap();
    fs::write(folder.path().join("spec.yaml"), spec).unwrap();
    Project::load(&folder.path().join("spec.yaml"), true).map_err(|failure| failure.errors.to_string())
}

fn check(written: &Written, random: &mut Random) -> Result<usize, String> {
    let project = load(&written.tables, &written.indexes, &written.spec)?;
    let ddl = emit::postgres(&project.plan, &Section::DDL);
    let mut shuffled = written.tables.clone();
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, random.below(at + 1));
    }
    let again = load(&shuffled, &written.indexes, &written.spec)?;
    if emit::postgres(&again.plan, &Section::DDL) != ddl {
        return Err(format!("the order of the tables changes the DDL:\n{}\n{ddl}", shuffled.join("\n")));
    }
    expect_catalog(&project.plan).map_err(|error| format!("{error}\n{ddl}"))?;
    let target = &project.plan.rewritten.target;
    Ok(target.columns.len()
        + target.keys.len()
        + target.foreign_keys.len()
        + target.indexes.len()
        + target.checks.len())
}

#[test]
fn random_ddl_becomes_the_catalog_that_was_planned() {
    let seed = from_environment("TENANTRY_SEED").unwrap_or(1);
    let cases = from_environment("TENANTRY_CASES").unwrap_or(12);
    println!("TENANTRY_SEED={seed}");
    let mut objects = 0;
    for case in 0..cases {
        let mut random = Random(seed.wrapping_add(case));
        let written = write(&mut random);
        match check(&written, &mut random) {
            Ok(compared) => objects += compared,
            Err(error) => panic!(
                "TENANTRY_SEED={} TENANTRY_CASES=1: {error}\n{}\n{}\n{}",
                seed.wrapping_add(case),
                written.tables.join("\n"),
                written.indexes.join("\n"),
                written.spec
            ),
        }
    }
    println!("{cases} schemas: {objects} columns, keys, foreign keys, indexes and checks compared");
    assert!(objects > 0, "nothing was compared");
}
