//! Source row → target row, without a database: key maps, tenants, value conversion.
//!
//! [`Remapper`] learns the keys of the tables that others refer to, and then turns every row into the bytes of a binary
//! COPY or into [`Fault`]s. The audit and the copy are the same pass over it, so what the one says the other does.

mod conversion;
mod convert;
mod decimal;
mod fault;
mod json;
mod keys;
mod misfit;
mod owners;
mod passes;
pub(crate) mod planted;
mod remapper;
mod source;
mod tenants;
mod tree;

pub use fault::{Fault, FaultKind};
pub use misfit::{DateEncoding, Misfit, shape};
pub use passes::{KeyPass, TablePass, is_followed};
pub use remapper::{Remapper, TargetRow};
pub use tenants::{TenantOrdinal, Tenants};

/// Says whether the copy writes a value into a column of a type: what the proof's own judgement has to agree with.
#[cfg(test)]
pub(crate) fn takes(value: &crate::schema::Value<'_>, data_type: crate::schema::PgType) -> bool {
    convert::field(value, data_type, &mut Vec::new()).is_ok()
}
