//! How a name of the source is written in the target.

use super::file::Names;

impl Names {
    /// Writes a name of the source as the target is to have it.
    pub fn apply(self, name: &str) -> String {
        match self {
            Self::Keep => name.to_owned(),
            Self::Lower => name.to_lowercase(),
            Self::Snake => snake(name),
        }
    }
}

/// Parts words where an upper-case letter begins one, and at everything that is neither letter nor digit.
fn snake(name: &str) -> String {
    let characters: Vec<char> = name.chars().collect();
    let mut text = String::with_capacity(name.len() + 4);
    for (position, &character) in characters.iter().enumerate() {
        if !character.is_alphanumeric() {
            // An underscore that the name begins with is kept; elsewhere one stands for any run of such characters.
            if (text.is_empty() && character == '_') || !(text.is_empty() || text.ends_with('_')) {
                text.push('_');
            }
            continue;
        }
        let before = position.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(position + 1);
        // `orderId` parts before I, `HTTPServer` before S.
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins && !text.ends_with('_') {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    let trimmed = text.trim_end_matches('_');
    if trimmed.is_empty() { name.to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_where_people_part_them() {
        for (name, expected) in [
            ("invoices", "invoices"),
            ("OrderDetails", "order_details"),
            ("Order Details", "order_details"),
            ("customerID", "customer_id"),
            ("HTTPServer", "http_server"),
            ("e-Mail.address", "e_mail_address"),
            ("Line2Address", "line2_address"),
            ("_private", "_private"),
            ("trailing_", "trailing"),
            ("Größe", "größe"),
            ("???", "???"),
        ] {
            assert_eq!(Names::Snake.apply(name), expected, "{name}");
        }
        assert_eq!(Names::Lower.apply("OrderDetails"), "orderdetails");
        assert_eq!(Names::Keep.apply("OrderDetails"), "OrderDetails");
    }
}
