//! Looking at disks and cards, each on a thread that nobody waits for longer than a while.
//!
//! Knows statvfs(3), and whom to ask for cards. Refuses to know what is enough. Invariants: there is never more than one thread for one
//! path, one for NVIDIA's driver and one for the kernel's files of cards, however long they hang and whatever the configuration asks for
//! meanwhile; what hangs is waited for once.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::future::join_all;
use ghostllm_core::config::{Gpu, HealthCheck, Subject};
use ghostllm_gpu::{Card, Missing};
use nix::sys::statvfs::statvfs;

use crate::{
    cards::{self, Board, Others, Unasked},
    errand::Errand,
};

/// What there is to see at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A disk.
    Disk(Space),
    /// Nothing, since the service manager hides this from the program (`ProtectHome=` in systemd.exec(5)).
    Hidden(&'static str),
}

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    /// What a program that is not root's may still write.
    pub(super) free: u64,
    pub(super) total: u64,
}

/// What was seen last; in words, why nothing was.
#[derive(Debug, Default)]
pub(super) struct Looks {
    disks: HashMap<PathBuf, Look<Place>>,
    nvidia: Look<Result<Vec<Card>, Missing>>,
    others: Look<Others>,
    board: Option<Board>,
}

#[derive(Debug)]
struct Look<T> {
    errand: Errand<T>,
    seen: Option<Result<T, String>>,
}

impl<T> Default for Look<T> {
    fn default() -> Self {
        Self { errand: Errand::default(), seen: None }
    }
}

impl<T: Send + 'static> Look<T> {
    async fn again(&mut self, within: Duration, look: impl FnOnce() -> Result<T, String> + Send + 'static) {
        // It has been waited for; in each round, all others would wait with it.
        let wait = if self.errand.hangs() { Duration::ZERO } else { within };
        let ended = self.errand.run(wait, look).await;
        self.seen = Some(ended.unwrap_or_else(|| Err(format!("there was no answer within {within:?}"))));
    }
}

impl Looks {
    /// Looks at everything that these checks are about, all at once; at the cards where these settings have them.
    pub(super) async fn look(&mut self, checks: &[HealthCheck], gpu: &Gpu, within: Duration) {
        let mut paths: Vec<&PathBuf> = checks.iter().filter_map(|check| disk(&check.subject)).collect();
        paths.sort();
        paths.dedup();
        let Self { disks, nvidia, others, board } = self;
        // What hangs is remembered also while nobody asks for it: asked for again, it would get a second thread.
        disks.retain(|path, look| look.errand.hangs() || paths.contains(&path));
        for path in &paths {
            disks.entry((*path).clone()).or_default();
        }
        let asked_for = disks.iter_mut().filter(|(path, _)| paths.contains(path));
        let spaces = join_all(asked_for.map(|(path, look)| {
            let path = path.clone();
            look.again(within, move || place(&path, &HOMES))
        }));
        let wanted = checks.iter().any(|check| matches!(check.subject, Subject::Cards { .. }));
        let asked = async {
            if wanted {
                let library = gpu.nvml_library.clone();
                let root = cards::root(gpu);
                tokio::join!(
                    nvidia.again(within, move || Ok(ghostllm_gpu::cards(library.as_deref()))),
                    others.again(within, move || Ok(cards::others(&root))),
                );
                *board =
                    nvidia.seen.take().zip(others.seen.take()).map(|(nvidia, others)| heard(nvidia, others));
            }
        };
        tokio::join!(spaces, asked);
    }

    /// What is there, as it was seen last.
    pub(super) fn disk(&self, path: &Path) -> Option<&Result<Place, String>> {
        self.disks.get(path)?.seen.as_ref()
    }

    /// The cards, as they were seen last.
    pub(super) fn cards(&self) -> Option<&Board> {
        self.board.as_ref()
    }
}

/// What was heard in time, and of whom nothing was.
fn heard(nvidia: Result<Result<Vec<Card>, Missing>, String>, others: Result<Others, String>) -> Board {
    let nvidia = match nvidia {
        Ok(asked) => asked.map_err(Unasked::from),
        Err(why) => Err(Unasked::silent(format!("NVIDIA's driver: {why}; nvidia-smi should show the same"))),
    };
    let others = others.map_err(|why| format!("the kernel's files of cards: {why}; sudo dmesg may say more"));
    cards::together(nvidia, others)
}

fn disk(subject: &Subject) -> Option<&PathBuf> {
    match subject {
        Subject::Disk { path, .. } => Some(path),
        Subject::Backend(_) | Subject::Model(_) | Subject::Cards { .. } => None,
    }
}

/// What `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

/// What is there. A home that is hidden is an empty directory with no permissions at all, on a small disk of its own in memory.
fn place(path: &Path, homes: &[&'static str]) -> Result<Place, String> {
    let real = path.canonicalize();
    let path = real.as_deref().unwrap_or(path);
    let is_hidden = |home: &&&str| fs::metadata(home).is_ok_and(|facts| facts.mode() & 0o7777 == 0);
    match homes.iter().filter(|home| path.starts_with(home)).find(is_hidden) {
        Some(home) => Ok(Place::Hidden(home)),
        None => space(path).map(Place::Disk),
    }
}

fn space(path: &Path) -> Result<Space, String> {
    let facts = statvfs(path).map_err(|error| error.desc().to_owned())?;
    let of = |blocks: u64| blocks.saturating_mul(facts.fragment_size());
    Ok(Space { free: of(facts.blocks_available()), total: of(facts.blocks()) })
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, sync::mpsc, time::Instant};

    use ghostllm_core::config::Room;
    use tokio::task::yield_now;

    use super::*;

    async fn until_over<T: Send + 'static>(look: &Look<T>) {
        while look.errand.hangs() {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_hangs_fails_in_time_is_not_looked_at_twice_and_answers_in_the_end() {
        let (go, wait) = mpsc::channel::<()>();
        let mut look = Look::default();
        let within = Duration::from_millis(20);
        look.again(within, move || {
            wait.recv().unwrap();
            Ok(1)
        })
        .await;
        let late = look.seen.take().unwrap().unwrap_err();
        assert_eq!(late, "there was no answer within 20ms");
        let (long, begun) = (Duration::from_secs(20), Instant::now());
        look.again(long, || panic!("it is not looked at twice")).await;
        assert!(look.seen.take().unwrap().is_err());
        assert!(begun.elapsed() < long, "all others have waited with it for {:?}", begun.elapsed());
        go.send(()).unwrap();
        until_over(&look).await;
        look.again(Duration::from_secs(20), || panic!("its answer is taken")).await;
        assert_eq!(look.seen, Some(Ok(1)));
        look.again(Duration::from_secs(20), || Ok(2)).await;
        assert_eq!(look.seen, Some(Ok(2)));
    }

    #[tokio::test]
    async fn what_hangs_is_looked_at_no_second_time_though_nobody_asks_for_it_meanwhile() {
        let (go, wait) = mpsc::channel::<()>();
        let root = PathBuf::from("/");
        let subject = Subject::Disk { path: root.clone(), free: Room::Percent(1) };
        let checks = [HealthCheck { name: "root".parse().unwrap(), subject }];
        let (soon, seen) = (Duration::from_millis(20), Place::Disk(Space { free: 1, total: 2 }));
        let mut looks = Looks::default();
        let hangs = move || {
            wait.recv().unwrap();
            Ok(seen)
        };
        looks.disks.entry(root.clone()).or_default().again(soon, hangs).await;
        looks.look(&[], &Gpu::default(), soon).await;
        // A second thread would have told how much room there is.
        looks.look(&checks, &Gpu::default(), soon).await;
        assert!(looks.disk(&root).unwrap().is_err());
        go.send(()).unwrap();
        until_over(&looks.disks[&root]).await;
        looks.look(&checks, &Gpu::default(), Duration::from_secs(20)).await;
        assert_eq!(looks.disk(&root), Some(&Ok(seen)));
        looks.look(&[], &Gpu::default(), soon).await;
        assert!(looks.disks.is_empty(), "what nobody asks for any more is forgotten");
    }

    #[test]
    fn this_disk_has_room_and_what_is_not_there_says_so() {
        let space = space(&std::env::temp_dir()).unwrap();
        assert!(space.total > 0 && space.free <= space.total, "{space:?}");
        let missing = super::space(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(missing, "No such file or directory");
    }

    #[test]
    fn a_home_that_is_hidden_is_no_small_disk() {
        let dir = tempfile::tempdir().unwrap();
        let home: &'static str = dir.path().join("home").display().to_string().leak();
        fs::create_dir(home).unwrap();
        let below = Path::new(home).join("anna/models");
        assert!(matches!(place(Path::new(home), &[home]), Ok(Place::Disk(_))));
        assert_eq!(place(&below, &[home]), Err("No such file or directory".to_owned()));
        fs::set_permissions(home, fs::Permissions::from_mode(0o0)).unwrap();
        for path in [Path::new(home), &below] {
            assert_eq!(place(path, &["/nowhere", home]), Ok(Place::Hidden(home)));
        }
        assert!(matches!(place(dir.path(), &[home]), Ok(Place::Disk(_))), "it is not in it");
    }
}
