"""openai-python and the Responses API as people use it, with only the base URL, the key and the CA changed.

The order on standard input is one line of JSON: base_url, key, prompt, model, failing (a model whose stream fails). Told on
standard output: {"client": ...}, then {"step": ..., and what was seen} for each step. The CA is the one that SSL_CERT_FILE
names. Whole answers are held against the library's own types, strictly.
"""

import json
import sys

import openai
from openai.types.responses import Response

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Get the current weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": False,
    }
]


def say(**fields):
    print(json.dumps(fields), flush=True)


def error(failure):
    return {"error": type(failure).__name__, "code": failure.code, "param": failure.param}


def sound(response):
    """The same response, as the library's types have it: what is missing or of another type is an exception."""
    return Response.model_validate(response.to_dict(mode="python"))


def streamed(client, model, prompt):
    """The text, the types of the events, the last response's usage, and the error that ended it, if any."""
    text, events, usage = "", [], None
    try:
        for event in client.responses.create(model=model, input=prompt, stream=True):
            events.append(event.type)
            text += event.delta if event.type == "response.output_text.delta" else ""
            if event.type == "response.completed":
                usage = sound(event.response).usage.total_tokens
    except openai.APIError as failure:
        return {"text": text, "events": events, **error(failure)}
    return {"text": text, "events": events, "usage": usage}


def tools(client, order):
    """A call of a function, its result in a second turn, and what is said then."""
    question = {"role": "user", "content": "What is the weather in Paris?"}
    with client.responses.stream(model=order["model"], input=[question], tools=TOOLS) as stream:
        for _ in stream:
            pass
        first = sound(stream.get_final_response())
    call = first.output[0]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "18 degrees, sunny"}
    history = [question, *(item.to_dict() for item in first.output), result]
    second = client.responses.create(model=order["model"], input=history, tools=TOOLS)
    arguments = json.dumps(json.loads(call.arguments), separators=(",", ":"))
    return {"call": f"{call.name} {arguments}", "text": second.output_text}


def main():
    order = json.loads(sys.stdin.readline())
    say(client=f"openai-python {openai.__version__}, Responses")
    client = openai.OpenAI(base_url=order["base_url"], api_key=order["key"], max_retries=0, timeout=20)
    whole = sound(client.responses.create(model=order["model"], input=order["prompt"], instructions="Be brief."))
    say(step="whole", text=whole.output_text, usage=whole.usage.total_tokens)
    say(step="stream", **streamed(client, order["model"], order["prompt"]))
    say(step="tools", **tools(client, order))
    say(step="failing", **streamed(client, order["failing"], order["prompt"]))
    try:
        client.responses.create(model=order["model"], input=order["prompt"], previous_response_id="resp_1")
    except openai.BadRequestError as failure:
        say(step="refused", **error(failure))


main()
