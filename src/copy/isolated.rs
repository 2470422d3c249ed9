//! The last look before anybody is let in: do owners, policies and grants isolate the tenants as planned?

use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::Connection;
use crate::verify::verify_isolation;

/// Looks at what isolates the tenants, in the transaction that has made it and that ends the run.
///
/// # Errors
/// `isolation-differs` where something is not as planned: default privileges or an event trigger of the database's may have
/// added to it. The transaction is then rolled back, the run stays unfinished, and nobody was let in.
pub(super) fn refuse_other_isolation(plan: &Plan, connection: &mut Connection) -> Result<(), Diagnostic> {
    let found = verify_isolation(plan, connection)?;
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = found.iter().map(|sentence| format!("  {}", visible(sentence))).collect();
    Err(Diagnostic::error("isolation-differs", "the tenants would not be isolated as planned: nobody was let in").help(
        format!(
            "{}\nlook for default privileges (ALTER DEFAULT PRIVILEGES) and event triggers of the database; take away what they \
             add, and continue the run with --resume",
            lines.join("\n")
        ),
    ))
}
