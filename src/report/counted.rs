//! Counted nouns, and what is said of them.

/// Writes a number of things: `1 tenant`, `2 tenants`.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Writes what a number of things do, by the verb of one and of several: `1 row breaks it`, `2 rows break it`.
pub(super) fn counted_that(count: u64, noun: &str, [one, several]: [&str; 2]) -> String {
    format!("{} {}", counted(count, noun), if count == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(["tenant", "foreign key"].map(|noun| counted(1_u64, noun)), ["1 tenant", "1 foreign key"]);
        assert_eq!([counted(0_u64, "row"), counted(21_usize, "row")], ["0 rows", "21 rows"]);
        let breaks = |count| counted_that(count, "row", ["breaks it", "break it"]);
        assert_eq!([breaks(1), breaks(2)], ["1 row breaks it", "2 rows break it"]);
    }
}
