# Every command of the project. `just` alone lists them.
set shell := ["bash", "-euo", "pipefail", "-c"]

default:
    @just --list

# What the build and the tests need from Debian and from the registries; safe to run again.
setup:
    tests/support/setup.sh

# Every test of the project, as CI runs them.
test: setup
    cargo fmt --all --check
    cargo clippy --release --all-targets -- -D warnings
    cargo nextest run --release

alias check := test

fmt:
    cargo fmt --all

lint:
    cargo clippy --release --all-targets -- -D warnings
