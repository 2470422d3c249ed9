//! Rows of the target as binary COPY takes them, field by field.

use crate::remap::TargetRow;

/// One row of the target, as fields of binary COPY.
pub(super) struct EncodedRow<'r> {
    /// The bytes of the row: the number of fields, and each with its length before it.
    pub bytes: &'r [u8],
    /// Where each field begins, behind its length; `None` for NULL.
    pub fields: &'r [Option<(usize, usize)>],
}

impl EncodedRow<'_> {
    /// Returns a field's bytes; `None` for NULL.
    pub fn field(&self, position: usize) -> Option<&[u8]> {
        let (start, end) = self.fields.get(position).copied().flatten()?;
        self.bytes.get(start..end)
    }
}

/// Finds the fields of a row.
pub(super) fn split(bytes: &[u8], fields: &mut Vec<Option<(usize, usize)>>) {
    fields.clear();
    let mut at = 2;
    while let Some(length) = bytes.get(at..at + 4).and_then(|length| length.first_chunk()) {
        at += 4;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                fields.push(Some((at, at + length)));
                at += length;
            }
            // -1 stands for NULL.
            Err(_) => fields.push(None),
        }
    }
}

/// Calls `f` with each of a row's copies, the first of which begins at `start`.
pub(super) fn each_copy(
    out: &[u8],
    mut start: usize,
    rows: &[TargetRow],
    fields: &mut Vec<Option<(usize, usize)>>,
    f: &mut dyn FnMut(&EncodedRow<'_>),
) {
    for row in rows {
        let bytes = &out[start..row.end];
        start = row.end;
        split(bytes, fields);
        f(&EncodedRow { bytes, fields });
    }
}
