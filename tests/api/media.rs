//! Pictures, sounds, videos and files inside of requests: what of them reaches which engine, and what is refused by its name before.
//!
//! Knows where clients put media, OpenAI's and those of other servers. Refuses to know what a medium shows. Invariant: what is refused was
//! asked of no engine.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    ollama::Ollama,
    openai::{OpenAi, Style},
};
use serde_json::{Value, json};

use crate::check_error;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
/// The first bytes of a PNG.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUg==";
/// Those of an MP3 without tags: a frame of 128 kbit/s, which looks like an address without its scheme.
const MP3: &str = "//uQZAAAAAAAAAAAAAAAAAAA";

/// What an engine would fetch or open.
const PLACES: [&str; 8] = [
    "https://169.254.169.254/x.png",
    "//host/x.png",
    "file:///etc/passwd",
    "/etc/passwd",
    "../x.png",
    "images/x.png",
    "file.png",
    "C:\\x.png",
];

/// A backend of each kind, with one model, before one daemon.
struct Bench {
    ollama: Double,
    vllm: Double,
    daemon: Daemon,
    caller: Caller,
}

impl Bench {
    async fn start(limits: &str) -> Result<Self> {
        let ollama = Double::start(Ollama::default()).await;
        let vllm = Double::start(OpenAi::new(Style::Vllm, "large")).await;
        let setup = Setup::backend("ollama", &ollama.url())
            .with_backend("vllm", "openai", &vllm.url(), "")
            .with_file("file", &engine::demo())
            .with_limits(limits);
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        Ok(Self { ollama, vllm, daemon, caller })
    }

    /// What the doubles were asked to say.
    fn asked(&self) -> usize {
        self.ollama.seen_at("/api/chat").len() + self.vllm.seen_at(CHAT).len()
    }

    /// A turn with these members is refused by this name, for every kind of backend.
    async fn refuses(&self, members: &Value, param: &str) -> Result<()> {
        for model in MODELS {
            let mut turn = json!({"role": "user", "content": "What is that?"});
            for (name, value) in members.as_object().into_iter().flatten() {
                turn[name] = value.clone();
            }
            let body = json!({"model": model, "max_tokens": 4, "messages": [turn]});
            self.refused(CHAT, &body, param).await?;
        }
        Ok(())
    }

    /// The engine of this model has no place for what is called so.
    async fn untaken(&self, path: &str, body: &Value, param: &str) -> Result<()> {
        let before = self.asked();
        let answer = self.caller.send(&Request::post(path, body)).await?;
        check_error(&answer, 400, Some("unsupported_parameter")).with_context(|| body.to_string())?;
        ensure!(answer.json()?["error"]["param"] == param, "{body}: {}", answer.text());
        ensure!(self.asked() == before, "{body} has reached its engine");
        Ok(())
    }

    async fn refused(&self, path: &str, body: &Value, param: &str) -> Result<()> {
        let before = self.asked();
        let answer = self.caller.send(&Request::post(path, body)).await?;
        check_error(&answer, 400, Some("invalid_value")).with_context(|| body.to_string())?;
        let error = answer.json()?["error"].clone();
        ensure!(error["param"] == param, "{body}: {error}");
        let message = error["message"].as_str().unwrap_or_default();
        ensure!(message.contains("must be a data URL"), "{body}: {error}");
        ensure!(self.asked() == before, "{body} has reached its engine");
        Ok(())
    }
}

const MODELS: [&str; 3] = ["tiny", "large", "ghostllm-demo"];

#[tokio::test]
async fn what_lies_elsewhere_is_refused_before_every_engine() -> Result<()> {
    let bench = Bench::start("").await?;
    for place in PLACES {
        for (part, member) in [
            (json!({"type": "image_url", "image_url": {"url": place}}), "image_url.url"),
            (json!({"type": "image", "image": place}), "image"),
            (json!({"type": "image", "path": place}), "path"),
            (json!({"type": "video", "video": [format!("data:image/png;base64,{PNG}"), place]}), "video"),
            (
                json!({"type": "input_audio", "input_audio": {"data": place, "format": "mp3"}}),
                "input_audio.data",
            ),
        ] {
            let param = format!("messages[0].content[0].{member}");
            bench.refuses(&json!({ "content": [part] }), &param).await?;
        }
        // Where Ollama's own chats have them.
        bench.refuses(&json!({"images": [PNG, place]}), "messages[0].images").await?;
        for model in MODELS {
            let part = json!({"type": "input_image", "image_url": place});
            let body = json!({"model": model, "input": [{"role": "user", "content": [part]}]});
            bench.refused(RESPONSES, &body, "input[0].content[0].image_url").await?;
            let body = json!({"model": model, "prompt": "Hello", "images": [place]});
            bench.refused("/v1/completions", &body, "images").await?;
        }
    }
    bench.daemon.stop().await
}

#[tokio::test]
async fn what_is_inside_of_a_request_goes_to_who_can_take_it() -> Result<()> {
    let bench = Bench::start("").await?;
    let url = format!("data:image/png;base64,{PNG}");
    let picture = json!({"type": "image_url", "image_url": {"url": url}});
    let ask = async |model: &str, turn: Value| {
        let body = json!({"model": model, "max_tokens": 4, "messages": [turn]});
        bench.caller.send(&Request::post(CHAT, &body)).await
    };
    let turn =
        |part: &Value| json!({"role": "user", "content": [{"type": "text", "text": "What is that?"}, part]});

    // A server of OpenAI's API has them as they came.
    let sound = json!({"type": "input_audio", "input_audio": {"data": MP3, "format": "mp3"}});
    let words = json!({"type": "image", "image": PNG, "caption": "https://x/y.png", "metadata": {"from": "../x.png"}});
    let native = json!({"role": "user", "content": "What is that?", "images": [PNG]});
    for (place, turn) in [turn(&picture), turn(&sound), turn(&words), native].into_iter().enumerate() {
        let answer = ask("large", turn.clone()).await?;
        ensure!(answer.status == 200, "{turn}: {}", answer.text());
        let sent = bench.vllm.seen_at(CHAT)[place].request.json()["messages"][0].clone();
        ensure!(sent == turn, "{turn} was sent as {sent}");
    }

    // An Ollama has a picture in its own place, and its model says that it sees nothing.
    let own = |images: Value| json!({"role": "user", "content": "What is that?", "images": images});
    for (nr, turn) in [turn(&picture), own(json!([PNG])), own(json!([url]))].into_iter().enumerate() {
        let answer = ask("tiny", turn.clone()).await?;
        check_error(&answer, 400, Some("invalid_value")).with_context(|| answer.text())?;
        let sent = bench.ollama.seen_at("/api/chat")[nr].request.json()["messages"][0].clone();
        ensure!(sent == own(json!([PNG])), "{turn} was sent as {sent}");
    }

    // Whoever has no place for it refuses it by its name.
    for (model, part) in [("tiny", &sound), ("ghostllm-demo", &sound), ("ghostllm-demo", &picture)] {
        let body = json!({"model": model, "max_tokens": 4, "messages": [turn(part)]});
        bench.untaken(CHAT, &body, "messages[0].content[1].type").await?;
    }
    bench.daemon.stop().await
}

#[tokio::test]
async fn each_picture_counts_and_so_does_each_frame_of_a_video() -> Result<()> {
    let bench = Bench::start("media_parts = 3").await?;
    let url = format!("data:image/png;base64,{PNG}");
    let picture = json!({"type": "image_url", "image_url": {"url": url}});
    let video = |frames: usize| json!({"type": "video", "video": vec![&url; frames]});
    let ask = async |parts: Value| {
        let body = json!({"model": "large", "messages": [{"role": "user", "content": parts}]});
        bench.caller.send(&Request::post(CHAT, &body)).await
    };
    for most in [json!([picture, picture, picture]), json!([video(3)]), json!([picture, video(2)])] {
        let answer = ask(most.clone()).await?;
        ensure!(answer.status == 200, "{most}: {}", answer.text());
    }
    let before = bench.asked();
    for (more, param) in [
        (json!([picture, picture, picture, picture]), "messages[0].content[3].image_url.url"),
        (json!([video(4)]), "messages[0].content[0].video"),
        (json!([picture, video(3)]), "messages[0].content[1].video"),
    ] {
        let answer = ask(more.clone()).await?;
        check_error(&answer, 400, Some("invalid_value")).with_context(|| more.to_string())?;
        let error = answer.json()?["error"].clone();
        ensure!(error["param"] == param, "{error}");
        let said = error["message"].as_str().unwrap_or_default();
        ensure!(said.contains("at most 3 pictures") && said.contains("limits.media_parts"), "{error}");
    }
    ensure!(bench.asked() == before, "one of them was asked for");
    bench.daemon.stop().await
}

/// Beside the parts of a content there is no other place for media than a turn's `images`, but at servers that may know one.
#[tokio::test]
async fn what_an_engine_would_not_see_of_media_is_refused_by_its_name() -> Result<()> {
    let bench = Bench::start("").await?;
    let chat = |model: &str, member: &str| json!({"model": model, "messages": [{"role": "user", "content": "What?", member: [PNG]}]});
    let beside = |model: &str, member: &str| json!({"model": model, "messages": [{"role": "user", "content": "What?"}], member: [PNG]});
    let completion =
        |model: &str| json!({"model": model, "prompt": "What?", "max_tokens": 4, "images": [PNG]});
    let response = |model: &str| json!({"model": model, "input": "What?", "images": [PNG]});
    let item = |model: &str| json!({"model": model, "input": [{"role": "user", "content": "What?", "images": [PNG]}]});
    for model in ["tiny", "ghostllm-demo"] {
        for (path, body, param) in [
            (CHAT, chat(model, "videos"), "messages[0].videos"),
            (CHAT, chat(model, "file"), "messages[0].file"),
            (CHAT, beside(model, "images"), "images"),
            ("/v1/completions", completion(model), "images"),
            (RESPONSES, response(model), "images"),
            (RESPONSES, item(model), "input[0].images"),
        ] {
            bench.untaken(path, &body, param).await?;
        }
    }
    bench.untaken(CHAT, &chat("ghostllm-demo", "images"), "messages[0].images").await?;
    for body in [chat("large", "videos"), beside("large", "images")] {
        let answer = bench.caller.send(&Request::post(CHAT, &body)).await?;
        ensure!(answer.status == 200, "{body}: {}", answer.text());
    }
    bench.daemon.stop().await
}

#[tokio::test]
async fn documents_and_sounds_of_responses_go_to_who_can_take_them() -> Result<()> {
    let bench = Bench::start("").await?;
    let data = "data:application/pdf;base64,JVBERi0xLjQK";
    let sound = json!({"data": MP3, "format": "mp3"});
    for (nr, (part, sent)) in [
        (
            json!({"type": "input_file", "filename": "a.pdf", "file_data": data}),
            json!({"type": "file", "file": {"filename": "a.pdf", "file_data": data}}),
        ),
        (
            json!({"type": "input_audio", "input_audio": sound}),
            json!({"type": "input_audio", "input_audio": sound}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let content = json!([{"type": "input_text", "text": "What is that?"}, part]);
        let body = |model: &str| json!({"model": model, "input": [{"role": "user", "content": content}]});
        let answer = bench.caller.send(&Request::post(RESPONSES, &body("large"))).await?;
        ensure!(answer.status == 200, "{part}: {}", answer.text());
        ensure!(answer.header("x-ghostllm-ignored").is_none(), "{part}: it was taken");
        let seen = bench.vllm.seen_at(CHAT)[nr].request.json()["messages"][0]["content"].clone();
        ensure!(
            seen == json!([{"type": "text", "text": "What is that?"}, sent]),
            "{part} was sent as {seen}"
        );
        for model in ["tiny", "ghostllm-demo"] {
            bench.untaken(RESPONSES, &body(model), "input[0].content[1].type").await?;
        }
    }
    bench.daemon.stop().await
}
