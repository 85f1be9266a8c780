"""Writes a model that never ends its turn by itself, and so talks for as long as it is asked to: endless.py DEMO FILE.

It is the engine's demo model with its end marks renamed, so that they are words like others, and a longer context.
"""

import struct
import sys

HEAD = 60_000
demo, file = sys.argv[1:]
model = bytearray(open(demo, "rb").read())
for mark, word in [(b"<|im_end|>", b"<|im_eee|>"), (b"<|endoftext|>", b"<|eeeoftext|>")]:
    assert mark in model[:HEAD], f"{demo} has no {mark}"
    model[:HEAD] = model[:HEAD].replace(mark, word)
for key, number in [(b"llama.context_length", 50_000), (b"tokenizer.ggml.eos_token_id", 5)]:
    # Behind the key stands its type, in 32 bits.
    place = model.index(key, 0, HEAD) + len(key) + 4
    struct.pack_into("<I", model, place, number)
open(file, "wb").write(model)
