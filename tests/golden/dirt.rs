//! A database with every kind of dirt once, `fixtures/dirty`: the audit finds each, none twice, and nothing else; and what it
//! suggests can be pasted into the spec.
//!
//! The tests are named after the rules of what SQLite holds and PostgreSQL does not take; docs/audit.md lists them.

use serde_yaml::{Mapping, Value};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;
use tenantry::cli::Project;
use tenantry::copy::{Audit, Finding, Settled, Suggestion, audit_snapshot, suggestions_yaml};
use tenantry::sqlite::Snapshot;

/// What is found of each rule: code, place, how many rows, and the keys of the first.
const DIRT: &[(&str, &[&str])] = &[
    (
        "tenancy",
        &[
            "no-case comments.about_id × 1 (id=50)",
            "no-tenant folders {first: [{via: parent_id}, {via: project_id}]} × 2 (id=50; id=51)",
            "no-tenant people.account_id × 1 (id=50)",
            "no-tenant projects.owner_id → people.account_id × 1 (id=50)",
            "no-tenant projects.owner_id → people.account_id × 1 (id=51)",
            "no-tenant tags {used_by: task_tags.tag_id, several: fail} × 1 (id=51)",
            "orphan comments.about_id × 1 (id=51)",
            "several-tenants tags {used_by: task_tags.tag_id, several: fail} × 1 (id=50)",
            "tenant-conflict tasks.assignee_id → people.account_id says another tenant than tasks.project_id → \
             projects.owner_id → people.account_id × 1 (id=50)",
            "unknown-tenant people.account_id × 1 (id=51)",
            "unmapped-tenant accounts.id × 1 (id='d')",
        ],
    ),
    (
        "c1",
        &[
            "unfit-value/blob-in-text numbers.many × 1 (id=52)",
            "unfit-value/fraction numbers.many × 1 (id=51)",
            "unfit-value/number-in-text texts.label × 1 (id=50)",
            "unfit-value/text-in-number numbers.many × 1 (id=50)",
        ],
    ),
    (
        "c2",
        &[
            "unfit-value/infinite-number numbers.amount × 1 (id=55)",
            "unfit-value/integer-range numbers.few × 1 (id=54)",
            "unfit-value/integer-range numbers.many × 1 (id=53)",
        ],
    ),
    ("c3", &["unfit-value/boolean-word numbers.active × 1 (id=56)"]),
    (
        "c4",
        &[
            "unfit-value/blob-in-text texts.note × 1 (id=53)",
            "unfit-value/invalid-utf8 texts.note × 1 (id=52)",
            "unfit-value/nul-character texts.note × 1 (id=51)",
            "unfit-value/text-in-blob texts.photo × 1 (id=54)",
        ],
    ),
    (
        "c5",
        &[
            "unfit-value/lossy-number numbers.amount × 1 (id=57)",
            "unfit-value/lossy-number numbers.short_ratio × 1 (id=59)",
            "unfit-value/number-range numbers.amount × 1 (id=58)",
            "unfit-value/text-in-number numbers.ratio × 1 (id=60)",
        ],
    ),
    (
        "c6",
        &[
            "unfit-value/date-number moments.measured × 1 (id=58)",
            "unfit-value/date-number moments.paid × 1 (id=56)",
            "unfit-value/date-number moments.planned × 1 (id=59)",
            "unfit-value/date-number moments.shipped × 1 (id=57)",
            "unfit-value/date-unreadable moments.closed × 1 (id=60)",
            "unfit-value/date-unreadable moments.opened × 1 (id=52)",
            "unfit-value/date-unreadable moments.seen × 1 (id=55)",
            "unfit-value/no-such-day moments.born × 1 (id=50)",
            "unfit-value/offset-dropped moments.seen × 1 (id=53)",
            "unfit-value/offset-missing moments.heard × 1 (id=54)",
            "unfit-value/zero-date moments.born × 1 (id=51)",
        ],
    ),
    (
        "c7",
        &[
            "unfit-value/text-too-long texts.code × 1 (id=55)",
            "unfit-value/trailing-spaces texts.code × 1 (id=56)",
            "unfit-value/trailing-spaces texts.letters × 1 (id=57)",
        ],
    ),
    (
        "c8",
        &[
            "unfit-value/empty-text moments.born × 1 (id=61)",
            "unfit-value/empty-text numbers.amount × 1 (id=62)",
            "unfit-value/empty-text numbers.cents × 1 (id=61)",
        ],
    ),
    (
        "c9",
        &[
            "duplicate-key tokens: tokens_pkey (token) × 2 (token='a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'; \
             token='A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')",
            "unfit-value/invalid-json texts.settings × 1 (id=58)",
            "unfit-value/invalid-uuid tokens.token × 1 (token='{C0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}')",
            "unfit-value/refused-by-jsonb texts.settings × 2 (id=59; id=61)",
        ],
    ),
    ("c10", &["null-value rates.currency × 2 (currency=NULL)"]),
    ("c11", &["unfit-value/text-in-number lines.line × 1 (rowid=-7)"]),
    (
        "c12",
        &[
            "duplicate-key people: people_account_id_name_key (account_id, name) × 2 (id=52; id=53)",
            "other-spelling weights.unit → units × 1 (id=50)",
        ],
    ),
    ("c13", &["unfit-value/text-in-number tasks.reviewer × 1 (id=51)"]),
    ("c14", &["orphan tasks.assignee_id → people × 1 (id=53)", "orphan tasks.project_id → projects × 1 (id=52)"]),
    ("c16", &["check-violated numbers: numbers_cents_check × 1 (id=63)"]),
    (
        "keys and indexes",
        &[
            "duplicate-key seats: seats_seat_key (seat) × 2 (id=1; id=50)",
            "index-row-long texts: texts_by_long_name × 1 (id=60)",
        ],
    ),
];

/// A database of the fixture, clean or not, in a folder of its own.
struct Shop {
    folder: TempDir,
}

impl Shop {
    fn new(files: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["schema.sql", "ids.csv", "spec.yaml"] {
            fs::copy(Path::new("fixtures/dirty").join(file), folder.path().join(file)).unwrap();
        }
        let source = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
        source.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        for file in [&["schema.sql"], files].concat() {
            source.execute_batch(&fs::read_to_string(Path::new("fixtures/dirty").join(file)).unwrap()).unwrap();
        }
        Self { folder }
    }

    fn audit(&self) -> Result<(Settled, Audit), String> {
        let project = Project::load(&self.folder.path().join("spec.yaml"), false);
        let project = project.map_err(|failure| failure.errors.to_string())?;
        let snapshot = Snapshot::take(&self.folder.path().join("shop.db")).map_err(|error| format!("{error:?}"))?;
        let audited = audit_snapshot(&project.plan, &snapshot, &mut |_, _| {});
        audited.map(|(settled, audit, _)| (settled, audit)).map_err(|error| format!("{error:?}"))
    }

    /// Pastes a part of a spec into the fixture's.
    fn paste(&self, part: &str) {
        let text = fs::read_to_string("fixtures/dirty/spec.yaml").unwrap();
        let mut spec: Value = serde_yaml::from_str(&text).unwrap();
        merge(&mut spec, serde_yaml::from_str(part).unwrap());
        fs::write(self.folder.path().join("spec.yaml"), serde_yaml::to_string(&spec).unwrap()).unwrap();
    }
}

/// What a person does who pastes: each key at its place, and `shared` as the mapping that it is short for.
fn merge(into: &mut Value, part: Value) {
    let Value::Mapping(part) = part else {
        *into = part;
        return;
    };
    if let Value::String(word) = &*into {
        let placement = [(Value::from("placement"), Value::from(word.as_str()))];
        *into = Value::Mapping(placement.into_iter().collect::<Mapping>());
    }
    for (key, value) in part {
        match into.as_mapping_mut().unwrap().get_mut(&key) {
            Some(known) => merge(known, value),
            None => {
                into.as_mapping_mut().unwrap().insert(key, value);
            }
        }
    }
}

fn dirty() -> &'static Audit {
    static DIRTY: OnceLock<Audit> = OnceLock::new();
    DIRTY.get_or_init(|| Shop::new(&["rows.sql", "dirty.sql"]).audit().unwrap().1)
}

fn all(audit: &Audit) -> impl Iterator<Item = &Finding> {
    audit.findings.iter().chain(&audit.warnings)
}

fn line(finding: &Finding) -> String {
    let problem = finding.problem.map(|problem| format!("/{problem}")).unwrap_or_default();
    format!("{}{problem} {} × {} ({})", finding.code, finding.place, finding.rows, finding.keys.join("; "))
}

fn lines(audit: &Audit) -> BTreeSet<String> {
    all(audit).map(line).collect()
}

/// Looks for what is to be found of a rule.
fn finds(rule: &str) {
    let found = lines(dirty());
    let (_, expected) = DIRT.iter().find(|(name, _)| *name == rule).unwrap();
    let missing: Vec<_> = expected.iter().filter(|line| !found.contains(**line)).collect();
    assert!(missing.is_empty(), "{missing:#?} not in {found:#?}");
}

#[test]
fn clean_rows_give_no_finding() {
    let (_, clean) = Shop::new(&["rows.sql"]).audit().unwrap();
    assert_eq!(lines(&clean), BTreeSet::new());
    assert_eq!(clean.unjudged, Vec::<String>::new());
}

#[test]
fn dirt_is_found_once_and_nothing_else_is() {
    let expected: BTreeSet<String> = DIRT.iter().flat_map(|(_, lines)| *lines).map(|&line| line.to_owned()).collect();
    assert_eq!(lines(dirty()), expected);
    assert_eq!(all(dirty()).count(), expected.len());
    // No row stands in two findings.
    let mut seen = BTreeSet::new();
    for finding in all(dirty()) {
        for key in &finding.keys {
            assert!(seen.insert((finding.table, key)), "{} twice: {}", key, line(finding));
        }
    }
}

#[test]
fn rows_without_a_tenant_or_with_too_many() {
    finds("tenancy");
}

#[test]
fn c1_declared_types_are_not_stored_types() {
    finds("c1");
}

#[test]
fn c2_what_64_bits_do_not_hold() {
    finds("c2");
}

#[test]
fn c3_booleans_are_a_closed_list() {
    finds("c3");
}

#[test]
fn c4_texts_that_are_none() {
    finds("c4");
}

#[test]
fn c5_decimals_are_not_rounded_silently() {
    finds("c5");
}

#[test]
fn c6_dates_are_no_special_words_and_drop_no_offset() {
    finds("c6");
}

#[test]
fn c7_lengths_are_kept_and_spaces_are_not_trimmed() {
    finds("c7");
}

#[test]
fn c8_an_empty_text_is_no_null() {
    finds("c8");
}

#[test]
fn c9_documents_and_ids_are_taken_apart() {
    finds("c9");
}

#[test]
fn c10_keys_of_sqlite_can_be_null() {
    finds("c10");
}

#[test]
fn c11_rows_without_a_key_are_named_by_their_rowid() {
    finds("c11");
}

#[test]
fn c12_another_collation_takes_more_or_less_for_the_same() {
    finds("c12");
}

#[test]
fn c13_references_match_as_sqlite_matches_them() {
    finds("c13");
}

#[test]
fn c14_foreign_keys_were_off() {
    finds("c14");
}

#[test]
fn c16_checks_were_not_checked() {
    finds("c16");
}

#[test]
fn keys_that_the_spec_narrows_and_rows_too_long_for_an_index() {
    finds("keys and indexes");
}

/// The page names the tests of each rule; those of this file and of the audit's own are there.
#[test]
fn the_page_lists_the_tests_of_each_rule() {
    let page = fs::read_to_string("docs/audit.md").unwrap();
    let (here, own) = (include_str!("dirt.rs"), fs::read_to_string("src/copy/audit/tests.rs").unwrap());
    for rule in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16] {
        let row =
            page.lines().find(|line| line.starts_with(&format!("| C{rule} |"))).unwrap_or_else(|| panic!("C{rule}"));
        for text in [here, &own] {
            let test = text.split("\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
            let name = test.into_iter().find(|name| name.starts_with(&format!("c{rule}_"))).unwrap();
            assert!(row.contains(&format!("`{name}`")), "{name} is not in {row}");
        }
    }
}

/// Says whether a finding of one audit stands in another one as well.
fn stands(finding: &Finding, audit: &Audit) -> bool {
    all(audit).any(|other| {
        (other.table, other.code, other.problem, &other.place, &other.keys)
            == (finding.table, finding.code, finding.problem, &finding.place, &finding.keys)
    })
}

#[test]
fn each_suggestion_can_be_pasted_and_decides_its_finding() {
    let shop = Shop::new(&["rows.sql", "dirty.sql"]);
    let before = lines(dirty());
    let mut wrong = Vec::new();
    let mut pasted = 0;
    for finding in all(dirty()) {
        let Some(suggestion) = &finding.suggestion else {
            wrong.push(format!("{}: nothing is suggested", line(finding)));
            continue;
        };
        shop.paste(&suggestion.line());
        pasted += 1;
        match shop.audit() {
            Err(error) => wrong.push(format!("{}: {}: {error}", line(finding), suggestion.line())),
            Ok((settled, after)) => {
                if stands(finding, &after) {
                    wrong.push(format!("{}: {}: is still there", line(finding), suggestion.line()));
                }
                let new: Vec<String> = lines(&after).difference(&before).cloned().collect();
                // The accounts say what became of rows that are not moved as they are.
                let decided = settled.accounts.iter().any(|account| account.rejected + account.cleared > 0);
                let keeps_out = suggestion.path.iter().any(|key| key == "rows");
                if decided != keeps_out {
                    wrong.push(format!("{}: {}: {:?}", line(finding), suggestion.line(), settled.accounts));
                }
                if new.iter().any(|line| !before.iter().any(|known| is_alike(line, known))) {
                    wrong.push(format!("{}: {}: finds {new:?}", line(finding), suggestion.line()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(pasted > 40, "{pasted}");
}

/// Says whether two lines are of one kind, and about the same rows or a part of them.
fn is_alike(line: &str, known: &str) -> bool {
    let keys = |line: &str| line.rsplit_once('(').map(|(_, keys)| keys.trim_end_matches(')').to_owned()).unwrap();
    let has = keys(known);
    line.split(' ').next() == known.split(' ').next() && keys(line).split("; ").all(|key| has.contains(key))
}

#[test]
fn all_suggestions_together_make_the_database_go_through() {
    let shop = Shop::new(&["rows.sql", "dirty.sql"]);
    let suggestions: Vec<&Suggestion> = all(dirty()).filter_map(|finding| finding.suggestion.as_ref()).collect();
    shop.paste(&suggestions_yaml(suggestions));
    let (_, after) = shop.audit().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(lines(&after), BTreeSet::new());
}
