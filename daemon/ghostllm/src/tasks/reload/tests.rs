//! When files are read anew, on a paused clock and real files.

use std::{fs, path::Path};

use ghostllm_core::config::Source;
use tempfile::TempDir;
use tokio::time::{Instant, advance, timeout};

use super::*;

const LOOK: Duration = Duration::from_secs(2);

/// A directory like `/etc/ghostllm`.
struct Folder(PathBuf);

impl Origin for Folder {
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let main = self.0.join("ghostllm.toml");
        let parts = fs::read_dir(self.0.join("conf.d")).map_err(|error| error.to_string())?;
        let mut files: Vec<_> = parts.map(|part| part.unwrap().path()).collect();
        files.sort();
        if main.exists() {
            files.insert(0, main);
        }
        Ok(files)
    }

    fn read(&self, files: &[PathBuf]) -> Result<Loaded, String> {
        let file = |path: &PathBuf| {
            let bytes = fs::read(path).map_err(|error| error.to_string())?;
            Ok(Source::File { name: path.display().to_string(), bytes })
        };
        let sources: Result<Vec<_>, String> = files.iter().map(file).collect();
        Loaded::read(&sources?).map_err(|errors| errors[0].to_string())
    }
}

fn changes() -> (TempDir, Changes) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    write(&directory.path().join("ghostllm.toml"), 1);
    let changes = Changes::new(Arc::new(Folder(directory.path().to_owned())));
    (directory, changes)
}

fn write(path: &Path, streams: u32) {
    // Each of another length: an older kernel's clock ticks every 4 ms.
    let more = "#".repeat(streams.try_into().unwrap());
    fs::write(path, format!("[limits]\nstreams = {streams}\n{more}\n")).unwrap();
}

/// The next configuration that is read, and how long that took.
async fn next(changes: &mut Changes) -> (Result<u32, String>, Duration) {
    let begun = Instant::now();
    let read = changes.next(LOOK).await;
    assert!(!read.asked);
    if read.outcome.is_ok() {
        changes.settle(true);
    }
    (read.outcome.map(|loaded| loaded.config.limits.streams), begun.elapsed())
}

/// Nothing is read, however often it is looked.
async fn nothing(changes: &mut Changes) {
    let read = timeout(AGAIN - LOOK, changes.next(LOOK)).await;
    assert!(read.is_err(), "it was read without a reason");
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_is_read_once_it_rests() {
    let (directory, mut changes) = changes();
    let main = directory.path().join("ghostllm.toml");
    nothing(&mut changes).await;
    write(&main, 2);
    let (read, took) = next(&mut changes).await;
    // The look that was given up above may be one of them, and have seen what was written right behind it.
    assert!(read == Ok(2) && (LOOK..=LOOK * 3).contains(&took), "{read:?} after {took:?}");
    nothing(&mut changes).await;
    // Another file in its place.
    write(&directory.path().join("new"), 3);
    fs::rename(directory.path().join("new"), &main).unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(3));
    // A link that leads elsewhere.
    write(&directory.path().join("four"), 4);
    fs::remove_file(&main).unwrap();
    std::os::unix::fs::symlink(directory.path().join("four"), &main).unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(4));
    // One more.
    write(&directory.path().join("conf.d/a.toml"), 5);
    assert_eq!(next(&mut changes).await.0, Ok(5));
}

#[tokio::test(start_paused = true)]
async fn a_file_is_not_read_while_it_is_written() {
    let (directory, mut changes) = changes();
    let main = directory.path().join("ghostllm.toml");
    let reading = next(&mut changes);
    let writing = async {
        for streams in 2..=6 {
            // Half of it is a sound configuration.
            fs::write(&main, "[limits]\n").unwrap();
            advance(LOOK / 2).await;
            write(&main, streams);
            advance(LOOK / 2).await;
        }
    };
    let ((read, _), ()) = tokio::join!(reading, writing);
    assert_eq!(read, Ok(6));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_is_told_once_and_read_when_it_changes() {
    let (directory, mut changes) = changes();
    let main = directory.path().join("ghostllm.toml");
    fs::write(&main, "[limits]\nstraems = 2\n").unwrap();
    let (read, _) = next(&mut changes).await;
    assert!(read.as_ref().is_err_and(|why| why.contains("ghostllm.toml:2:1")), "{read:?}");
    nothing(&mut changes).await;
    write(&main, 1);
    assert_eq!(next(&mut changes).await.0, Ok(1));
    fs::remove_dir(directory.path().join("conf.d")).unwrap();
    assert!(next(&mut changes).await.0.is_err(), "the files cannot be listed");
    nothing(&mut changes).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_never_in_use_may_vanish_and_what_was_may_not() {
    let (directory, mut changes) = changes();
    let (main, part) = (directory.path().join("ghostllm.toml"), directory.path().join("conf.d/a.toml"));
    fs::write(&part, "[limits]\nstraems = 2\n").unwrap();
    assert!(next(&mut changes).await.0.is_err());
    fs::remove_file(&part).unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(1), "what is there is what is in use");
    // A sound one that could not be taken.
    write(&part, 3);
    let read = changes.next(LOOK).await;
    assert!(read.outcome.is_ok());
    changes.settle(false);
    fs::remove_file(&part).unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(1));
    // Asked for while it is away, the main file is not forgotten when that is refused.
    fs::remove_dir(directory.path().join("conf.d")).unwrap();
    fs::write(&main, "").unwrap();
    assert!(next(&mut changes).await.0.is_err());
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    let (read, _) = next(&mut changes).await;
    assert!(read.is_err_and(|why| why.contains("ghostllm.toml is empty")));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_taken_is_tried_again_now_and_then() {
    let (directory, mut changes) = changes();
    write(&directory.path().join("ghostllm.toml"), 2);
    assert!(changes.next(LOOK).await.outcome.is_ok());
    changes.settle(false);
    let (read, took) = next(&mut changes).await;
    assert!(read == Ok(2) && (AGAIN..=AGAIN + LOOK).contains(&took), "{read:?} after {took:?}");
    nothing(&mut changes).await;
    assert!(timeout(AGAIN * 10, changes.next(LOOK)).await.is_err(), "it is in use");
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_hangs_is_not_followed_by_another() {
    let apart = Apart::default();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let others = async {
        assert!(apart.run(|| ()).await.is_err_and(|why| why.contains("could not be read")));
        drop(release);
    };
    let (first, ()) = tokio::join!(apart.run(move || held.recv().is_err()), others);
    assert_eq!(first, Ok(true));
    assert_eq!(apart.run(|| 5).await, Ok(5));
}

/// Its disk answers as often as it is let.
struct Hangs(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Origin for Hangs {
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        self.0.lock().unwrap().recv().map(|()| Vec::new()).map_err(|error| error.to_string())
    }

    fn read(&self, _: &[PathBuf]) -> Result<Loaded, String> {
        Err("nothing is read".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_is_given_up_in_time_though_its_wait_is_begun_anew_each_second() {
    let (answer, answers) = std::sync::mpsc::channel();
    answer.send(()).unwrap();
    let mut changes = Changes::new(Arc::new(Hangs(std::sync::Mutex::new(answers))));
    let second = Duration::from_secs(1);
    for row in 0..2 {
        let mut waited = 0;
        loop {
            // As when the loop gives its sign of life.
            let (looked, ()) = tokio::join!(timeout(second, changes.look(true)), advance(second));
            waited += 1;
            match looked {
                Ok(None) => break,
                Ok(Some(_)) => panic!("it came back"),
                Err(_elapsed) => assert!(waited <= PATIENCE.as_secs(), "row {row}: {waited} s"),
            }
        }
        assert!(waited >= PATIENCE.as_secs(), "row {row}: {waited} s");
    }
    answer.send(()).unwrap();
    assert!(changes.look(true).await.is_some_and(|seen| seen.files == Ok(Vec::new())));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_vanishes_or_is_emptied_is_not_done_without_unasked() {
    let (directory, mut changes) = changes();
    let (main, part) = (directory.path().join("ghostllm.toml"), directory.path().join("conf.d/a.toml"));
    write(&part, 5);
    assert_eq!(next(&mut changes).await.0, Ok(5));
    let told = |read: &Result<u32, String>, path: &Path| {
        let named = |why: &String| {
            why.contains("is empty, renamed or gone") && why.contains(&path.display().to_string())
        };
        assert!(read.as_ref().is_err_and(named), "{read:?}");
    };
    for path in [&main, &part] {
        fs::write(path, "").unwrap();
        told(&next(&mut changes).await.0, path);
        fs::remove_file(path).unwrap();
        told(&next(&mut changes).await.0, path);
        // Still so when something else changes.
        write(&directory.path().join("conf.d/b.toml"), 5);
        told(&next(&mut changes).await.0, path);
        write(path, 5);
        assert_eq!(next(&mut changes).await.0, Ok(5));
    }
    // The whole folder, as an unmount leaves it.
    fs::remove_dir_all(directory.path().join("conf.d")).unwrap();
    assert!(next(&mut changes).await.0.is_err());
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    told(&next(&mut changes).await.0, &part);
}

#[tokio::test]
async fn sighup_reads_at_once_and_takes_a_file_that_is_gone_for_gone() {
    let (directory, mut changes) = changes();
    fs::remove_file(directory.path().join("ghostllm.toml")).unwrap();
    // One that comes too early is kept.
    hold_hangup();
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
    changes.take_hangup().unwrap();
    // Without an interval only the signal counts.
    let read = timeout(Duration::from_secs(10), changes.next(Duration::ZERO)).await.unwrap();
    assert!(read.asked);
    assert_eq!(read.outcome.unwrap().config, Config::default());
}

#[tokio::test(start_paused = true)]
async fn the_contents_of_named_files_count() {
    let (directory, mut changes) = changes();
    let path = |name: &str| directory.path().join(name);
    let names = ["backend.key", "owner.pem", "owner.key"];
    names.iter().for_each(|name| fs::write(path(name), "one").unwrap());
    let [backend, certificate, key] = names.map(|name| path(name).display().to_string());
    let text = format!(
        "[listen]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n[limits]\nstreams = 1\n[[backends]]\nname = \"a\"\n\
         kind = \"openai\"\nurl = \"http://127.0.0.1:1\"\nkey_file = \"{backend}\"\n"
    );
    fs::write(path("ghostllm.toml"), text).unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(1));
    for name in names {
        nothing(&mut changes).await;
        fs::write(path(name), "another").unwrap();
        assert_eq!(next(&mut changes).await.0, Ok(1), "{name}");
    }
    changes.watch(&Config::default());
    names.iter().for_each(|name| fs::write(path(name), "a third").unwrap());
    nothing(&mut changes).await;
}
