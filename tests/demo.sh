#!/usr/bin/env bash
# Moves a whole system from SQLite into a throwaway PostgreSQL, and shows on the new database that a row cannot refer to
# another tenant's.
#
#   SYSTEM=bai tests/demo.sh    fixtures/$SYSTEM holds the source, specs/$SYSTEM.yaml the tenancy
#
# Fails when PostgreSQL accepts what it has to refuse.
set -euo pipefail
cd "$(dirname "$0")/.."

system=${SYSTEM:-bai}
spec=specs/$system.yaml
if ! [ -f "$spec" ] || ! [ -f "fixtures/$system/rows.sql" ]; then
    echo "there is no system $system: SYSTEM is one of bai, docuflow, legal_dashboard, armp and vatevo" >&2
    exit 1
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/tenantry-demo.XXXXXX")
source=$work/$system.db
log=$work/cutover.txt
PATH=$PATH:$(tests/deps.sh bindir)

# The cutover prints, among other lines, `connect: COMMAND` and `stop: COMMAND` for the server that it leaves running.
told() { sed -n "s/^$1: //p" "$log"; }

clean_up() {
    if [ -s "$log" ] && [ -n "$(told stop)" ]; then
        bash -c "$(told stop)" >/dev/null || echo "the scratch server did not stop: $(told stop)" >&2
    fi
    rm -rf "$work"
}
trap clean_up EXIT

step() { printf '\n== %s\n\n' "$1"; }
tenantry() { cargo run --release --locked --quiet -- "$@"; }

query() {
    local psql
    read -r -a psql < <(told connect)
    "${psql[@]}" -X -P pager=off -v ON_ERROR_STOP=1 "$@"
}

# as ROLE STATEMENTS: runs them in one transaction of the role's, and leaves nothing of them.
as() {
    printf '%s\n\n' "$2"
    query -q -c "BEGIN; SET LOCAL ROLE $1; $2 ROLLBACK;"
}

# refused_as ROLE SQLSTATE STATEMENTS: the same as `refused`, in a transaction of the role's.
refused_as() {
    printf '%s\n' "$3"
    refused "$2" "BEGIN; SET LOCAL ROLE $1; $3" quietly
}

# refused SQLSTATE STATEMENT: shows the statement and PostgreSQL's answer, which has to be that error.
refused() {
    local answer
    [ "${3-}" = quietly ] || printf '%s\n' "$2"
    if answer=$(query -q -v VERBOSITY=verbose -c "$2" 2>&1); then
        printf '\nPostgreSQL accepted this statement: the tenants are not isolated\n' >&2
        exit 1
    fi
    grep -E '^(ERROR|DETAIL):' <<<"$answer"
    echo
    [[ $answer == *" $1: "* ]] || { echo "this is not the refusal to expect, SQLSTATE $1" >&2; exit 1; }
}

# source_of FILE DATABASE: a SQLite database of the system's, with the rows of a file.
source_of() { cat "fixtures/$system/schema.sql" "fixtures/$system/$1" | sqlite3 -bail "$2"; }

# Customer 1 belongs to acct-0031, customer 2 to acct-0021.
isolation_of_bai() {
    step 'Every key of invoices holds the account'
    query -c '\d invoices'

    step 'An invoice of acct-0031 for customer 2, who belongs to acct-0021, is refused'
    query -c 'SELECT account_id, id, name FROM customers WHERE id IN (1, 2)'
    echo 'The customer is looked for in the account that the reference names, and is not there:'
    refused 23503 "INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
  VALUES ('acct-0031', 'acct-0031', 2, 'DEMO-1', '2024-03-05');"
    echo 'Naming the other account in the reference does not help:'
    refused 23514 "INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
  VALUES ('acct-0031', 'acct-0021', 2, 'DEMO-1', '2024-03-05');"

    step 'For a customer of its own it is accepted, and gets an id above all others'
    query -e -c "INSERT INTO invoices (account_id, customer_account_id, customer_id, invoice_number, issue_date)
  VALUES ('acct-0031', 'acct-0031', 1, 'DEMO-1', '2024-03-05') RETURNING account_id, id, invoice_number;"

    step 'The application connects as a role of its own, which works with rows and with nothing else'
    as bai_app "UPDATE customers SET name = 'Demo' WHERE (account_id, id) = ('acct-0031', 1) RETURNING account_id, id, name;"
    refused_as bai_app 42501 'TRUNCATE payments;'
    refused_as bai_app 42501 'ALTER TABLE invoices DROP CONSTRAINT invoices_customer_account_id_check;'
}

isolation_of_docuflow() {
    step 'Who logs in has no organization yet: a function finds it by the email, and tells nothing else'
    as docuflow_app "SELECT users_tenant_by_email('user1@organization-1.example'), (SELECT count(*) FROM users) AS seen;"

    step 'Then the session names the organization, and sees that one only'
    as docuflow_app "SET LOCAL app.organization_id = '10';
  SELECT organization_id, count(*) FROM users GROUP BY 1;"

    step 'A row for another organization is refused'
    refused_as docuflow_app 42501 "SET LOCAL app.organization_id = '10';
  INSERT INTO batches (organization_id, user_id, name) VALUES (20, 2001, 'DEMO');"
    echo 'And one of its own that refers to a user of another:'
    refused_as docuflow_app 23503 "SET LOCAL app.organization_id = '10';
  INSERT INTO batches (organization_id, user_id, name) VALUES (10, 2001, 'DEMO');"
}

isolation_of_legal_dashboard() {
    step 'The application asks what it has always asked; the session says for which installation'
    as legal_app "SET LOCAL app.installation = 'hamburg';
  SELECT status, count(*) FROM batches GROUP BY status ORDER BY status;"
    echo 'Of an installation that has not come yet it sees nothing:'
    as legal_app "SET LOCAL app.installation = 'berlin';
  SELECT status, count(*) FROM batches GROUP BY status ORDER BY status;"

    step "Berlin's file is added, while Hamburg works on"
    local server
    server=$(told connect | sed -n "s/^psql -h '\{0,1\}\([^' ]*\).*/\1/p")
    source_of installations/berlin.sql "$work/berlin.db"
    tenantry cutover "$spec" --source "$work/berlin.db" --tenant berlin --work-dir "$work/runs" \
        --target "postgresql://postgres@/tenantry?host=$server" 2>/dev/null
    echo
    as legal_app "SET LOCAL app.installation = 'berlin';
  SELECT status, count(*) FROM batches GROUP BY status ORDER BY status;"

    step 'What it inserts is the installation'"'"'s, without being told'
    as legal_app "SET LOCAL app.installation = 'hamburg';
  INSERT INTO batches (uuid, name, status) VALUES ('demo', 'DEMO', 'pending') RETURNING installation, id, name;"

    step 'An installation that does not exist is refused'
    refused_as legal_app 23503 "SET LOCAL app.installation = 'hamburk';
  INSERT INTO batches (uuid, name, status) VALUES ('demo', 'DEMO', 'pending');"
}

isolation_of_armp() {
    step 'An association belongs to one organization, in all of its keys'
    query -c '\d project_publication'

    step 'A publication of another organization is refused'
    refused 23503 "INSERT INTO project_publication (organization_id, project_id, publication_id)
  SELECT organization_id, id, (SELECT p.id FROM publication p WHERE p.organization_id <> project.organization_id LIMIT 1)
  FROM project LIMIT 1;"

    step 'Co-authors of other organizations are kept, as the spec allows: the reference names theirs'
    query -c 'SELECT organization_id, publication_id, author_organization_id, researcher_id FROM publication_author
        WHERE author_organization_id <> organization_id ORDER BY 1, 2 LIMIT 3'

    step 'A session sees its organization, and of the others those who wrote with it'
    as armp_app "SET LOCAL app.organization_id = '1';
  SELECT organization_id, count(*) FROM publication GROUP BY 1;"
    as armp_app "SET LOCAL app.organization_id = '1';
  SELECT organization_id, count(*) FROM researcher GROUP BY 1 ORDER BY 1;"
}

isolation_of_vatevo() {
    local account
    account=$(query -At -c "SELECT id FROM accounts WHERE slug = 'account-1'")
    step 'Who logs in finds the accounts to choose from'
    as vatevo_app "SELECT account_id FROM login('person7@mail.example');"

    step 'The log grows, and nothing in it is changed'
    as vatevo_app "SET LOCAL app.account_id = '$account';
  INSERT INTO audit_log (account_id, action, at) SELECT '$account', 'demo', max(at) FROM audit_log RETURNING id, action, at;"
    refused_as vatevo_app 42501 "SET LOCAL app.account_id = '$account';
  DELETE FROM audit_log;"

    step 'An account sees its own members of all the people there are'
    as vatevo_app "SET LOCAL app.account_id = '$account';
  SELECT id, email FROM users ORDER BY id LIMIT 3;"

    step 'A file belongs to the account of what it is attached to'
    query -c "SELECT account_id, subject_type, count(*) FROM attachments GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 4"
}

step 'Build'
cargo build --release --locked

step "The source: a SQLite database of $system"
source_of rows.sql "$source"
sqlite3 "$source" "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name" |
    while read -r table; do
        printf '%8d  %s\n' "$(sqlite3 "$source" "SELECT count(*) FROM \"$table\"")" "$table"
    done

step "The plan: what $spec decides"
tenantry plan "$spec"

step 'The cutover, into a PostgreSQL made for it'
# Where a file holds one tenant, the run names it.
tenant=()
[ "$system" != legal_dashboard ] || tenant=(--tenant hamburg)
tenantry cutover "$spec" --source "$source" --target scratch --keep "${tenant[@]}" | tee "$log"

step 'What stayed behind, as the spec decides, is on record'
query -c 'SELECT table_name, key, code, reason FROM tenantry.rejects ORDER BY position'

"isolation_of_$system"

step 'Done: moved, verified, isolated'
