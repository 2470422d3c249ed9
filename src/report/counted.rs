//! Counted nouns.

/// Writes a number of things: `1 tenant`, `2 tenants`.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(["tenant", "foreign key"].map(|noun| counted(1_u64, noun)), ["1 tenant", "1 foreign key"]);
        assert_eq!([counted(0_u64, "row"), counted(21_usize, "row")], ["0 rows", "21 rows"]);
    }
}
