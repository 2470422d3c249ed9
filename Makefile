.DEFAULT_GOAL := help
SYSTEM ?= bai
SCALE ?= 1
RUNS ?= 3
MINUTES ?= 10
FILES ?= 1000
SPECS := $(wildcard specs/*.yaml)

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(MAKEFILE_LIST))

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: deps ## Move a whole system into a throwaway PostgreSQL and watch it refuse a foreign tenant's row (SYSTEM=bai)
	@SYSTEM=$(SYSTEM) tests/demo.sh

systems: deps ## Take all five systems from SQLite to PostgreSQL; one by Alembic (from PyPI), one behind pgbouncer (from apt)
	cargo test --locked --test systems
	tests/systems/alembic.sh
	tests/systems/pgbouncer.sh

test: deps ## Run all tests, against a PostgreSQL they start themselves
	cargo test --locked

faults: deps ## Kill, cut and crash runs at every place and at random moments, a hundred times and more (docs/faults.md; SEED=…)
	cargo test --locked --test killed -- --ignored --nocapture --test-threads 1

fan-in: deps ## Move a thousand small files in one run, killed in the middle and resumed (FILES=1000)
	FILES=$(FILES) cargo test --locked --release --test fan_in -- --ignored --nocapture

bench: deps ## Measure a cutover of 5.2 million rows beside other ways, and write docs/benchmarks.md (SCALE=1 RUNS=3)
	PATH="$$PATH:$$(tests/deps.sh bindir)" SCALE=$(SCALE) RUNS=$(RUNS) cargo bench --locked --bench cutover

corpus: deps ## Convert every SQLite database and DDL file of a folder, and compare what PostgreSQL then has (CORPUS=DIR)
	TENANTRY_CORPUS=$(CORPUS) cargo test --locked --test golden corpus -- --nocapture

bench-emit: ## Measure emit on schemas of up to 2,000 tables and 6,000 foreign keys
	cargo bench --locked --bench emit

fuzz: ## Try mutated schemas and specs for so long, from a seed that is printed (MINUTES=10)
	TENANTRY_FUZZ_MINUTES=$(MINUTES) cargo test --locked --test reading -- --nocapture fuzz::

sqlite-suite: ## Read every CREATE statement of SQLite's own tests, and prove that no clause is lost (DIR=the sources of SQLite)
	@test -d "$(DIR)" || { echo "DIR=… names the unpacked sources of SQLite: apt-get source sqlite3" >&2; exit 2; }
	TENANTRY_SQLITE_SUITE="$(DIR)" cargo test --locked --test reading -- --ignored --nocapture sqlites_own_tests

shells: ## Render the manual pages in groff, and complete in bash, zsh and fish (installs them where apt is)
	cargo build --locked
	tests/shells.sh target/debug/tenantry

book: ## Make the pages a book, target/book/docs/index.html (needs mdbook: cargo install mdbook)
	mdbook build docs
	cp -R specs fixtures target/book

check: ## Compare the committed DDL with what the specs generate
	cargo run --locked --quiet -- check $(SPECS)

fmt: ## Check the formatting
	cargo fmt --check

lint: ## Run clippy, warnings being errors
	cargo clippy --locked --all-targets -- -D warnings

bless: deps ## Write the DDL of the specs and all golden files anew
	for spec in $(SPECS); do cargo run --locked --quiet -- emit "$$spec" --write || exit 1; done
	TENANTRY_BLESS=1 cargo test --locked

install: ## Install tenantry into cargo's folder, with the commit in its version
	TENANTRY_COMMIT="$$(git rev-parse --short=12 HEAD 2>/dev/null)" cargo install --locked --path .

deps: ## Install what demo and test need, or say what to install
	@tests/deps.sh
