//! CHECK constraints move over with SQLite's meaning, or are an error that shows them.

use super::draft::Draft;
use super::expressions::{Translator, untranslated};
use crate::schema::{Check, Expr};
use crate::spec::{About, CheckSays, Decision, Origin};

pub(super) fn rewrite(draft: &mut Draft<'_>) {
    for (source, table, tenancy) in draft.migrated() {
        for &id in &draft.source.table(source).checks {
            let check = draft.source.check(id);
            let Some(decided) = tenancy.checks.get(&id) else { continue };
            let expr = match &decided.says {
                CheckSays::Omit => continue,
                CheckSays::Sql(sql) => Expr::Postgres(sql.clone()),
                CheckSays::Same => match Translator::new(draft).check(&check.expr) {
                    Ok(Some(expr)) => expr,
                    Ok(None) => {
                        draft.decisions.push(Decision {
                            table: source,
                            about: About::Check(decided.name.clone()),
                            choice: "omit".to_owned(),
                            origin: Origin::Inferred("the types of its columns say it already".to_owned()),
                            alternatives: vec!["{sql: EXPRESSION}".to_owned()],
                        });
                        continue;
                    }
                    Err(reason) => {
                        let what = format!("a CHECK of `{}`", draft.source.table(source).name);
                        let keys = format!("checks: {{{}: {{sql: EXPRESSION}}}}", decided.name);
                        let error = untranslated(draft.source, &what, &check.expr, &reason, &keys, check.span.clone());
                        let path = ["tables", &draft.source.table(source).name, "checks", &decided.name];
                        draft.error(error.suggest(&path, "omit", "nothing refuses such rows any more"));
                        continue;
                    }
                },
            };
            draft.target.add_check(Check { table, name: Some(decided.name.clone()), expr, span: check.span.clone() });
        }
    }
}
