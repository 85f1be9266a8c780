use std::{
    io::{BufRead, BufReader, PipeReader, Read, pipe},
    os::fd::AsFd,
};

use tracing_subscriber::{layer::SubscriberExt, registry};

use super::*;

/// journald as far as its socket goes, at a path of its own.
struct Double {
    socket: Option<UnixDatagram>,
    path: &'static str,
    _dir: tempfile::TempDir,
}

impl Double {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket").into_os_string().into_string().unwrap().leak();
        let mut double = Self { socket: None, path, _dir: dir };
        double.comes();
        double
    }

    fn comes(&mut self) {
        let socket = UnixDatagram::bind(self.path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        self.socket = Some(socket);
    }

    fn goes(&mut self) {
        self.socket = None;
        std::fs::remove_file(self.path).unwrap();
    }

    /// The next record, field by field.
    fn heard(&self) -> Vec<(String, String)> {
        let mut bytes = vec![0; 1 << 20];
        let count = self.socket.as_ref().unwrap().recv(&mut bytes).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        fields(&bytes[..count]).map(|(name, value)| (text(name), text(value))).collect()
    }
}

fn output(double: &Double) -> (Journald, PipeReader) {
    let (read, write) = pipe().unwrap();
    (Journald::at(double.path, Plain::new(write.as_fd()).unwrap()).unwrap(), read)
}

/// What these events leave in the journal's queue, with `output` behind it.
fn logged(output: Journald, events: impl FnOnce()) {
    let (queue, writing) = Queue::start(output, |_lost| ()).unwrap();
    tracing::subscriber::with_default(registry().with(Journal(queue)), events);
    drop(writing);
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    &fields.iter().find(|(known, _)| known == name).unwrap().1
}

#[test]
fn an_event_is_one_datagram_with_its_fields_whatever_they_hold() {
    let double = Double::new();
    let (output, _instead) = output(&double);
    let evil = "a\nPRIORITY=0\n\0\u{1b}[31m";
    logged(output, || {
        tracing::warn!(status = 502, model = evil, empty = "", none = None::<&str>, "it failed");
        tracing::trace!(long = "\u{e4}".repeat(VALUE), "cut");
    });
    let heard = double.heard();
    assert_eq!((value(&heard, "PRIORITY"), value(&heard, "MESSAGE")), ("4", "it failed"));
    assert_eq!((value(&heard, "F_STATUS"), value(&heard, "F_MODEL")), ("502", evil));
    assert_eq!(value(&heard, "F_EMPTY"), "");
    assert_eq!(value(&heard, "SYSLOG_IDENTIFIER"), "ghostllm");
    assert_eq!(value(&heard, "TARGET"), module_path!());
    assert!(value(&heard, "CODE_FILE").ends_with("journal_tests.rs"));
    assert!(heard.iter().all(|(name, _)| name != "F_NONE"));
    assert_eq!(heard.iter().filter(|(name, _)| name == "PRIORITY").count(), 1);
    let heard = double.heard();
    let long = value(&heard, "F_LONG");
    assert_eq!(long.len(), VALUE + CUT.len());
    assert!(long.ends_with("\u{e4}\u{2026}"));
    assert_eq!(value(&heard, "PRIORITY"), "7");
}

#[test]
fn while_nobody_listens_standard_error_has_the_records_and_says_why() {
    let mut double = Double::new();
    double.goes();
    let (mut output, instead) = output(&double);
    let record = |text: &str| {
        let mut fields = Fields(Vec::new());
        fields.put("", "PRIORITY", b"3");
        fields.put("", "MESSAGE", text.as_bytes());
        fields.put(OWN, "cause", b"\"\n");
        fields.0
    };
    assert!(output.send(&record("before")).is_err());
    let mut batch = Batch::default();
    ["one", "two"].iter().for_each(|text| batch.push(&record(text)));
    assert_eq!(output.hand_on(&batch), 0);
    let mut lines = BufReader::new(instead).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let words = next();
    assert_eq!(words["level"], "WARN");
    assert!(words["message"].as_str().unwrap().starts_with("the journal takes nothing (No such file"));
    for text in ["one", "two"] {
        let line = next();
        assert_eq!((&line["level"], &line["message"]), (&"ERROR".into(), &text.into()));
        assert_eq!(line["cause"], "\"\n");
    }
    // It is back, at the same path.
    double.comes();
    assert_eq!(output.hand_on(&batch), 0);
    assert_eq!(value(&double.heard(), "MESSAGE"), "one");
    assert!(!output.away);
}

#[test]
fn a_journal_that_takes_nothing_is_waited_for_by_the_thread_alone() {
    let double = Double::new();
    let (output, mut instead) = output(&double);
    let (queue, writing) = Queue::start(output, |_lost| ()).unwrap();
    tracing::subscriber::with_default(registry().with(Journal(queue)), || {
        // Far more than its socket holds (net.unix.max_dgram_qlen), and nobody reads: were one waited for here, this would hang.
        (0..500).for_each(|number| tracing::info!(number, "one"));
    });
    for number in 0..500 {
        assert_eq!(value(&double.heard(), "F_NUMBER"), number.to_string());
    }
    drop(writing);
    // Nothing has gone the other way.
    drop(double);
    let mut rest = String::new();
    nix::fcntl::fcntl(&instead, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    assert!(instead.read_to_string(&mut rest).is_err());
    assert_eq!(rest, "");
}
