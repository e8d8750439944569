# Chores that need more than one command. Each works in a fresh clone with nothing but Rust.

# Live tests mostly wait for each other's servers: a few more at once than there are cores.
TEST_THREADS ?= 4

# How long each fuzz target mutates its corpus, and how long when all tests run: then from one seed,
# so that tests say the same of the same sources. `make fuzz` looks for what is new.
FUZZ_SECONDS ?= 300
FUZZ_SECONDS_TEST ?= 8

.PHONY: build test test-puppet test-puppet-module test-puppet-acceptance test-packages fuzz soak parity
.PHONY: demo bench packages sbom fmt clippy doc deny deps

build:
	cargo build --release --locked --bins

deps:
	scripts/install-deps.sh

test: deps
	RUST_TEST_THREADS=$(TEST_THREADS) cargo test --locked --all-targets
	cargo test --locked --doc
	FUZZ_SEED=1 scripts/fuzz.sh $(FUZZ_SECONDS_TEST)

# The Puppet module: syntax, style, reference and specs, some of which ask the program itself.
test-puppet-module:
	scripts/install-puppet.sh
	cargo build --locked --bins
	puppet/test/check.sh

# A real `puppet apply` in a container with a systemd of its own; needs root. Takes the package in
# target/packages, or makes a small one of the programs in target/debug.
test-puppet-acceptance: deps
	scripts/install-puppet.sh
	cargo build --locked --bins
	puppet/test/acceptance.sh

fuzz: deps
	scripts/fuzz.sh $(FUZZ_SECONDS)

# The fleet at its full size, 50 sites with 10 targets each for a minute, and outages of a minute; one
# scenario at a time.
soak: deps
	PROMETHEUS_STREAMS_SOAK=1 RUST_TEST_THREADS=1 cargo test --locked --test live -- outage:: cut::

# A Prometheus and us, side by side for five and a half minutes.
parity:
	benches/parity.sh

# Runs until Ctrl-C, or for DEMO_SECONDS.
demo: deps
	cargo build --release --locked --bins --example demo
	@exec target/release/examples/demo

bench: deps
	cargo bench --locked
	benches/pipeline.sh
	benches/compare.sh
	benches/formats.sh

# The .deb and the .rpm, in target/packages; docs/packages.md says what is in them.
packages:
	packaging/build.sh

# Installs, upgrades, removes and runs them in throw-away roots, also under a real systemd; as root.
test-packages:
	packaging/test/all.sh

# What the programs are made of, as CycloneDX.
sbom:
	@packaging/sbom.py

fmt:
	cargo fmt

clippy:
	cargo clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

# With ADVISORY_DB=DIR on a machine that cannot fetch the advisory database.
deny:
	scripts/deny.sh

# Enrollment with a real Puppet CA: installs puppetserver from Debian when it is missing, and takes some
# minutes. docs/enroll.md has what it has shown.
test-puppet: deps
	tests/puppet/run.sh
