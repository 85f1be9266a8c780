#!/usr/bin/env python3
"""Renders every chat template of llama.cpp's own collection with the engine and with Python's jinja2 set up as
transformers sets it up, over the same conversations, and compares byte for byte.

The templates are not kept in this repository: they are taken from the source package of llama-cpp-python, which pip
fetches into target/templates. A difference fails, unless KNOWN names it; one that KNOWN names and that has gone fails
too. A case that Python refuses (raise_exception, or a template that cannot take the shape) must be refused by the
engine as well.

    just templates
    .tools/venv/bin/python daemon/engine/tests/templates.py --verbose        (once that has built the program)
"""
import datetime, itertools, json, os, pathlib, subprocess, sys, tarfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
CACHE = TARGET / "templates"
PROGRAM = TARGET / "release" / "examples" / "render-template"
PACKAGE = "llama-cpp-python==0.3.36"
FEWEST = 70  # templates in that package; fewer means that the fetch went wrong
NOW = 1_800_000_000

# (template, conversation) -> why the two differ. Also listed in ../README.md.
NO_TOOLS = "loops over tools, which are None: Python raises a TypeError, the engine loops over nothing"
GENERATOR = "prints a map filter's result with tojson: Python raises a TypeError, the engine prints the list"
ESCAPES = "adds text to a |safe string: Python's Markup escapes it as HTML, the engine adds it as it is"
WITHOUT = ("user", "system", "turns", "turns-no-prompt", "thinking", "thinking-on", "thinking-off", "thinking-inline")
WITH = ("tools", "tools-no-system", "tool-result", "tool-answered", "tool-null-content", "tool-string-arguments",
        "tools-parallel", "thinking-tools")
KNOWN = {
    **{("CohereForAI-c4ai-command-r-plus-tool_use", kind): NO_TOOLS for kind in (*WITHOUT, "parts")},
    **{("NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", kind): NO_TOOLS for kind in WITHOUT},
    **{("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", kind): NO_TOOLS for kind in WITHOUT},
    ("LFM2.5-8B-A1B", "tool-null-content"): "loops over null content: Python raises a TypeError, the engine loops over nothing",
    **{("llama-cpp-deepseek-r1", kind): GENERATOR for kind in WITH},
    **{("meetkai-functionary-medium-v3.1", kind): ESCAPES for kind in WITH},
}


def templates():
    if not list(CACHE.glob("*.jinja")):
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary",
                        "llama-cpp-python", "--dest", str(CACHE), PACKAGE], check=True)
        (package,) = CACHE.glob("llama_cpp_python-*.tar.gz")
        with tarfile.open(package) as tar:
            for member in tar:
                if "/vendor/llama.cpp/models/templates/" in member.name and member.name.endswith(".jinja"):
                    (CACHE / pathlib.Path(member.name).name).write_bytes(tar.extractfile(member).read())
        package.unlink()
    found = {path.stem: path.read_bytes().decode() for path in sorted(CACHE.glob("*.jinja"))}
    assert len(found) >= FEWEST, f"only {len(found)} templates found in {PACKAGE}"
    return found


def python_environment():
    """What transformers' _compile_jinja_template builds (5.23)."""
    import jinja2, jinja2.ext, jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

        def _render(self, caller):
            return caller()

    class TemplateDict:
        def __call__(self, *args, **kwargs):
            return dict(*args, **kwargs)

        def fromkeys(self, *args, **kwargs):
            return dict.fromkeys(*args, **kwargs)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(f)
    env.globals["dict"] = TemplateDict()
    return env


WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Get the weather <now> & \"here\" – ünï",
    "parameters": {"type": "object", "properties": {
        "city": {"type": "string", "description": "The city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7.5},
        "tags": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": ["number", "null"]}}, "required": ["lat"]}},
        "required": ["city"]}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Add two numbers", "parameters": {
    "type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}}}
PING = {"type": "function", "function": {"name": "ping", "description": "Ping", "parameters": {"type": "object", "properties": {}}}}
TOOLS = [WEATHER, ADD, PING]
SYSTEM = {"role": "system", "content": "  You are GhostLLM.\nAnswer <briefly> & well.  "}
USER = {"role": "user", "content": "What's the weather in Zürich, \"today\"? 天気 🙂\n"}


def assistant(content, calls=None, **more):
    message = {"role": "assistant", "content": content, **more}
    if calls:
        message["tool_calls"] = calls
    return message


def call(number, name, arguments):
    return {"id": f"call{number:05}", "type": "function", "function": {"name": name, "arguments": arguments}}


def result(number, name, content):
    return {"role": "tool", "tool_call_id": f"call{number:05}", "name": name, "content": content}


def conversations():
    turns = [USER, assistant("It is 21 degrees.\n\n"), {"role": "user", "content": "And tomorrow?"}]
    one = [USER, assistant("", [call(1, "get_weather", {"city": "Zürich", "days": 2, "where": {"lat": 47.0, "lon": None}, "tags": ["a", "b"]})]),
           result(1, "get_weather", "{\"temp\": 21.5}")]
    two = [USER, assistant("I look.", [call(1, "get_weather", {"city": "Bern"}), call(2, "add", {"a": 1, "b": 2.5})]),
           result(1, "get_weather", "rain"), result(2, "add", "3.5")]
    think = [USER, assistant("Sunny.", reasoning_content="The user asks.\nI think."), {"role": "user", "content": "Why?"}]
    inline = [USER, assistant("<think>\nhm\n</think>\n\nSunny."), {"role": "user", "content": "Why?"}]
    yield "user", dict(messages=[USER])
    yield "system", dict(messages=[SYSTEM, USER])
    yield "turns", dict(messages=[SYSTEM, *turns])
    yield "turns-no-prompt", dict(messages=[*turns, assistant("Rain.")], add_generation_prompt=False)
    yield "tools", dict(messages=[SYSTEM, USER], tools=TOOLS)
    yield "tools-no-system", dict(messages=[USER], tools=TOOLS)
    yield "tool-result", dict(messages=[SYSTEM, *one], tools=TOOLS)
    yield "tool-answered", dict(messages=[*one, assistant("21.5 degrees."), {"role": "user", "content": "Thanks"}], tools=TOOLS)
    yield "tool-null-content", dict(messages=[USER, {**one[1], "content": None}, one[2]], tools=TOOLS)
    yield "tool-string-arguments", dict(messages=[USER, assistant("", [call(1, "ping", "{\"a\": [1, 2]}")]), result(1, "ping", "ok")], tools=TOOLS)
    yield "tools-parallel", dict(messages=[SYSTEM, *two], tools=TOOLS)
    yield "thinking", dict(messages=[SYSTEM, *think])
    yield "thinking-on", dict(messages=[SYSTEM, *think], enable_thinking=True, reasoning_effort="high")
    yield "thinking-off", dict(messages=[SYSTEM, *think], enable_thinking=False)
    yield "thinking-inline", dict(messages=inline)
    yield "thinking-tools", dict(messages=[USER, {**one[1], "reasoning_content": "I need the tool."}, one[2]], tools=TOOLS, enable_thinking=True)
    yield "parts", dict(messages=[{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}])


def aliased(message):
    """transformers' _alias_reasoning_fields."""
    found = next((message[k] for k in ("reasoning_content", "thinking", "reasoning") if message.get(k) is not None), None)
    return message if found is None else {"thinking": found, **message, "reasoning_content": found}


def main():
    sources, env = templates(), python_environment()
    cases = []
    for (name, source), (kind, context) in itertools.product(sources.items(), conversations()):
        context = {"tools": None, "documents": None, "add_generation_prompt": True, "bos_token": "<BOS>", "eos_token": "<EOS>",
                   **context, "messages": [aliased(m) for m in context["messages"]]}
        try:
            # A fresh copy: some templates change what they are given.
            expected = {"text": env.from_string(source).render(**json.loads(json.dumps(context)))}
        except Exception as error:
            expected = {"error": f"{type(error).__name__}: {error}"}
        cases.append((name, kind, context, source, expected))
    lines = "".join(json.dumps({"template": source, "context": {**{k: v for k, v in context.items() if k != "documents"}, "now": NOW}}) + "\n"
                    for _, _, context, source, _ in cases)
    answers = subprocess.run([str(PROGRAM)], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
    verbose, same, refused, wrong, seen = "--verbose" in sys.argv, 0, 0, [], set()
    for (name, kind, _, _, expected), line in zip(cases, answers):
        answer = json.loads(line)
        if "error" in expected and "error" in answer:
            refused += 1
        elif expected.get("text") == answer.get("text") and "text" in answer:
            same += 1
        elif (name, kind) in KNOWN:
            seen.add((name, kind))
        else:
            wrong.append((name, kind, expected, answer))
    for name, kind, expected, answer in wrong:
        print(f"DIFFERS {name} / {kind}: python {shorten(expected, answer)} | engine {shorten(answer, expected)}" if verbose else f"DIFFERS {name} / {kind}")
    gone = set(KNOWN) - seen
    for entry in sorted(gone):
        print(f"GONE {entry}: KNOWN lists a difference that no longer exists; take it out")
    print(f"{len(sources)} templates x {len(cases) // len(sources)} conversations: {same} the same, {refused} refused by both, "
          f"{len(cases) - same - refused - len(wrong)} known differences, {len(wrong)} new")
    return 1 if wrong or gone else 0


def shorten(one, other):
    if "error" in one:
        return one["error"][:200]
    text, against = one["text"], other.get("text", "")
    at = next((i for i, (a, b) in enumerate(zip(text, against)) if a != b), min(len(text), len(against)))
    return f"@{at} {text[max(0, at - 30):at + 60]!r}" if "text" in other else f"text of {len(text)}"


if __name__ == "__main__":
    sys.exit(main())
