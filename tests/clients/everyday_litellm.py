"""LiteLLM's library as people use it before a server of OpenAI's kind, by chats and by Responses, with only the base URL and the key given.

The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that SSL_CERT_FILE names.
"""

import json
import os
import sys
import warnings
from importlib.metadata import version
from typing import Literal

# Else it asks for the prices of the world's models.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from pydantic import BaseModel

# It keeps counts in another form than its own types have, and pydantic says so.
warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
# Else each error writes where to give feedback on the standard output.
litellm.suppress_debug_info = True

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the current weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Berlin", "Oslo"]}},
                "required": ["city"],
            },
        },
    }
]


class Fact(BaseModel):
    capital: Literal["Paris", "Oslo"]
    large: bool


def say(**fields):
    print(json.dumps(fields), flush=True)


def error(failure):
    return {"error": type(failure).__name__, "status": getattr(failure, "status_code", None), "message": str(failure.message)}


def tried(step, run):
    """What it returns, or the error of the server's, all of which are OpenAI's classes to LiteLLM."""
    try:
        say(step=step, **run())
    except openai.APIError as failure:
        say(step=step, **error(failure))


def asked(model, messages, **more):
    return litellm.completion(
        **{
            "model": f"openai/{model}",
            "messages": messages,
            "api_base": ORDER["base_url"],
            "api_key": ORDER["key"],
            "temperature": 0,
            "max_tokens": ORDER["limit"],
            "max_retries": 0,
            "timeout": 20,
            **more,
        }
    )


def user(text):
    return [{"role": "user", "content": text}]


def seen(answer):
    choice = answer.choices[0]
    return {"text": choice.message.content or "", "usage": answer.usage.total_tokens, "finish": choice.finish_reason}


def streamed(model, prompt):
    """The text so far stands beside the error that ended it."""
    text, usage, finish = "", None, None
    try:
        for piece in asked(model, user(prompt), stream=True, stream_options={"include_usage": True}):
            for choice in piece.choices:
                text += choice.delta.content or ""
                finish = choice.finish_reason or finish
            usage = getattr(piece, "usage", None) or usage
    except openai.APIError as failure:
        return {"text": text, **error(failure)}
    return {"text": text, "usage": usage.total_tokens if usage else None, "finish": finish}


def tools(model):
    """A call of the function, and its result in a second turn."""
    question = user(ORDER["question"])
    first = asked(model, question, tools=TOOLS, tool_choice=ORDER["choice"])
    message = first.choices[0].message
    made = message.tool_calls or []
    results = [{"role": "tool", "tool_call_id": call.id, "content": ORDER["result"]} for call in made]
    second = asked(model, [*question, message, *results], tools=TOOLS) if made else first
    said = [json.dumps(json.loads(call.function.arguments), separators=(",", ":")) for call in made]
    return {**seen(second), "calls": [f"{call.function.name} {text}" for call, text in zip(made, said)]}


def schema(model):
    answer = asked(model, user(ORDER["fact"]), response_format=Fact)
    return {"value": Fact.model_validate_json(answer.choices[0].message.content).model_dump()}


def embeddings(model):
    made = litellm.embedding(
        model=f"openai/{model}", input=ORDER["texts"], api_base=ORDER["base_url"], api_key=ORDER["key"], max_retries=0
    )
    return {"vectors": [item["embedding"] for item in made.data], "usage": made.usage.total_tokens}


def left(model):
    """Two pieces of a stream, and then nobody is there any more."""
    stream, text, pieces = asked(model, user(ORDER["story"]), stream=True, max_tokens=None), "", 0
    for piece in stream:
        said = piece.choices[0].delta.content or ""
        text += said
        pieces += bool(said)
        if pieces == 2:
            break
    # There is no other way to end a stream of LiteLLM's than the one beneath it.
    stream.completion_stream.close()
    return {"text": text}


def chats():
    model, prompt = ORDER["model"], ORDER["prompt"]
    say(client=f"LiteLLM {version('litellm')}, chat")
    tried("chat", lambda: seen(asked(model, user(prompt))))
    tried("stream", lambda: streamed(model, prompt))
    tried("tools", lambda: tools(model))
    tried("schema", lambda: schema(model))
    tried("embeddings", lambda: embeddings(ORDER["embedding"]))
    tried("unknown", lambda: seen(asked("no-such-model", user(prompt))))
    tried("wrong", lambda: seen(asked(model, user(prompt), api_key="sk-wrong")))
    tried("refused", lambda: seen(asked(model, user(prompt), extra_body={"web_search_options": {}})))
    if ORDER["failing"]:
        tried("failing", lambda: streamed(ORDER["failing"], prompt))
    tried("left", lambda: left(ORDER["hanging"]))
    sys.stdin.readline()


def responded(model, asked, **more):
    return litellm.responses(
        **{
            "model": f"openai/{model}",
            "input": asked,
            "api_base": ORDER["base_url"],
            "api_key": ORDER["key"],
            "temperature": 0,
            "max_output_tokens": ORDER["limit"],
            "max_retries": 0,
            "timeout": 20,
            **more,
        }
    )


def read(response):
    """A response ends where its status says so, and for want of tokens where its details do."""
    finish = "stop" if response.status == "completed" else response.incomplete_details.reason
    return {"text": said(response), "usage": response.usage.total_tokens, "finish": finish}


def said(response):
    return "".join(part.text for item in response.output if item.type == "message" for part in item.content)


def events(model):
    """The text so far stands beside the error that ended it."""
    text, last = "", None
    try:
        for event in responded(model, ORDER["prompt"], stream=True):
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event
    except openai.APIError as failure:
        return {"text": text, **error(failure)}
    return {**read(last.response), "text": text}


def called(model):
    """A call of the function, and its result in a second turn with all that came in the first."""
    question = user(ORDER["question"])
    tools = [{"type": "function", **tool["function"]} for tool in TOOLS]
    first = responded(model, question, tools=tools, tool_choice=ORDER["choice"])
    made = [item for item in first.output if item.type == "function_call"]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": ORDER["result"]} for call in made]
    history = [*question, *(item.model_dump(exclude_none=True) for item in first.output), *results]
    second = responded(model, history, tools=tools) if made else first
    arguments = [json.dumps(json.loads(call.arguments), separators=(",", ":")) for call in made]
    return {**read(second), "calls": [f"{call.name} {text}" for call, text in zip(made, arguments)]}


def formed(model):
    return {"value": Fact.model_validate_json(said(responded(model, ORDER["fact"], text_format=Fact))).model_dump()}


def forsaken(model):
    """Two pieces of a stream, and then nobody is there any more."""
    stream, text, pieces = responded(model, ORDER["story"], stream=True, max_output_tokens=None), "", 0
    for event in stream:
        if event.type == "response.output_text.delta":
            text += event.delta
            pieces += bool(event.delta)
        if pieces == 2:
            break
    stream.close()
    return {"text": text}


def known(names):
    """As its manual has people name models of their own: of one that it does not know it makes up the stream out of a whole answer."""
    about = {"litellm_provider": "openai", "supports_native_streaming": True}
    litellm.register_model({f"openai/{name}": about for name in names if name})


def responses():
    model, prompt = ORDER["model"], ORDER["prompt"]
    known([model, ORDER["failing"], ORDER["hanging"]])
    say(client=f"LiteLLM {version('litellm')}, responses")
    tried("chat", lambda: read(responded(model, prompt, instructions="Be brief.")))
    tried("stream", lambda: events(model))
    tried("tools", lambda: called(model))
    tried("schema", lambda: formed(model))
    tried("embeddings", lambda: embeddings(ORDER["embedding"]))
    tried("unknown", lambda: read(responded("no-such-model", prompt)))
    tried("wrong", lambda: read(responded(model, prompt, api_key="sk-wrong")))
    tried("refused", lambda: read(responded(model, prompt, previous_response_id="resp_1")))
    if ORDER["failing"]:
        tried("failing", lambda: events(ORDER["failing"]))
    tried("left", lambda: forsaken(ORDER["hanging"]))
    sys.stdin.readline()


while line := sys.stdin.readline():
    ORDER = json.loads(line)
    chats()
    responses()
    say(step="done")
