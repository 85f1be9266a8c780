//! Items of Responses answers that a client names in its next request instead of sending them, as `@ai-sdk/openai` does by itself.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Caller, Family, Version, plain},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::{Model, Ollama},
    response::Response,
    script::Sin,
};
use serde_json::{Value, json};

use crate::{
    FRANCE, PARIS, check_error, on_every_version,
    responses::{WIRES, ask, engine, weather},
};

/// The items of an answer, in one piece or streamed.
fn output(answer: &Answer, streamed: bool) -> Result<Value> {
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let response = if streamed {
        Response::read(&answer.body)?.last("response.completed")?.clone()
    } else {
        answer.json()?
    };
    Ok(response["output"].clone())
}

/// A request that goes on behind the item of this id.
fn gone_on(id: &Value, more: Value) -> Value {
    let input = json!([
        {"role": "user", "content": FRANCE}, {"type": "item_reference", "id": id}, {"role": "user", "content": "Hello"},
    ]);
    let mut asked = json!({ "input": input });
    if let (Some(asked), Value::Object(more)) = (asked.as_object_mut(), more) {
        asked.extend(more);
    }
    asked
}

/// That it is refused, and told what to do.
fn check_not_kept(answer: &Answer) -> Result<()> {
    check_error(answer, 400, Some("unsupported_parameter"))?;
    let error = answer.json()?["error"].clone();
    ensure!(error["param"] == "input[1]", "{error}");
    ensure!(error["message"].as_str().is_some_and(|said| said.contains("Send the item itself")), "{error}");
    Ok(())
}

async fn with_another_key(daemon: &Daemon, version: Version) -> Result<Caller> {
    let made = admin::make(daemon, &json!({"name": "another"})).await?;
    Ok(Caller::keyless(daemon, version, Family::V4).await?.with_key(Some(&made.key)))
}

on_every_version!(a_second_turn_names_the_first_answer,);

async fn a_second_turn_names_the_first_answer(version: Version) -> Result<()> {
    for (wire, path) in WIRES {
        let (double, daemon) = engine(wire, None, "").await?;
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        for streamed in [false, true] {
            let first = caller.send(&ask(json!({ "stream": streamed }))).await?;
            let first = output(&first, streamed)?;
            let id = &first[0]["id"];
            ensure!(id.as_str().is_some_and(|id| id.starts_with("msg_")), "{wire}: {first}");
            // The id is its client's for as long as it is kept, and not for one turn.
            for _turn in 0..2 {
                let second = caller.send(&ask(gone_on(id, json!({ "stream": streamed })))).await?;
                ensure!(second.header("x-ghostllm-ignored").is_none(), "{wire}: {:?}", second.headers);
                let second = output(&second, streamed)?;
                ensure!(second[0]["type"] == "message" && second[0]["id"] != *id, "{wire}: {second}");
                let seen = double.seen_at(path);
                let sent = seen.last().context("nothing was asked")?.request.json();
                let said: Vec<&Value> =
                    sent["messages"].as_array().into_iter().flatten().map(|turn| &turn["content"]).collect();
                ensure!(said == [FRANCE, PARIS, "Hello"], "{wire}: {sent}");
                ensure!(sent["messages"][1]["role"] == "assistant", "{wire}: {sent}");
            }
        }
        daemon.stop().await.with_context(|| wire.to_owned())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_call_is_named_with_its_result_behind_it() -> Result<()> {
    for (wire, path) in WIRES {
        let (double, daemon) = engine(wire, None, "").await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let question = json!({"role": "user", "content": "What is the weather in Paris?"});
        let first =
            caller.send(&ask(json!({"input": [question], "tools": weather(), "stream": true}))).await?;
        let call = output(&first, true)?[0].clone();
        ensure!(call["type"] == "function_call", "{wire}: {call}");
        let named = json!({"type": "item_reference", "id": call["id"]});
        let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "18 degrees, sunny"});
        let second = ask(json!({"input": [question, named, result], "tools": weather()}));
        let second = output(&caller.send(&second).await?, false)?;
        ensure!(second[0]["type"] == "message", "{wire}: {second}");
        let seen = double.seen_at(path);
        let sent = seen.last().context("nothing was asked")?.request.json();
        let turns = sent["messages"].as_array().context("no messages")?;
        let roles: Vec<&str> = turns.iter().filter_map(|turn| turn["role"].as_str()).collect();
        ensure!(roles == ["user", "assistant", "tool"], "{wire}: {sent}");
        ensure!(turns[1]["tool_calls"][0]["function"]["name"] == "get_weather", "{wire}: {sent}");
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_thought_is_named_as_well() -> Result<()> {
    let (double, daemon) = engine("ollama", None, "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let more = json!({"model": "think", "reasoning": {"effort": "low"}});
    let first = output(&caller.send(&ask(more)).await?, false)?;
    ensure!(first[0]["type"] == "reasoning" && first[1]["type"] == "message", "{first}");
    let named = |place: usize| json!({"type": "item_reference", "id": first[place]["id"]});
    let user = |text: &str| json!({"role": "user", "content": text});
    let input = json!([user(FRANCE), named(0), named(1), user("Hello")]);
    let second = caller.send(&ask(json!({"model": "think", "input": input}))).await?;
    ensure!(second.header("x-ghostllm-ignored").is_none(), "{:?}", second.headers);
    output(&second, false)?;
    let seen = double.seen_at("/api/chat");
    let sent = seen.last().context("nothing was asked")?.request.json();
    ensure!(sent["messages"].as_array().map(Vec::len) == Some(3), "{sent}");
    daemon.stop().await
}

#[tokio::test]
async fn nobody_else_s_answer_can_be_named() -> Result<()> {
    let (double, daemon) = engine("openai", None, "").await?;
    let mine = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let another = with_another_key(&daemon, Version::H2).await?;
    for streamed in [false, true] {
        let first = mine.send(&ask(json!({ "stream": streamed }))).await?;
        let id = output(&first, streamed)?[0]["id"].clone();
        let before = double.seen_at("/v1/chat/completions").len();
        for stream in [false, true] {
            check_not_kept(&another.send(&ask(gone_on(&id, json!({ "stream": stream })))).await?)?;
        }
        ensure!(double.seen_at("/v1/chat/completions").len() == before, "an engine was asked");
        output(&mine.send(&ask(gone_on(&id, json!({})))).await?, false)?;
    }
    daemon.stop().await
}

#[tokio::test]
async fn programs_without_a_key_are_one_caller_and_nobody_who_has_one() -> Result<()> {
    let (double, daemon) = engine("ollama", None, "").await?;
    let keyed = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let (one, another) = (daemon.plain(false)?, daemon.plain(true)?);
    for streamed in [false, true] {
        let theirs =
            output(&plain(one, &ask(json!({ "stream": streamed }))).await?, streamed)?[0]["id"].clone();
        output(&plain(another, &ask(gone_on(&theirs, json!({})))).await?, false)?;
        let seen = double.seen_at("/api/chat");
        let sent = seen.last().context("nothing was asked")?.request.json();
        ensure!(sent["messages"][1]["content"] == PARIS, "{sent}");
        let own = output(&keyed.send(&ask(json!({ "stream": streamed }))).await?, streamed)?[0]["id"].clone();
        let before = double.seen_at("/api/chat").len();
        check_not_kept(&keyed.send(&ask(gone_on(&theirs, json!({})))).await?)?;
        check_not_kept(&plain(one, &ask(gone_on(&own, json!({})))).await?)?;
        ensure!(double.seen_at("/api/chat").len() == before, "an engine was asked");
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_restart_forgets_them_and_its_clients_hear_so() -> Result<()> {
    let (dir, models) = (tempfile::tempdir()?, vec![Model::new("tiny", false), Model::new("think", true)]);
    let double = Double::start(Ollama::with(models)).await;
    let mut setup = Setup::backend("ollama", &double.url());
    setup.state = false;
    setup.arguments = vec!["--state-dir".to_owned(), dir.path().join("state").display().to_string()];
    let before = Daemon::start(&setup).await?;
    let made = admin::make(&before, &json!({"name": "laptop"})).await?;
    let caller = Caller::keyless(&before, Version::H2, Family::V4).await?.with_key(Some(&made.key));
    let thinking = json!({"model": "think", "reasoning": {"effort": "low"}});
    let first = output(&caller.send(&ask(thinking)).await?, false)?;
    ensure!(first[0]["type"] == "reasoning" && first[1]["type"] == "message", "{first}");
    let keyless = output(&plain(before.plain(false)?, &ask(json!({}))).await?, false)?;
    output(&caller.send(&ask(gone_on(&first[1]["id"], json!({})))).await?, false)?;
    before.stop().await?;

    let after = Daemon::start(&setup).await?;
    let caller = Caller::keyless(&after, Version::H2, Family::V4).await?.with_key(Some(&made.key));
    for stream in [false, true] {
        let answer = caller.send(&ask(gone_on(&first[1]["id"], json!({ "stream": stream })))).await?;
        check_not_kept(&answer)?;
        ensure!(answer.text().contains("until a restart"), "{}", answer.text());
        let answer =
            plain(after.plain(false)?, &ask(gone_on(&keyless[0]["id"], json!({ "stream": stream })))).await?;
        check_not_kept(&answer)?;
    }
    // Without a thought the model thinks anew.
    let answer = caller.send(&ask(gone_on(&first[0]["id"], json!({})))).await?;
    output(&answer, false)?;
    let named = answer.header("x-ghostllm-ignored");
    ensure!(named == Some("item_reference"), "{named:?}");
    after.stop().await
}

#[tokio::test]
async fn where_store_is_false_or_nothing_may_be_held_it_is_refused() -> Result<()> {
    for (limits, store) in [("", json!(false)), ("recall = 0", json!(true)), ("recall = 0", Value::Null)] {
        let (double, daemon) = engine("ollama", None, limits).await?;
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        for streamed in [false, true] {
            let first = caller.send(&ask(json!({"store": store, "stream": streamed}))).await?;
            let id = output(&first, streamed)?[0]["id"].clone();
            let before = double.seen_at("/api/chat").len();
            check_not_kept(&caller.send(&ask(gone_on(&id, json!({})))).await?)
                .with_context(|| format!("{limits} {store}"))?;
            ensure!(double.seen_at("/api/chat").len() == before, "an engine was asked");
        }
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_answer_is_not_kept() -> Result<()> {
    let (_double, daemon) = engine("openai", Some(Sin::FinAfter(4)), "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&ask(json!({"stream": true}))).await?;
    let stream = Response::read(&answer.body)?;
    let failed = stream.events.iter().find(|event| event["type"] == "response.failed");
    let failed = &failed.with_context(|| answer.text())?["response"];
    let id = &failed["output"][0]["id"];
    ensure!(id.as_str().is_some_and(|id| id.starts_with("msg_")), "{failed}");
    check_not_kept(&caller.send(&ask(gone_on(id, json!({})))).await?)?;
    daemon.stop().await
}
