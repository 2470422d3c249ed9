//! The difference between the committed DDL and the generated one.

use similar::TextDiff;

/// Writes a unified diff with three lines of context; empty where the texts are the same.
pub fn unified_diff(committed_name: &str, committed: &str, generated: &str) -> String {
    TextDiff::from_lines(committed, generated)
        .unified_diff()
        .context_radius(3)
        .header(committed_name, "generated from the spec")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_changed_and_nothing_where_nothing_did() {
        let diff = unified_diff("expected.sql", "a\nb\nc\n", "a\nB\nc\n");
        assert!(diff.contains("-b\n+B\n"), "{diff}");
        assert_eq!(unified_diff("x", "a\n", "a\n"), "");
    }
}
