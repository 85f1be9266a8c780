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

    fn read(&self, files: &[PathBuf]) -> Result<Config, String> {
        let file = |path: &PathBuf| {
            let bytes = fs::read(path).map_err(|error| error.to_string())?;
            Ok(Source::File { name: path.display().to_string(), bytes })
        };
        let sources: Result<Vec<_>, String> = files.iter().map(file).collect();
        Config::load(&sources?).map_err(|errors| errors[0].to_string())
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
    fs::write(path, format!("[limits]\nstreams = {streams}\n")).unwrap();
}

/// The next configuration that is read, and how long that took.
async fn next(changes: &mut Changes) -> (Result<u32, String>, Duration) {
    let begun = Instant::now();
    let read = changes.next(LOOK).await;
    (read.map(|config| config.limits.streams), begun.elapsed())
}

/// Nothing is read, however often it is looked.
async fn nothing(changes: &mut Changes) {
    let read = timeout(LOOK * 10, changes.next(LOOK)).await;
    assert!(read.is_err(), "it was read without a reason: {read:?}");
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_is_read_once_it_rests() {
    let (directory, mut changes) = changes();
    let main = directory.path().join("ghostllm.toml");
    nothing(&mut changes).await;
    write(&main, 2);
    assert_eq!(next(&mut changes).await, (Ok(2), LOOK * 2));
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
    // A part that comes and goes.
    write(&directory.path().join("conf.d/a.toml"), 5);
    assert_eq!(next(&mut changes).await.0, Ok(5));
    fs::remove_file(directory.path().join("conf.d/a.toml")).unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(4));
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
async fn a_main_file_that_vanishes_is_not_done_without_unasked() {
    let (directory, mut changes) = changes();
    let main = directory.path().join("ghostllm.toml");
    fs::remove_file(&main).unwrap();
    let (read, _) = next(&mut changes).await;
    assert!(read.as_ref().is_err_and(|why| why.contains("is gone")), "{read:?}");
    // Still so when something else changes.
    write(&directory.path().join("conf.d/a.toml"), 5);
    let (read, _) = next(&mut changes).await;
    assert!(read.as_ref().is_err_and(|why| why.contains("is gone")), "{read:?}");
    write(&main, 7);
    assert_eq!(next(&mut changes).await.0, Ok(5), "conf.d lies over it");
}

#[tokio::test]
async fn sighup_reads_at_once_and_takes_a_file_that_is_gone_for_gone() {
    let (directory, mut changes) = changes();
    changes.take_hangup().unwrap();
    fs::remove_file(directory.path().join("ghostllm.toml")).unwrap();
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
    // Without an interval only the signal counts.
    let read = timeout(Duration::from_secs(10), changes.next(Duration::ZERO)).await.unwrap();
    assert_eq!(read.unwrap().limits.streams, Config::default().limits.streams);
}

#[tokio::test(start_paused = true)]
async fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let (directory, mut changes) = changes();
    let main = directory.path().join("ghostllm.toml");
    fs::remove_file(&main).unwrap();
    nix::unistd::mkfifo(&main, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (read, _) = next(&mut changes).await;
    assert!(read.as_ref().is_err_and(|why| why.contains("no file that can be read again")), "{read:?}");
}

#[tokio::test(start_paused = true)]
async fn the_contents_of_secrets_count() {
    let (directory, mut changes) = changes();
    let key = directory.path().join("key");
    fs::write(&key, "one").unwrap();
    changes.watch(vec![key.clone()]);
    nothing(&mut changes).await;
    fs::write(&key, "another").unwrap();
    assert_eq!(next(&mut changes).await.0, Ok(1));
    nothing(&mut changes).await;
    changes.watch(Vec::new());
    fs::write(&key, "a third").unwrap();
    nothing(&mut changes).await;
}
