# `make demo` and `make test` are all a new user needs; see README.md.
.PHONY: demo test lint deny setup setup-tests build captures false-names bench bench-peers fuzz soak

CARGO ?= cargo
BENCH_DATA ?= bench-data
FUZZ_SECONDS ?= 60
SOAK_ROUNDS ?= 1
# What a release has beside the default: cargo alone builds without, in less time.
FEATURES ?= parquet behaviour

# Installs what the build needs and is missing (a C compiler and libpcap's headers).
setup:
	@scripts/setup.sh

# Installs the programs that tests run (nginx, Prometheus, nfdump, DuckDB, ...); tests are skipped without.
setup-tests:
	@scripts/setup-tests.sh

build: setup
	$(CARGO) build --release --locked --features "$(FEATURES)"

# Builds, then names the applications in the project's own captures.
demo: build
	target/release/ottometer read pcaps/*.pcap*

# Builds the captures of pcaps/ that are not recorded; nothing changes unless a builder did.
captures: setup
	$(CARGO) run --locked --quiet --package ottometer-captures -- pcaps

# Looks for names that are not there: every rule over the captures of pcaps/, and over millions of conversations
# that mean nothing, of all lengths and on all ports of rules; see docs/accuracy.md.
false-names: setup
	OTTOMETER_NOISE=all $(CARGO) test --locked --profile quick --features "$(FEATURES)" --lib --test tests -- \
		noise_tests false_names

# Says at its end which tests were skipped, and why.
test: setup
	@CARGO="$(CARGO)" scripts/test.sh --features "$(FEATURES)"

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features "$(FEATURES)" -- -D warnings
	@# Checking links nothing: any path will do for libFuzzer, and no C++ compiler is needed.
	CUSTOM_LIBFUZZER_PATH=target/libfuzzer.a $(CARGO) clippy --locked --manifest-path fuzz/Cargo.toml \
		--target-dir target -- -D warnings

# Licences, sources and bans of what is depended on (deny.toml); known faults too, where their database can be had.
deny:
	@scripts/deny.sh

bench: setup
	$(CARGO) bench --locked --package ottometer-benches

# Builds large captures out of CORPUS and compares with other programs; see docs/benchmarks.md.
bench-peers: build
	@scripts/bench-peers.sh $(BENCH_DATA) $(WORKLOAD)

# Runs each fuzz target for FUZZ_SECONDS; see fuzz/README.md.
fuzz: setup
	@scripts/fuzz.sh $(FUZZ_SECONDS)

# Reloads, kills and floods the live run at full size, as root; see scripts/soak.sh.
soak: setup
	@scripts/soak.sh $(SOAK_ROUNDS)
