# Every command of the project; `just` alone lists them. One build profile, release, serves run, test and bench.
set shell := ["bash", "-euo", "pipefail", "-c"]

# Tests wait most of the time: for systemd, for time limits, for each other's sockets.
threads := `echo $((2 * $(nproc)))`

# What the tests run, in one selection of targets, so that no crate is compiled twice for it.
programs := "cargo build --release --workspace --bins --example render-template --features ghostctl/journal,ghostllm/freeze"

# All but the unit tests and the API's, which the coverage runs.
suite := "cargo nextest run --profile without-api --release --workspace --features ghostctl/journal,ghostllm/freeze --test '*'"

default:
    @just --list

# What the tests need from Debian and from the registries; safe to run again.
setup:
    tests/support/setup.sh

# What the build needs of it.
setup-build:
    tests/support/setup.sh build

# Builds the daemon, its engine and ghostctl, and runs the daemon with a state of its own under .run/.
run: setup-build
    cargo build --release -p ghostllm -p ghostllm-engine -p ghostctl --features ghostctl/journal
    tests/support/run.sh

# Every test of the project, as CI runs them. ghostctl's `journal` is a feature of the package's; a build without it is tested by
# journal.sh. The daemon's `freeze`, by which tests make its tasks hang and panic, is no package's: `just run` and `dist` are built without
# it, which hookless.sh looks after; only tested.sh makes packages of these very programs, to look into them and to install them in a booted
# Debian, in about a minute. What is compiled for later is begun beside tests, which wait a lot (meanwhile.sh), and is there before anything
# is measured.
test: ahead lint setup python
    {{programs}}
    tests/support/meanwhile.sh begin templates .tools/venv/bin/python daemon/engine/tests/templates.py
    tests/support/journal.sh
    tests/support/hookless.sh
    {{programs}}
    tests/support/canary.sh begin
    {{suite}} --no-run
    tests/support/meanwhile.sh begin coverage tests/support/coverage.sh build
    # What must not compile is a document's test, which nextest does not run.
    tests/support/meanwhile.sh begin documents --after coverage cargo test --release --doc --workspace --features ghostctl/journal,ghostllm/freeze
    tests/support/meanwhile.sh begin fuzz --after documents tests/support/fuzz.sh 0
    tests/support/meanwhile.sh begin packages --after fuzz tests/package/tested.sh build
    tests/support/llama-server.sh .tools/venv/bin/python tests/support/forks.py tests/support/namespaces.sh {{suite}} --test-threads {{threads}}
    tests/support/meanwhile.sh end templates
    tests/support/meanwhile.sh end coverage
    tests/support/coverage.sh built
    tests/support/meanwhile.sh end documents
    tests/support/meanwhile.sh end fuzz
    tests/support/meanwhile.sh end packages
    tests/package/tested.sh
    # By the tests' selection: of one package, its dependencies would have other features and be compiled once more.
    cargo bench --workspace --features ghostctl/journal,ghostllm/freeze --bench answer --bench cancel --bench soak
    tests/support/canary.sh
    tests/support/fuzz.sh 10
    tests/support/deny.sh if-there

alias check := test

[private]
setup-debian:
    tests/support/setup.sh debian

[private]
ahead: setup-debian
    tests/support/ahead.sh

# Form and lints of the Rust code.
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets --features ghostctl/journal,ghostllm/freeze,ghostllm-heat-claim/live -- -D warnings

# The Python clients compile, and the pinned libraries that they need are the installed ones.
python:
    .tools/venv/bin/python -m compileall -q tests/clients
    .tools/venv/bin/pip check -q

# Chat templates: the engine's answers against Python's jinja2, byte for byte, over llama.cpp's own collection.
templates: setup
    {{programs}}
    .tools/venv/bin/python daemon/engine/tests/templates.py

fmt:
    cargo fmt --all

# The generated documents: in packaging/docs the example file, the reference page and the schema of the configuration, the routes, the
# metrics, the conformance of each field, the admin API's schema and the description of the whole API (openapi.json, api.html), and both
# programs' man pages and completions; ghostctl's help texts in daemon/ghostctl/tests/help.
docs: setup-build
    cargo build --release -p ghostllm
    target/release/ghostllm config example > packaging/docs/ghostllm.toml
    target/release/ghostllm config reference > packaging/docs/configuration.md
    target/release/ghostllm config schema > packaging/docs/ghostllm.schema.json
    cargo run --release -p ghostllm-core --example documents -- packaging/docs
    cargo run --release -p ghostllm --example ghostllm-documents -- packaging/docs
    rm -rf packaging/docs/man/ghostctl* packaging/docs/completions/*ghostctl* daemon/ghostctl/tests/help/*.txt
    cargo run --release -p ghostctl --features journal --example ghostctl-documents -- packaging/docs
    GHOSTCTL_RENEW=1 cargo test --release -p ghostctl --features journal --test cli help::

# Arbitrary bytes for everything that reads a peer's, guided by coverage: so many hours, shared by the targets.
fuzz HOURS: setup-build
    tests/support/fuzz.sh "$(python3 -c 'import os; print(max(1, round(float("{{HOURS}}") * 3600 * min(os.cpu_count(), 6) / 6)))')"

# The same for half a minute a target; `just test` gives each ten seconds.
fuzz-smoke: setup-build
    tests/support/fuzz.sh 30

# So many hours of what a box goes through: callers of every kind over every HTTP version, reloads, engines that die, clients that
# leave. Every answer, record and counter is judged, and where memory and files go. Ctrl-C ends it early, with its summary.
soak HOURS: setup-build
    cargo build --release -p ghostllm
    cargo bench -p ghostllm-tests --bench soak -- --hours={{HOURS}}

# The same for three minutes, with all that is before and behind them. By the tests' selection, which `just test` has built; the hook in
# its daemon does nothing unless it is told to.
soak-smoke: setup-build
    {{programs}}
    cargo bench --workspace --features ghostctl/journal,ghostllm/freeze --bench soak

# The unit tests, and how many lines of the daemon and ghostctl they and the API's tests come by: fails below 90 %, and below 95 % in
# core. Installs cargo-llvm-cov.
coverage: setup
    {{programs}}
    tests/support/coverage.sh

# Licences, sources, banned and doubled crates; known vulnerabilities where their database can be had. Installs cargo-deny.
deny:
    tests/support/deny.sh install

# The packages, in target/deb, with their sizes and sha256. Needs no network once cargo has fetched what Cargo.lock names.
# GHOSTLLM_PROGRAMS=DIR takes built programs, for tests of the package alone.
deb: setup-deb
    packaging/build-deb.sh

# The packages built twice, from nothing, in two directories, and compared byte for byte: twice what a first `just deb` takes.
deb-twice: setup-deb
    tests/package/reproducible.sh

[private]
setup-deb:
    tests/support/setup.sh deb

[private]
setup-package:
    tests/support/setup.sh package

# The packages of `just deb`: what is in them; lintian's errors and warnings; the engine on old and new processors; what piuparts finds
# that they leave behind; autopkgtest; and what becomes of them in a booted Debian 12 and 13, installed, used, broken, upgraded, removed, purged.
# As root.
package-test: setup setup-package
    tests/package/contents.py
    tests/package/lint.sh
    tests/package/baseline.sh
    tests/package/piuparts.sh
    tests/package/autopkgtest.sh
    tests/package/test.sh

# How fast the packaged engine of `just deb` is beside one that is built for this very processor. As root.
engine-speed: setup setup-package
    CARGO_TARGET_DIR=target/native RUSTFLAGS=-Ctarget-cpu=native cargo build --release --config profile.release.package.llama-cpp-sys-2.opt-level=3 -p ghostllm-engine
    GHOSTLLM_NATIVE="$PWD/target/native/release/ghostllm-engine" tests/package/baseline.sh

# What is promised in figures: what a key costs among 10,000 and whether the time tells anything of it, what another language costs
# a request and an event, how long the demo model takes to answer, how soon an engine is free once its client has left (these fail
# beyond what is promised, or far beyond), what a driver that fails costs requests and what it costs to watch eight cards, and what requests, events and streams cost beside nginx and haproxy.
bench: (bench-load "")

# One short round of the last of these.
bench-quick: (bench-load "--quick")

# The same as `just bench`, with --rounds=N and --seconds=N where it should be shorter or longer, and renews tests/bench/RESULTS.md with its plot.
bench-results *arguments: (bench-load ("--write " + arguments))

[private]
bench-load arguments: setup
    cargo build --release -p ghostllm -p ghostllm-engine
    cargo build --profile dist -p ghostllm
    tests/support/hookless.sh target/dist/ghostllm
    cargo bench -p ghostllm --bench verify
    cargo bench -p ghostllm-tests --bench answer --bench cancel --bench auth --bench drivers
    cargo bench -p ghostllm-gpu --bench sampling
    cargo bench -p ghostllm-tests --bench load -- --program="$PWD/target/dist/ghostllm" {{arguments}}
    cargo bench -p ghostllm-core --bench translate

# What the governor makes of simulated cards that heat up: what was promised, what is seen, and how far off it foretells. Renews tests/heat/RESULTS.md. A minute or two.
heat-claim:
    cargo run --release -p ghostllm-heat-claim -- --write=tests/heat/RESULTS.md

# One trial of the same at the speed of a clock, behind the real daemon with its governor and, beside it, without: SECONDS and half a minute
# more, an hour as it stands. A TRIAL that there is not tells which there are; RESULTS.md has what came of them, written by hand.
heat-live TRIAL="0" SECONDS="3600": setup-build
    cargo build --release -p ghostllm -p ghostctl -p ghostllm-fake-nvml
    cargo build --release -p ghostllm-heat-claim --features live --bin heat-live
    tests/heat/live.sh {{TRIAL}} {{SECONDS}}
