//! Whoever guesses a key hears the same of every guess, and nothing of it is written down (LiteLLM's CVE-2026-42208 came in by
//! the path on which a bad key was logged).

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::raw,
    daemon::{Daemon, Setup},
    kept::{Dialer, Place, Sender, Version},
};
use http::HeaderValue;

/// Stands in every guess that is made by hand, so that no escaping hides it.
const MARK: &str = "GUESSED0mark7";
/// Guesses by chance on each version.
const RANDOM: usize = 1000;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Some of ASCII, without what JSON escapes, so that it would be found in the log.
const VISIBLE: &[u8] = b"!#$%&()*+,-./0123456789:;<=>?@AZ[]^_`az{|}~";
/// The fields that a key may come in, and what stands before it there.
const FIELDS: [(&str, &str); 3] = [("authorization", "Bearer "), ("x-api-key", ""), ("api-key", "")];

/// A text of the shape of a key, whose checksum is right.
fn forged(id: &str, secret: &str) -> String {
    let body = format!("gllm_{id}{secret}");
    let fold = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    let mut crc = !body.bytes().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), fold));
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(crc % 62) as usize];
        crc /= 62;
    }
    body + str::from_utf8(&digits).unwrap()
}

/// What is known to have broken somebody's door.
fn known(key: &str) -> Vec<Vec<u8>> {
    let id = &key[5..13];
    let secret = format!("{MARK}{}", &key[13 + MARK.len()..56]);
    let (known, mistyped) = (forged(id, &secret), format!("{}{MARK}{}", &key[..20], &key[20 + MARK.len()..]));
    let mut guesses: Vec<Vec<u8>> = [
        format!("gllm_{MARK}' OR '1'='1"),
        format!("{MARK}\"; DROP TABLE keys; --"),
        format!("gllm_{MARK}' UNION SELECT sha256 FROM keys --"),
        format!("gllm_{MARK}"),
        format!("{MARK}\\u0000\\x00%00"),
        format!("{MARK}${{jndi:ldap://localhost/a}}{{{{7*7}}}}"),
        format!("{MARK}\u{202e}\u{2028}é"),
        format!("{MARK}{}", "A".repeat(8 << 10)),
        format!("gllm_{MARK}{}", "é".repeat(4 << 10)),
        known.clone(),
        mistyped,
        forged("AAAAAAAA", &secret),
        format!("{known} {known}"),
        format!("{known},"),
        format!("{known}{MARK}"),
    ]
    .map(String::into_bytes)
    .into();
    guesses.push([MARK.as_bytes(), b"\xff\xfe\x80"].concat());
    guesses.push([b"gllm_\xc3\x28".as_slice(), MARK.as_bytes()].concat());
    guesses
}

/// So many texts by chance, the same ones in every run, half of them of a key's shape but for the checksum.
fn random(count: usize) -> Vec<Vec<u8>> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut draw = move |below: usize| {
        // xorshift64 (Marsaglia).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let shaped = |draw: &mut dyn FnMut(usize) -> usize| {
        let digits: Vec<u8> = (0..57).map(|_| ALPHABET[draw(62)]).collect();
        [b"gllm_".as_slice(), &digits].concat()
    };
    let free = |draw: &mut dyn FnMut(usize) -> usize| {
        let length = 12 + draw(100);
        (0..length).map(|_| VISIBLE[draw(VISIBLE.len())]).collect()
    };
    (0..count).map(|at| if at % 2 == 0 { shaped(&mut draw) } else { free(&mut draw) }).collect()
}

/// A connection that is made anew when it was closed.
struct Guesser {
    dialer: Dialer,
    sender: Option<Sender>,
}

impl Guesser {
    async fn guess(&mut self, field: (&'static str, HeaderValue)) -> Result<(u16, Vec<u8>)> {
        let sender = match self.sender.take() {
            Some(sender) => sender,
            None => self.dialer.dial().await?,
        };
        let (head, mut body) = sender.heard(self.dialer.get("/v1/models", field)?).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = body.piece().await? {
            bytes.extend_from_slice(&piece);
        }
        let closed = head.headers.get("connection").is_some_and(|value| value == "close");
        self.sender = (!closed).then_some(sender);
        Ok((head.status.as_u16(), bytes))
    }
}

/// Makes every guess on one version; gives back the sizes of the refusals.
async fn refused(daemon: &Daemon, version: Version, guesses: &[Vec<u8>]) -> Result<BTreeSet<usize>> {
    let port = if version == Version::H3 { daemon.quic.context("HTTP/3")? } else { daemon.tls };
    let address = ([127, 0, 0, 1], port).into();
    let place = Place { version, address, ca: daemon.state("ca/ca.pem"), key: None };
    let mut guesser = Guesser { dialer: Dialer::new(&place)?, sender: None };
    let mut sizes = BTreeSet::new();
    for (at, guess) in guesses.iter().enumerate() {
        let (name, before) = FIELDS[at % FIELDS.len()];
        let value = HeaderValue::from_bytes(&[before.as_bytes(), guess].concat())?;
        let shown = String::from_utf8_lossy(guess);
        let answer = guesser.guess((name, value)).await;
        let (status, body) = answer.with_context(|| format!("{version}, {name}: {shown}"))?;
        let text = String::from_utf8_lossy(&body);
        ensure!(!text.contains(MARK) && !text.contains(&*shown), "{version} repeats it: {text}");
        match status {
            401 => drop(sizes.insert(body.len())),
            _ => anyhow::bail!("{version}, {name}: {status} {text} for {shown}"),
        }
    }
    Ok(sizes)
}

#[tokio::test]
async fn no_guess_is_let_in_told_apart_or_written_down() -> Result<()> {
    // Whoever guesses often is asked to wait, which is another test's.
    let setup = Setup::backend("ollama", "http://127.0.0.1:1")
        .with_limits("wrong_keys = 100000")
        .with_environment("GHOSTLLM_LOG__LEVEL", "trace");
    let daemon = Daemon::start(&setup).await?;
    daemon.secret(MARK);
    let key = daemon.key.clone().context("no key")?;
    let guesses = [known(&key), random(RANDOM)].concat();
    let mut all = BTreeSet::new();
    for version in [Version::H1, Version::H2, Version::H3] {
        let sizes = refused(&daemon, version, &guesses).await?;
        println!("{version}: {} guesses, answers of {sizes:?} bytes", guesses.len());
        all.extend(sizes);
    }
    ensure!(all.len() == 1, "a refusal's size tells guesses apart: {all:?}");
    let log = daemon.stderr();
    ensure!(log.contains("\"status\":401"), "the log does not tell of refusals:\n{log}");
    for guess in guesses.iter().filter_map(|guess| str::from_utf8(guess).ok()) {
        ensure!(!log.contains(guess), "the log has {guess}");
    }
    daemon.stop().await
}

/// What HTTP forbids in a field is refused before anybody looks for a key; only HTTP/1.1's client can be made to send it.
#[tokio::test]
async fn what_is_no_header_is_refused_and_not_repeated() -> Result<()> {
    let setup =
        Setup::backend("ollama", "http://127.0.0.1:1").with_environment("GHOSTLLM_LOG__LEVEL", "trace");
    let daemon = Daemon::start(&setup).await?;
    daemon.secret(MARK);
    let ca = std::fs::read(daemon.state("ca/ca.pem"))?;
    for value in
        [format!("Bearer gllm_{MARK}\0"), format!("Bearer \x1b]0;{MARK}\x07"), format!("Bearer {MARK}\r x")]
    {
        let request = format!("GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: {value}\r\n\r\n");
        let answer = raw(([127, 0, 0, 1], daemon.tls).into(), Some(&ca), request.as_bytes()).await?;
        ensure!(answer.starts_with("HTTP/1.1 400"), "{value:?}: {answer}");
        ensure!(!answer.contains(MARK), "it is repeated: {answer}");
    }
    daemon.stop().await
}
