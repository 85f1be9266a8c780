//! Whether a text is bytes, or says where some are.
//!
//! Knows what addresses, paths and names of files look like, and how base64 begins. Refuses to know where a text stands. Invariant: what a
//! reader of files or of the network could follow is taken for bytes only where it is base64 to its last letter.

/// Whether it holds its bytes itself.
pub(super) fn is_data_url(text: &str) -> bool {
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// Whether a text says where something is, rather than what: an address of any scheme but `data:`, or a path from a root or a home.
/// Browsers and Python's readers pass over what is not printed before it.
pub(super) fn is_place(text: &str) -> bool {
    let text = text.trim_start_matches(|letter: char| letter.is_whitespace() || letter.is_control());
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(letter)
    });
    scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("data")) || is_path(text)
}

/// Whether a text is a path from a root, a home or here, where nothing says that it is bytes: only those that are longer than any path are.
pub(super) fn is_path(text: &str) -> bool {
    let bytes = begins_with_a_slash_as_bytes(text) && (text.starts_with(JPEG) || text.len() >= PATH_MAX);
    (text.starts_with('/') && !bytes)
        || ["~", "./", "../", "\\", ".\\", "..\\"].iter().any(|begin| text.starts_with(begin))
}

/// The same, and whether it is a file's name, or a path from wherever its reader is: `x.png`, `images/x`, `images\x`.
pub(super) fn is_place_or_file(text: &str) -> bool {
    is_place(text) || text.contains('\\') || has_extension(text) || (is_relative(text) && !is_medium(text))
}

/// Whether it ends as files' names do. Versions and times end in a number.
fn has_extension(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or(text);
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        extension.len() <= EXTENSION
            && extension.starts_with(|first: char| first.is_ascii_alphabetic())
            && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// Whether it has folders: a slash, and neither the blanks of prose nor numbers alone, as `16/9` has.
fn is_relative(text: &str) -> bool {
    text.contains('/')
        && !text.contains(char::is_whitespace)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether it is base64, of whichever of both alphabets, where that is what its reader takes it for: to its last letter, and as long as
/// base64 is.
pub(super) fn is_base64(text: &str) -> bool {
    let Some(letters) = base64_letters(text) else { return false };
    letters % 4 != 1 && (!text.starts_with('/') || begins_with_a_slash_as_bytes(text))
}

/// Whether it is a medium, by itself: a data URL, or base64 that begins as the forms of media do and paths do not. What begins otherwise is
/// taken for one where it is longer than any path.
pub(super) fn is_medium(text: &str) -> bool {
    // The box behind its length, by which films and some pictures begin.
    let boxed = text.starts_with("AAAA") && text.get(6..10) == Some("Z0eX");
    let begins = boxed || BEGINNINGS.iter().any(|begin| text.starts_with(begin));
    is_data_url(text) || ((begins || text.len() >= PATH_MAX) && is_base64(text))
}

/// How many letters of base64 it has besides line ends and padding; none where it has anything else.
fn base64_letters(text: &str) -> Option<usize> {
    let lines = text.trim_end_matches(['\r', '\n']);
    let bare = lines.trim_end_matches('=');
    let ends = bare.bytes().filter(|byte| matches!(byte, b'\r' | b'\n')).count();
    let letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'\r' | b'\n');
    (lines.len() - bare.len() <= 2 && bare.bytes().all(letter)).then(|| bare.len() - ends)
}

/// Whether a text that begins with a slash is base64: its first byte is one of the last four then. So begin pictures in JPEG, and sounds in
/// MPEG's forms, whose first eleven bits are ones. These are padded, since who writes them is an encoder, and lie in no root's folder.
fn begins_with_a_slash_as_bytes(text: &str) -> bool {
    let Some(letters) = base64_letters(text) else { return false };
    if text.starts_with(JPEG) {
        return true;
    }
    let padding = text.bytes().rev().take_while(|byte| matches!(byte, b'=' | b'\r' | b'\n'));
    let padded = (letters + padding.filter(|byte| *byte == b'=').count()).is_multiple_of(4);
    let folder = text.trim_start_matches('/').split('/').next().unwrap_or_default();
    padded && SOUNDS.iter().any(|begin| text.starts_with(begin)) && !ROOTS.contains(&folder)
}

/// The longest path that Linux takes (`PATH_MAX`).
const PATH_MAX: usize = 4096;
/// So many letters an extension has at the most: `safetensors` has eleven.
const EXTENSION: usize = 16;
const JPEG: &str = "/9j/";
/// MPEG's layers and AAC begin so.
const SOUNDS: [&str; 2] = ["//", "/+"];
/// How base64 of media begins.
const BEGINNINGS: [&str; 27] = [
    // Pictures: PNG, JPEG, GIF, BMP, TIFF, JPEG XL, JPEG 2000, icons, SVG. `UklGR` is WebP, WAV and AVI.
    "iVBORw0K",
    JPEG,
    "R0lGOD",
    "UklGR",
    "Qk0",
    "Qk1",
    "Qk2",
    "Qk3",
    "SUkqA",
    "TU0AK",
    "AAAADEpYTCAN",
    "AAAADGpQ",
    "AAABAA",
    "PHN2Zy",
    "PD94bW",
    // Sounds and films: MP3 with tags, Ogg, FLAC, AIFF, AMR, Matroska, MPEG. A bare MP3 or AAC begins as paths do (`//`).
    "SUQz",
    "T2dnUw",
    "ZkxhQw",
    "Rk9STQ",
    "IyFBTV",
    "GkXfo",
    "AAABug",
    "AAABsw",
    // Files: PDF, ZIP (and so Office's), gzip, RTF.
    "JVBER",
    "UEsDB",
    "H4sI",
    "e1xydG",
];
/// The folders of a root, of Linux's and macOS's, and what containers add.
const ROOTS: [&str; 35] = [
    "Applications",
    "Library",
    "System",
    "Users",
    "Volumes",
    "app",
    "bin",
    "boot",
    "cores",
    "data",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "media",
    "mnt",
    "model",
    "models",
    "nix",
    "opt",
    "private",
    "proc",
    "root",
    "run",
    "sbin",
    "snap",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "work",
    "workspace",
    "lost+found",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bytes_by_its_member_is_base64_and_no_path() {
        // The first bytes of MP3 and AAC frames, and of what is no sound at all.
        for bytes in [
            "//uQZAAA",
            "//s0ZAAP",
            "//PExAAj",
            "/+MYxAAA",
            "//FQgA==",
            "//u=",
            "UklGRg==",
            "aa",
            "ab-_",
            "AAAA\r\nAAAA\n",
            "",
        ] {
            assert!(is_base64(bytes), "{bytes}");
        }
        for other in [
            "//host/x.mp3",
            "//host/path",
            "/etc/passwd",
            "//etc//passwd",
            "///etc/passwd0",
            "//proc/self/root/etc/passwd0",
            "/AAA",
            "file.wav",
            "http://x",
            "C:\\x",
            "a",
            "aa===",
            "a=aa",
            "~/x",
        ] {
            assert!(!is_base64(other), "{other}");
        }
    }

    #[test]
    fn names_and_paths_are_told_from_words_and_bytes() {
        for file in [
            "x.png",
            "images/x.png",
            "images/x",
            "my images/x.png",
            "images\\x",
            "a/../b",
            "Qk/passwd",
            "/9j/x.jpeg",
        ] {
            assert!(is_place_or_file(file) && !is_medium(file), "{file}");
        }
        for word in [
            "low",
            "ephemeral",
            "16/9",
            "1.5",
            "v1.2",
            "and/or you",
            "2026-11-30T10:00:00.000Z",
            "file-1",
            "",
        ] {
            assert!(!is_place_or_file(word), "{word}");
        }
        let film = "AAAAHGZ0eXBpc29t";
        for medium in ["data:,", "iVBORw0KGgo", "/9j/4AAQSkZJRgABAQ", "UklGRiQA/+==", film, "JVBERi0x"] {
            assert!(is_medium(medium) && !is_place_or_file(medium), "{medium}");
        }
        // Some are sounds, and all may be paths: no member but `input_audio.data` has them.
        for path in ["//uQZAAA", "//storage/models/x//", "//nfs/a/", "//raid0/secret/file0", "/+MYxAAA"] {
            assert!(!is_medium(path) && is_base64(path), "{path}");
        }
        let long = "a/bc".repeat(PATH_MAX / 4);
        assert!(is_medium(&long) && !is_medium(&long[4..]), "no path is as long");
        let sound = format!("//{}", "a".repeat(PATH_MAX - 2));
        assert!(!is_place(&sound) && is_place("//uQZAAA"), "where nothing says that it is bytes");
    }
}
