#!/usr/bin/env python3
"""What is in the programs that others have written: `licences.py PROGRAM[,PROGRAM...] DIRECTORY`.

Writes third-party-licences.txt, every crate with its source, its licence and the texts of that, and FIRST-PROGRAM.cdx.json, the same
for programs (CycloneDX 1.5). Goes by Cargo.lock and the crates that cargo has fetched; the same lock gives the same bytes.
"""

import datetime
import hashlib
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


def texts(package):
    """The texts of a crate's licence, each with the file that it comes from."""
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
        purl = f"pkg:cargo/{package['name']}@{package['version']}"
        component = {"type": "library", "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl}
        # Older crates write MIT/Apache-2.0, which is no expression of SPDX's.
        component["licenses"] = [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}]
        if checksum := sums[package["name"], package["version"]]:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
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
    packages = linked(programs)
    (directory / "third-party-licences.txt").write_text(book(packages))
    (directory / f"{programs[0]}.cdx.json").write_text(json.dumps(bill(programs, packages), indent=1) + "\n")


main()
