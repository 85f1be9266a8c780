"""openai-python as people use it, by chats and by Responses, each answer held against the library's own types, strictly.

The order, what is told and when a line is waited for are everyday.rs's. The CA is the one that SSL_CERT_FILE names.
"""

import json
import sys
from typing import Literal

import openai
from pydantic import BaseModel


class Weather(BaseModel):
    city: Literal["Berlin", "Oslo"]


class Fact(BaseModel):
    capital: Literal["Paris", "Oslo"]
    large: bool


TOOLS = [openai.pydantic_function_tool(Weather, name="get_weather", description="Get the current weather")]


def say(**fields):
    print(json.dumps(fields), flush=True)


def error(failure):
    status = getattr(failure, "status_code", None)
    told = {"status": status, "code": failure.code, "param": failure.param, "message": failure.message}
    return {"error": type(failure).__name__, **told}


def tried(step, run):
    """What it returns, or the error of the server's; an answer that does not fit its type is an exception of neither."""
    try:
        say(step=step, **run())
    except openai.APIResponseValidationError:
        raise
    except openai.APIError as failure:
        say(step=step, **error(failure))


def user(text):
    return [{"role": "user", "content": text}]


def asked(client, model, messages, **more):
    settings = {"temperature": 0, "max_completion_tokens": ORDER["limit"], **more}
    return client.chat.completions.create(model=model, messages=messages, **settings)


def seen(answer):
    choice = answer.choices[0]
    return {"text": choice.message.content or "", "usage": answer.usage.total_tokens, "finish": choice.finish_reason}


def streamed(client, model, prompt):
    """The text so far stands beside the error that ended it."""
    text = ""
    options = {"temperature": 0, "max_completion_tokens": ORDER["limit"], "stream_options": {"include_usage": True}}
    try:
        with client.chat.completions.stream(model=model, messages=user(prompt), **options) as stream:
            for event in stream:
                text += event.delta if event.type == "content.delta" else ""
            return seen(stream.get_final_completion())
    except openai.APIError as failure:
        return {"text": text, **error(failure)}


def completion(client, lax, model):
    """A text that is gone on with, whole and in pieces. Of a piece, the library's own type knows no missing finish reason."""
    asked = {"model": model, "prompt": ORDER["text"], "temperature": 0, "max_tokens": ORDER["limit"]}
    whole = client.completions.create(logprobs=1, **asked)
    choice = whole.choices[0]
    with lax.completions.create(stream=True, stream_options={"include_usage": True}, **asked) as stream:
        pieces = list(stream)
    streamed = "".join(choice.text for piece in pieces for choice in piece.choices)
    tokens = choice.logprobs and "".join(choice.logprobs.tokens or [])
    return {
        "text": choice.text,
        "usage": whole.usage.total_tokens,
        "finish": choice.finish_reason,
        "value": {"streamed": streamed, "usage": pieces[-1].usage.total_tokens, "tokens": tokens},
    }


def pictured(client, model):
    """Words and a picture inside of the request."""
    parts = [{"type": "text", "text": ORDER["prompt"]}, {"type": "image_url", "image_url": {"url": ORDER["picture"], "detail": "high"}}]
    return seen(asked(client, model, [{"role": "user", "content": parts}]))


def tools(client, model):
    """A call of the function, read into its type, and its result in a second turn."""
    question = user(ORDER["question"])
    options = {"tools": TOOLS, "tool_choice": ORDER["choice"], "temperature": 0, "max_completion_tokens": ORDER["limit"]}
    with client.chat.completions.stream(model=model, messages=question, **options) as stream:
        first = stream.get_final_completion()
    message = first.choices[0].message
    made = message.tool_calls or []
    results = [{"role": "tool", "tool_call_id": call.id, "content": ORDER["result"]} for call in made]
    second = asked(client, model, [*question, message, *results], tools=TOOLS) if made else first
    # A model may call what it was not offered, which has no type.
    said = [call.function.parsed_arguments or Weather.model_validate_json(call.function.arguments) for call in made]
    calls = [f"{call.function.name} {weather.model_dump_json()}" for call, weather in zip(made, said)]
    return {**seen(second), "calls": calls}


def schema(client, model):
    answer = client.chat.completions.parse(
        model=model,
        messages=user(ORDER["fact"]),
        response_format=Fact,
        temperature=0,
        max_completion_tokens=ORDER["limit"],
    )
    return {"value": answer.choices[0].message.parsed.model_dump()}


def embeddings(client, model, **more):
    made = client.embeddings.create(model=model, input=ORDER["texts"], **more)
    return {"vectors": [item.embedding for item in made.data], "usage": made.usage.total_tokens}


def left(client, model):
    """Two pieces of a stream, and then nobody is there any more."""
    text, pieces = "", 0
    with asked(client, model, user(ORDER["story"]), stream=True, max_completion_tokens=None) as stream:
        for piece in stream:
            said = piece.choices[0].delta.content or ""
            text += said
            pieces += bool(said)
            if pieces == 2:
                break
    return {"text": text}


def settings():
    return {"base_url": ORDER["base_url"], "max_retries": 0, "timeout": 20, "_strict_response_validation": True}


def embedded(client):
    tried("embeddings", lambda: embeddings(client, ORDER["embedding"], encoding_format="float"))
    # By itself it asks for base64, which its own types do not know: OpenAI's answer would not pass either.
    tried("embeddings", lambda: embeddings(relaxed(), ORDER["embedding"]))


def relaxed():
    return openai.OpenAI(api_key=ORDER["key"], **{**settings(), "_strict_response_validation": False})


def stranger():
    return openai.OpenAI(api_key="sk-wrong", **settings())


def chats():
    client = openai.OpenAI(api_key=ORDER["key"], **settings())
    model, prompt = ORDER["model"], ORDER["prompt"]
    say(client=f"openai-python {openai.__version__}, chat, strict")
    tried("chat", lambda: seen(asked(client, model, user(prompt))))
    tried("stream", lambda: streamed(client, model, prompt))
    tried("tools", lambda: tools(client, model))
    tried("schema", lambda: schema(client, model))
    embedded(client)
    tried("completion", lambda: completion(client, relaxed(), model))
    tried("picture", lambda: pictured(client, model))
    tried("unknown", lambda: seen(asked(client, "no-such-model", user(prompt))))
    tried("wrong", lambda: seen(asked(stranger(), model, user(prompt))))
    tried("refused", lambda: seen(asked(client, model, user(prompt), web_search_options={})))
    if ORDER["failing"]:
        tried("failing", lambda: streamed(client, ORDER["failing"], prompt))
    tried("left", lambda: left(client, ORDER["hanging"]))
    sys.stdin.readline()


def responded(client, model, **more):
    return client.responses.create(model=model, **{"temperature": 0, "max_output_tokens": ORDER["limit"], **more})


def read(response):
    """A response ends where its status says so, and for want of tokens where its details do."""
    finish = "stop" if response.status == "completed" else response.incomplete_details.reason
    return {"text": response.output_text, "usage": response.usage.total_tokens, "finish": finish}


def events(client, model):
    """The text so far and the types of the events stand beside the error that ended them, if any."""
    text, kinds, last = "", [], None
    try:
        for event in responded(client, model, input=ORDER["prompt"], stream=True):
            kinds.append(event.type)
            text += event.delta if event.type == "response.output_text.delta" else ""
            last = event
    except openai.APIError as failure:
        return {"text": text, "events": kinds, **error(failure)}
    return {**read(last.response), "text": text, "events": kinds}


def called(client, model):
    """A call of the function, read into its type, and its result in a second turn with all that came in the first."""
    question = user(ORDER["question"])
    options = {"tools": TOOLS, "tool_choice": ORDER["choice"], "temperature": 0, "max_output_tokens": ORDER["limit"]}
    with client.responses.stream(model=model, input=question, **options) as stream:
        first = stream.get_final_response()
    made = [item for item in first.output if item.type == "function_call"]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": ORDER["result"]} for call in made]
    history = [*question, *first.output, *results]
    second = client.responses.parse(**{**options, "tool_choice": "auto"}, model=model, input=history) if made else first
    said = [call.parsed_arguments or Weather.model_validate_json(call.arguments) for call in made]
    return {**read(second), "calls": [f"{call.name} {weather.model_dump_json()}" for call, weather in zip(made, said)]}


def looked_at(client, model):
    """Words and a picture inside of the request."""
    parts = [{"type": "input_text", "text": ORDER["prompt"]}, {"type": "input_image", "image_url": ORDER["picture"], "detail": "high"}]
    return read(responded(client, model, input=[{"role": "user", "content": parts}]))


def formed(client, model):
    options = {"temperature": 0, "max_output_tokens": ORDER["limit"]}
    answer = client.responses.parse(model=model, input=ORDER["fact"], text_format=Fact, **options)
    return {"value": answer.output_parsed.model_dump()}


def forsaken(client, model):
    """Two pieces of a stream, and then nobody is there any more."""
    text, pieces = "", 0
    with responded(client, model, input=ORDER["story"], stream=True, max_output_tokens=None) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
                pieces += 1
            if pieces == 2:
                break
    return {"text": text}


def responses():
    client = openai.OpenAI(api_key=ORDER["key"], **settings())
    model, prompt = ORDER["model"], ORDER["prompt"]
    say(client=f"openai-python {openai.__version__}, responses, strict")
    tried("chat", lambda: read(responded(client, model, input=prompt, instructions="Be brief.")))
    tried("stream", lambda: events(client, model))
    tried("tools", lambda: called(client, model))
    tried("schema", lambda: formed(client, model))
    embedded(client)
    tried("picture", lambda: looked_at(client, model))
    tried("unknown", lambda: read(responded(client, "no-such-model", input=prompt)))
    tried("wrong", lambda: read(responded(stranger(), model, input=prompt)))
    tried("refused", lambda: read(responded(client, model, input=prompt, previous_response_id="resp_1")))
    if ORDER["failing"]:
        tried("failing", lambda: events(client, ORDER["failing"]))
    tried("left", lambda: forsaken(client, ORDER["hanging"]))
    sys.stdin.readline()


while line := sys.stdin.readline():
    ORDER = json.loads(line)
    chats()
    responses()
    say(step="done")
