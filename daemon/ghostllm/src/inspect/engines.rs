//! Where models are: the daemon's backends, or those of the configuration, and what else is found here.
//!
//! Knows backends' own ways to list their models and to tell their version. Invariant: nobody is shown a key, and no file is handed to
//! an engine; of a file, only whether it can be read is looked at.

use std::{
    env,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::join_all;
use ghostllm_core::{
    admin::{BackendInfo, BackendList, InspectedEngine, ModelInfo},
    config::{self, BackendUrl, Config, Limits, Target, Timeouts},
    error::BackendFault,
    routing::Model,
};

use super::{WITHIN, in_time};
use crate::{
    backend::{Backend, Place, peek},
    tasks::engine::{PROGRAM, UNITS_SOCKET},
};

/// A version is shorter, and so is the answer that tells it.
const VERSION: usize = 64;
const VERSION_ANSWER: usize = 16 << 10;
/// More files are not counted.
const MOST_FILES: usize = 10_000;

/// An engine, and the models that it has told.
type Seen = (InspectedEngine, Vec<Model>);

/// Looks; gives the models as well, where the daemon has told none.
pub(super) async fn look(
    config: &Config,
    state: Option<&Path>,
    known: Option<&BackendList>,
) -> (Vec<InspectedEngine>, Vec<ModelInfo>) {
    let named = !config.backends.is_empty();
    let limits = quick();
    let ours = async {
        match known {
            Some(list) => join_all(list.backends.iter().map(|info| of_the_daemon(info, named))).await,
            None => join_all(config.backends.iter().map(|backend| configured(backend, &limits))).await,
        }
    };
    let url = &config.default_ollama;
    let is_there = |at: &str| at == url.to_string();
    let listed = match known {
        Some(list) => list.backends.iter().any(|info| is_there(&info.at)),
        None => config.backends.iter().any(|backend| match &backend.target {
            Target::Ollama(at) => at == url,
            Target::OpenAi(_) | Target::Gguf(_) => false,
        }),
    };
    let ollama = async { if listed { None } else { Some(ollama(url, &limits).await) } };
    let runs = known.is_some_and(|list| list.backends.iter().any(|info| info.kind == "engine"));
    let engine = async { if runs { None } else { Some(engine(&config.engine, state, &limits).await) } };
    let (ours, ollama, engine) = tokio::join!(ours, ollama, engine);
    let all: Vec<Seen> = ours.into_iter().chain(ollama).chain(engine).collect();
    let models = all.iter().flat_map(|(engine, models)| {
        models.iter().map(|model| ModelInfo {
            id: model.id.clone(),
            backend: engine.name.clone(),
            up: true,
            requests: 0,
            target: None,
            hidden: false,
        })
    });
    let models = models.collect();
    (all.into_iter().map(|(engine, _)| engine).collect(), models)
}

/// Limits by which nobody is waited for as long as a daemon would wait.
fn quick() -> Arc<Limits> {
    Arc::new(Limits {
        backend_connect: WITHIN,
        backend_first_byte: WITHIN,
        backend_idle: WITHIN,
        backend_list: WITHIN,
        backend_error_wait: WITHIN,
        ..Limits::default()
    })
}

async fn of_the_daemon(info: &BackendInfo, configured: bool) -> Seen {
    let BackendInfo { name, kind, at, up, fault, models, .. } = info.clone();
    let version = version(&kind, at.parse().ok().as_ref()).await;
    let engine = InspectedEngine { name, kind, at, configured, answers: up, version, models, fault };
    (engine, Vec::new())
}

async fn configured(backend: &config::Backend, limits: &Arc<Limits>) -> Seen {
    let (name, kind) = (backend.name.as_str().to_owned(), backend.target.kind().word().to_owned());
    let url = match &backend.target {
        Target::Ollama(url) | Target::OpenAi(url) => url.clone(),
        Target::Gguf(path) => return file(name, path.clone()).await,
    };
    let timeouts = Timeouts { connect: WITHIN, first_byte: WITHIN, idle: WITHIN };
    let keyed = backend.key_file.is_some();
    let (quick, limits) =
        (config::Backend { key_file: None, timeouts, ..backend.clone() }, Arc::clone(limits));
    let made = in_time(move || Backend::configured(&quick, None, &limits));
    let heard = async {
        match made.await {
            Some(Ok(made)) => {
                made.models().await.map_err(|fault| (is_asking_for_a_key(&fault), fault.to_string()))
            }
            Some(Err(why)) => Err((false, why.to_string())),
            None => Err((false, "what its certificate is checked against cannot be read in time".to_owned())),
        }
    };
    let (heard, version) = tokio::join!(heard, version(&kind, Some(&url)));
    let engine = |answers, models, fault| InspectedEngine {
        name,
        kind,
        at: url.to_string(),
        configured: true,
        answers: Some(answers),
        version,
        models,
        fault,
    };
    match heard {
        Ok(models) => (engine(true, models.len(), None), models),
        Err((true, _)) if keyed => {
            let why = "it wants its key, which only the daemon shows it".to_owned();
            (engine(true, 0, Some(why)), Vec::new())
        }
        Err((answers, why)) => (engine(answers, 0, Some(why)), Vec::new()),
    }
}

fn is_asking_for_a_key(fault: &BackendFault) -> bool {
    matches!(fault, BackendFault::Answered { status: 401 | 403, .. })
}

async fn ollama(url: &BackendUrl, limits: &Arc<Limits>) -> Seen {
    let heard = async {
        match Backend::found_ollama(url, limits) {
            Ok(made) => made.models().await.map_err(|fault| fault.to_string()),
            Err(why) => Err(why.to_string()),
        }
    };
    let (heard, version) = tokio::join!(heard, version("ollama", Some(url)));
    let engine = |answers, models, fault| InspectedEngine {
        name: "ollama".to_owned(),
        kind: "ollama".to_owned(),
        at: url.to_string(),
        configured: false,
        answers: Some(answers),
        version,
        models,
        fault,
    };
    match heard {
        Ok(models) => (engine(true, models.len(), None), models),
        Err(why) => (engine(false, 0, Some(why)), Vec::new()),
    }
}

/// What it calls its version; none where it tells none.
async fn version(kind: &str, url: Option<&BackendUrl>) -> Option<String> {
    let route = match kind {
        "ollama" => "/api/version",
        // vLLM's; llama.cpp's server has none that is open.
        "openai" => "/version",
        _ => return None,
    };
    let asked = peek(&Place::Url(url?.clone()), route, VERSION_ANSWER, WITHIN).await.ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&asked).ok()?;
    let version = answer.get("version")?.as_str()?;
    (!version.is_empty() && version.len() <= VERSION).then(|| version.to_owned())
}

async fn file(name: String, path: PathBuf) -> Seen {
    let at = path.display().to_string();
    let opened = in_time(move || {
        let facts = File::open(&path)?.metadata()?;
        if facts.is_file() {
            Ok(())
        } else {
            Err(std::io::Error::new(ErrorKind::InvalidInput, "it is no file"))
        }
    });
    let fault = match opened.await {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(format!("it cannot be read: {error}")),
        None => Some("its disk does not answer".to_owned()),
    };
    let models = usize::from(fault.is_none());
    let kind = "gguf".to_owned();
    (
        InspectedEngine { name, kind, at, configured: true, answers: None, version: None, models, fault },
        Vec::new(),
    )
}

/// Our own: somebody else's where there is a socket, else the program that the daemon would start.
async fn engine(config: &config::Engine, state: Option<&Path>, limits: &Arc<Limits>) -> Seen {
    let unit = Some(PathBuf::from(UNITS_SOCKET)).filter(|path| path.exists());
    if let Some(socket) = config.socket.clone().or(unit) {
        let heard = match Backend::engine(&socket, limits) {
            Ok(made) => made.models().await.map_err(|fault| fault.to_string()),
            Err(why) => Err(why.to_string()),
        };
        let at = socket.display().to_string();
        return match heard {
            Ok(models) => (program(at, Some(true), models.len(), None), models),
            Err(why) => (program(at, Some(false), 0, Some(why)), Vec::new()),
        };
    }
    let beside = || env::current_exe().ok().map(|own| own.with_file_name(PROGRAM));
    let binary = config.binary.clone().or_else(beside).unwrap_or_else(|| PathBuf::from(PROGRAM));
    let directory = config.models.clone().or_else(|| Some(state?.join("models")));
    let at = binary.display().to_string();
    let looked = in_time(move || {
        let fault = match fs::metadata(&binary) {
            Ok(facts) if facts.is_file() => None,
            Ok(_) => Some("it is no file".to_owned()),
            Err(error) => Some(format!("the engine's program cannot be found: {error}; see engine.binary")),
        };
        (fault, directory.map_or(0, |directory| files(&directory)))
    });
    let (fault, models) = looked.await.unwrap_or_else(|| (Some("its disk does not answer".to_owned()), 0));
    (program(at, None, models, fault), Vec::new())
}

fn program(at: String, answers: Option<bool>, models: usize, fault: Option<String>) -> InspectedEngine {
    let name = "engine".to_owned();
    InspectedEngine { kind: name.clone(), name, at, configured: false, answers, version: None, models, fault }
}

/// How many GGUF files lie there.
fn files(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().take(MOST_FILES).flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "gguf")).count()
}
