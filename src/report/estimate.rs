//! What a cutover will take, in time and room, before it is run.

use super::counted::counted;
use super::json::SCHEMA_VERSION;
use super::rehearsal::{Figures, encoded_bytes};
use crate::copy::Audit;
use crate::ident::visible;
use crate::plan::Plan;
use crate::postgres::bytes_text;
use crate::schema::TableId;
use serde_json::{Value, json};
use std::time::Duration;

/// The bytes of binary COPY that are moved a second, keys and indexes made, on a machine that is quick and on one that
/// is not or is busy.
///
/// Measured on two cores, server and client together: the 5.16 million rows of docs/benchmarks.md, which are 597 MB, in 5.8 s,
/// 103 MB a second. The quick machine is a quarter quicker, the other one takes four times as long.
const MOVED: (f64, f64) = (130e6, 25e6);

/// The same for the proof: 5.9 s were measured, 101 MB a second.
const PROVEN: (f64, f64) = (130e6, 25e6);

/// What a dry run knows.
pub struct DryRun<'d> {
    /// What would be done.
    pub plan: &'d Plan,
    /// What was found in the rows.
    pub audit: &'d Audit,
    /// Where they would go.
    pub target: String,
    /// How long snapshot and audit took just now.
    pub before: Vec<(&'static str, Duration)>,
    /// The snapshot's size in bytes.
    pub source_bytes: u64,
    /// A rehearsal of it, where there was one.
    pub rehearsal: Option<Figures>,
}

/// Seconds, at least and at most.
struct Seconds {
    least: f64,
    most: f64,
}

impl DryRun<'_> {
    /// How many times as many bytes there are as in the rehearsal.
    fn scale(&self, rehearsal: &Figures) -> f64 {
        encoded_bytes(self.audit) as f64 / rehearsal.encoded_bytes.max(1) as f64
    }

    fn seconds(&self) -> Seconds {
        let before: f64 = self.before.iter().map(|(_, took)| took.as_secs_f64()).sum();
        match &self.rehearsal {
            Some(rehearsal) => {
                let names: Vec<&str> = self.before.iter().map(|(name, _)| *name).collect();
                let same: f64 = names.iter().filter_map(|name| rehearsal.seconds(name)).sum();
                let most = before + (rehearsal.total_seconds - same).max(0.0) * self.scale(rehearsal);
                Seconds { least: most, most }
            }
            None => {
                let bytes = encoded_bytes(self.audit) as f64;
                Seconds {
                    least: before + bytes / MOVED.0 + bytes / PROVEN.0,
                    most: before + bytes / MOVED.1 + bytes / PROVEN.1 + 1.0,
                }
            }
        }
    }

    /// The bytes of tables, and of keys and indexes, on the server.
    fn room(&self) -> (u64, u64) {
        let sizes = &self.audit.sizes;
        (sizes.iter().map(|size| size.heap).sum(), sizes.iter().map(|size| size.indexes).sum())
    }

    /// The bytes that this machine needs: the snapshot, and the rows of all tables, which are put away until they are sent.
    fn room_here(&self) -> u64 {
        self.source_bytes + self.audit.sizes.iter().map(|size| size.encoded).sum::<u64>()
    }

    /// Writes it for people.
    pub fn text(&self) -> String {
        let Self { plan, audit, target, before, .. } = self;
        let mut text = format!("dry run: nothing was written to {}\n\n", visible(target));
        for &(table, rows) in &audit.tables {
            text.push_str(&format!("  {:<40} {rows:>12} rows\n", name(plan, table)));
        }
        text.push_str(&format!(
            "\n{}, {}, nothing is wrong with the rows\n\nestimate:\n",
            counted(plan.statements.len(), "statement"),
            counted(audit.tenants, "tenant")
        ));
        let measured: Vec<String> =
            before.iter().map(|(phase, took)| format!("{phase} {:.1} s", took.as_secs_f64())).collect();
        let Seconds { least, most } = self.seconds();
        match &self.rehearsal {
            Some(rehearsal) => text.push_str(&format!(
                "  time    about {}: {} just now; the rest took {:.1} s in the rehearsal of {}, for {}\n",
                time_text(most),
                measured.join(", "),
                rehearsal.total_seconds,
                rehearsal.made_at,
                counted(rehearsal.rows, "row")
            )),
            None => text.push_str(&format!(
                "  time    {} to {}: {} just now; rows, keys and proof on a server like those that were measured. \
                 A rehearsal measures yours: --target scratch --runbook FILE\n",
                time_text(least),
                time_text(most),
                measured.join(", ")
            )),
        }
        let (heap, indexes) = self.room();
        text.push_str(&format!(
            "  server  about {} of rows and up to {} of keys and indexes; as much again for its log until the next checkpoints\n",
            bytes_text(heap),
            bytes_text(indexes)
        ));
        if let Some(rehearsal) = &self.rehearsal {
            let bytes = rehearsal.target_bytes as f64 * self.scale(rehearsal);
            text.push_str(&format!("          {} by the rehearsal's tables\n", bytes_text(bytes as u64)));
        }
        text.push_str(&format!(
            "  here    {} for the snapshot, and up to {} for the rows until they are sent\n",
            bytes_text(self.source_bytes),
            bytes_text(self.room_here() - self.source_bytes)
        ));
        text
    }

    /// Writes it for machines.
    pub fn json(&self) -> Value {
        let Seconds { least, most } = self.seconds();
        let (heap, indexes) = self.room();
        let tables = self.audit.sizes.iter().map(|size| {
            json!({
                "table": self.plan.rewritten.target.table(size.table).name,
                "rows": size.rows,
                "encoded_bytes": size.encoded,
                "heap_bytes": size.heap,
                "index_bytes": size.indexes,
            })
        });
        json!({
            "schema_version": SCHEMA_VERSION,
            "dry_run": {
                "statements": self.plan.statements.len(),
                "tenants": self.audit.tenants,
                "tables": tables.collect::<Vec<_>>(),
                "seconds": { "least": least, "most": most },
                "server_bytes": { "heap": heap, "indexes": indexes },
                "local_bytes": self.room_here(),
                "rehearsal": self.rehearsal,
            },
        })
    }
}

fn name(plan: &Plan, table: TableId) -> String {
    visible(&plan.source.table(table).name).into_owned()
}

fn time_text(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_lies_within_the_range() {
        // docs/benchmarks.md: bytes of binary COPY, and the seconds that they took.
        for (rates, seconds) in [(MOVED, 5.8), (PROVEN, 5.9)] {
            let (least, most) = (597e6 / rates.0, 597e6 / rates.1);
            assert!(least < seconds / 1.2 && most > seconds * 3.0, "{least} s to {most} s");
        }
    }
}
