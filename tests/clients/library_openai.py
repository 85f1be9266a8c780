"""openai-python as people use it, with only the base URL, the key and the CA changed.

The order on standard input is one line of JSON: base_url, key, prompt, model, failing (a model whose stream fails), embedding (a
model that makes vectors), runs.
Told on standard output: {"client": ...}, then {"step": ..., and what was seen} for each step. The CA is the one that
SSL_CERT_FILE names.
"""

import json
import sys

import openai


def say(**fields):
    print(json.dumps(fields), flush=True)


def error(failure):
    return {"error": type(failure).__name__, "message": failure.message, "code": failure.code}


def stream(client, order, model):
    """The text, the last usage, and the error that ended it, if any."""
    text, usage = "", None
    try:
        chunks = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": order["prompt"]}],
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in chunks:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            usage = chunk.usage.total_tokens if chunk.usage else usage
    except openai.APIError as failure:
        return {"text": text, "usage": usage, **error(failure)}
    return {"text": text, "usage": usage}


def embeddings(client, model, given, **more):
    """The vectors and the usage, or the error."""
    try:
        made = client.embeddings.create(model=model, input=given, **more)
    except openai.APIError as failure:
        return error(failure)
    return {"vectors": [item.embedding for item in made.data], "usage": made.usage.total_tokens}


def main():
    order = json.loads(sys.stdin.readline())
    say(client=f"openai-python {openai.__version__}")
    messages = [{"role": "user", "content": order["prompt"]}]
    client = openai.OpenAI(base_url=order["base_url"], api_key=order["key"], max_retries=0, timeout=20)
    say(step="models", models=[model.id for model in client.models.list()])
    whole = client.chat.completions.create(model=order["model"], messages=messages)
    say(step="whole", text=whole.choices[0].message.content, usage=whole.usage.total_tokens)
    say(step="stream", **stream(client, order, order["model"]))
    texts, model = ["hello", "world"], order["embedding"]
    # By itself it asks for base64.
    say(step="embeddings", **embeddings(client, model, texts))
    say(step="embeddings", **embeddings(client, model, texts, encoding_format="float"))
    say(step="embeddings", **embeddings(client, model, "hello", dimensions=16))
    say(step="embeddings", **embeddings(client, model, [1, 2, 3]))
    say(step="embeddings", **embeddings(client, order["model"], "hello"))
    for _ in range(order["runs"]):
        say(step="failing", **stream(client, order, order["failing"]))
    try:
        client.chat.completions.create(model="no-such-model", messages=messages)
    except openai.NotFoundError as failure:
        say(step="unknown", **error(failure))
    try:
        client.with_options(api_key="sk-wrong").models.list()
        say(step="wrong")
    except openai.AuthenticationError as failure:
        say(step="wrong", **error(failure))


main()
