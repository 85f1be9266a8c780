//! `ghostllm bench`: how long a model takes through the gateway, and beside it.
//!
//! Knows the order of the steps. Refuses to know arguments and how the program ends. Invariants: it measures a daemon that runs and changes
//! nothing of it; both legs get the same requests; what is not known is said, with the reason, and not made up.

mod answer;
mod desk;
mod figures;
mod leg;
mod load;
mod plot;
mod progress;
mod screen;
mod target;
mod text;
mod unmeasured;

use std::{path::PathBuf, pin::pin, sync::Arc};

use aws_lc_rs::rand;
use ghostllm_core::admin::{BenchEnd, BenchLeg, BenchOverhead, Benched, FORM};
use ghostllm_edge::client::DialError;
use http::{StatusCode, Version};

use answer::Sample;
use desk::Desk;
use figures::{Better, cost, figure, thousandths};
use leg::{Asked, Direct, Gateway, Seat};
use load::{Leg, Plan, Tally};
use progress::Progress;
use screen::Screen;
use target::{Choice, House};
pub(crate) use unmeasured::Unmeasured;

/// What is said of the prompts.
const PROMPTS: &str = "unique, each with a number in front, so that no engine answers out of its cache";
/// Without a name, so many models are tried: those that cannot chat refuse at once.
const MOST_TRIED: usize = 16;

/// What is to be measured.
#[derive(Debug)]
pub(crate) struct Order {
    /// The model; none for the first that answers a chat.
    pub(crate) model: Option<String>,
    /// Requests at a time.
    pub(crate) at_once: usize,
    /// Requests of each leg.
    pub(crate) requests: usize,
    /// Tokens of an answer at the most.
    pub(crate) max_tokens: u32,
    /// What is spoken with the gateway.
    pub(crate) http: Version,
    /// A file with the CA to trust.
    pub(crate) ca: Option<PathBuf>,
    /// The daemon's state directory.
    pub(crate) state: Option<PathBuf>,
    /// Its admin socket, where a person has named it.
    pub(crate) socket: Option<PathBuf>,
    /// The one that this box's configuration sets.
    pub(crate) set: Option<PathBuf>,
}

/// What was measured: the form, and each answer's figures for the plot.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The form.
    pub(crate) benched: Benched,
    values: Values,
}

#[derive(Debug, Default)]
struct Values {
    gateway: Answers,
    direct: Answers,
}

/// Figures of a leg's answers, in milliseconds and tokens a second.
#[derive(Debug, Default)]
struct Answers {
    first: Vec<f64>,
    rate: Vec<f64>,
    whole: Vec<f64>,
}

impl Measured {
    /// For a person.
    pub(crate) fn text(&self) -> String {
        text::whole(&self.benched, &self.values, &Screen::of(&std::io::stdout()))
    }

    /// How many requests were not answered.
    pub(crate) fn failed(&self) -> usize {
        let legs = [Some(&self.benched.gateway), self.benched.direct.as_ref()];
        legs.into_iter().flatten().flat_map(|leg| &leg.errors).map(|error| error.count).sum()
    }
}

/// How the version is called.
fn spoken(http: Version) -> &'static str {
    match http {
        Version::HTTP_3 => "HTTP/3",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Measures, until it is done or somebody presses Ctrl-C.
///
/// # Errors
/// Nothing was measured.
pub(crate) async fn run(order: &Order) -> Result<Measured, Unmeasured> {
    let mut progress = Progress::new(order.at_once);
    let mut interrupt = pin!(interrupted());
    let prepared = tokio::select! {
        prepared = Ready::prepare(order, &mut progress) => prepared,
        () = &mut interrupt => Err(Unmeasured::Interrupted),
    };
    progress.clear();
    let Ready { mut legs, plan, choice, kind, at, missing } = prepared?;
    progress.again(plan.requests * legs.len());
    let ended = tokio::select! {
        ended = load::run(&mut legs, &plan, &mut progress) => ended,
        () = &mut interrupt => BenchEnd::Interrupted,
    };
    progress.clear();
    for leg in &mut legs {
        leg.close().await;
    }
    let tallies = legs.into_iter().map(|leg| leg.tally);
    Ok(summed(order, &plan, (&choice, kind), (tallies, at), missing, ended))
}

/// Until somebody presses Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // The system does not tell: the signal itself ends the program then.
        std::future::pending::<()>().await;
    }
}

/// Everything is there that is needed.
struct Ready {
    legs: Vec<Leg>,
    plan: Plan,
    choice: Choice,
    kind: Option<String>,
    /// Where each leg leads.
    at: Vec<String>,
    missing: Option<String>,
}

impl Ready {
    async fn prepare(order: &Order, progress: &mut Progress) -> Result<Self, Unmeasured> {
        let desk = Desk::find(order)?;
        let house = House::look(desk).await?;
        let key = target::key()?;
        let gateway = Arc::new(house.gateway(order, &key).await?);
        let choices = house.choices(order.model.as_deref()).await?;
        let mut plan = Plan {
            requests: order.requests,
            at_once: order.at_once,
            max_tokens: order.max_tokens,
            first: random()?,
        };
        let choice = chosen(&house, &gateway, choices, &mut plan, order).await?;
        let seats =
            gateway.seats(&choice.model, order.at_once).await.map_err(|error| no_way(&error, order))?;
        let mut through = Leg::new("gateway", seats);
        let mut at = vec![format!("https://{}", gateway.authority)];
        let many = u64::try_from(order.at_once).unwrap_or(u64::MAX);
        load::warm_up(&mut through, plan.first, &plan, progress).await.map_err(|error| {
            Unmeasured::Failed(format!(
                "{} does not answer through the gateway: {}. See why: ghostctl status",
                choice.model, error.message
            ))
        })?;
        plan.first += many;
        let mut legs = vec![through];
        let beside = match house.direct(&choice) {
            Ok(direct) => beside(&direct, plan, progress).await,
            Err(why) => Err(why),
        };
        plan.first += many;
        let info = house.info(&choice.backend);
        let missing = match beside {
            Ok(leg) => {
                at.push(info.map(|info| info.at.clone()).unwrap_or_default());
                legs.push(leg);
                None
            }
            Err(why) => Some(why),
        };
        let kind = info.map(|info| info.kind.clone());
        Ok(Self { legs, plan, choice, kind, at, missing })
    }
}

/// The leg around the gateway, used once.
async fn beside(direct: &Direct, plan: Plan, progress: &mut Progress) -> Result<Leg, String> {
    let seats = (0..plan.at_once).map(|_| Seat::Direct(direct.clone())).collect();
    let mut leg = Leg::new("direct", seats);
    let warm = load::warm_up(&mut leg, plan.first, &plan, progress).await;
    warm.map(|()| leg).map_err(|error| error.message)
}

/// The first of them that answers. One that was named is the only one.
async fn chosen(
    house: &House,
    gateway: &Arc<Gateway>,
    choices: Vec<Choice>,
    plan: &mut Plan,
    order: &Order,
) -> Result<Choice, Unmeasured> {
    let mut last = None;
    for choice in choices.into_iter().take(MOST_TRIED) {
        let mut seats = gateway.seats(&choice.model, 1).await.map_err(|error| no_way(&error, order))?;
        let Some(mut seat) = seats.pop() else { continue };
        let answered = seat.ask(Asked { number: plan.first, max_tokens: 1 }).await;
        seat.close().await;
        plan.first += 1;
        let Err(failed) = answered else { return Ok(choice) };
        match failed.status {
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(target::wrong_key(&failed.message));
            }
            Some(StatusCode::NOT_FOUND) if order.model.is_some() => return Err(house.unknown(&choice.model)),
            // Whoever cannot chat says so; the next one may.
            Some(status) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {}
            _ => return Err(silent(&choice, &failed.message)),
        }
        last = Some(silent(&choice, &failed.message));
    }
    Err(last
        .unwrap_or_else(|| Unmeasured::Failed("no model can answer. See why: ghostctl status".to_owned())))
}

fn silent(choice: &Choice, why: &str) -> Unmeasured {
    Unmeasured::Failed(format!(
        "{} of the backend {} does not answer a chat: {}. See: ghostctl backends test {}",
        choice.model,
        choice.backend,
        why.trim_end_matches('.'),
        choice.backend
    ))
}

fn no_way(error: &DialError, order: &Order) -> Unmeasured {
    let next = match error {
        DialError::Untrusted { .. } if order.ca.is_some() => {
            "The file of --ca is not the CA of this certificate; without --ca the box's own is trusted"
        }
        DialError::Untrusted { .. } => {
            "Name the CA that has signed it with --ca FILE, or see: ghostctl cert show"
        }
        DialError::Version { .. } => "Take another --http",
        DialError::Unreachable { .. } | DialError::Unusable { .. } => {
            "See whether it serves there: ghostctl status"
        }
    };
    Unmeasured::Unreachable(format!(
        "no connection to the gateway over {}: {error}. {next}",
        spoken(order.http)
    ))
}

/// Where the numbers of the prompts begin.
fn random() -> Result<u64, Unmeasured> {
    let mut bytes = [0; 4];
    let none = |_| Unmeasured::Failed("the system gives no random numbers; try again".to_owned());
    rand::fill(&mut bytes).map_err(none)?;
    Ok(u64::from(u32::from_ne_bytes(bytes)))
}

fn summed(
    order: &Order,
    plan: &Plan,
    (choice, kind): (&Choice, Option<String>),
    (tallies, at): (impl Iterator<Item = Tally>, Vec<String>),
    direct_missing: Option<String>,
    ended: BenchEnd,
) -> Measured {
    let mut legs = tallies.zip(at).map(|(tally, at)| summed_leg(tally, at));
    let (gateway, through) = legs.next().unwrap_or_else(|| summed_leg(Tally::default(), String::new()));
    let (direct, beside) = legs.next().unzip();
    let beside = beside.unwrap_or_default();
    let overhead = direct.as_ref().map(|_| BenchOverhead {
        first_token: cost(&through.first, &beside.first, Better::Less),
        tokens_per_second: cost(&through.rate, &beside.rate, Better::More),
        answer: cost(&through.whole, &beside.whole, Better::Less),
    });
    let benched = Benched {
        version: FORM,
        ended,
        model: choice.model.clone(),
        backend: choice.backend.clone(),
        kind,
        http: spoken(order.http).to_owned(),
        at_once: plan.at_once,
        requests: plan.requests,
        max_tokens: plan.max_tokens,
        rounds: plan.rounds().len(),
        prompts: PROMPTS.to_owned(),
        gateway,
        direct,
        direct_missing,
        overhead,
    };
    Measured { benched, values: Values { gateway: through, direct: beside } }
}

fn summed_leg(tally: Tally, at: String) -> (BenchLeg, Answers) {
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let answers = Answers {
        first: tally.samples.iter().map(|sample| millis(sample.first)).collect(),
        rate: tally.samples.iter().filter_map(Sample::rate).collect(),
        whole: tally.samples.iter().map(|sample| millis(sample.whole)).collect(),
    };
    let tokens: u64 = tally.samples.iter().map(|sample| sample.tokens).sum();
    let seconds = tally.seconds();
    let in_all = u32::try_from(tokens).ok().filter(|tokens| *tokens > 0 && seconds > 0.0);
    let leg = BenchLeg {
        at,
        answered: tally.samples.len(),
        first_token_ms: figure(&answers.first, Better::Less),
        tokens_per_second: figure(&answers.rate, Better::More),
        answer_ms: figure(&answers.whole, Better::Less),
        tokens,
        counted: !tally.samples.is_empty() && tally.samples.iter().all(|sample| sample.counted),
        seconds: thousandths(seconds),
        tokens_per_second_in_all: in_all.map(|tokens| thousandths(f64::from(tokens) / seconds)),
        errors: tally.errors,
    };
    (leg, answers)
}
