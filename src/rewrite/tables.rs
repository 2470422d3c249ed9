//! Tables and columns move over, in the order in which they can be loaded.

use super::column_types::Types;
use super::draft::Draft;
use super::expressions::{Translator, untranslated};
use super::{ColumnValue, Hazard};
use crate::graph::ForeignKeyGraph;
use crate::schema::{Column, ColumnId, Expr, Generated, PgType, TableId};
use crate::spec::{About, Decision, Origin, Placement};
use std::collections::BTreeMap;

pub(super) fn carry_over(draft: &mut Draft<'_>, types: &Types) {
    let order = ForeignKeyGraph::new(draft.source).load_order();
    for source in order.into_iter().flatten() {
        if draft.tenancy.table(source).placement == Placement::Omit {
            continue;
        }
        let target = draft.add_table(source);
        for &column in &draft.source.table(source).columns {
            carry_column(draft, types, column, target);
        }
        carry_expressions(draft, source);
    }
}

fn carry_column(draft: &mut Draft<'_>, types: &Types, id: ColumnId, table: TableId) {
    let source = draft.source.column(id);
    // Without a type an error has been reported already.
    let Some(data_type) = types.get(id) else { return };
    let change = draft.tenancy.table(source.table).change(id).cloned().unwrap_or_default();
    let described = draft.source.table(source.table);
    let in_key = described.primary_key.is_some_and(|key| draft.source.key(key).columns.contains(&id));
    let is_tenant = draft.tenancy.tenant_column(draft.source, source.table) == Some(id);
    draft.carry_column(
        id,
        Column {
            table,
            name: change.name.unwrap_or_else(|| draft.name(&source.name)),
            data_type,
            not_null: source.not_null || in_key || is_tenant,
            default: None,
            generated: match (change.generated, change.default) {
                (Some(sql), _) => Some(Generated { expr: Expr::Postgres(sql), stored: true }),
                (None, Some(_)) => None,
                (None, None) => source.generated.clone(),
            },
            identity: false,
            collation: types.is_icu(id).then(|| super::ICU_COLLATION.to_owned()),
            span: source.span.clone(),
        },
    );
    if types.gets_new_tenant_id(id)
        && let Some(target) = draft.column_of(id)
    {
        draft.fill_with(target, ColumnValue::TenantId(id));
    }
}

/// Translates defaults and generated columns, once all columns that they may name are there.
fn carry_expressions(draft: &mut Draft<'_>, table: TableId) {
    let mut translated = BTreeMap::new();
    for &id in &draft.source.table(table).columns {
        let (Some(target), source) = (draft.column_of(id), draft.source.column(id)) else { continue };
        let change = draft.tenancy.table(table).change(id);
        if let Some(sql) = change.and_then(|change| change.default.as_ref()) {
            // PostgreSQL keeps no DEFAULT NULL: the column has none.
            let default = (!sql.eq_ignore_ascii_case("null")).then(|| Expr::Postgres(sql.clone()));
            translated.insert(target, (default, None));
            continue;
        }
        if let Some(sql) = change.and_then(|change| change.generated.as_ref()) {
            translated.insert(target, (None, Some(Expr::Postgres(sql.clone()))));
            if source.generated.is_none() {
                draft.hazards.push(Hazard {
                    code: "generated-over-values",
                    table,
                    message: format!("`{}` is computed in the target: the source's values are not copied", source.name),
                    help: "compare them with what the expression yields before the source is gone".to_owned(),
                    span: source.span.clone(),
                });
            }
            continue;
        }
        if source.default.is_some() && draft.source.table(table).rowid_alias == Some(id) {
            draft.decisions.push(Decision {
                table,
                about: About::Column(source.name.clone()),
                choice: "no default".to_owned(),
                origin: Origin::Inferred("SQLite gives a rowid out by itself, whatever default it has".to_owned()),
                alternatives: vec!["{default: EXPRESSION}".to_owned()],
            });
        } else if let Some(default) = &source.default {
            let data_type = draft.target.column(target).data_type;
            let translation = Translator::new(draft).default(
                default,
                source.data_type.affinity(),
                data_type,
                draft.tenancy.table(table).conversion(id),
            );
            match translation {
                Ok(default) => {
                    translated.insert(target, (default, None));
                }
                Err(reason) => {
                    let what = format!("the default of `{}.{}`", draft.source.table(table).name, source.name);
                    let keys = format!("columns: {{{}: {{default: EXPRESSION}}}}, or another `type`", source.name);
                    let error = untranslated(draft.source, &what, default, &reason, &keys, source.span.clone());
                    let column = ["tables", &draft.source.table(table).name, "columns", &source.name];
                    // Nobody gives a truth value the default 1000: the column is declared as what it is not.
                    let is_number = data_type == PgType::Boolean && matches!(default, Expr::Integer(_));
                    draft.error(match is_number {
                        true => error.suggest(
                            &[&column[..], &["type"]].concat(),
                            "bigint",
                            "its default is a number, so it holds numbers",
                        ),
                        false => error.suggest(
                            &[&column[..], &["default"]].concat(),
                            "NULL",
                            "no default: an INSERT has to name the value",
                        ),
                    });
                }
            }
        }
        if let Some(generated) = &source.generated {
            let translation = Translator::new(draft).generated(&generated.expr, id);
            match translation {
                Ok(expr) => {
                    translated.insert(target, (None, Some(expr)));
                    if !generated.stored {
                        draft.decisions.push(Decision {
                            table,
                            about: About::Column(source.name.clone()),
                            choice: "stored".to_owned(),
                            origin: Origin::Inferred(
                                "PostgreSQL has no virtual generated columns before 18".to_owned(),
                            ),
                            alternatives: vec!["omit".to_owned()],
                        });
                    }
                }
                Err(reason) => {
                    let what = format!("the expression of `{}.{}`", draft.source.table(table).name, source.name);
                    let keys = format!("columns: {{{}: {{generated: EXPRESSION}}}}", source.name);
                    let error = untranslated(draft.source, &what, &generated.expr, &reason, &keys, source.span.clone());
                    let path = ["tables", &draft.source.table(table).name, "columns", &source.name, "default"];
                    let means = "an ordinary column: the values are copied, and nothing computes them any more";
                    draft.error(error.suggest(&path, "NULL", means));
                }
            }
        }
    }
    for (target, (default, generated)) in translated {
        let column = &mut draft.target.columns[target.index()];
        column.default = default;
        if let Some(expr) = generated {
            column.generated = Some(Generated { expr, stored: true });
        }
    }
}
