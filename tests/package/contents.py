#!/usr/bin/env python3
"""What must be in the packages: `contents.py DIRECTORY`, by itself target/deb.

Their files, among them every page, guide and completion that this tree has, the bill of materials of each, the list of crates inside of each program, the symbols apart, the size. With GHOSTLLM_PROGRAMS set, as when
the packages were made of programs that were built otherwise, it says by name what it leaves out: what only their build can give.
"""

import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zlib

DOC = "usr/share/doc"
DOCS = pathlib.Path(__file__).parents[2] / "packaging/docs"


def of_the_tree(folder, place, name="*", ending=""):
    """Where the files of a folder of packaging/docs lie in the package."""
    found = [f"{place}/{file.relative_to(DOCS / folder)}{ending}" for file in sorted((DOCS / folder).rglob(name)) if file.is_file()]
    if not found:
        sys.exit(f"contents.py: {DOCS / folder} has no files: `just docs` makes those that are made")
    return found


FILES = {
    "ghostllm": [
        "usr/bin/ghostllm",
        "usr/bin/ghostctl",
        "usr/libexec/ghostllm/would-start",
        "usr/lib/systemd/system/ghostllm.service",
        "usr/lib/systemd/system/ghostllm-nvidia.service",
        *(f"usr/lib/systemd/system/ghostllm-{kind}.socket" for kind in ("tls", "quic", "plain", "admin")),
        "usr/lib/systemd/system-preset/60-ghostllm.preset",
        "usr/lib/systemd/dnssd/ghostllm.dnssd",
        "usr/lib/sysctl.d/10-ghostllm.conf",
        "usr/lib/udev/rules.d/71-ghostllm-nvidia.rules",
        "usr/lib/sysusers.d/ghostllm.conf",
        "usr/lib/tmpfiles.d/ghostllm.conf",
        "usr/share/ghostllm/avahi.service",
        "usr/share/ghostllm/ufw.profile",
        *of_the_tree("man", "usr/share/man/man1", "*.1", ".gz"),
        *of_the_tree("man", "usr/share/man/man8", "*.8", ".gz"),
        *(f"usr/share/bash-completion/completions/{program}" for program in ("ghostllm", "ghostctl")),
        *of_the_tree("completions", "usr/share/zsh/vendor-completions", "_*"),
        *of_the_tree("completions", "usr/share/fish/vendor_completions.d", "*.fish"),
        *of_the_tree("guides", f"{DOC}/ghostllm/guides"),
        *(f"{DOC}/ghostllm/{page}" for page in ("configuration.md.gz", "metrics.md.gz", "routes.md", "api.html", "openapi.json")),
        f"{DOC}/ghostllm/admin-api.schema.json",
        f"{DOC}/ghostllm/ghostllm.schema.json",
        f"{DOC}/ghostllm/examples/ghostllm.toml",
        f"{DOC}/ghostllm/README.md.gz",
        f"{DOC}/ghostllm/README.Debian",
        f"{DOC}/ghostllm/changelog.gz",
        f"{DOC}/ghostllm/copyright",
        f"{DOC}/ghostllm/third-party-licences.txt.gz",
        f"{DOC}/ghostllm/ghostllm.cdx.json",
    ],
    "ghostllm-engine": [
        "usr/libexec/ghostllm-engine/ghostllm-engine",
        "usr/lib/systemd/system/ghostllm-engine.service",
        "usr/lib/systemd/system/ghostllm-engine.socket",
        "usr/lib/sysusers.d/ghostllm-engine.conf",
        "usr/lib/tmpfiles.d/ghostllm-engine.conf",
        f"{DOC}/ghostllm-engine/README.md.gz",
        f"{DOC}/ghostllm-engine/README.Debian",
        f"{DOC}/ghostllm-engine/changelog.gz",
        f"{DOC}/ghostllm-engine/copyright",
        f"{DOC}/ghostllm-engine/third-party-licences.txt.gz",
        f"{DOC}/ghostllm-engine/ghostllm-engine.cdx.json",
    ],
}
PROGRAMS = {"ghostllm": ["usr/bin/ghostllm", "usr/bin/ghostctl"], "ghostllm-engine": ["usr/libexec/ghostllm-engine/ghostllm-engine"]}
# What stands in every one, and only in one of them.
CRATES = {"ghostllm": "rustls", "ghostctl": "clap", "ghostllm-engine": "llama-cpp-2"}
# What no list of crates has: Rust's standard library, and llama.cpp, of which a crate brings the sources.
BESIDE = {"ghostllm": {"rust-std"}, "ghostllm-engine": {"rust-std", "llama.cpp", "ggml"}}
MOST = 8_000_000
KINDS = ["x64", "sse42", "haswell", "skylakex", "icelake", "zen4", "sapphirerapids"]
failed = []


def check(what, good, detail=""):
    """Says how it went, and goes on."""
    print(f"{'ok     ' if good else 'FAILED '} {what}{'' if good else f': {detail}'}")
    if not good:
        failed.append(what)


def crates(program):
    """The names in the section that cargo-auditable has written: JSON, compressed by zlib."""
    with tempfile.NamedTemporaryFile() as file:
        command = ["objcopy", "-O", "binary", "--only-section=.dep-v0", "--set-section-flags", ".dep-v0=alloc", program, file.name]
        subprocess.run(command, check=True, capture_output=True)
        data = pathlib.Path(file.name).read_bytes()
    return {package["name"] for package in json.loads(zlib.decompress(data))["packages"]} if data else set()


def bill(path):
    """A bill of materials has every component's name, version, licence, checksum and purl."""
    data = json.loads(path.read_text())
    whole = [c for c in data["components"] if all(c.get(part) for part in ("name", "version", "licenses", "hashes", "purl"))]
    count = len(data["components"])
    good = data["bomFormat"] == "CycloneDX" and count > 20 and len(whole) == count
    check(f"{path.name}: CycloneDX {data['specVersion']}, {count} components, each with licence and checksum", good, f"{len(whole)} are whole")
    return {component["name"] for component in data["components"]}


def built(name, root, listed):
    """What only the build by `just deb` gives."""
    for path in PROGRAMS[name]:
        program = pathlib.PurePath(path).name
        found = crates(root / path)
        # Ours and those of build scripts stand in one of both alone.
        check(f"{program} names its {len(found)} crates", CRATES[program] in found and found & listed, "no section .dep-v0, or another's")
    if name == "ghostllm-engine":
        kinds = [file.stem.removeprefix("libggml-cpu-") for file in sorted((root / "usr/libexec/ghostllm-engine").glob("libggml-cpu-*.so"))]
        check(f"the engine has code for {len(kinds)} kinds of processor", set(KINDS) <= set(kinds), f"{kinds} lack some of {KINDS}")


def outside(directory, name, deb):
    """What is seen of its files alone."""
    check(f"symbols of {name} are apart", len(list(directory.glob(f"{name}-dbgsym_*.deb"))) == 1, "no package of them")
    size = deb.stat().st_size
    print(f"        {deb.name}: {size / 1e6:.2f} MB")
    if name == "ghostllm":
        check(f"{name} has at most {MOST / 1e6:.0f} MB", size <= MOST, f"{size / 1e6:.2f} MB")


def package(directory, name):
    """Everything of one."""
    (deb,) = directory.glob(f"{name}_*.deb")
    others = bool(os.environ.get("GHOSTLLM_PROGRAMS"))
    if not others:
        outside(directory, name, deb)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
        root = pathlib.Path(folder)
        missing = [file for file in FILES[name] if not (root / file).is_file()]
        check(f"{name} has its {len(FILES[name])} files", not missing, ", ".join(missing))
        if missing:
            return
        listed = bill(root / DOC / name / f"{name}.cdx.json")
        check(f"it names {', '.join(sorted(BESIDE[name]))} as well", BESIDE[name] <= listed, f"not {', '.join(BESIDE[name] - listed)}")
        book = gzip.decompress((root / DOC / name / "third-party-licences.txt.gz").read_bytes()).decode()
        unnamed = [part for part in BESIDE[name] if not re.search(rf"^{re.escape(part)} \d+\.\d+\.\d+: MIT", book, re.MULTILINE)]
        check("so do the licences, with the texts", not unnamed and "Unicode-3.0.txt: text" in book, f"not {', '.join(unnamed)}")
        if others:
            what = "size and symbols, the crates inside of its programs, and the engine's code for kinds of processor"
            print(f"SKIPPED of {name}: its {what}: GHOSTLLM_PROGRAMS is set")
        else:
            built(name, root, listed)


def main():
    """Both packages."""
    directory = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/deb")
    for name in FILES:
        package(directory, name)
    if failed:
        sys.exit(f"{len(failed)} checks have failed")


main()
