//! The store room as a program of its own, for tests that kill it, trace it and take its disk away.
//!
//! `store-writer load DIR` takes the state directory, says which number it found, and writes the next ones for ever.
//! `store-writer steps DIR` does one thing for each line that it reads: `save` the next number, `save BYTES` the same in a
//! file that large, `look` whether a standing alert is over. `store-writer open DIR` reads what a start reads, without a
//! socket: certificates and keys.
//!
//! One line of standard output for each thing done, written when it is done and not before; the log is on standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

use std::{
    env,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use ghostllm::{
    certificates::{Certificates, Files},
    host::Host,
    store::{
        Claim, StateDir, StateError,
        keys::{self, Keys, Show},
        versioned::Versioned,
    },
};
use ghostllm_core::state::{Damage, Kind, Step};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::OffsetDateTime;

/// The state file that it writes.
const FILE: &str = "load.json";
/// How often the number is repeated under load: several blocks, so that a file can be torn.
const REPEATED: usize = 2000;

/// A number, and the same again and again.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Load {
    number: u64,
    again: Vec<u64>,
}

impl Load {
    fn new(number: u64, repeated: usize) -> Self {
        Self { number, again: vec![number; repeated] }
    }
}

impl Kind for Load {
    const NAME: &'static str = "load";
    const STEPS: &'static [Step] = &[];

    fn read(content: &str) -> Result<Self, Damage> {
        let load: Self = serde_json::from_str(content)?;
        let same = load.again.iter().all(|again| *again == load.number);
        same.then_some(load).ok_or_else(|| Damage("parts of two files".to_owned()))
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(self)
    }
}

/// The file, and the number that is in it.
struct Writer {
    state: StateDir,
    file: Versioned<Load>,
    number: u64,
    _claim: Claim,
}

impl Writer {
    /// Takes the directory and says what is in it.
    fn open(directory: &Path) -> Result<Self, String> {
        let (state, claim) = StateDir::claim(directory).map_err(|error| error.to_string())?;
        let file = Versioned::<Load>::new(&state, FILE);
        let load = file.load(OffsetDateTime::now_utc()).map_err(|error| error.to_string())?;
        let number = load.unwrap_or_default().number;
        tell(&format!("found {number}"));
        Ok(Self { state, file, number, _claim: claim })
    }

    fn save(&mut self, repeated: usize) -> Result<u64, StateError> {
        self.file.save(&Load::new(self.number + 1, repeated))?;
        self.number += 1;
        Ok(self.number)
    }

    fn step(&mut self, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("look", _) => {
                self.state.look_again();
                tell(if self.state.is_alarmed() { "alarmed" } else { "well" });
            }
            (_, bytes) => match self.save(bytes.parse().unwrap_or(100) / 2) {
                Ok(number) => tell(&format!("saved {number}")),
                Err(error) => {
                    let answer = error.answer();
                    let (status, code) = (answer.status().as_u16(), answer.code().text().unwrap_or_default());
                    tell(&format!("refused {status} {code} {}", answer.message()));
                }
            },
        }
    }
}

/// Whoever reads this may rely on it.
fn tell(line: &str) {
    println!("{line}");
    // Nobody is left to tell if the reader has gone; its next kill comes anyway.
    let _told = io::stdout().flush();
}

/// The certificates' part of the directory, as the daemon has it.
struct CaFiles {
    folder: StateDir,
    state: StateDir,
}

/// The name in the folder.
fn inner(name: &str) -> &str {
    name.trim_start_matches("ca/")
}

impl Files for CaFiles {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(inner(name)).map_err(io::Error::other)
    }

    fn write_private(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.folder.write_private(inner(name), bytes).map_err(io::Error::other)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }
}

/// What a start makes of the state: the CA's fingerprint and how many keys there are.
fn open(directory: &Path) -> Result<(), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let now = OffsetDateTime::now_utc();
    let (state, _claim) = StateDir::claim(directory).map_err(|error| text(&error))?;
    let files = CaFiles { folder: state.dir("ca").map_err(|error| text(&error))?, state: state.clone() };
    // A box of this name, wherever the test runs.
    let host = Host::new("box", "", &[]);
    let (certificates, said) =
        Certificates::open(files, None, &host, &[], now).map_err(|error| text(&error))?;
    for said in said {
        eprintln!("{said:?}");
    }
    let opened = Keys::open(&state, now, keys::random, Show::InFile).map_err(|error| text(&error))?;
    let print = certificates.trust().map(|trust| trust.fingerprint.to_owned()).unwrap_or_default();
    tell(&format!("opened {} keys {print}", opened.keys.count()));
    Ok(())
}

fn run(mode: &str, directory: &Path) -> Result<(), String> {
    match mode {
        "load" => {
            let mut writer = Writer::open(directory)?;
            loop {
                let number = writer.save(REPEATED).map_err(|error| error.to_string())?;
                tell(&format!("saved {number}"));
            }
        }
        "steps" => {
            let mut writer = Writer::open(directory)?;
            for line in io::stdin().lock().lines() {
                writer.step(&line.map_err(|error| error.to_string())?);
            }
            Ok(())
        }
        "open" => open(directory),
        other => Err(format!("\"{other}\" is neither load, steps nor open")),
    }
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [mode, directory] = arguments.as_slice() else {
        eprintln!("usage: store-writer load|steps|open DIR");
        return ExitCode::from(2);
    };
    match run(mode, Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("store-writer: {error}");
            ExitCode::FAILURE
        }
    }
}
