//! The order of the tenants in the target's keys.

use crate::diagnostic::Diagnostic;
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::remap::{TenantOrdinal, Tenants};
use crate::schema::PgType;

/// The place of each tenant among all, as the target's keys order them.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranks(Vec<u32>);

impl Ranks {
    /// Orders tenants by their ids. Texts are ordered by the server, because its collation decides.
    ///
    /// Keys are made quicker of rows that come in their order; a wrong order costs time and nothing else.
    pub fn ask(plan: &Plan, tenants: &Tenants, connection: &mut Connection) -> Result<Self, Diagnostic> {
        let columns = plan.rewritten.tenant_columns.iter().flatten();
        let data_type = columns.map(|&column| plan.rewritten.target.column(column).data_type).next();
        let ids: Vec<&[u8]> = (0..tenants.len()).map(|tenant| &tenants.field(tenant as TenantOrdinal)[4..]).collect();
        let order = match data_type {
            Some(data_type) if data_type.is_text() => ordered_texts(&ids, connection)?,
            data_type => ordered(&ids, data_type),
        };
        let mut ranks = vec![0; ids.len()];
        for (rank, tenant) in order.into_iter().enumerate() {
            if let Some(slot) = ranks.get_mut(tenant) {
                *slot = rank as u32;
            }
        }
        Ok(Self(ranks))
    }

    /// Returns the place of a tenant; `None` for one that was not among those ordered.
    pub fn of(&self, tenant: TenantOrdinal) -> Option<u32> {
        self.0.get(tenant as usize).copied()
    }
}

/// Orders ids by their bytes in binary COPY; of integers the sign counts first.
fn ordered(ids: &[&[u8]], data_type: Option<PgType>) -> Vec<usize> {
    let is_integer = matches!(data_type, Some(PgType::Smallint | PgType::Integer | PgType::Bigint));
    let key = |&tenant: &usize| {
        let id = ids[tenant];
        (is_integer && id.first().is_some_and(|byte| byte & 0x80 == 0), id)
    };
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by(|one, other| key(one).cmp(&key(other)));
    order
}

/// Lets the server order texts as its default collation does.
fn ordered_texts(ids: &[&[u8]], connection: &mut Connection) -> Result<Vec<usize>, Diagnostic> {
    let mut array = String::from("{");
    for id in ids {
        array.push_str(if array.len() > 1 { ",\"" } else { "\"" });
        for character in String::from_utf8_lossy(id).chars() {
            if matches!(character, '"' | '\\') {
                array.push('\\');
            }
            array.push(character);
        }
        array.push('"');
    }
    array.push('}');
    let sql = "SELECT number - 1 FROM unnest($1::text[]) WITH ORDINALITY AS tenants (id, number) ORDER BY id, number";
    let rows = connection.query(sql, &[Some(&array)], "order the tenants")?;
    rows.iter().map(|row| Ok(usize::try_from(row.integer(0)?).unwrap_or(usize::MAX))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::testing;

    #[test]
    fn integers_are_ordered_by_value_and_others_by_their_bytes() {
        let numbers = [5_i64, -1, 0, i64::MIN, 300].map(i64::to_be_bytes);
        let ids: Vec<&[u8]> = numbers.iter().map(<[u8; 8]>::as_slice).collect();
        assert_eq!(ordered(&ids, Some(PgType::Bigint)), [3, 1, 2, 0, 4]);
        assert_eq!(ordered(&[&[0xff, 0], &[0x01, 9]], Some(PgType::Uuid)), [1, 0]);
    }

    #[test]
    fn texts_are_ordered_by_the_server_whatever_is_in_them() {
        let mut connection = testing::connect(&testing::database());
        let texts = ["b", "a\"\\{}", "", "NULL", "ä, b", "a", "B"];
        let ids: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let order = ordered_texts(&ids, &mut connection).unwrap();
        connection.execute("CREATE TEMP TABLE t (id text)", "create").unwrap();
        for text in texts {
            connection.execute_with("INSERT INTO t VALUES ($1)", &[Some(text)], "insert").unwrap();
        }
        let expected = testing::column(&mut connection, "SELECT id FROM t ORDER BY id");
        assert_eq!(order.iter().map(|&tenant| texts[tenant]).collect::<Vec<_>>(), expected);
    }
}
