"""Simon Willison's `llm`, its library as people use it with a server of their own in `extra-openai-models.yaml`, by both of its ways.

The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that SSL_CERT_FILE names. The library has no
way to force a call, nor to ask for anything that the server refuses but a schema.
"""

import gc
import json
import os
import sys
import tempfile
from importlib.metadata import version
from typing import Literal

HOME = tempfile.mkdtemp()
os.environ["LLM_USER_PATH"] = HOME

import llm
import openai
import yaml
from llm.default_plugins.openai_models import OpenAIEmbeddingModel
from pydantic import BaseModel


class Fact(BaseModel, extra="forbid"):
    capital: Literal["Paris", "Oslo"]
    large: bool


CALLS = []


def get_weather(city: str) -> str:
    """Get the current weather"""
    CALLS.append(f"get_weather {json.dumps({'city': city}, separators=(',', ':'))}")
    return ORDER["result"]


def say(**fields):
    print(json.dumps(fields), flush=True)


def error(failure):
    status = getattr(failure, "status_code", None)
    return {"error": type(failure).__name__, "status": status, "code": failure.code, "message": failure.message}


def tried(step, run):
    """What it returns, or the error of the server's."""
    try:
        say(step=step, **run())
    except openai.APIError as failure:
        say(step=step, **error(failure))


# How a model of that way is called here, and the line of the file that says so.
WAYS = {"chat": {}, "responses": {"responses": True}}


def configure():
    """The file that its manual has people write, for each way a model for each name."""
    names = [ORDER["model"], ORDER["failing"], ORDER["hanging"], "no-such-model"]
    models = [
        {
            "model_id": f"{way} {name}",
            "model_name": name,
            "api_base": ORDER["base_url"],
            "api_key_name": "box",
            "supports_tools": True,
            "supports_schema": True,
            **lines,
        }
        for way, lines in WAYS.items()
        for name in dict.fromkeys(filter(None, names))
    ]
    with open(os.path.join(HOME, "extra-openai-models.yaml"), "w") as file:
        yaml.safe_dump(models, file)


def asked(name, prompt, **more):
    settings = {"key": ORDER["key"], "temperature": 0, "max_tokens": ORDER["limit"], **more}
    return llm.get_model(name).prompt(prompt, **settings)


def seen(answer):
    text, usage, told = answer.text(), answer.usage(), answer.response_json or {}
    choices = told.get("choices") or [{}]
    finish = choices[0].get("finish_reason") or told.get("finish_reason") or told.get("status")
    finish = "stop" if finish == "completed" else finish
    return {"text": text, "usage": usage.input + usage.output, "finish": finish}


def streamed(name, prompt):
    """The text so far stands beside the error that ended it."""
    answer, text = asked(name, prompt, stream=True), ""
    try:
        for piece in answer:
            text += piece
    except openai.APIError as failure:
        return {"text": text, **error(failure)}
    return seen(answer)


def tools(name, stream):
    """The library runs the tool and takes the second turn by itself."""
    CALLS.clear()
    model, more = llm.get_model(name), {"temperature": 0, "max_tokens": ORDER["limit"]}
    chain = model.chain(ORDER["question"], tools=[get_weather], stream=stream, key=ORDER["key"], options=more)
    text = chain.text()
    return {"text": text, "calls": list(CALLS), "finish": seen(list(chain.responses())[-1])["finish"], "unforced": True}


def schema(name):
    answer = asked(name, ORDER["fact"], schema=Fact, stream=False)
    return {"value": Fact.model_validate_json(answer.text()).model_dump()}


def embeddings():
    os.environ["OPENAI_BASE_URL"] = ORDER["base_url"]
    model = OpenAIEmbeddingModel(ORDER["embedding"], ORDER["embedding"])
    model.key = ORDER["key"]
    return {"vectors": list(model.embed_multi(ORDER["texts"]))}


def left(name):
    """Two pieces of a stream, and then nobody is there any more."""
    text, pieces = "", 0
    stream = iter(asked(name, ORDER["story"], max_tokens=None, stream=True))
    for piece in stream:
        text += piece
        pieces += bool(piece)
        if pieces == 2:
            break
    stream.close()
    # The library lets go of its connection when nothing refers to it any more, as when its program ends.
    del stream
    gc.collect()
    return {"text": text}


def main(way):
    model, prompt = f"{way} {ORDER['model']}", ORDER["prompt"]
    say(client=f"llm {version('llm')}, {way}")
    tried("chat", lambda: seen(asked(model, prompt, stream=False)))
    tried("stream", lambda: streamed(model, prompt))
    tried("tools", lambda: tools(model, False))
    tried("tools", lambda: tools(model, True))
    tried("schema", lambda: schema(model))
    tried("embeddings", embeddings)
    tried("unknown", lambda: seen(asked(f"{way} no-such-model", prompt, stream=False)))
    tried("wrong", lambda: seen(asked(model, prompt, key="sk-wrong", stream=False)))
    if ORDER["failing"]:
        tried("failing", lambda: streamed(f"{way} {ORDER['failing']}", prompt))
    tried("left", lambda: left(f"{way} {ORDER['hanging']}"))
    sys.stdin.readline()


while line := sys.stdin.readline():
    ORDER = json.loads(line)
    configure()
    for way in WAYS:
        main(way)
    say(step="done")
