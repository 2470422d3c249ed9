//! Findings in the forms that code hosts show beside the code: GitHub's workflow commands and SARIF 2.1.0.

use super::check::{Checked, Finding};
use super::explain::explanation;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Writes one workflow command a finding.
///
/// A runner takes every line that begins with `::` for a command, so nothing else is written and all texts are escaped:
/// a schema's names end in them.
pub fn github_annotations(checked: &[Checked]) -> String {
    checked.iter().flat_map(Checked::findings).map(|finding| command(&finding)).collect()
}

fn command(finding: &Finding) -> String {
    let mut properties = vec![format!("file={}", property(&finding.file))];
    if let Some(place) = finding.place {
        properties.push(format!("line={}", place.line));
        // Columns are shown only where a finding stands on one line.
        if place.line == place.end_line {
            properties.push(format!("col={},endColumn={}", place.column, place.end_column));
        }
    }
    properties.push(format!("title={}", property(&format!("tenantry: {}", finding.code))));
    format!("::error {}::{}\n", properties.join(","), data(&finding.message))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Writes a SARIF log of one run.
pub fn sarif(checked: &[Checked]) -> Value {
    let findings: Vec<Finding> = checked.iter().flat_map(Checked::findings).collect();
    let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code).collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| match explanation(code) {
            Some(known) => json!({
                "id": code,
                "shortDescription": { "text": known.cause },
                "help": { "text": known.cure },
                "defaultConfiguration": { "level": "error" },
            }),
            None => json!({ "id": code }),
        })
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut location = json!({ "artifactLocation": { "uri": uri(&finding.file) } });
            if let Some(place) = finding.place {
                location["region"] = json!({
                    "startLine": place.line,
                    "startColumn": place.column,
                    "endLine": place.end_line,
                    "endColumn": place.end_column,
                });
            }
            json!({
                "ruleId": finding.code,
                "ruleIndex": codes.iter().position(|code| *code == finding.code),
                "level": "error",
                "message": { "text": finding.message },
                "locations": [{ "physicalLocation": location }],
            })
        })
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tenantry",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// Writes a path as a reference of a URI: what is none of its plain characters is percent-encoded.
fn uri(path: &str) -> String {
    let mut written = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    if written.starts_with('/') { format!("file://{written}") } else { written }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::check::Place;

    #[test]
    fn nothing_of_a_finding_ends_its_command() {
        let place = Place { line: 3, column: 1, end_line: 3, end_column: 4 };
        let finding = Finding {
            code: "drift",
            message: "100%\n::stop-commands::x\r".to_owned(),
            file: "a,b:c\n::d".to_owned(),
            place: Some(place),
        };
        assert_eq!(
            command(&finding),
            "::error file=a%2Cb%3Ac%0A%3A%3Ad,line=3,col=1,endColumn=4,title=tenantry%3A drift::100%25%0A::stop-commands::x%0D\n"
        );
    }

    #[test]
    fn paths_are_written_as_references() {
        assert_eq!(uri("specs/größe 1.yaml"), "specs/gr%C3%B6%C3%9Fe%201.yaml");
        assert_eq!(uri("/srv/a.yaml"), "file:///srv/a.yaml");
    }
}
