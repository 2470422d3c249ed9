//! The rules of what SQLite holds and PostgreSQL does not take, each by the rows that break it.

use super::{Audit, audit, suggestions_yaml};
use crate::diagnostic::Sources;
use crate::plan::Plan;
use crate::spec;
use crate::sqlite::{Snapshot, read_source};

/// Audits a database; nothing is checked while it is filled.
fn audited(sqlite: &str, yaml: &str) -> (Plan, Audit) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("source.db");
    let sqlite = format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sqlite}");
    rusqlite::Connection::open(&path).unwrap().execute_batch(&sqlite).unwrap();
    let mut sources = Sources::default();
    let schema = read_source(&path, &mut sources).unwrap();
    let id = sources.add("spec.yaml", yaml);
    let (file, spans) = spec::read(yaml, id).unwrap();
    let tenancy = spec::resolve(&file, &spans, &schema).unwrap();
    let plan = Plan::new(schema, tenancy).unwrap();
    let snapshot = Snapshot::take(&path).unwrap();
    let (audit, _) = audit(&plan, &snapshot.open().unwrap(), &mut |_, _| {}).unwrap();
    (plan, audit)
}

/// Writes each finding as a line.
fn lines(audit: &Audit) -> Vec<String> {
    let line = |finding: &super::Finding| {
        let problem = finding.problem.map(|problem| format!("/{problem}")).unwrap_or_default();
        let shape = finding.shape.as_deref().map(|shape| format!(" `{shape}`")).unwrap_or_default();
        format!("{}{problem} {} × {}{shape} ({})", finding.code, finding.place, finding.rows, finding.keys.join("; "))
    };
    let mut lines: Vec<String> = audit.findings.iter().chain(&audit.warnings).map(line).collect();
    lines.sort();
    lines
}

/// Audits a table `t` whose column `v` is declared so, filled with these values in rows of their own, next to good ones.
fn column(declared: &str, values: &str) -> Vec<String> {
    let sqlite = format!("CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared}); INSERT INTO t (v) VALUES {values};");
    lines(&audited(&sqlite, SHARED).1)
}

const SHARED: &str = "{version: 1, source: s, tenant: {column: tenant, type: bigint}, tables: {t: shared}}";

#[test]
fn c1_declared_types_are_not_stored_types() {
    assert_eq!(
        column("INTEGER", "(1), (NULL), ('abc'), (12.5), (''), (x'00')"),
        [
            "unfit-value/blob-in-text t.v × 1 `a blob of 1 bytes` (id=6)",
            "unfit-value/empty-text t.v × 1 `an empty text` (id=5)",
            "unfit-value/fraction t.v × 1 `real 99.9` (id=4)",
            "unfit-value/text-in-number t.v × 1 `aaa` (id=3)",
        ]
    );
}

#[test]
fn c2_what_64_bits_do_not_hold() {
    assert_eq!(
        column("INTEGER", "(9223372036854775807), (9223372036854775808), (9e999)"),
        [
            "unfit-value/infinite-number t.v × 1 `real aaa` (id=3)",
            "unfit-value/integer-range t.v × 1 `real 9999999999999999999` (id=2)",
        ]
    );
    assert_eq!(column("DECIMAL(10,2)", "(1.5), (-9e999)"), ["unfit-value/infinite-number t.v × 1 `real -aaa` (id=2)"]);
    assert_eq!(
        column("SMALLINT", "(32767), (-32769), (70000)"),
        ["unfit-value/integer-range t.v × 2 `integer -99999` (id=2; id=3)"]
    );
}

#[test]
fn c3_booleans_are_a_closed_list() {
    assert_eq!(
        column("BOOLEAN", "(0), (1), ('t'), ('true'), ('FALSE'), (NULL), (2), ('maybe')"),
        ["unfit-value/boolean-word t.v × 2 `integer 9` (id=7; id=8)"]
    );
}

#[test]
fn c4_texts_that_are_none() {
    assert_eq!(
        column("TEXT", "('a'), ('a' || char(0) || 'b'), (CAST(x'ff' AS TEXT)), (x'61')"),
        [
            "unfit-value/blob-in-text t.v × 1 `a blob of 1 bytes` (id=4)",
            "unfit-value/invalid-utf8 t.v × 1 `?` (id=3)",
            "unfit-value/nul-character t.v × 1 `a\\x00a` (id=2)",
        ]
    );
    assert_eq!(column("BLOB", "(x'00'), ('text'), (1)"), ["unfit-value/text-in-blob t.v × 2 `aaaa` (id=2; id=3)"]);
    assert_eq!(
        column("JSONB", "('\"a\"'), ('\"\\u0000\"')"),
        ["unfit-value/refused-by-jsonb t.v × 1 `\"\\a9999\"` (id=2)"]
    );
}

#[test]
fn c5_decimals_are_not_rounded_silently() {
    assert_eq!(
        column("DECIMAL(10,2)", "(1.25), ('7.5'), (3), (0.125), ('1.005'), (12345678901), ('many')"),
        [
            "unfit-value/lossy-number t.v × 2 `real 9.999` (id=4; id=5)",
            "unfit-value/number-range t.v × 1 `integer 99999999999` (id=6)",
            "unfit-value/text-in-number t.v × 1 `aaaa` (id=7)",
        ]
    );
}

#[test]
fn c6_dates_are_no_special_words_and_drop_no_offset() {
    assert_eq!(
        column(
            "DATETIME",
            "('2024-01-31 10:00:00'), ('2024-02-30 00:00:00'), ('2024-01-31 10:00:00+02:00'), ('now'), ('infinity'), \
             ('20240101'), ('0000-00-00 00:00:00'), (1700000000), (1700000000000), (2460000.5), ('01/02/2024'), ('')"
        ),
        [
            "unfit-value/date-number t.v × 1 `integer 9999999999999` (id=9)",
            "unfit-value/date-number t.v × 1 `integer 9999999999` (id=8)",
            "unfit-value/date-number t.v × 1 `integer 99999999` (id=6)",
            "unfit-value/date-number t.v × 1 `real 9999999.9` (id=10)",
            "unfit-value/date-unreadable t.v × 1 `99/99/9999` (id=11)",
            "unfit-value/date-unreadable t.v × 2 `aaa` (id=4; id=5)",
            "unfit-value/empty-text t.v × 1 `an empty text` (id=12)",
            "unfit-value/no-such-day t.v × 1 `9999-99-99 99:99:99` (id=2)",
            "unfit-value/offset-dropped t.v × 1 `9999-99-99 99:99:99+99:99` (id=3)",
            "unfit-value/zero-date t.v × 1 `9999-99-99 99:99:99` (id=7)",
        ]
    );
}

#[test]
fn c7_lengths_are_kept_and_spaces_are_not_trimmed() {
    assert_eq!(
        column("VARCHAR(3)", "('abc'), ('äöü'), ('abcd'), ('abc   ')"),
        ["unfit-value/text-too-long t.v × 1 `aaaa` (id=3)", "unfit-value/trailing-spaces t.v × 1 `aaa   ` (id=4)",]
    );
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t (v) VALUES ('abc'), ('ab');";
    let yaml = "{version: 1, source: s, tenant: {column: tenant, type: bigint}, \
                tables: {t: {tenant: {constant: '1'}, columns: {v: {type: char(3)}}}}}";
    assert_eq!(lines(&audited(sqlite, yaml).1), ["unfit-value/trailing-spaces t.v × 1 `aa` (id=2)"], "char(n) pads");
}

#[test]
fn c8_an_empty_text_is_no_null() {
    for declared in ["INTEGER", "DATE", "DECIMAL(5,2)", "BOOLEAN"] {
        assert_eq!(
            column(declared, "(NULL), ('')"),
            ["unfit-value/empty-text t.v × 1 `an empty text` (id=2)"],
            "{declared}"
        );
    }
    assert_eq!(column("TEXT", "(NULL), ('')"), Vec::<String>::new());
}

#[test]
fn c9_documents_and_ids_become_equal_when_they_are_read() {
    let id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let sqlite = format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v CHAR(36) UNIQUE, w JSON); \
         INSERT INTO t (v, w) VALUES ('{id}', '{{}}'), ('{}', '{{a: 1}}'), (NULL, NULL), (NULL, NULL), ('{{{id}}}', NULL);",
        id.to_uppercase()
    );
    let yaml = "{version: 1, source: s, tenant: {column: tenant, type: bigint}, \
                tables: {t: {tenant: {constant: '1'}, columns: {v: {type: uuid}}, unique: {v: global}}}}";
    let (_, audit) = audited(&sqlite, yaml);
    // The row that does not fit is no duplicate: it does not go through.
    assert_eq!(
        lines(&audit),
        [
            "unfit-value/invalid-json t.w × 1 `{a: 9}` (id=2)",
            "unfit-value/invalid-uuid t.v × 1 `{a9aaaa99-9a9a-9aa9-aa9a-9aa9aa999a99}` (id=5)",
        ]
    );
    let (_, audit) = audited(&sqlite.replace("{a: 1}", "{}"), yaml);
    assert_eq!(
        lines(&audit),
        [
            "duplicate-key t: t_v_key (v) × 2 (id=1; id=2)",
            "unfit-value/invalid-uuid t.v × 1 `{a9aaaa99-9a9a-9aa9-aa9a-9aa9aa999a99}` (id=5)",
        ]
    );
}

#[test]
fn c10_keys_of_sqlite_can_be_null() {
    let sqlite = "CREATE TABLE t (code TEXT PRIMARY KEY, v INT); INSERT INTO t VALUES ('a', 1), (NULL, 2), (NULL, 3);";
    assert_eq!(lines(&audited(sqlite, SHARED).1), ["null-value t.code × 2 (code=NULL)"]);
}

#[test]
fn c11_negative_rowids_are_keys_as_good_as_any() {
    let sqlite = "CREATE TABLE t (v INT); INSERT INTO t (rowid, v) VALUES (-5, 1), (7, 'x');";
    assert_eq!(lines(&audited(sqlite, SHARED).1), ["unfit-value/text-in-number t.v × 1 `a` (rowid=7)"]);
}

#[test]
fn c12_another_collation_takes_more_for_the_same() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT COLLATE NOCASE UNIQUE); \
                  INSERT INTO t (v) VALUES ('École'), ('école'), ('a'), ('b');";
    let yaml = |column: &str| {
        format!(
            "{{version: 1, source: s, tenant: {{column: tenant, type: bigint}}, \
             tables: {{t: {{tenant: {{constant: '1'}}, unique: {{v: global}}, columns: {{v: {column}}}}}}}}}"
        )
    };
    assert_eq!(lines(&audited(sqlite, &yaml("{collation: keys}")).1), Vec::<String>::new());
    for merging in ["{type: citext}", "{collation: icu}"] {
        assert_eq!(
            lines(&audited(sqlite, &yaml(merging)).1),
            ["duplicate-key t: t_v_key (v) × 2 (id=1; id=2)"],
            "{merging}"
        );
    }
    let texts = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE); INSERT INTO t (v) VALUES ('a'), ('A'), ('b');";
    assert_eq!(lines(&audited(texts, &yaml("{type: citext}")).1), ["duplicate-key t: t_v_key (v) × 2 (id=1; id=2)"]);
}

#[test]
fn c12_a_reference_is_spelled_as_its_parent_is() {
    let found = |collation: &str, column: &str| {
        let sqlite = format!(
            "CREATE TABLE p (k TEXT COLLATE {collation} PRIMARY KEY, up TEXT REFERENCES p (k)); \
             CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT REFERENCES p (k)); \
             INSERT INTO p VALUES ('Abc', NULL), ('x', 'Abc'); INSERT INTO t (v) VALUES ('Abc'), ('aBC'), ('Abc '), (NULL);"
        );
        let yaml = format!(
            "{{version: 1, source: s, tenant: {{column: tenant, type: bigint}}, \
             tables: {{t: shared, p: {{placement: shared, columns: {{k: {column}}}}}}}}}"
        );
        lines(&audited(&sqlite, &yaml).1)
    };
    for column in ["{type: text}", "{collation: plain}"] {
        let expected = ["orphan t.v → p × 1 (id=3)", "other-spelling t.v → p × 1 (id=2)"];
        assert_eq!(found("NOCASE", column), expected, "{column}");
        let expected = ["orphan t.v → p × 1 (id=2)", "other-spelling t.v → p × 1 (id=3)"];
        assert_eq!(found("RTRIM", column), expected, "{column}");
    }
    assert_eq!(found("NOCASE", "{type: citext}"), ["orphan t.v → p × 1 (id=3)"]);
    assert_eq!(found("BINARY", "{type: text}"), ["orphan t.v → p × 2 (id=2; id=3)"]);
}

#[test]
fn c13_references_match_as_sqlite_matches_them() {
    let sqlite = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, v INT REFERENCES p (id)); \
                  INSERT INTO p VALUES (1); INSERT INTO t (v) VALUES (1), ('01'), (NULL), (2);";
    let yaml = "{version: 1, source: s, tenant: {column: tenant, type: bigint}, tables: {t: shared, p: shared}}";
    assert_eq!(lines(&audited(sqlite, yaml).1), ["orphan t.v → p × 1 (id=4)"]);
}

#[test]
fn c14_foreign_keys_were_off() {
    let sqlite = "CREATE TABLE p (id INTEGER PRIMARY KEY, owner INT); \
                  CREATE TABLE t (id INTEGER PRIMARY KEY, v INT REFERENCES p (id), w INT REFERENCES p (id)); \
                  INSERT INTO p VALUES (1, 7), (2, 8); \
                  INSERT INTO t (v, w) VALUES (1, 1), (9, NULL), (1, 2), (NULL, NULL), (1, 5);";
    let yaml = "{version: 1, source: s, tenant: {column: owner, type: bigint}, \
                tables: {p: {tenant: {column: owner}}, t: {tenant: {via: v}}}}";
    let (_, audit) = audited(sqlite, yaml);
    assert_eq!(
        lines(&audit),
        [
            "no-tenant t.v → p.owner × 1 (id=4)",
            "orphan t.v → p × 1 (id=2)",
            "orphan t.w → p × 1 (id=5)",
            "tenant-conflict t.w → p.owner says another tenant than t.v → p.owner × 1 (id=3)",
        ]
    );
    assert_eq!(audit.findings[0].code, "tenant-conflict", "the most important comes first");
}

#[test]
fn c16_a_check_that_was_not_checked() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT CHECK (v > 0), w TEXT CHECK (w IN ('a', 'b'))); \
                  INSERT INTO t (v, w) VALUES (1, 'a'), (-1, 'c'), (NULL, NULL), (0, 'b'), ('x', 'b');";
    assert_eq!(
        lines(&audited(sqlite, SHARED).1),
        [
            "check-violated t: t_v_check × 2 (id=2; id=4)",
            "check-violated t: t_w_check × 1 (id=2)",
            // 'x' > 0 is true for SQLite.
            "unfit-value/text-in-number t.v × 1 `a` (id=5)",
        ]
    );
    let yaml = "{version: 1, source: s, tenant: {column: tenant, type: bigint}, \
                tables: {t: {tenant: {constant: '1'}, checks: {t_v_check: {sql: 'v > 0'}}}}}";
    let (_, audit) = audited(sqlite, yaml);
    assert_eq!(audit.unjudged.len(), 1, "{:?}", audit.unjudged);
    assert!(audit.unjudged[0].contains("t_v_check"), "{:?}", audit.unjudged);
}

/// What can be in rows has a test of its own above.
#[test]
fn every_rule_about_rows_has_its_test() {
    let here = include_str!("tests.rs");
    for rule in [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16] {
        assert!(here.contains(&format!("fn c{rule}_")), "no test for rule C{rule}");
    }
}

#[test]
fn rows_of_several_tenants_have_copies_where_the_spec_says_so() {
    let sqlite = "CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT UNIQUE); \
                  CREATE TABLE notes (id INTEGER PRIMARY KEY, owner INT, tag INT REFERENCES tags (id)); \
                  INSERT INTO tags VALUES (1, 'x'), (2, 'y'); INSERT INTO notes VALUES (1, 7, 1), (2, 8, 1), (3, 8, 2);";
    let yaml = |several: &str| {
        format!(
            "{{version: 1, source: s, tenant: {{column: owner, type: bigint}}, tables: {{notes: {{tenant: {{column: owner}}}}, \
             tags: {{tenant: {{used_by: notes.tag, several: {several}}}, unique: {{name: per_tenant}}}}}}}}"
        )
    };
    let (_, audit) = audited(sqlite, &yaml("fail"));
    assert_eq!(audit.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["several-tenants"]);
    assert_eq!(lines(&audited(sqlite, &yaml("copy")).1), Vec::<String>::new());
}

#[test]
fn a_reference_that_says_more_is_not_cleared() {
    let sqlite = "CREATE TABLE a (id INTEGER PRIMARY KEY); \
                  CREATE TABLE t (id INTEGER PRIMARY KEY, a INT REFERENCES a (id), b INT REFERENCES a (id)); \
                  INSERT INTO a VALUES (1); INSERT INTO t VALUES (1, 1, 9), (2, 9, NULL);";
    let yaml = "{version: 1, source: s, tenant: {column: a, root: a}, tables: {t: {tenant: {column: a}}}}";
    let (_, audit) = audited(sqlite, yaml);
    let suggested = audit.findings.iter().map(|finding| finding.suggestion.as_ref().unwrap().line());
    // The first is the tenant: no other is known without it.
    let expected = ["{no_tenant: reject}", "{orphan: reject}", "{orphan: set_null}"];
    assert_eq!(suggested.collect::<Vec<_>>(), expected.map(|rows| format!("tables: {{t: {{rows: {rows}}}}}")));
}

#[test]
fn a_key_that_the_spec_narrows_can_be_broken() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, b INT, UNIQUE (a, b)); \
                  INSERT INTO t VALUES (1, 1, 1), (2, 1, 2), (3, 2, 1), (4, NULL, 1), (5, NULL, 2);";
    let yaml = "{version: 1, source: s, tenant: {column: tenant, type: bigint}, \
                tables: {t: {tenant: {constant: '1'}, unique: {'a, b': [a]}}}}";
    let (_, audit) = audited(sqlite, yaml);
    assert_eq!(lines(&audit), ["duplicate-key t: t_a_key (a) × 2 (id=1; id=2)"]);
    let line = audit.findings[0].suggestion.as_ref().unwrap().line();
    assert_eq!(line, "tables: {t: {unique: {\"a, b\": per_tenant}}}");
}

#[test]
fn long_index_rows_are_a_warning() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, w TEXT); CREATE INDEX t_by_v ON t (v); \
                  INSERT INTO t (v, w) VALUES ('a', hex(zeroblob(4000))), (hex(zeroblob(1300)), ''), (hex(zeroblob(4000)), '');";
    let (_, audit) = audited(sqlite, SHARED);
    assert!(audit.findings.is_empty(), "{:?}", audit.findings);
    assert_eq!(lines(&audit), ["index-row-long t: t_by_v × 1 (id=3)"]);
}

#[test]
fn suggestions_of_an_audit_are_one_part_of_a_spec() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, paid DATETIME, born DATE, amount INTEGER, note TEXT); \
                  INSERT INTO t (paid, born, amount, note) VALUES (1700000000, '0000-00-00', '', x'00'), (NULL, '2024-02-30', 1.5, 'a');";
    let (_, audit) = audited(sqlite, SHARED);
    let suggestions = audit.findings.iter().filter_map(|finding| finding.suggestion.as_ref());
    assert_eq!(
        suggestions_yaml(suggestions),
        "tables:\n  t:\n    columns:\n      amount:\n        null_if: [\"\"]\n        type: numeric\n      born:\n        \
         null_if: [\"0000-00-00\"]\n        read: text\n        type: text\n      note:\n        read: text\n      paid:\n        read: epoch\n"
    );
}

#[test]
fn the_page_explains_every_code() {
    let page = include_str!("../../../docs/audit.md");
    let codes = |text: &str| -> Vec<String> {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let strings = code.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
        strings
            .filter(|word| word.contains('-') || *word == "fraction" || *word == "other")
            .map(str::to_owned)
            .collect()
    };
    let mut found = codes(include_str!("../../remap/fault.rs"));
    let problems = include_str!("../../remap/misfit.rs");
    found.extend(codes(&problems[..problems.find("/// Looks at a value").unwrap()]));
    found.extend(["duplicate-key", "other-spelling", "check-violated", "index-row-long"].map(str::to_owned));
    assert!(found.len() > 30, "{found:?}");
    let missing: Vec<&String> = found.iter().filter(|code| !page.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn texts_that_the_spec_mends_can_become_equal() {
    let sqlite = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT UNIQUE); \
                  INSERT INTO t (v) VALUES ('a'), ('a' || char(0)), ('b');";
    let yaml = |column: &str| {
        format!(
            "{{version: 1, source: s, tenant: {{column: tenant, type: bigint}}, \
             tables: {{t: {{tenant: {{constant: '1'}}, unique: {{v: global}}, columns: {{v: {column}}}}}}}}}"
        )
    };
    let (_, audit) = audited(sqlite, &yaml("{type: text}"));
    assert_eq!(lines(&audit), ["unfit-value/nul-character t.v × 1 `a\\x00` (id=2)"]);
    let line = audit.findings[0].suggestion.as_ref().unwrap().line();
    assert_eq!(line, "tables: {t: {columns: {v: {nul: strip}}}}");
    let (_, audit) = audited(sqlite, &yaml("{nul: strip}"));
    assert_eq!(lines(&audit), ["duplicate-key t: t_v_key (v) × 2 (id=1; id=2)"]);
}
