//! What the documentation says of a code: the pages of diagnostics and hazards, within the program.

/// What the documentation says of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The code.
    pub code: &'static str,
    /// Whether it is a hazard rather than an error.
    pub is_hazard: bool,
    /// What has happened, or can happen.
    pub cause: String,
    /// What to do about it.
    pub cure: String,
    /// How it comes about.
    pub example: Option<String>,
}

const DIAGNOSTICS: &str = include_str!("../../docs/diagnostics.md");
const HAZARDS: &str = include_str!("../../docs/hazards.md");

/// Returns what is said of all codes, errors first, each kind by name.
pub fn explanations() -> Vec<Explanation> {
    let errors = rows(DIAGNOSTICS).map(|cells| (cells, false));
    let all = errors.chain(rows(HAZARDS).map(|cells| (cells, true)));
    all.filter_map(|(cells, is_hazard)| {
        let mut texts = cells.into_iter();
        let code = texts.next()?.strip_prefix('`')?.strip_suffix('`')?;
        let (cause, cure) = (unescaped(texts.next()?), unescaped(texts.next()?));
        Some(Explanation { code, is_hazard, cause, cure, example: texts.next().map(unescaped) })
    })
    .collect()
}

/// Returns what is said of one code.
pub fn explanation(code: &str) -> Option<Explanation> {
    explanations().into_iter().find(|explanation| explanation.code == code)
}

/// Writes what is said of a code, for people.
pub fn explanation_text(explanation: &Explanation) -> String {
    let kind = if explanation.is_hazard { "hazard" } else { "error" };
    let mut text = format!("{}: {kind}\n\n", explanation.code);
    let example = explanation.example.as_deref();
    let parts = [
        ("what it is", Some(explanation.cause.as_str())),
        ("what to do", Some(&explanation.cure)),
        ("example", example),
    ];
    for (title, part) in parts {
        let Some(part) = part else { continue };
        for (number, line) in folded(part).into_iter().enumerate() {
            let title = if number == 0 { format!("{title}:") } else { String::new() };
            text.push_str(&format!("{title:<12}{line}\n"));
        }
    }
    text
}

/// The width of a line of an explanation, behind its title.
const WIDTH: usize = 84;

fn folded(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns the rows of a page's tables that speak of a code, cell by cell.
fn rows(page: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    page.lines().filter_map(|line| {
        let inner = line.strip_prefix("| `").and_then(|_| line.strip_prefix("| "))?.strip_suffix(" |")?;
        Some(inner.split(" | ").collect())
    })
}

/// Takes away what a cell needs for a bar.
fn unescaped(cell: &str) -> String {
    cell.replace("\\|", "|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::HAZARD_CODES;

    #[test]
    fn every_row_is_read_and_says_all() {
        let found = explanations();
        let rows =
            [DIAGNOSTICS, HAZARDS].iter().flat_map(|page| page.lines()).filter(|line| line.starts_with("| `")).count();
        assert_eq!(found.len(), rows);
        for explanation in &found {
            let Explanation { code, cause, cure, .. } = explanation;
            assert!(!cause.trim().is_empty() && !cure.trim().is_empty(), "{code}");
            assert!(explanation.is_hazard == explanation.example.is_some(), "{code}");
        }
        let mut codes: Vec<&str> = found.iter().map(|explanation| explanation.code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]), "{codes:?}");
        assert!(HAZARD_CODES.iter().all(|code| explanation(code).is_some_and(|found| found.is_hazard)));
    }

    #[test]
    fn a_bar_within_a_cell_is_one() {
        let text = explanation_text(&explanation("generated-over-values").unwrap());
        assert!(text.contains("first_name || ' ' || last_name") && !text.contains('\\'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
