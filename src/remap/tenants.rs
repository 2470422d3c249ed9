//! Tenants as small numbers: a row carries four bytes instead of a text.

use super::convert;
use super::planted::planted;
use crate::ident::visible;
use crate::schema::{Affinity, PgType, Value, apply_affinity};
use crate::spec::TenantIds;
use std::borrow::Cow;
use std::collections::HashMap;

/// Numbers a tenant of one run, from 0.
pub type TenantOrdinal = u32;

/// Holds every tenant seen, by the bytes that PostgreSQL gets for it; so two tenants are the same here exactly when they
/// are the same there.
#[derive(Debug, Clone, Default)]
pub struct Tenants {
    fields: Vec<Box<[u8]>>,
    ordinals: HashMap<Box<[u8]>, TenantOrdinal>,
}

impl Tenants {
    /// Returns the number of a tenant, a new one where it has none.
    ///
    /// `field` is a field of binary COPY: length and bytes.
    pub fn ordinal(&mut self, field: &[u8]) -> TenantOrdinal {
        if let Some(&ordinal) = self.ordinals.get(field) {
            return ordinal;
        }
        let ordinal = self.fields.len() as TenantOrdinal;
        self.fields.push(field.into());
        self.ordinals.insert(field.into(), ordinal);
        ordinal
    }

    /// Returns a tenant's field of binary COPY: length and bytes.
    pub fn field(&self, ordinal: TenantOrdinal) -> &[u8] {
        &self.fields[planted!(TenantsSwapped, ordinal, if ordinal < 2 { 1 - ordinal } else { ordinal }) as usize]
    }

    /// Returns how many tenants there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Why a value names no tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is NULL.
    Null,
    /// It does not fit the tenant column, for this reason.
    Unfit(String),
    /// The tenant has no new id, as this fragment says.
    Unmapped(String),
}

/// Reads the tenant that a value of the source names.
#[derive(Debug, Clone)]
pub(super) struct TenantReader<'p> {
    pub tenants: Tenants,
    data_type: Option<PgType>,
    ids: &'p TenantIds,
    /// How the source compares ids of tenants: the root's key says it.
    affinity: Affinity,
    /// Tenants by the old id's text, where they get new ones.
    renamed: HashMap<Box<[u8]>, TenantOrdinal>,
    scratch: Vec<u8>,
    digits: String,
}

impl<'p> TenantReader<'p> {
    pub fn new(data_type: Option<PgType>, ids: &'p TenantIds, affinity: Affinity) -> Self {
        let renamed = HashMap::new();
        let (scratch, digits) = (Vec::new(), String::new());
        Self { tenants: Tenants::default(), data_type, ids, affinity, renamed, scratch, digits }
    }

    /// Reads a value as a column holds it.
    pub fn stored(&mut self, value: &Value<'_>) -> Result<TenantOrdinal, Unread> {
        match self.ids {
            _ if value.is_null() => Err(Unread::Null),
            TenantIds::Keep => self.field(value),
            TenantIds::Uuid5(_) | TenantIds::File(_) => self.renamed(value),
        }
    }

    /// Reads a value that no column holds, spelled out in the spec or computed: a number may be a text.
    pub fn computed(&mut self, value: &Value<'_>) -> Result<TenantOrdinal, Unread> {
        match self.ids {
            _ if value.is_null() => Err(Unread::Null),
            TenantIds::Keep => {
                let value = apply_affinity(value, affinity_of(self.data_type));
                self.field(&value)
            }
            TenantIds::Uuid5(_) | TenantIds::File(_) => self.renamed(value),
        }
    }

    fn field(&mut self, value: &Value<'_>) -> Result<TenantOrdinal, Unread> {
        let Some(data_type) = self.data_type else {
            return Err(Unread::Unfit("the tenant column has no type".to_owned()));
        };
        self.scratch.clear();
        convert::field(value, data_type, &mut self.scratch).map_err(Unread::Unfit)?;
        Ok(self.tenants.ordinal(&self.scratch))
    }

    fn renamed(&mut self, value: &Value<'_>) -> Result<TenantOrdinal, Unread> {
        self.scratch.clear();
        self.digits.clear();
        match apply_affinity(value, self.affinity) {
            Value::Text(text) => self.scratch.extend_from_slice(&text),
            Value::Integer(number) => self.scratch.extend_from_slice(number.to_string().as_bytes()),
            Value::Real(number) => self.scratch.extend_from_slice(number.to_string().as_bytes()),
            Value::Null => return Err(Unread::Null),
            Value::Blob(_) => return Err(Unread::Unfit("a blob as a tenant's id".to_owned())),
        }
        self.scratch.extend_from_slice(self.digits.as_bytes());
        if let Some(&ordinal) = self.renamed.get(self.scratch.as_slice()) {
            return Ok(ordinal);
        }
        let old = String::from_utf8_lossy(&self.scratch).into_owned();
        let new = match self.ids {
            TenantIds::Keep => old,
            TenantIds::Uuid5(namespace) => uuid::Uuid::new_v5(namespace, &self.scratch).hyphenated().to_string(),
            TenantIds::File(ids) => match ids.get(&old) {
                Some(new) => new.clone(),
                None => return Err(Unread::Unmapped(format!("the tenant {} has no new id", visible(&old)))),
            },
        };
        let key: Box<[u8]> = self.scratch.as_slice().into();
        let new = Value::Text(Cow::Owned(new.into_bytes()));
        let ordinal = self.field(&apply_affinity(&new, affinity_of(self.data_type)))?;
        self.renamed.insert(key, ordinal);
        Ok(ordinal)
    }
}

/// Returns the affinity that reads a text or a number as a type wants it.
pub(super) fn affinity_of(data_type: Option<PgType>) -> Affinity {
    match data_type {
        Some(PgType::Smallint | PgType::Integer | PgType::Bigint) => Affinity::Integer,
        Some(PgType::Real | PgType::Double) => Affinity::Real,
        Some(data_type) if data_type.is_text() => Affinity::Text,
        _ => Affinity::Blob,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value<'_> {
        Value::Text(Cow::Borrowed(text.as_bytes()))
    }

    #[test]
    fn computed_values_are_read_as_the_type_wants_them() {
        let mut reader = TenantReader::new(Some(PgType::Bigint), &TenantIds::Keep, Affinity::Integer);
        assert_eq!(reader.stored(&Value::Integer(7)), Ok(0));
        assert_eq!(reader.computed(&text("7")), Ok(0));
        assert!(matches!(reader.stored(&text("7")), Err(Unread::Unfit(_))));
        assert_eq!(reader.computed(&Value::Null), Err(Unread::Null));
        let mut reader = TenantReader::new(Some(PgType::Text), &TenantIds::Keep, Affinity::Integer);
        assert_eq!(reader.computed(&Value::Integer(7)), reader.stored(&text("7")));
    }

    #[test]
    fn new_ids_are_those_of_the_standard() {
        // The example of RFC 9562, appendix A.4.
        let ids = TenantIds::Uuid5(uuid::Uuid::NAMESPACE_DNS);
        let mut reader = TenantReader::new(Some(PgType::Text), &ids, Affinity::Text);
        let ordinal = reader.stored(&text("www.example.com")).unwrap();
        assert_eq!(&reader.tenants.field(ordinal)[4..], b"2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }

    #[test]
    fn a_tenant_without_a_new_id_is_named() {
        let ids = TenantIds::File([("1".to_owned(), "alpha".to_owned())].into());
        let mut reader = TenantReader::new(Some(PgType::Text), &ids, Affinity::Integer);
        let alpha = reader.stored(&Value::Integer(1)).unwrap();
        assert_eq!(reader.computed(&text("01")), Ok(alpha));
        assert_eq!(reader.stored(&Value::Integer(2)), Err(Unread::Unmapped("the tenant 2 has no new id".to_owned())));
    }
}
