#!/usr/bin/env python3
"""Gathers what the engine is to find beside itself: `engine-libraries.py MESSAGES DIRECTORY`.

MESSAGES is what `cargo build --message-format=json` says of a build with the feature ghostllm-engine/dynamic-backends. Cargo alone knows
which of the folders of several builds is the one that was linked. Copies llama.cpp's shared libraries under the names by which the
engine asks for them, and ggml's code for each kind of processor.
"""

import json
import pathlib
import shutil
import sys

CRATE = "llama-cpp-sys-2"
# Not llama-common, which is made of nothing (daemon/engine/llama.cmake).
SHARED = ["libllama.so", "libggml.so", "libggml-base.so"]


def built_in(messages):
    """The folder in which this build has its llama.cpp."""
    for line in pathlib.Path(messages).read_text().splitlines():
        message = json.loads(line)
        if message["reason"] == "build-script-executed" and CRATE in message["package_id"]:
            return pathlib.Path(message["out_dir"])
    sys.exit(f"engine-libraries.py: {messages} has no build of {CRATE}; was cargo asked for --message-format=json?")


def main():
    """Copies them into an empty directory."""
    out, directory = built_in(sys.argv[1]), pathlib.Path(sys.argv[2])
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in SHARED:
        # libllama.so is a link to libllama.so.0, its SONAME, and that one to the file.
        link = out / "lib" / name
        shutil.copyfile(link, directory / link.readlink().name)
    kinds = sorted((out / "backends").glob("libggml-cpu-*.so"))
    if not kinds:
        sys.exit(f"engine-libraries.py: {out}/backends has no libggml-cpu-*.so; was the feature dynamic-backends on?")
    for kind in kinds:
        shutil.copyfile(kind, directory / kind.name)
    print(f"the engine's code for {len(kinds)} kinds of processor:", " ".join(kind.stem.removeprefix("libggml-cpu-") for kind in kinds))


main()
