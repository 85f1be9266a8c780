#!/usr/bin/env python3
"""What is in the programs that others have written: `licences.py PROGRAM[,PROGRAM...] DIRECTORY`.

Writes third-party-licences.txt, every crate with its source, its licence and the texts of that, and FIRST-PROGRAM.cdx.json, the same
for programs (CycloneDX 1.5). Beside the crates there are Rust's standard library, which is in every program, and the projects whose C++ a
crate brings along. Goes by Cargo.lock, the crates that cargo has fetched and the toolchain; the same of these give the same bytes.
"""

import datetime
import hashlib
import html
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib

TARGET = "x86_64-unknown-linux-gnu"
# How files with a licence are named.
NAMED = re.compile(r"^(un)?licen[cs]e|^copying|^notice|^copyright", re.IGNORECASE)
# Crates with other people's C and C++ inside, which has licences of its own.
NESTED = re.compile(r"-sys(-\d+)?$")
# Beside what is compiled, and in no program.
APART = {"tests", "test", "examples", "docs", "benches", "fuzz", "tools", "node_modules", "gguf-py", "requirements"}
# Projects whose sources a crate brings along: their name, where their crate has them, the file that says their version, what the lines begin
# with, and whose they are. In `.cargo_vcs_info.json` the crate has its own commit, by which theirs is found.
VENDORED = {
    "llama-cpp-sys-2": [
        ("llama.cpp", "llama.cpp", "CMakeLists.txt", "set(LLAMA_VERSION", "https://github.com/ggml-org/llama.cpp"),
        ("ggml", "llama.cpp/ggml", "CMakeLists.txt", "set(GGML_VERSION", "https://github.com/ggml-org/ggml"),
    ],
}
# For crates that name MIT and bring no text of it.
MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files \
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, \
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, \
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF \
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR \
ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH \
THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
APACHE = "The whole text is in /usr/share/common-licenses/Apache-2.0."


def linked(programs):
    """The packages that are linked into the programs, without ours; and all of ours, by id."""
    command = ["cargo", "metadata", "--locked", "--offline", "--format-version=1", "--filter-platform", TARGET]
    data = json.loads(subprocess.run([*command, "--features", "ghostctl/journal,ghostllm-engine/dynamic-backends"], check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    seen, ahead = set(), [package["id"] for package in packages.values() if package["name"] in programs and not package["source"]]
    if len(ahead) != len(programs):
        sys.exit(f"licences.py: not every one of {', '.join(programs)} is a crate of this workspace")
    while ahead:
        node = ahead.pop()
        if node not in seen:
            seen.add(node)
            # A normal dependency has the kind null; those of tests and of build scripts are in no program.
            ahead += [d["pkg"] for d in nodes[node]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"])]
    others = [packages[node] for node in seen if packages[node]["source"]]
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def said_by_rustc(*words):
    return subprocess.run(["rustc", *words], check=True, capture_output=True, text=True).stdout.strip()


def standard_library():
    """Rust's own, which no lock names: in the form of cargo's packages, with the texts that its toolchain brings."""
    facts = dict(line.split(": ", 1) for line in said_by_rustc("-vV").splitlines() if ": " in line)
    root = pathlib.Path(said_by_rustc("--print", "sysroot"))
    docs = root / "share/doc/rust"
    page = docs / "COPYRIGHT-library.html"
    if not page.is_file():
        sys.exit(f"licences.py: {page} is not there, by which the standard library's licences are known; rustup's component rustc brings it")
    told = html.unescape(re.sub(r"<[^>]*>", "", page.read_text()))
    told = re.sub(r"\n\s*\n\s*", "\n\n", told).strip()
    found = [("COPYRIGHT-library", told)]
    for file in sorted((docs / "licenses").iterdir()):
        # Of that text, Debian has a copy of its own.
        text = APACHE if file.stem == "Apache-2.0" else file.read_text().strip()
        if re.search(rf"License: .*{re.escape(file.stem)}", told):
            found.append((f"licenses/{file.name}", text))
    (library,) = (root / f"lib/rustlib/{TARGET}/lib").glob("libstd-*.rlib")
    return {
        "name": "rust-std",
        "version": facts["release"],
        "license": "MIT OR Apache-2.0",
        "repository": "https://github.com/rust-lang/rust",
        "source": None,
        "texts": found,
        "purl": f"pkg:generic/rust-std@{facts['release']}?vcs_url=git%2Bhttps://github.com/rust-lang/rust%40{facts['commit-hash']}",
        "checksum": hashlib.sha256(library.read_bytes()).hexdigest(),
    }


def vendored(package):
    """The projects whose sources lie in a crate."""
    home = pathlib.Path(package["manifest_path"]).parent
    found = []
    for name, folder, file, begin, repository in VENDORED.get(package["name"], []):
        text = (home / folder / file).read_text()
        numbers = [re.search(rf"{re.escape(begin)}_{part} (\d+)\)", text) for part in ("MAJOR", "MINOR", "PATCH")]
        if None in numbers:
            sys.exit(f"licences.py: {home / folder / file} does not say which version of {name} it is; see there how, and say it here")
        version = ".".join(number[1] for number in numbers)
        commit = json.loads((home / ".cargo_vcs_info.json").read_text())["git"]["sha1"]
        sources = hashlib.sha256()
        for path in sorted(path for path in (home / folder).rglob("*") if path.is_file()):
            sources.update(f"{path.relative_to(home)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
        found.append({
            "name": name,
            "version": version,
            "license": "MIT",
            "repository": f"{repository}\n    in {package['name']} {package['version']} (of its repository's commit {commit})",
            "source": None,
            "texts": [("LICENSE", (home / "llama.cpp/LICENSE").read_text().strip())],
            "purl": f"pkg:generic/{name}@{version}?vcs_url=git%2B{repository}",
            "checksum": sources.hexdigest(),
            "properties": [
                {"name": "ghostllm:in", "value": f"pkg:cargo/{package['name']}@{package['version']}"},
                {"name": "ghostllm:in-commit", "value": f"{package['repository']} {commit}"},
                {"name": "ghostllm:hash-of", "value": "the sources in that crate: of each file, sorted, its path, a line's end, and its SHA-256"},
            ],
        })
    return found


def texts(package):
    """The texts of a crate's licence, each with the file that it comes from."""
    if "texts" in package:
        return package["texts"]
    home = pathlib.Path(package["manifest_path"]).parent
    found = []
    for place, folders, files in os.walk(home):
        folders[:] = sorted(f for f in folders if NESTED.search(package["name"]) and f not in APART)
        for name in sorted(files):
            path = pathlib.Path(place, name)
            if NAMED.match(name) and path.suffix in ("", ".md", ".txt", ".MIT", ".APACHE", ".LESSER"):
                found.append((str(path.relative_to(home)), path.read_text(errors="replace").strip()))
    if found:
        return found
    names = package["license"] or ""
    if "Apache-2.0" in names:
        return [("Apache-2.0", APACHE)]
    if "MIT" in names:
        authors = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        return [("MIT", f"Copyright (c) {authors}\n\n{MIT}")]
    sys.exit(f"licences.py: {package['name']} {package['version']} ({names}) brings no text of its licence; add it here")


def book(packages):
    """The list for people: crates first, then each different text once, since many have the same."""
    numbers, lines = {}, []
    for package in packages:
        references = []
        for file, text in texts(package):
            number = numbers.setdefault(" ".join(text.split()), (len(numbers) + 1, text))[0]
            references.append(f"{file}: text {number}")
        lines.append(f"{package['name']} {package['version']}: {package['license']}\n    {package['repository'] or package['source']}")
        lines += [f"    {reference}" for reference in references]
    lines += [f"\n{'=' * 30} text {number}\n\n{text}" for number, text in numbers.values()]
    return "What is in these programs that others have written, and under which licence.\n\n" + "\n".join(lines) + "\n"


def bill(programs, packages):
    """The list for programs: CycloneDX 1.5, https://cyclonedx.org/docs/1.5/json/."""
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    sums = {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}
    version = tomllib.loads(pathlib.Path("Cargo.toml").read_text())["workspace"]["package"]["version"]
    when = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    components = []
    for package in packages:
        purl = package.get("purl") or f"pkg:cargo/{package['name']}@{package['version']}"
        component = {"type": "library", "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl}
        # Older crates write MIT/Apache-2.0, which is no expression of SPDX's.
        component["licenses"] = [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}]
        if checksum := package.get("checksum") or sums[package["name"], package["version"]]:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if "properties" in package:
            component["properties"] = package["properties"]
        components.append(component)
    serial = hashlib.sha256(json.dumps(components, sort_keys=True).encode()).hexdigest()
    serial = f"{serial[:8]}-{serial[8:12]}-5{serial[13:16]}-8{serial[17:20]}-{serial[20:32]}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "name": programs[0], "version": version},
        },
        "components": components,
    }


def main():
    """Both files."""
    programs, directory = sys.argv[1].split(","), pathlib.Path(sys.argv[2])
    crates = linked(programs)
    packages = [standard_library(), *(project for crate in crates for project in vendored(crate)), *crates]
    (directory / "third-party-licences.txt").write_text(book(packages))
    (directory / f"{programs[0]}.cdx.json").write_text(json.dumps(bill(programs, packages), indent=1) + "\n")


main()
