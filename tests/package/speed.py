#!/usr/bin/env python3
"""How fast a packaged engine is beside one that was built for this very processor: `speed.py PACKAGED NATIVE`, two programs.

Both serve the same model of noise, of 145 MB, in turn, so that whatever else the machine does meets both alike. Prints tokens per second,
of prompts and of answers, and the ratio of each; fails where the packaged one is more than 5 % slower.
"""

import http.client
import json
import pathlib
import random
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

PROMISED = 0.95
ROUNDS = 9
READ, SAID = 512, 48
DEMO = pathlib.Path("daemon/engine/demo/ghostllm-demo.gguf")
WIDTH, HIDDEN, LAYERS, HEADS, GROUPS, WORDS = 1024, 2816, 12, 16, 4, 1024
# The demo's head with these numbers makes a larger model. GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
LARGER = {
    "llama.embedding_length": WIDTH,
    "llama.block_count": LAYERS,
    "llama.feed_forward_length": HIDDEN,
    "llama.attention.head_count": HEADS,
    "llama.attention.head_count_kv": GROUPS,
    "llama.rope.dimension_count": WIDTH // HEADS,
}
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U32, TEXT, LIST, F32, Q8_0 = 4, 8, 9, 0, 8
ALIGNMENT = 32


def past(data, kind, at):
    """Where the value of that kind at `at` ends."""
    if kind == TEXT:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind != LIST:
        return at + SIZES[kind]
    kind, count = struct.unpack_from("<IQ", data, at)
    at += 12
    for _ in range(count):
        at = past(data, kind, at)
    return at


def head():
    """The demo's keys and values, with the larger numbers; and how many there are."""
    data = DEMO.read_bytes()
    count, at, out, found = struct.unpack_from("<Q", data, 16)[0], 24, bytearray(), 0
    for _ in range(count):
        begin, at = at, past(data, TEXT, at)
        key = data[begin + 8 : at].decode()
        kind = struct.unpack_from("<I", data, at)[0]
        value, at = at + 4, past(data, kind, at + 4)
        out += data[begin:value]
        out += struct.pack("<I", LARGER[key]) if key in LARGER else data[value:at]
        found += key in LARGER
    assert found == len(LARGER), f"{DEMO} lacks some of {', '.join(LARGER)}"
    return count, bytes(out)


def shapes():
    """Every tensor's name and shape, the length of its rows first."""
    small = WIDTH // HEADS * GROUPS
    yield from [("token_embd", (WIDTH, WORDS)), ("output_norm", (WIDTH,)), ("output", (WIDTH, WORDS))]
    for layer in range(LAYERS):
        parts = {
            "attn_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
            "attn_q": (WIDTH, WIDTH),
            "attn_k": (WIDTH, small),
            "attn_v": (WIDTH, small),
            "attn_output": (WIDTH, WIDTH),
            "ffn_gate": (WIDTH, HIDDEN),
            "ffn_up": (WIDTH, HIDDEN),
            "ffn_down": (HIDDEN, WIDTH),
        }
        yield from ((f"blk.{layer}.{name}", shape) for name, shape in parts.items())


def weights(shape, noise):
    """A matrix of noise in blocks of 32 bytes with one scale each, or a vector of ones."""
    if len(shape) == 1:
        return struct.pack("<f", 1) * shape[0]
    scale = struct.pack("<e", 0.0003)
    blocks = noise.randbytes(shape[0] * shape[1])
    return b"".join(scale + blocks[at : at + 32] for at in range(0, len(blocks), 32))


def write(path):
    """The model."""
    noise = random.Random(1)
    (keys, pairs), table, at = head(), b"", 0
    tensors = [(f"{name}.weight".encode(), shape, weights(shape, noise)) for name, shape in shapes()]
    for name, shape, data in tensors:
        kind = F32 if len(shape) == 1 else Q8_0
        table += struct.pack("<Q", len(name)) + name + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, at)
        at += len(data) + -len(data) % ALIGNMENT
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), keys) + pairs + table)
        file.write(bytes(-file.tell() % ALIGNMENT))
        for _, _, data in tensors:
            file.write(data + bytes(-len(data) % ALIGNMENT))


class Engine:
    """A running one."""

    def __init__(self, program, folder):
        self.socket = f"{folder}/{time.monotonic_ns()}.sock"
        self.child = subprocess.Popen([program, "--socket", self.socket, "--models", folder, "--threads", "1"])
        for _ in range(100):
            if pathlib.Path(self.socket).exists():
                return
            assert self.child.poll() is None, f"{program} does not start"
            time.sleep(0.1)
        raise AssertionError(f"{program} opens no socket")

    def ask(self, words, tokens):
        """Tokens that it has said to a prompt of so many, and the seconds that it took."""
        link = http.client.HTTPConnection("engine")
        link.sock = socket.socket(socket.AF_UNIX)
        link.sock.connect(self.socket)
        body = json.dumps({"model": "noise", "prompt": list(range(5, 5 + words)), "max_tokens": tokens, "temperature": 0})
        begun = time.perf_counter()
        link.request("POST", "/v1/completions", body, {"content-type": "application/json"})
        answer = json.load(link.getresponse())
        took = time.perf_counter() - begun
        assert "usage" in answer, answer
        return answer["usage"]["completion_tokens"], took

    def speeds(self):
        """Tokens per second of a prompt, and of an answer."""
        _, read = self.ask(READ, 1)
        _, first = self.ask(1, 1)
        said, took = self.ask(1, SAID)
        assert said == SAID, f"it ended after {said} of {SAID} tokens"
        return READ / read, (said - 1) / (took - first)


def main():
    """Compares both."""
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/noise.gguf")
        engines = [Engine(program, folder) for program in sys.argv[1:3]]
        try:
            for engine in engines:
                engine.speeds()
            rounds = [[engine.speeds() for engine in engines] for _ in range(ROUNDS)]
        finally:
            for engine in engines:
                engine.child.kill()
                engine.child.wait()
    slow = []
    for what, index in (("prompts", 0), ("answers", 1)):
        packaged, native = (statistics.median(pair[which][index] for pair in rounds) for which in (0, 1))
        ratio = statistics.median(pair[0][index] / pair[1][index] for pair in rounds)
        print(f"{what}: packaged {packaged:.1f}, native {native:.1f} tokens/s, ratio {ratio:.3f} of at least {PROMISED}")
        slow += [what] * (ratio < PROMISED)
    if slow:
        sys.exit(f"the packaged engine is too slow: {', '.join(slow)}")


main()
