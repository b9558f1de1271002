# `make demo` shows it, `make test` proves it. Both install what is missing and say so.

CARGO ?= cargo
# For `make fuzz`: how long each target runs, which ones do, the compiler, and what watches memory
# (`address`; nothing by default, since no code of ours is unsafe).
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= bodies pairs edits requests heads formats paths pages streams configs
FUZZ_SANITIZER ?= none
FUZZ_TOOLCHAIN ?= nightly
# For `make soak`: how long, and how many clients at once.
SOAK_MINUTES ?= 30
SOAK_CLIENTS ?= 500
# For `make kills`: how many processes.
KILLS ?= 10000
# For `make bench-delivery`: how many runs the medians are of.
BENCH_RUNS ?= 5

.PHONY: help demo test check advisories sbom build bench-idle bench-diff bench-polls bench-auth bench-delivery bench-store kills soak fuzz pictures clean

help: ## List what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: ## Build pollcast and watch a made-up legacy API turn live in the browser
	@tests/setup build
	$(CARGO) run --locked -- demo

test: ## Install what the tests need, then check format, lints, docs and dependencies and run every test
	@tests/setup all
	$(CARGO) fmt --check
	$(CARGO) fetch --locked --quiet
	$(CARGO) deny --offline check licenses bans sources
	@tests/advisories
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --all-targets --features otlp -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps
	$(CARGO) test --locked --features otlp --test promises traces
	$(CARGO) test --locked

advisories: ## Ask RustSec whether a dependency has a known vulnerability
	@tests/setup deny
	@tests/advisories --must

sbom: ## Write the bill of materials, target/pollcast.cdx.json (CycloneDX)
	@tests/setup sbom
	$(CARGO) cyclonedx --format json --spec-version 1.5 --override-filename pollcast.cdx
	@mkdir -p target && mv pollcast.cdx.json target/

build: ## Build the release binary, target/release/pollcast
	@tests/setup build
	$(CARGO) build --locked --release

bench-idle: ## Measure resident memory per idle subscriber (10,000 of them)
	@tests/setup build
	$(CARGO) bench --locked --bench idle

bench-diff: ## Measure patches, small and fast, beside other libraries (about ten minutes)
	@tests/setup bench-diff
	$(CARGO) bench --locked --bench diff

bench-polls: ## Measure what a poll costs with 10,000 topics, beside a bare HTTP client (about five minutes)
	@tests/setup build
	$(CARGO) bench --locked --bench polls

bench-auth: ## Measure what a proof of who somebody is costs for each subscription (about a minute)
	@tests/setup build
	$(CARGO) bench --locked --bench auth

bench-store: ## Measure what an event costs when it is written to a file as well (about three and a half minutes)
	@tests/setup build
	$(CARGO) bench --locked --bench store

kills: ## Kill KILLS processes over one store while clients follow; fails if an id or a state is wrong
	@tests/setup build
	$(CARGO) bench --locked --bench kills -- $(KILLS)

soak: ## Let SOAK_CLIENTS clients come, stall, resume and leave for SOAK_MINUTES; fails if anything is wrong
	@tests/setup build
	$(CARGO) bench --locked --bench soak -- $(SOAK_MINUTES) $(SOAK_CLIENTS)

bench-delivery: ## Measure delivery beside write(2), nchan and Pushpin (about half an hour)
	@tests/setup bench-delivery
	$(CARGO) bench --locked --bench delivery -- --runs $(BENCH_RUNS)

fuzz: ## Feed made-up bytes to every reader, FUZZ_SECONDS for each target
	@tests/setup fuzz $(FUZZ_TOOLCHAIN)
	@cd tests/fuzz && for target in $(FUZZ_TARGETS); do \
	  mkdir -p corpus/$$target && (set -x; $(CARGO) +$(FUZZ_TOOLCHAIN) fuzz run --fuzz-dir . -s $(FUZZ_SANITIZER) $$target \
	    corpus/$$target seeds/$$target -- -dict=words.dict -max_len=4096 -timeout=10 \
	    -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1) || exit 1; \
	done

pictures: ## Draw dashboards/*.svg from a pollcast at work and a real Prometheus (about six minutes)
	@tests/setup all
	$(CARGO) test --locked --test clients dashboards::pictures -- --ignored --exact

clean: ## Remove what building and testing left here
	$(CARGO) clean
	rm -rf tests/clients/node_modules tests/clients/.venv tests/fuzz/target \
	  tests/bench/diff/node_modules
