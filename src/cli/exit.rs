//! Exit codes.

/// Nothing to report.
pub const CLEAN: u8 = 0;

/// Findings: drift, violations, a mismatch.
pub const FINDINGS: u8 = 1;

/// The work could not be done: bad spec, bad DDL, no connection, failed cutover.
pub const FAILED: u8 = 2;
