//! The runbook of a cutover, written by its rehearsal: what to run, how long it takes, until when one can abort, what to
//! look at before and after.

use super::counted::counted;
use super::rehearsal::{Figures, PhaseTime};
use crate::ident::visible;
use crate::postgres::bytes_text;

/// What the real run is called with.
pub struct Commands {
    /// The spec, as a shell takes it.
    pub name: String,
    /// The same, with what every verb needs that reads it.
    pub spec: String,
    /// What names the source: `--source app.db`, or `--source 'tenants/*.db'`.
    pub database: String,
    /// What names the tenant, or says where those of several files are found, with a space before it.
    pub tenant: String,
    /// What names the tenant of a run that moves one database, with a space before it.
    pub tenant_of_run: String,
    /// Whatever else the rehearsal was given that the real run needs.
    pub more: String,
    /// The folder that the real run keeps its snapshot in.
    pub folder: String,
    /// The application is kept from writing by the run itself.
    pub freezes: bool,
}

/// Where the real run's server is looked up.
const TARGET: &str = "--target env:DATABASE_URL";

/// Writes the runbook.
pub fn runbook(figures: &Figures, commands: &Commands) -> String {
    let Commands { name, spec, database, tenant, tenant_of_run, more, folder, freezes } = commands;
    let source = format!("{database}{tenant}");
    let command = format!("tenantry cutover {spec} {source} {TARGET}{more}");
    // Whoever continues has no source to freeze or to block.
    let resume = more.replace(" --freeze", "").replace(" --bootstrap", "");
    let minutes = |seconds: f64| format!("{:.2}", seconds / 60.0);
    let rows = figures.phases.iter().map(|PhaseTime { phase, seconds }| {
        let (what, abort) = about(phase);
        format!("| {phase} | {} | {what} | {abort} |\n", minutes(*seconds))
    });
    let stop = match freezes {
        true => {
            "1. Tell the application's users. `--freeze` keeps it from writing as long as the run lasts: it gets \"database is \
                 locked\". Stop it before the run ends, since the lock goes with the run."
        }
        false => {
            "1. Stop the application, or put it into a mode in which it only reads. What it writes after the snapshot is not \
                  moved; the report says so. (`--freeze` takes SQLite's write lock for as long as the run lasts.)"
        }
    };
    let bytes = bytes_text(figures.source_bytes);
    // One database can be asked for more than several: how much room it needs, and what has become of its rows since.
    let (origin, every, doctor, since) = match figures.files {
        None => (
            format!("a source of {bytes}"),
            "",
            format!(" {database}"),
            format!("`tenantry verify {spec} {source} {TARGET} --since-run`"),
        ),
        Some(files) => (
            format!("{} of {bytes} together", counted(files, "file")),
            " This goes for the application of every file.",
            String::new(),
            format!("`tenantry verify {spec} --source FILE --tenant ID {TARGET} --since-run` for each file"),
        ),
    };
    format!(
        "# Runbook: cutover of {name}\n\n\
         Written by a rehearsal into a scratch PostgreSQL that ended at {made_at} and was proven: {rows} of \
         {tenants}, {origin}, tenantry {tool}, {jobs}. The figures are those of this machine; a \
         server that is slower or far away takes longer, and `--dry-run` scales them to the rows of the day.\n\n\
         ## How long it takes, and until when one can abort\n\n\
         | phase | minutes | what happens | to abort |\n|---|---|---|---|\n{phases}\
         | in all | {total} | phases that move rows and make keys overlap, and so do the last ones | |\n\n\
         The target's tables took {target_bytes}, keys and indexes with them; have three times that free on the server, for its log \
         and for sorting, and {source_bytes} for the snapshot here.\n\n\
         Whatever stops the run, on purpose or not: what was committed stays, and either of these goes on from there.\n\n\
         ```console\n\
         tenantry cutover {spec} {TARGET}{tenant_of_run}{resume} --resume    # finish it\n\
         tenantry rollback {spec} {TARGET}                  # or undo it\n\
         ```\n\n\
         ## Before\n\n\
         Put the server's address into `DATABASE_URL`; passwords belong into a password file or that variable, not on the command line.\n\n\
         ```console\n\
         tenantry check {spec}\n\
         tenantry doctor {TARGET}{doctor}\n\
         tenantry audit {spec} {source}\n\
         {command} --dry-run\n\
         ```\n\n\
         - [ ] each of them exits with 0; the dry run's estimate fits into the window that was announced\n\
         - [ ] the server has a backup, and the way back below was rehearsed\n\
         - [ ] the application's new version and its `DATABASE_URL` are ready to be switched on, and to be switched off again\n\
         - [ ] the roles that the spec names are there; where they are not, the run gets `--bootstrap`\n\
         - [ ] nobody else changes the target's schema meanwhile\n\n\
         ## The run\n\n\
         {stop}{every}\n\
         2. Run it; its times are shown beside those above.\n\n\
         ```console\n\
         {command}\n\
         ```\n\n\
         3. Exit code 0 and the line `proven: …` say that every row is there. Anything else: the message says what to do; nobody has been \
         let in.\n\n\
         ## After\n\n\
         ```console\n\
         tenantry verify {spec} {source} {TARGET}                   # again, from the source, before anybody writes\n\
         tenantry verify {spec} {TARGET} --catalog-only             # keys, policies, owners, grants\n\
         ```\n\n\
         - [ ] the report does not say that the source has been written to since its snapshot\n\
         - [ ] the application reads, and writes a row of its own in one tenant; another tenant does not see it\n\
         - [ ] {since} once it is in use: nothing of the run is missing\n\
         - [ ] the snapshot in `{folder}` is put away as the backup of what was moved, and the source is set aside, read-only\n\n\
         ## The way back\n\n\
         As long as the application has not written to the target, `tenantry rollback {spec} {TARGET}` leaves it as it was before, and \
         the application goes on with the source, which the run has not changed. Once it has, rollback refuses and says how many \
         rows are newer; they are lost with `--discard-new-rows N`.\n",
        made_at = figures.made_at,
        rows = counted(figures.rows, "row"),
        tenants = counted(figures.tenants, "tenant"),
        source_bytes = bytes,
        target_bytes = bytes_text(figures.target_bytes),
        tool = visible(&figures.tool),
        jobs = counted(figures.jobs, "connection"),
        total = minutes(figures.total_seconds),
        phases = rows.collect::<String>(),
    )
}

/// Says what happens in a phase, and how it is aborted.
fn about(phase: &str) -> (&'static str, &'static str) {
    const NOTHING_WRITTEN: &str = "Ctrl-C: nothing has been written";
    const UNDO: &str = "Ctrl-C, then `rollback`; the application goes on with the source";
    match phase {
        "target" => ("connection and lock; for the rehearsal, the scratch server's start", NOTHING_WRITTEN),
        "snapshot" => ("private copy of the source", NOTHING_WRITTEN),
        "audit" => ("every row is tried", NOTHING_WRITTEN),
        "schema" => ("tables", UNDO),
        "copy" => ("rows", UNDO),
        "constraints" => ("keys, indexes, foreign keys", UNDO),
        "sequences" => ("counters go on above the rows", UNDO),
        "verify" => ("the proof", UNDO),
        "finish" => ("statistics for the planner, beside the proof", UNDO),
        "isolation" => ("owners, policies, grants: from its end on the application is let in", UNDO),
        _ => ("", ""),
    }
}
