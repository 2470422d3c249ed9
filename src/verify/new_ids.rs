//! The new id of a tenant, found a second time.

use crate::schema::{Affinity, PgType, Value};
use crate::spec::TenantIds;
use std::borrow::Cow;
use uuid::Uuid;

/// Says which id of the target a tenant of the source has; `None` where ids stay as they are.
///
/// `affinity` is that of the root's key: it says how the source compares ids. An id that no new one is known for comes
/// back as it is, and so is found to differ.
pub(super) fn new_id(
    ids: &TenantIds,
    old: &Value<'_>,
    affinity: Affinity,
    data_type: PgType,
) -> Option<Value<'static>> {
    let text = match old {
        _ if *ids == TenantIds::Keep => return None,
        Value::Null | Value::Blob(_) => return None,
        Value::Integer(number) => number.to_string(),
        Value::Real(number) if number.fract() == 0.0 && number.abs() < 9e15 => format!("{number:.0}"),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text).into_owned();
            let is_number = matches!(affinity, Affinity::Integer | Affinity::Numeric | Affinity::Real);
            match text.trim().parse::<i64>() {
                Ok(number) if is_number => number.to_string(),
                _ => text,
            }
        }
    };
    let new = match ids {
        TenantIds::Keep => return None,
        TenantIds::Uuid5(namespace) => Uuid::new_v5(namespace, text.as_bytes()).to_string(),
        TenantIds::File(ids) => ids.get(&text).cloned().unwrap_or(text),
    };
    Some(match (data_type, new.trim().parse::<i64>()) {
        (PgType::Smallint | PgType::Integer | PgType::Bigint, Ok(number)) => Value::Integer(number),
        _ => Value::Text(Cow::Owned(new.into_bytes())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_id_have_one_new_id() {
        let ids = TenantIds::File([("1".to_owned(), "7".to_owned())].into());
        let text = |text: &'static str| Value::Text(Cow::Borrowed(text.as_bytes()));
        for old in [Value::Integer(1), Value::Real(1.0), text("01")] {
            assert_eq!(new_id(&ids, &old, Affinity::Integer, PgType::Bigint), Some(Value::Integer(7)), "{old:?}");
        }
        assert_eq!(new_id(&ids, &text("01"), Affinity::Text, PgType::Text), Some(text("01")));
        assert_eq!(new_id(&TenantIds::Keep, &text("1"), Affinity::Text, PgType::Text), None);
    }
}
