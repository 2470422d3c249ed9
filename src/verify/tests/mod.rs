//! The verifier against PostgreSQL: targets that are right, and targets with one fault each.

mod expressions;
mod fixture;
mod kept_out;
mod matrix;
mod mutations;
mod planted;
mod shapes;
mod since;
mod tenants;
mod values;
