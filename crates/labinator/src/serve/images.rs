//! Images of a running controller: looked for at the start and when they change, and the trials of new generations
//! written down where the images lie.
//!
//! ```text
//! IMAGES/NAME changes ─▶ found anew ─▶ conductor ─▶ trials of the picture ─▶ generations.json changes
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Fact, ImageRef, LabSpec, TrialState, TrialView};
use store::shelf::Shelf;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::Folders;
use crate::assets::Searched;
use crate::desk::Desk;
use crate::image::life::Home;
use crate::image::{ImageError, now};
use crate::{assets, cluster};

/// How often it is looked whether images changed: a few names of files, whose content is not read.
const EVERY: Duration = Duration::from_secs(5);
/// Pauses before another search where something was in the way that may pass, such as a full disk: doubled from the first
/// to the last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// How long a content stays on the shelf that nothing names any more: a machine may be in the middle of a boot with it.
const LINGERS: Duration = Duration::from_hours(24);
/// What changes in an image's folder when the image does.
const TELLING: [&str; 3] = ["generations.json", "image.json", "image.sig"];

/// Looks for the images apart from everything else: hashing them takes longer than answering a machine.
pub(super) fn spawn(tasks: &mut JoinSet<()>, spec: LabSpec, folders: Folders, desk: Desk) {
    tasks.spawn(write_down(folders.images.clone(), desk.clone()));
    tasks.spawn(async move {
        let kept = cluster::Kept::of(&folders.state);
        let told = cluster::read_manifests(&desk, kept, spec.clone()).await;
        if told.is_err() {
            tracing::debug!("the lab was closed before its manifests were read");
        }
        let spec = Arc::new(spec);
        let mut pause = None;
        loop {
            let before = stamps(&spec, &folders.images);
            let Some(passing) = search(&spec, &folders, &desk).await else {
                tracing::debug!("the lab was closed before its images were found");
                return;
            };
            pause = passing.then(|| longer(pause));
            if let Some(pause) = pause {
                tracing::warn!(
                    "not every file could be read or shelved: tried again in {} s",
                    pause.as_secs()
                );
            }
            let again = pause.map(|pause| Instant::now() + pause);
            while stamps(&spec, &folders.images) == before && again.is_none_or(|at| Instant::now() < at) {
                tokio::time::sleep(EVERY).await;
            }
        }
    });
}

/// The pause after this one.
fn longer(pause: Option<Duration>) -> Duration {
    pause.map_or(AGAIN.0, |pause| pause.saturating_mul(2).min(AGAIN.1))
}

/// Tells what is there now, and gives whether something was in the way that may pass; `None` when nobody listens any more.
async fn search(spec: &Arc<LabSpec>, folders: &Folders, desk: &Desk) -> Option<bool> {
    let (spec, images, state) = (Arc::clone(spec), folders.images.clone(), folders.state.clone());
    let found = spawn_blocking(move || {
        let (shelf, began) = (Shelf::new(state.join("shelf")), SystemTime::now());
        let Searched { found, passing } = assets::search(&spec, &images, &shelf);
        let candidates = assets::candidates(&spec, &images, &shelf);
        // What is named was put on the shelf once more just now. Where something is missing it may come back.
        if matches!(&found, Fact::ImagesFound { missing, .. } if missing.is_empty()) {
            sweep(&shelf, began);
        }
        (found, passing, candidates)
    });
    let (found, passing, candidates) = match found.await {
        Ok(found) => found,
        Err(why) => {
            tracing::error!("the search for images broke off: {why}");
            return Some(true);
        }
    };
    if let Fact::ImagesFound { missing, .. } = &found {
        for (scenario, lacks) in missing {
            tracing::warn!("scenario {scenario} cannot be started: {}", lacks.join("; "));
        }
    }
    let none = candidates.is_empty() && desk.publisher().latest().lab.trials.is_empty();
    let told = desk.tell(found).await.is_ok()
        && (none || desk.tell(Fact::CandidatesFound { candidates }).await.is_ok());
    told.then_some(passing)
}

/// Makes room on the shelf: of generations that are gone, and of seeds that were rendered otherwise before.
fn sweep(shelf: &Shelf, began: SystemTime) {
    match began.checked_sub(LINGERS).map_or(Ok(0), |before| shelf.sweep(before)) {
        Ok(0) => {}
        Ok(bytes) => tracing::info!("{} MB that nothing boots any more are off the shelf", bytes / 1_000_000),
        Err(why) => tracing::warn!("what nothing boots any more stays on the shelf: {why}"),
    }
}

/// When the files were changed that tell what the images of a lab are.
fn stamps(spec: &LabSpec, images: &Path) -> Vec<(PathBuf, Option<SystemTime>)> {
    let booted = spec
        .scenarios
        .values()
        .flat_map(|scenario| [Some(&scenario.image), scenario.hypervisor_image.as_ref()]);
    let names = booted.flatten().filter_map(|image| match image {
        ImageRef::Named(name) => Some(images.join(name)),
        ImageRef::Files { .. } => None,
    });
    let files = names.flat_map(|folder| TELLING.map(|file| folder.join(file)));
    files.map(|path| (path.clone(), fs::metadata(&path).and_then(|of| of.modified()).ok())).collect()
}

/// Writes down how trials stand, whenever that changes. What could not be written is in the journal, and is tried again
/// with the next change.
async fn write_down(images: PathBuf, desk: Desk) {
    let publisher = desk.publisher();
    let mut news = publisher.news();
    let mut written: Vec<TrialView> = Vec::new();
    loop {
        let trials = publisher.latest().lab.trials.clone();
        for trial in trials.iter().filter(|trial| !written.contains(trial)) {
            let (images, trial) = (images.clone(), trial.clone());
            let said = format!("generation {} of image {}", trial.generation, trial.image);
            match spawn_blocking(move || keep(&images, &trial)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => tracing::warn!("the trial of {said} is not written down: {why}"),
                Err(why) => tracing::error!("the trial of {said} is not written down: {why}"),
            }
        }
        written = trials;
        if news.changed().await.is_err() {
            return;
        }
    }
}

/// Writes down how one trial stands, and does what it came to. Once is as good as often.
fn keep(images: &Path, trial: &TrialView) -> Result<(), ImageError> {
    let home = Home::of(images, &trial.image);
    home.change(|all| {
        let Some(mut all) = all else { return Ok(None) };
        let Some(tried) = all.candidate.as_mut().filter(|tried| tried.generation == trial.generation) else {
            return Ok(None);
        };
        match trial.state {
            TrialState::Tried if tried.starts == trial.starts => return Ok(None),
            TrialState::Tried => tried.starts = trial.starts,
            TrialState::Promoted => {
                all.promote();
                tracing::info!("image {}: generation {} is good", trial.image, trial.generation);
            }
            TrialState::Refused => {
                all.roll_back(&trial.because, now());
                tracing::warn!(
                    "image {}: generation {} is given up: {}",
                    trial.image,
                    trial.generation,
                    trial.because
                );
            }
        }
        Ok(Some(((), all)))
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Keys;
    use crate::image::life::Candidate;
    use crate::image::sample::{Images, fill};
    use model::WallTime;

    fn offered(images: &Images) -> Home {
        images.image("rescue", "one");
        let home = Home::of(images.folder(), "rescue");
        let part = home.begin().unwrap();
        fill(part.folder(), "two");
        Keys::of(images.folder()).sign(part.folder(), "rescue").unwrap();
        let candidate = Candidate { generation: 1, since: WallTime(1), after: 2, node: None, starts: 0 };
        home.take(&part, |all, generation| all.offer(Candidate { generation, ..candidate })).unwrap();
        home
    }

    fn trial(generation: u32, starts: u32, state: TrialState) -> TrialView {
        let because = "node1 is ready".to_owned();
        TrialView { image: "rescue".to_owned(), generation, starts, after: 2, state, because, node: None }
    }

    #[test]
    fn pauses_grow_up_to_an_end_and_begin_anew_when_nothing_is_in_the_way() {
        let pauses = std::iter::successors(Some(longer(None)), |pause| Some(longer(Some(*pause))));
        let seconds: Vec<u64> = pauses.take(7).map(|pause| pause.as_secs()).collect();
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn what_a_trial_came_to_is_on_the_disk_once() {
        let images = Images::new("kept-trials");
        let home = offered(&images);
        for _ in 0..2 {
            keep(images.folder(), &trial(1, 1, TrialState::Tried)).unwrap();
            assert_eq!(home.read().unwrap().unwrap().candidate.unwrap().starts, 1);
        }
        // Another generation's trial is none of this one's.
        keep(images.folder(), &trial(7, 2, TrialState::Promoted)).unwrap();
        assert_eq!(home.read().unwrap().unwrap().good, 0);
        for _ in 0..2 {
            keep(images.folder(), &trial(1, 2, TrialState::Promoted)).unwrap();
            let all = home.read().unwrap().unwrap();
            assert_eq!((all.good, all.last_good, all.candidate), (1, Some(0), None));
        }
    }

    #[test]
    fn a_refused_trial_leaves_what_is_in_use_and_says_why() {
        let images = Images::new("refused-trials");
        let home = offered(&images);
        let refused =
            TrialView { because: "node1: kernel-silent".to_owned(), ..trial(1, 0, TrialState::Refused) };
        keep(images.folder(), &refused).unwrap();
        let all = home.read().unwrap().unwrap();
        assert_eq!((all.good, all.candidate), (0, None));
        assert_eq!(all.refused.unwrap().because, "node1: kernel-silent");
    }
}
