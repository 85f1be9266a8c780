"""LangChain's langchain-openai as people use it, by each of its ways to the server, with only the base URL and the key changed.

The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that SSL_CERT_FILE names.
"""

import json
import os
import sys
from enum import Enum

os.environ["LANGSMITH_TRACING"] = "false"

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_openai import __version__ as version
from pydantic import BaseModel


class Place(str, Enum):
    BERLIN = "Berlin"
    OSLO = "Oslo"


class Capital(str, Enum):
    PARIS = "Paris"
    OSLO = "Oslo"


class Fact(BaseModel):
    """A fact about a country."""

    capital: Capital
    large: bool


@tool
def get_weather(city: Place) -> str:
    """Get the current weather"""
    return ORDER["result"]


def say(**fields):
    print(json.dumps(fields), flush=True)


def tried(step, run):
    """What it returns, or the error of the server's."""
    try:
        say(step=step, **run())
    except openai.APIError as failure:
        status = getattr(failure, "status_code", None)
        say(step=step, error=type(failure).__name__, status=status, code=failure.code, message=failure.message)


def seen(message):
    finish = message.response_metadata.get("finish_reason") or message.response_metadata.get("status")
    finish = "stop" if finish == "completed" else finish
    return {"text": message.text, "usage": message.usage_metadata["total_tokens"], "finish": finish}


def streamed(model, prompt):
    """The text so far stands beside the error that ended it."""
    whole, text = None, ""
    try:
        for piece in model.stream(prompt):
            text += piece.text
            whole = piece if whole is None else whole + piece
    except openai.APIError as failure:
        return {"text": text, "error": type(failure).__name__, "code": failure.code, "message": failure.message}
    except ValueError as failure:
        # What it makes of the event `response.failed`.
        return {"text": text, "error": type(failure).__name__, "message": str(failure)}
    return seen(whole)


def tools(model):
    """A call of the tool, which is done, and its result in a second turn."""
    question = HumanMessage(ORDER["question"])
    first = model.bind_tools([get_weather], tool_choice=ORDER["choice"]).invoke([question])
    history = [question, first, *(get_weather.invoke(call) for call in first.tool_calls)]
    assert all(isinstance(message, ToolMessage) for message in history[2:])
    second = model.bind_tools([get_weather]).invoke(history) if first.tool_calls else first
    calls = [f"{call['name']} {json.dumps(call['args'], separators=(',', ':'))}" for call in first.tool_calls]
    return {**seen(second), "calls": calls}


def schema(model):
    fact = model.with_structured_output(Fact, method="json_schema", strict=True).invoke(ORDER["fact"])
    return {"value": fact.model_dump(mode="json")}


def embeddings(model):
    return {"vectors": model.embed_documents(ORDER["texts"])}


def left(model):
    """Two pieces of a stream, and then nobody is there any more."""
    stream, text, pieces = model.stream(ORDER["story"]), "", 0
    for piece in stream:
        text += piece.text
        pieces += bool(piece.text)
        if pieces == 2:
            break
    stream.close()
    return {"text": text}


def way(name, **more):
    settings = {"base_url": ORDER["base_url"], "api_key": ORDER["key"], "max_retries": 0, "timeout": 20, **more}

    def chat(model, **fields):
        return ChatOpenAI(**{**settings, "temperature": 0, "max_tokens": ORDER["limit"], "stream_usage": True, "model": model, **fields})

    say(client=f"langchain-openai {version}, {name}")
    model = chat(ORDER["model"])
    tried("chat", lambda: seen(model.invoke(ORDER["prompt"])))
    tried("stream", lambda: streamed(model, ORDER["prompt"]))
    tried("tools", lambda: tools(model))
    tried("schema", lambda: schema(model))
    made = {"base_url": ORDER["base_url"], "api_key": ORDER["key"], "max_retries": 0, "model": ORDER["embedding"]}
    # Without the second it would send tokens, by an encoding that it downloads and that is OpenAI's models' alone.
    tried("embeddings", lambda: embeddings(OpenAIEmbeddings(**made, check_embedding_ctx_length=False)))
    tried("unknown", lambda: seen(chat("no-such-model").invoke(ORDER["prompt"])))
    tried("wrong", lambda: seen(chat(ORDER["model"], api_key="sk-wrong").invoke(ORDER["prompt"])))
    refused = {"previous_response_id": "resp_1"} if more else {"web_search_options": {}}
    tried("refused", lambda: seen(model.invoke(ORDER["prompt"], **refused)))
    if ORDER["failing"]:
        tried("failing", lambda: streamed(chat(ORDER["failing"]), ORDER["prompt"]))
    tried("left", lambda: left(chat(ORDER["hanging"], max_tokens=None)))
    sys.stdin.readline()


while line := sys.stdin.readline():
    ORDER = json.loads(line)
    way("chat")
    way("responses", use_responses_api=True)
    say(step="done")
