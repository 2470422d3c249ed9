//! Texts that nobody wrote: mutations of the fixtures' schemas and specs. Whatever comes out, it is no panic.
//!
//! The short form in the tests is the same on every run. `make fuzz MINUTES=10` goes on for that long from a seed of its
//! own, which it prints; a case that takes longer than it may, or more memory, ends it too.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tenantry::cli::Project;
use tenantry::diagnostic::Sources;
use tenantry::emit;
use tenantry::plan::Section;
use tenantry::report::{Style, plan_text, render};
use tenantry::schema::OtherKind;
use tenantry::sqlite::read_source;

/// How many cases the short form tries.
const SHORT: usize = 150;

/// What one case may take where nothing else does: far more than any needs, without a limit for a loaded machine.
const LONGEST: Duration = Duration::from_secs(60);
const LARGEST: u64 = 4 << 30;

struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 16) as usize % count.max(1)
    }

    fn pick<'t>(&mut self, from: &'t [String]) -> &'t str {
        from.get(self.below(from.len())).map_or("", String::as_str)
    }
}

/// Cuts a text into words, numbers, white space and single other characters.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let kind = |c: char| if c.is_alphanumeric() || c == '_' { 0 } else { 1 + u8::from(c.is_whitespace()) };
    for character in text.chars() {
        match pieces.last_mut() {
            Some(last) if kind(character) != 1 && last.chars().all(|c| kind(c) == kind(character)) => {
                last.push(character);
            }
            _ => pieces.push(character.to_string()),
        }
    }
    pieces
}

/// What is put in: what grammars, numbers, names and encodings stumble over.
const ODD: &[&str] = &[
    "(",
    ")",
    ",",
    ";",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "--",
    "/*",
    "*/",
    ":",
    "{",
    "}",
    "- ",
    "?",
    "#",
    "&a ",
    "*a",
    "|",
    ">",
    "!!str ",
    "\n",
    "\t",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "😀",
    "\\",
    "0",
    "-1",
    "9223372036854775808",
    "1e999",
    "0x",
    "0xFFFFFFFFFFFFFFFFF",
    "NULL",
    "null",
    "~",
    "true",
    "no",
    "''",
    "\"\"",
    "[]",
    "NOT",
    "CHECK",
    "AS",
    "COLLATE",
    "REFERENCES",
    "PRIMARY KEY",
    "UNIQUE",
    "CONSTRAINT",
    "DEFAULT",
    "GENERATED ALWAYS",
    "STORED",
    "WITHOUT ROWID",
    "STRICT",
    "AUTOINCREMENT",
    "ON CONFLICT REPLACE",
    "CREATE TABLE",
    "CREATE INDEX",
    "DROP TABLE",
    "ALTER TABLE",
    "WHERE",
    "CASE",
    "WHEN",
    "END",
    "BETWEEN",
    "IN",
    "IS",
    "LIKE",
    "GLOB",
    "CAST",
    "datetime('now')",
    "strftime('%s', 'now')",
    "VARCHAR(0)",
    "DECIMAL(1001,2000)",
    "CHAR(4294967296)",
    "sqlite_x",
    "rowid",
    "xmin",
    "version",
    "tenant",
    "shared",
    "omit",
    "via",
    "column",
    "per_tenant",
    "global",
    "every",
    "sql",
    "first",
    "type",
];

fn mutate(text: &str, others: &[String], random: &mut Random) -> String {
    let mut pieces = pieces(text);
    let changes = 1 + random.below(5);
    for _ in 0..1 + random.below(changes) {
        let at = random.below(pieces.len() + 1).min(pieces.len().saturating_sub(1));
        let to = (at + 1 + random.below(30)).min(pieces.len());
        match random.below(24) {
            _ if pieces.is_empty() => pieces.push((*ODD.get(random.below(ODD.len())).unwrap_or(&"x")).to_owned()),
            0..=4 => drop(pieces.remove(at)),
            5..=8 => pieces.insert(at, ODD[random.below(ODD.len())].to_owned()),
            9..=11 => pieces[at] = ODD[random.below(ODD.len())].to_owned(),
            12..=16 => pieces[at] = pieces[random.below(pieces.len())].clone(),
            17..=19 => {
                let other = random.below(pieces.len());
                pieces.swap(at, other);
            }
            20 => drop(pieces.drain(at..to)),
            21 => {
                let copied: Vec<String> = pieces[at..to].to_vec();
                let times = [1, 1, 2, 40, 400][random.below(5)];
                let copies = copied.iter().cycle().take(copied.len() * times).cloned();
                pieces.splice(at..at, copies.collect::<Vec<_>>());
            }
            22 => {
                let other = self::pieces(random.pick(others));
                let from = random.below(other.len());
                let until = (from + 1 + random.below(60)).min(other.len());
                pieces.splice(at..at, other[from.min(until)..until].iter().cloned());
            }
            _ => pieces.truncate(at),
        }
    }
    // A text that grew out of hand shows nothing that a shorter one does not.
    pieces.concat().chars().take(60_000).collect()
}

/// A fixture: its folder's files.
struct Seed {
    schema: String,
    spec: String,
    folder: PathBuf,
}

fn seeds() -> Vec<Seed> {
    let mut folders: Vec<PathBuf> = fs::read_dir("fixtures").unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let read = |folder: &PathBuf| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let schema = fs::read_to_string(folder.join("schema.sql")).ok()?;
        let system = Path::new("specs").join(format!("{name}.yaml"));
        let spec = fs::read_to_string(folder.join("spec.yaml")).or_else(|_| fs::read_to_string(system)).ok()?;
        let spec = spec.replace(&format!("../fixtures/{name}/"), "");
        Some(Seed { schema, spec, folder: folder.clone() })
    };
    folders.iter().filter_map(read).collect()
}

/// A spec that decides whatever a schema holds, without tenants.
fn spec_for_any(path: &Path) -> Option<String> {
    let schema = read_source(path, &mut Sources::default()).ok()?;
    let quoted = |name: &str| serde_json::to_string(name).unwrap();
    let others = |kind| {
        let named = schema.others.iter().filter(move |other| other.kind == kind);
        named.map(|other| format!("{}: omit", quoted(&other.name))).collect::<Vec<_>>().join(", ")
    };
    let tables: Vec<String> = schema.tables.iter().map(|table| format!("{}: shared", quoted(&table.name))).collect();
    let virtual_tables = others(OtherKind::VirtualTable);
    let tables = tables.into_iter().chain((!virtual_tables.is_empty()).then_some(virtual_tables));
    Some(format!(
        "version: 1\nsource: schema.sql\ntenant: {{column: tenant_id, type: bigint}}\nviews: omit\ntriggers: omit\ntables: {{{}}}\n",
        tables.collect::<Vec<_>>().join(", ")
    ))
}

/// Copies a fixture's files to where they may be changed.
fn copied(fixture: &Path, to: &Path) -> PathBuf {
    let folder = to.join(fixture.file_name().unwrap());
    fs::create_dir(&folder).unwrap();
    for path in fs::read_dir(fixture).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    folder
}

/// Does with a spec and its schema all that needs no database; returns whether it comes to a plan.
fn run(folder: &Path, whole: bool) -> bool {
    let style = Style { colour: false, unicode: true, graphics: true, width: 100 };
    let spec = folder.join("spec.yaml");
    if whole {
        let Some(text) = spec_for_any(&folder.join("schema.sql")) else { return false };
        fs::write(&spec, text).unwrap();
    }
    match Project::load(&spec, false) {
        Ok(project) => {
            emit::postgres(&project.plan, &Section::DDL);
            emit::sqlite(&project.plan);
            plan_text(&project.plan, &project.sources);
            true
        }
        Err(failure) => {
            render(&failure.errors, &failure.sources, style);
            false
        }
    }
}

/// What is being tried, for the watch.
type Current = Arc<Mutex<Option<(Instant, String)>>>;

/// Ends the process where a case does not end by itself.
fn watch(current: &Current) {
    let current = Arc::clone(current);
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_secs(1));
            let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let memory = memory.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
            let Some((since, text)) = current.lock().unwrap().clone() else { continue };
            if since.elapsed() > LONGEST || memory * 1024 > LARGEST {
                eprintln!("{} s, {memory} kB:\n{text}", since.elapsed().as_secs());
                std::process::exit(101);
            }
        }
    });
}

/// Tries mutations of one of a case's two texts until the time or the number of cases is over.
fn fuzz(what: &str) {
    let minutes: Option<f64> = std::env::var("TENANTRY_FUZZ_MINUTES").ok().map(|text| text.parse().unwrap());
    let seed = match (std::env::var("TENANTRY_SEED"), minutes) {
        (Ok(seed), _) => seed.parse().unwrap(),
        (Err(_), Some(_)) => RandomState::new().hash_one("seed"),
        (Err(_), None) => 1,
    };
    println!("TENANTRY_SEED={seed}");
    let (mut random, seeds, current) = (Random(seed), seeds(), Current::default());
    let schemas: Vec<String> = seeds.iter().map(|seed| seed.schema.clone()).collect();
    let specs: Vec<String> = seeds.iter().map(|seed| seed.spec.clone()).collect();
    if minutes.is_some() {
        watch(&current);
    }
    let temporary = tempfile::tempdir().unwrap();
    let folders: Vec<PathBuf> = seeds.iter().map(|seed| copied(&seed.folder, temporary.path())).collect();
    let is_right = |number: &usize| seeds[*number].folder.join("expected.sql").is_file();
    let right: Vec<usize> = (0..seeds.len()).filter(is_right).collect();
    let (started, mut tried, mut planned) = (Instant::now(), 0, 0);
    let is_over = |tried: usize| match minutes {
        Some(minutes) => started.elapsed().as_secs_f64() > minutes * 60.0,
        None => tried == SHORT,
    };
    while !is_over(tried) {
        tried += 1;
        // Those that are wrong from the start get less far.
        let number = match (random.below(seeds.len()), random.below(6)) {
            (number, 0) => number,
            (number, _) => right[number % right.len()],
        };
        let (Seed { schema, spec, .. }, folder) = (&seeds[number], &folders[number]);
        let (mut schema, mut spec, mut whole) = (schema.clone(), spec.clone(), false);
        if what == "schema" {
            whole = random.below(2) == 0;
            schema = mutate(&schema, &schemas, &mut random);
        } else {
            spec = mutate(&spec, &specs, &mut random);
        }
        fs::write(folder.join("schema.sql"), &schema).unwrap();
        fs::write(folder.join("spec.yaml"), &spec).unwrap();
        let shown = format!("-- {}\n{schema}\n# spec\n{spec}", seeds[number].folder.display());
        current.lock().unwrap().replace((Instant::now(), shown.clone()));
        let outcome = catch_unwind(AssertUnwindSafe(|| run(folder, whole)));
        current.lock().unwrap().take();
        planned += usize::from(matches!(outcome, Ok(true)));
        assert!(outcome.is_ok(), "TENANTRY_SEED={seed} case {tried}:\n{shown}");
    }
    println!("{what}: {tried} cases in {:.0} s, {planned} of them planned", started.elapsed().as_secs_f64());
    assert!(planned * 20 > tried, "hardly a case gets far: {planned} of {tried}");
}

#[test]
fn any_schema_text_is_read_or_refused() {
    fuzz("schema");
}

#[test]
fn any_spec_text_is_read_or_refused() {
    fuzz("spec");
}
