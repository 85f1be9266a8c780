//! What `ghostctl logs` takes on its command line, and what a build without a journal reader says.

use crate::{Ran, program};

#[test]
fn a_wrong_moment_is_wrongly_called_and_told_what_would_be_right() {
    for text in ["soon", "2026-13-01", "28.11.2026", ""] {
        let ran: Ran = program().args(["logs", "--since", text]).output().unwrap().into();
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{text}");
        for right in ["2h", "2026-11-28", "today", "'2026-11-28 10:00'", "2026-11-28T10:00:00Z"] {
            assert!(ran.err.contains(right), "{text}: {}", ran.err);
        }
    }
    for arguments in [["--level", "warning"], ["-n", "-1"]] {
        let ran: Ran = program().arg("logs").args(arguments).output().unwrap().into();
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.err);
    }
}

#[cfg(not(feature = "journal"))]
#[test]
fn a_build_without_a_reader_names_systemds_own() {
    let ran: Ran = program().args(["logs", "--since", "2026-11-28T10:00:00Z"]).output().unwrap().into();
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("no journal reader"), "{}", ran.err);
    assert!(
        ran.err.ends_with("Next: journalctl -u ghostllm -u ghostllm-engine --since @1795860000\n"),
        "{}",
        ran.err
    );
}
