"""Brings a box's keys to a version that is to come, as an upgrade would have done: newer.py STATE-DIRECTORY.

What there was stays beside it, as NAME.vN; file and copy are of version N + 1, with a member that this version does not know.
"""

import json
import pathlib
import shutil
import sys
import zlib

keys = pathlib.Path(sys.argv[1], "keys.json")
file = json.loads(keys.read_text())
kept = keys.with_name(f"keys.json.v{file['version']}")
shutil.copy2(keys, kept)
shutil.chown(kept, keys.stat().st_uid, keys.stat().st_gid)
version, content = file["version"] + 1, json.dumps(file["content"] | {"of_the_next_version": True})
crc = zlib.crc32(f"keys\n{version}\n{content}".encode())
for path in (keys, keys.with_name("keys.json.last")):
    path.write_text(f'{{"kind":"keys","version":{version},"crc32":"{crc:08x}","content":{content}}}')
