//! Turns what the driver and the server report into diagnostics.
//!
//! The server's primary message, SQLSTATE and the names of objects are shown. Its DETAIL, HINT and CONTEXT are not:
//! that is where row values stand, and these messages end up in logs and reports. Only where something cannot be dropped
//! the DETAIL is shown, because it holds names alone: of what depends on it.

use crate::diagnostic::Diagnostic;
use crate::ident::visible;
use ::postgres::error::DbError;
use std::error::Error as _;

/// Explains why a statement failed; `purpose` fits behind "failed to".
pub(super) fn statement(error: &::postgres::Error, purpose: &str) -> Diagnostic {
    let Some(server) = error.as_db_error() else {
        return transport(error, purpose);
    };
    let code = server.code().code();
    let diagnostic = Diagnostic::error(statement_code(code), format!("failed to {purpose}: {}", told(server)));
    match help(code) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}

/// Explains why no connection came about; `server` is described without secrets.
pub(super) fn connection(error: &::postgres::Error, server: &str) -> Diagnostic {
    let message = |reason: &str| format!("failed to connect to {server}: {reason}");
    if let Some(answer) = error.as_db_error() {
        let (code, help) = match answer.code().code() {
            "28P01" => ("authentication-failed", "check the password and the user name"),
            "28000" if wants_tls(answer) => {
                ("tls-required", "use sslmode=require, or better verify-full with sslrootcert")
            }
            "28000" => ("authentication-failed", "check the user name, and pg_hba.conf on the server"),
            "3D000" => ("database-missing", "create the database first, or correct its name in the target"),
            "53300" => ("connection-failed", "close other sessions, or raise max_connections on the server"),
            "57P03" => ("connection-failed", "wait until the server has started, then run again"),
            _ => ("connection-failed", "run doctor with the same target to see what is wrong"),
        };
        return Diagnostic::error(code, message(&told(answer))).help(help);
    }
    let text = error.to_string();
    let reason = causes(error);
    if is_tls(error) {
        let help = if reason.contains("does not support TLS") {
            "switch ssl on in the server, or use sslmode=disable where the network is private"
        } else {
            "check sslrootcert, the host name and the certificate's validity"
        };
        return Diagnostic::error("tls-failed", message(&reason)).help(help);
    }
    if text == "invalid configuration" && reason.contains("password missing") {
        return Diagnostic::error("authentication-failed", message("the server asks for a password and none is given"))
            .help("give it in the URL of an environment variable (env:NAME), in PGPASSWORD or in a password file with mode 0600");
    }
    if text == "authentication error" {
        return Diagnostic::error("authentication-failed", message(&reason));
    }
    Diagnostic::error("connection-failed", message(&reason))
        .help("check that the server runs, and that host, port and firewall let this machine reach it")
}

/// Says whether the TLS handshake went wrong.
pub(super) fn is_tls(error: &::postgres::Error) -> bool {
    // The driver keeps the kind of its errors to itself; its text is the only sign, here and below.
    error.to_string() == "error performing TLS handshake"
}

/// Says whether the server's access rules turned the connection away, as they do for plain text or for TLS.
pub(super) fn is_access_rule(error: &::postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "28000")
}

/// Says whether a wrong password is the reason: other hosts would answer the same.
pub(super) fn is_password(error: &::postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "28P01")
}

/// Says whether the connection is gone, so that nobody knows what became of the statement.
pub(super) fn is_lost(error: &::postgres::Error) -> bool {
    match error.code().map(|code| code.code()) {
        // The server says goodbye; a statement may be done or not.
        Some(code) => code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P05" | "25P03"),
        None => error.is_closed() || error.to_string() == "error communicating with the server",
    }
}

fn wants_tls(answer: &DbError) -> bool {
    let message = answer.message();
    ["no encryption", "SSL off", "insecure", "SSL/TLS required", "sslmode"].iter().any(|sign| message.contains(sign))
}

fn transport(error: &::postgres::Error, purpose: &str) -> Diagnostic {
    let reason = causes(error);
    if is_lost(error) {
        return Diagnostic::error("connection-lost", format!("failed to {purpose}: the connection is lost: {reason}"))
            .help("look at the server's log, then run again; what was committed stays");
    }
    Diagnostic::error("statement-failed", format!("failed to {purpose}: {reason}"))
}

/// Joins the driver's message and those of its causes, without the parts that only repeat.
fn causes(error: &::postgres::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        cause = inner.source();
    }
    visible(&texts.join(": ")).into_owned()
}

/// Writes the server's answer without values: the primary message, SQLSTATE and the names of what is concerned.
pub(super) fn told(answer: &DbError) -> String {
    let code = answer.code().code();
    let message = answer.message();
    // Class 22 is about values, and quotes them: invalid input syntax for type integer: "…".
    let message = if code.starts_with("22") { without_quoted(message) } else { message.to_owned() };
    let mut text = format!("{message} (SQLSTATE {code}");
    let named = [("table", answer.table()), ("column", answer.column()), ("constraint", answer.constraint())];
    for (kind, name) in named {
        if let Some(name) = name.filter(|name| !message.contains(&format!("\"{name}\""))) {
            text.push_str(&format!(", {kind} {name}"));
        }
    }
    // Of what depends on something the names are told, and no value.
    if let Some(detail) = answer.detail().filter(|_| code == "2BP01") {
        text.push_str(&format!(", {}", detail.replace('\n', ", ")));
    }
    if let Some(place) = answer.where_().and_then(copy_place) {
        text.push_str(&format!(", {place}"));
    }
    text.push(')');
    visible(&text).into_owned()
}

fn without_quoted(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => format!("{}\"…\"{}", &message[..first], &message[last + 1..]),
        _ => message.to_owned(),
    }
}

/// Takes the row's number out of the context of a COPY: `COPY t, line 3, column c: "value"` is `row 3 of the copy`.
fn copy_place(context: &str) -> Option<String> {
    let behind = context.strip_prefix("COPY ")?.split_once(", line ")?.1;
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next().filter(|digits| !digits.is_empty())?;
    Some(format!("row {digits} of the copy"))
}

fn statement_code(code: &str) -> &'static str {
    match code {
        "42501" => "privilege-missing",
        "57014" => "statement-cancelled",
        "55P03" => "lock-timeout",
        "53100" => "disk-full",
        "25006" => "target-read-only",
        "40P01" => "deadlock",
        "2BP01" => "depended-on",
        "57P01" | "57P02" | "57P05" | "25P03" => "connection-lost",
        _ => match &code[..code.len().min(2)] {
            "08" => "connection-lost",
            "22" => "value-refused",
            "23" => "constraint-violated",
            _ => "statement-failed",
        },
    }
}

fn help(code: &str) -> Option<&'static str> {
    Some(match statement_code(code) {
        "privilege-missing" => "grant the role what is missing, or connect as the owner; doctor lists what is needed",
        "lock-timeout" => "another session holds the table: end it (see pg_stat_activity), then run again",
        "disk-full" => "free space on the server, then run again",
        "deadlock" => "another session works on the same tables: end it, then run again",
        "depended-on" => "it is not the run's: drop it or change it, then run again",
        "target-read-only" => "connect to the primary, and look at default_transaction_read_only of role and database",
        "connection-lost" => "look at the server's log, then run again; what was committed stays",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_messages_about_values_are_left_out() {
        assert_eq!(
            without_quoted("invalid input syntax for type integer: \"a \" b\""),
            "invalid input syntax for type integer: \"…\""
        );
        assert_eq!(without_quoted("value \"9\" is out of range"), "value \"…\" is out of range");
        assert_eq!(without_quoted("division by zero"), "division by zero");
    }

    #[test]
    fn the_place_in_a_copy_is_a_number_only() {
        assert_eq!(copy_place("COPY t, line 12, column c: \"s3cret\"").as_deref(), Some("row 12 of the copy"));
        assert_eq!(copy_place("SQL statement \"x\""), None);
    }
}
