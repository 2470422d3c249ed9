#!/usr/bin/env bash
# Ships docuflow's schema by Alembic, as its people do: the revisions that `emit --wrap alembic` writes, up and down, on
# PostgreSQL and on the SQLite of development; models made of the database by sqlacodegen; and `alembic check`, which has
# to find nothing to do. Then the rows go into the tables that Alembic has made, and it still has nothing to do.
#
#   tests/systems/alembic.sh    takes Alembic from PyPI into a folder that is removed afterwards
set -euo pipefail
cd "$(dirname "$0")/../.."

system=docuflow
work=$(mktemp -d "${TMPDIR:-/tmp}/tenantry-alembic.XXXXXX")
log=$work/cutover.txt
PATH=$PATH:$(tests/deps.sh bindir)

told() { sed -n "s/^$1: //p" "$log"; }
tenantry() { cargo run --locked --quiet -- "$@"; }

clean_up() {
    if [ -s "$log" ] && [ -n "$(told stop)" ]; then
        bash -c "$(told stop)" >/dev/null || echo "the scratch server did not stop: $(told stop)" >&2
    fi
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

quietly() {
    "$@" >"$work/said.txt" 2>&1 || { cat "$work/said.txt" >&2; fail "failed: $*"; }
}

# in_database NAME COMMAND …: a program of PostgreSQL's with the options that connect to a database of the scratch server.
in_database() {
    local database=$1 program=$2
    shift 2
    "$program" -h "$directory" -p 5432 -U postgres "$@" "$database"
}

# Everything but Alembic's own table, the journal of runs, and what pg_dump makes up anew each time.
schema_of() {
    in_database "$1" pg_dump --schema-only --exclude-table=alembic_version --exclude-schema=tenantry | grep -v '^\\\(un\)\?restrict '
}

python3 -m venv "$work/venv"
quietly "$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    alembic==1.20.1 SQLAlchemy==2.1.9 psycopg2-binary==2.9.13 sqlacodegen==4.0.4
alembic() { (cd "$work/app" && "$work/venv/bin/alembic" "$@"); }

# The cutover on its own, to compare with; its server goes on.
cat "fixtures/$system/schema.sql" "fixtures/$system/rows.sql" | sqlite3 -bail "$work/source.db"
tenantry cutover "specs/$system.yaml" --source "$work/source.db" --target scratch --keep >"$log" 2>/dev/null
directory=$(told connect | sed -n "s/^psql -h '\{0,1\}\([^' ]*\).*/\1/p")
# The database and the rights in it, as an administrator makes them.
tenantry emit "specs/$system.yaml" --section bootstrap >"$work/bootstrap.sql"
quietly in_database postgres psql -qX -v ON_ERROR_STOP=1 -v database=app -f "$work/bootstrap.sql"

mkdir "$work/app"
quietly alembic init migrations
cat >"$work/app/migrations/env.py" <<'PYTHON'
import os

from alembic import context
from sqlalchemy import create_engine

target_metadata = None
if os.path.exists("models.py"):
    import models

    target_metadata = models.Base.metadata

with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection, target_metadata=target_metadata, compare_server_default=False)
    with context.begin_transaction():
        context.run_migrations()
PYTHON
quietly tenantry emit "specs/$system.yaml" --wrap alembic --into "$work/app/migrations/versions"

export DATABASE_URL="postgresql+psycopg2://postgres@/app?host=$directory"
quietly alembic upgrade head
schema_of app >"$work/first.sql"
schema_of tenantry >"$work/cutover.sql"
diff -u "$work/cutover.sql" "$work/first.sql" || fail 'the revisions make something else than the cutover'
echo "alembic upgrade head: the same schema as the cutover's, $(wc -l <"$work/first.sql") lines of pg_dump"

quietly alembic downgrade base
left=$(in_database app psql -qAtX -c "SELECT string_agg(relname, ', ') FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic_version%'")
[ -z "$left" ] || fail "alembic downgrade left behind: $left"
echo 'alembic downgrade base: nothing is left'

quietly alembic upgrade head
schema_of app >"$work/second.sql"
diff -u "$work/first.sql" "$work/second.sql" || fail 'the second way up ends elsewhere than the first'
echo 'alembic upgrade head, again: the same'

# The tables by the first revision and the rows into them: looked at, moved, moved again (which does nothing), and cleared and
# moved anew. What the second revision would make, the run has made.
quietly alembic downgrade -1
url="postgresql://postgres@/app?host=$directory"
into_tables() {
    quietly tenantry cutover "specs/$system.yaml" --source "$work/source.db" --target "$url" --schema expect \
        --work-dir "$work/runs" "$@"
}
rows() { in_database app psql -qAtX -c 'SELECT count(*) FROM document_metadata'; }
expect_rows() { [ "$(rows)" = "$1" ] || fail "$(rows) documents, and not $1: $2"; }
documents=$(sqlite3 "$work/source.db" 'SELECT count(*) FROM document_metadata')

into_tables --dry-run
expect_rows 0 'a dry run writes nothing'
into_tables
expect_rows "$documents" 'the run has moved them'
into_tables
grep -q 'nothing was done' "$work/said.txt" || fail 'the second run did something'
quietly tenantry verify "specs/$system.yaml" --source "$work/source.db" --target "$url"
echo "cutover --schema expect: $(grep '^proven: ' "$work/said.txt")"
in_database app psql -qX -c 'DELETE FROM field_corrections'
if tenantry verify "specs/$system.yaml" --source "$work/source.db" --target "$url" >"$work/said.txt" 2>&1; then
    fail 'verify has not seen that rows are gone'
fi
into_tables --replace
quietly tenantry verify "specs/$system.yaml" --source "$work/source.db" --target "$url"
quietly tenantry verify "specs/$system.yaml" --target "$url" --catalog-only
quietly alembic stamp head
schema_of app >"$work/third.sql"
diff -u "$work/second.sql" "$work/third.sql" || fail 'the run has made something else of the schema'
echo "cutover --schema expect --replace: $documents documents again, and the schema that the revisions made"

(cd "$work/app" && "$work/venv/bin/sqlacodegen" "$DATABASE_URL" >models.py)
sed -i '/alembic_version/,/^)/d' "$work/app/models.py"
# sqlacodegen leaves DESC out of indexes: whoever keeps its models writes these three by hand.
for index in ix_batches_user_id_created_at ix_field_corrections_org_id_field_name_created_at \
    ix_document_metadata_org_id_status_processed_at; do
    sed -i "s/\(Index('$index'.*, \)'\([a-z]*_at\)'/\1text('\2 DESC')/" "$work/app/models.py"
done
[ "$(grep -c "_at DESC')" "$work/app/models.py")" = 3 ] || fail 'sqlacodegen writes indexes in another way now'
quietly alembic check
echo "alembic check, against $(grep -c '^class .*(Base)' "$work/app/models.py") models of sqlacodegen's: $(tail -1 "$work/said.txt")"

DATABASE_URL="sqlite:///$work/development.db" quietly alembic upgrade head
tables=$(sqlite3 "$work/development.db" "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table'")
[ "$tables" = alembic_version ] || fail "the revisions made tables in SQLite: $tables"
echo 'on SQLite the revisions change nothing'
