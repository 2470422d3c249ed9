//! What stands in for Citus where no cluster is at hand: its documented calls, and the rules that it documents.
//!
//! The calls stand where Citus has them, and keep a list; afterwards the catalog is held to the rules by SQL of its own, which knows nothing of the code
//! that wrote the DDL.

use tenantry::postgres::Connection;

const CALLS: &[&str] = &[
    "CREATE TABLE public.placed (name regclass PRIMARY KEY, distribution_column text)",
    "CREATE FUNCTION pg_catalog.create_distributed_table(name regclass, distribution_column text,
         distribution_type text DEFAULT 'hash', colocate_with text DEFAULT 'default') RETURNS void LANGUAGE plpgsql AS $$
     DECLARE rows bigint;
     BEGIN
         EXECUTE format('SELECT count(*) FROM %s', name) INTO rows;
         IF rows > 0 THEN RAISE 'the table % has rows', name; END IF;
         IF NOT EXISTS (SELECT FROM pg_attribute a WHERE attrelid = name AND attname = distribution_column
                        AND attnotnull AND attgenerated = '') THEN
             RAISE 'no column % to distribute % by', distribution_column, name;
         END IF;
         IF colocate_with = 'default' AND EXISTS (SELECT FROM public.placed p WHERE p.distribution_column IS NOT NULL) THEN
             RAISE 'a second colocation group for %', name;
         END IF;
         IF colocate_with <> 'default' AND NOT EXISTS (
             SELECT FROM public.placed p
             JOIN pg_attribute theirs ON theirs.attrelid = p.name AND theirs.attname = p.distribution_column
             JOIN pg_attribute own ON own.attrelid = create_distributed_table.name
              AND own.attname = create_distributed_table.distribution_column
             WHERE p.name = colocate_with::regclass AND theirs.atttypid = own.atttypid
               AND theirs.attcollation = own.attcollation) THEN
             RAISE 'nothing to colocate % with', name;
         END IF;
         INSERT INTO public.placed VALUES (name, distribution_column);
     END $$",
    "CREATE FUNCTION pg_catalog.create_reference_table(name regclass) RETURNS void LANGUAGE sql AS
         'INSERT INTO public.placed VALUES ($1, NULL)'",
];

/// Lists what breaks a rule, as text.
const BROKEN: &str = "
    WITH placed AS (
        SELECT p.name, a.attnum, true AS known FROM public.placed p
        LEFT JOIN pg_attribute a ON a.attrelid = p.name AND a.attname = p.distribution_column)
    SELECT 'unique without the distribution column: ' || i.indexrelid::regclass
    FROM pg_index i JOIN placed p ON p.name = i.indrelid
    WHERE i.indisunique AND p.attnum IS NOT NULL AND NOT p.attnum = ANY (i.indkey)
    UNION ALL
    SELECT 'between distributed tables, not by their columns at one place: ' || f.conname
    FROM pg_constraint f JOIN placed c ON c.name = f.conrelid JOIN placed p ON p.name = f.confrelid
    WHERE f.contype = 'f' AND c.attnum IS NOT NULL AND p.attnum IS NOT NULL
      AND NOT EXISTS (SELECT FROM unnest(f.conkey, f.confkey) k(own, theirs) WHERE own = c.attnum AND theirs = p.attnum)
    UNION ALL
    SELECT 'to a distributed table from elsewhere: ' || f.conname
    FROM pg_constraint f LEFT JOIN placed c ON c.name = f.conrelid JOIN placed p ON p.name = f.confrelid
    WHERE f.contype = 'f' AND c.attnum IS NULL AND p.attnum IS NOT NULL
    UNION ALL
    SELECT 'from a distributed table to a local one: ' || f.conname
    FROM pg_constraint f JOIN placed c ON c.name = f.conrelid LEFT JOIN placed p ON p.name = f.confrelid
    WHERE f.contype = 'f' AND c.attnum IS NOT NULL AND p.known IS NULL
    UNION ALL
    SELECT 'an action that would change the distribution column: ' || f.conname
    FROM pg_constraint f JOIN placed c ON c.name = f.conrelid
    WHERE f.contype = 'f' AND c.attnum = ANY (f.conkey) AND (f.confdeltype IN ('n', 'd') OR f.confupdtype IN ('n', 'd', 'c'))";

/// Creates the calls.
pub fn stand_in(connection: &mut Connection) -> Result<(), String> {
    for sql in CALLS {
        connection.execute(sql, "stand in for Citus").map_err(|error| format!("{error:?}"))?;
    }
    Ok(())
}

/// Holds the catalog to the rules.
pub fn check(connection: &mut Connection) -> Result<(), String> {
    let rows = connection.query(BROKEN, &[], "check").map_err(|error| format!("{error:?}"))?;
    let broken: Vec<&str> = rows.iter().filter_map(|row| row.optional(0)).collect();
    if broken.is_empty() { Ok(()) } else { Err(format!("Citus would refuse: {}", broken.join("; "))) }
}
