//! What `/metrics` shows, line by line.
//!
//! Knows the text format as far as our own metrics need it. Refuses to know which metrics there are.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::{Instant, sleep};

use crate::{
    client::{Request, plain},
    daemon::Daemon,
};

/// How long it is waited for figures that come.
const PATIENCE: Duration = Duration::from_secs(20);

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its labels, as they stand there.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

/// All samples of one answer.
#[derive(Debug, Clone)]
pub struct Sheet {
    /// The answer itself.
    pub text: String,
    /// The samples in it.
    pub samples: Vec<Sample>,
}

impl Sheet {
    /// Reads an answer.
    ///
    /// # Errors
    /// A line is no sample.
    pub fn read(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples =
            lines.map(|line| sample(line).with_context(|| line.to_owned())).collect::<Result<_>>()?;
        Ok(Self { text: text.to_owned(), samples })
    }

    /// What the plain port shows now.
    ///
    /// # Errors
    /// It is not answered with 200, or is no metrics.
    pub async fn of(daemon: &Daemon) -> Result<Self> {
        let answer = plain(daemon.plain(false)?, &Request::get("/metrics")).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Self::read(&answer.text())
    }

    /// Asks until the figures are so, and gives them then.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn until(daemon: &Daemon, are: impl Fn(&Self) -> bool) -> Result<Self> {
        let end = Instant::now() + PATIENCE;
        loop {
            let sheet = Self::of(daemon).await?;
            if are(&sheet) {
                return Ok(sheet);
            }
            if Instant::now() > end {
                bail!("the figures are not so:\n{}", sheet.text);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The samples of this name that have these labels.
    pub fn such<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        let has = |sample: &Sample, (name, value): &(&str, &str)| {
            sample.labels.iter().any(|(own, is)| own == name && is == value)
        };
        self.samples
            .iter()
            .filter(move |sample| sample.name == name && labels.iter().all(|label| has(sample, label)))
    }

    /// All of them together; 0 where there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.such(name, labels).map(|sample| sample.value).sum()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> usize {
        self.such(name, labels).count()
    }
}

fn sample(line: &str) -> Result<Sample> {
    let (name, rest) = match line.find(['{', ' ']).context("no name")? {
        at if line[at..].starts_with('{') => (&line[..at], &line[at + 1..]),
        at => {
            return Ok(Sample {
                name: line[..at].to_owned(),
                labels: Vec::new(),
                value: line[at + 1..].parse()?,
            });
        }
    };
    let (labels, value) = labels(rest)?;
    Ok(Sample { name: name.to_owned(), labels, value: value.trim().parse()? })
}

/// The labels, and what stands behind the brace that ends them.
fn labels(mut rest: &str) -> Result<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    while !rest.starts_with('}') {
        let (name, behind) = rest.split_once("=\"").context("no label")?;
        let (mut value, mut chars) = (String::new(), behind.char_indices());
        let end = loop {
            match chars.next().context("no end of a label")? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().context("nothing escaped")?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((name.trim_start_matches(',').to_owned(), value));
        rest = &behind[end + 1..];
    }
    Ok((labels, &rest[1..]))
}
