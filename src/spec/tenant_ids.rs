//! New ids for tenants: from a file, or computed from the old ones.

use crate::diagnostic::{Diagnostic, Diagnostics, SourceId, Span};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How the source's ids of tenants become the target's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TenantIds {
    /// They stay as they are.
    #[default]
    Keep,
    /// UUIDs of version 5 in this namespace, over the old id as text (RFC 9562, section 5.5).
    Uuid5(Uuid),
    /// Those of a file, by the old id as text.
    File(BTreeMap<String, String>),
}

/// What a file of tenant ids says: the new id by the old one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantIdFile(pub BTreeMap<String, String>);

impl TenantIdFile {
    /// Reads a CSV text with the header `old,new`.
    ///
    /// # Errors
    /// `tenant-ids-format` for what is no such text; `tenant-ids-duplicate` for an id that stands there twice, in either
    /// column: two tenants would become one.
    pub fn parse(text: &str, source: SourceId) -> Result<Self, Diagnostics> {
        let mut errors = Diagnostics::default();
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let header_is_right = reader.headers().is_ok_and(|header| header.iter().eq(["old", "new"]));
        if !header_is_right {
            let end = text.find('\n').unwrap_or(text.len());
            let diagnostic =
                Diagnostic::error("tenant-ids-format", "a file of tenant ids begins with the line `old,new`")
                    .label(Span::new(source, 0..end), "the first line");
            return Err(diagnostic.into());
        }
        let mut ids = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    let at = error.position().map_or(0, |position| position.byte() as usize).min(text.len());
                    errors.push(
                        Diagnostic::error("tenant-ids-format", "a line of tenant ids has exactly two values")
                            .label(line_span(text, at, source), "this line"),
                    );
                    continue;
                }
            };
            let at = record.position().map_or(0, |position| position.byte() as usize);
            let span = line_span(text, at, source);
            let (old, new) = (record.get(0).unwrap_or_default(), record.get(1).unwrap_or_default());
            if old.is_empty() || new.is_empty() {
                errors.push(Diagnostic::error("tenant-ids-format", "a tenant id is empty").label(span, "this line"));
                continue;
            }
            for (which, id, is_new) in
                [("old", old, !ids.contains_key(old)), ("new", new, taken.insert(new.to_owned()))]
            {
                if !is_new {
                    errors.push(
                        Diagnostic::error(
                            "tenant-ids-duplicate",
                            format!("the {which} tenant id `{id}` stands there twice"),
                        )
                        .label(span.clone(), "again")
                        .help("each old id has one new id of its own"),
                    );
                }
            }
            ids.insert(old.to_owned(), new.to_owned());
        }
        errors.into_result(Self(ids))
    }
}

fn line_span(text: &str, at: usize, source: SourceId) -> Span {
    // A record begins where the one before has ended, which can be at its line break.
    let rest = text.get(at..).unwrap_or_default();
    let start = at + rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    let end = text.get(start..).and_then(|rest| rest.find(['\r', '\n'])).map_or(text.len(), |length| start + length);
    Span::new(source, start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<(&'static str, String)> {
        let errors = TenantIdFile::parse(text, SourceId(0)).map(|_| ()).unwrap_err();
        errors.0.iter().map(|error| (error.code, text[error.labels[0].span.range.clone()].to_owned())).collect()
    }

    #[test]
    fn ids_are_read_by_the_old_one() {
        let file = TenantIdFile::parse("old,new\r\n1,alpha\r\n\"a,b\", beta \r\n", SourceId(0)).unwrap();
        assert_eq!(file.0, BTreeMap::from([("1".into(), "alpha".into()), ("a,b".into(), "beta".into())]));
    }

    #[test]
    fn what_would_merge_or_lose_tenants_is_refused() {
        assert_eq!(codes("1,a\n"), [("tenant-ids-format", "1,a".to_owned())]);
        assert_eq!(codes("old,new\n1,a\n1,b\n"), [("tenant-ids-duplicate", "1,b".to_owned())]);
        assert_eq!(codes("old,new\n1,a\n2,a\n"), [("tenant-ids-duplicate", "2,a".to_owned())]);
        assert_eq!(
            codes("old,new\n1\n2,\n"),
            [("tenant-ids-format", "1".to_owned()), ("tenant-ids-format", "2,".to_owned())]
        );
    }
}
