# The ways to use this repository; `make` alone lists them.
#
# Everything but `image` builds with Cargo's dev profile and names the whole workspace, so that RocksDB and the other
# dependencies compile once: Cargo gives them other features for other selections of packages.
# CARGO_TARGET_DIR is respected. ARGS go to the playground: make run ARGS='--port 6000'.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PATH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/roadstead/tools/bin:$(PATH)

roadstead := $(CARGO_TARGET_DIR)/debug/roadstead
chaos := $(CARGO_TARGET_DIR)/debug/chaos-tests

.PHONY: help
help: ## Lists what make can do here.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: build ## Builds, then runs a cluster of three nodes on this machine until Ctrl-C.
	@exec "$(roadstead)" playground $(ARGS)

.PHONY: build
build: prerequisites ## Builds the roadstead program.
	@cargo build --workspace --bin roadstead

.PHONY: test
test: prerequisites ## Runs all tests; the first time it builds two S3 servers to test against.
	@tools/prerequisites s3 network volumes
	@cargo test --workspace --no-fail-fast

.PHONY: check
check: prerequisites ## Checks format, lints, layout, documentation, and the dependencies' licences and advisories.
	@tools/prerequisites lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace --test tidy --quiet
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet
	@tools/check-dependencies

# Of the seeds that run twice, 33 has seven nodes, closed ones, and large blobs on S3; 15 three on the store in memory, which
# come to rest in the end; 45 three, and an S3 that is swept after 2 s. All have an operator and blobs that rot.
.PHONY: chaos
chaos: prerequisites ## Plays all scenarios, and simulates 50 clusters that fail, three of them twice, two on S3.
	@cargo build --workspace --bin chaos-tests
	@"$(chaos)" scenario --all
	@for seed in 33 15 45; do "$(chaos)" meta --seed "$$seed"; done
	@"$(chaos)" sweep --count 50 --jobs 2 $(ARGS)

.PHONY: chaos-long
chaos-long: prerequisites ## The same for hours: 10,000 seeds, 100 of them twice, 500 of each trouble of real nodes.
	@tools/prerequisites s3 network volumes
	@cargo build --workspace --bins
	@CHAOS_KILLS=500 cargo test --workspace --test processes -- --nocapture --test-threads 1 \
		nothing_acknowledged_is_lost a_leader_that_stood_still
	@"$(chaos)" scenario --all
	@for seed in $$(seq 100); do "$(chaos)" meta --seed "$$seed"; done
	@"$(chaos)" sweep --count 10000 --jobs 2 $(ARGS)

.PHONY: mutants
mutants: prerequisites ## Puts faults into the program, one after the other: each must be found.
	@tools/prerequisites volumes
	@cargo build --workspace --bins --features chaos-tests/mutants
	@for mutant in AckBeforeFsync PartNotSynced FolderNotSynced; do \
		CHAOS_MUTANT="$$mutant" cargo test --workspace --features chaos-tests/mutants --test processes -- --nocapture \
			what_was_acknowledged_last; \
	done
	@"$(chaos)" mutants --jobs 2 $(ARGS)

.PHONY: interop
interop: build ## Plays the story of a cluster with the clients that people use, on an engine of its own.
	@tools/prerequisites interop $(if $(findstring s3,$(ARGS)),s3)
	@deploy/interop/run $(ARGS)

.PHONY: conformance
conformance: build ## Runs the OCI's conformance suite, all of it, on one node, on three, and on three closed ones.
	@tools/prerequisites conformance $(if $(findstring s3,$(ARGS)),s3)
	@deploy/conformance/run $(ARGS)

.PHONY: bench
bench: prerequisites ## Measures beside other registries, nginx and etcd, and writes docs/benchmarks.md; 20 minutes.
	@tools/prerequisites bench s3 network
	@cargo build --workspace --bin roadstead --config tools/bench.toml
	@tools/bench --write $(ARGS)

.PHONY: bench-check
bench-check: prerequisites ## Fails when Roadstead beside its peers has become far worse than docs/benchmarks.md says.
	@tools/prerequisites bench
	@cargo build --workspace --bin roadstead --config tools/bench.toml
	@tools/bench --check --rounds 3 --only P1,P3,P5,P6,P7

.PHONY: microbench
microbench: export DIVAN_MIN_TIME ?= 1
microbench: prerequisites ## Measures the parts of a push and of a pull, each by itself; takes two minutes.
	@cargo bench --workspace --profile dev --config tools/bench.toml --bench micro -- $(ARGS)

.PHONY: grow
grow: prerequisites ## Measures what a registry costs as it grows to a million manifests, for docs/; half an hour.
	@cargo build --workspace --bin roadstead --config tools/bench.toml
	@tools/grow --write $(ARGS)

.PHONY: storm
storm: prerequisites ## Measures many clients that pull one image from S3 at once, for docs/; five minutes.
	@tools/prerequisites bench s3
	@cargo build --workspace --bin roadstead --config tools/bench.toml
	@tools/storm --write $(ARGS)

.PHONY: image
image: ## Builds the container image roadstead:latest from nothing but the sources.
	@tools/prerequisites image
	@deploy/build-image

.PHONY: prerequisites
prerequisites:
	@tools/prerequisites build
