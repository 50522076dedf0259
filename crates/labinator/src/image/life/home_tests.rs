//! An image lives through generations while its boss is killed between any two steps.

use std::process::Command;

use super::super::{Candidate, Home, Refused, in_use};
use crate::image::sample::{Images, fill};
use crate::image::verify::verify;
use crate::image::{ImageError, ImageManifest, Keys};
use model::WallTime;
use std::cell::Cell;
use std::path::Path;

thread_local! {
    /// Steps until this process is killed.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A place where a process may be killed.
pub(super) fn step() {
    let Some(left) = LEFT.get() else { return };
    if left == 0 {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        loop {
            std::thread::park();
        }
    }
    LEFT.set(Some(left - 1));
}

const FOLDER: &str = "LABINATOR_TEST_LIFE_FOLDER";
const STEPS: &str = "LABINATOR_TEST_LIFE_STEPS";

fn candidate(generation: u32) -> Candidate {
    Candidate { generation, since: WallTime(1), after: 3, node: None, starts: 0 }
}

fn made(images: &Path, home: &Home, kernel: &str, offer: bool) -> Result<u32, ImageError> {
    let part = home.begin()?;
    fill(part.folder(), kernel);
    Keys::of(images).sign(part.folder(), "rescue")?;
    let become_what = |all: &mut super::super::Generations, number| match offer {
        true => all.offer(candidate(number)),
        false => {
            all.adopt(number);
        }
    };
    Ok(home.take(&part, become_what)?.0)
}

/// Three generations: built, promoted, refused, and gone back from. Each step looks where the life stands, so that
/// whoever was killed goes on.
fn live(images: &Path) -> Result<(), ImageError> {
    let home = Home::of(images, "rescue");
    let stands = |home: &Home| home.known().map(|all| all.map(|all| (all.good, all.candidate, all.refused)));
    if let Some((0, None, _)) = stands(&home)? {
        made(images, &home, "two", true)?;
    }
    if let Some((0, Some(_), _)) = stands(&home)? {
        home.change(|all| Ok(all.and_then(|mut all| all.promote().map(|number| (number, all)))))?;
    }
    if let Some((good @ 1.., None, None)) = stands(&home)? {
        assert!(good > 0);
        made(images, &home, "three", true)?;
    }
    if let Some((1.., Some(_), None)) = stands(&home)? {
        let back = |all: Option<super::super::Generations>| {
            Ok(all.and_then(|mut all| all.roll_back("it did not start", WallTime(7)).map(|n| (n, all))))
        };
        home.change(back)?;
    }
    let before = home.known()?.and_then(|all| all.last_good);
    if let (Some((1.., None, Some(Refused { .. }))), Some(0)) = (stands(&home)?, before) {
        made(images, &home, "four", false)?;
    }
    // Whatever is changed next removes what a killed one left.
    home.change(|all| Ok(all.map(|all| ((), all))))?;
    Ok(())
}

/// What machines would boot is whole and signed, whatever happened.
fn in_use_is_whole(images: &Path) -> String {
    let folder = in_use(images, "rescue");
    let verdict = verify(&folder, "rescue", &Keys::of(images)).unwrap();
    assert_eq!(verdict.objections(), Vec::<String>::new(), "{}", folder.display());
    ImageManifest::read(&folder).unwrap().packages[0].version.clone()
}

#[test]
fn an_image_outlives_its_boss_being_killed_between_any_two_steps() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        LEFT.set(std::env::var(STEPS).unwrap().parse().ok());
        return live(Path::new(&folder)).unwrap();
    }
    let own = std::env::current_exe().unwrap();
    let test = std::thread::current().name().unwrap().to_owned();
    let child = |images: &Images, steps: &str| {
        let mut command = Command::new(&own);
        command.args(["--exact", &test, "--nocapture"]);
        command.env(FOLDER, images.folder()).env(STEPS, steps).output().unwrap().status
    };
    let mut killed = 0;
    let mut seen = std::collections::BTreeSet::new();
    for steps in 0..200_u32 {
        let images = Images::new("life");
        images.image("rescue", "one");
        Keys::of(images.folder()).sign(&images.folder().join("rescue"), "rescue").unwrap();
        let ended = child(&images, &steps.to_string());
        seen.insert(in_use_is_whole(images.folder()));
        if !ended.success() {
            killed += 1;
            assert!(child(&images, "never").success());
        }
        assert_eq!(in_use_is_whole(images.folder()), "four");
        let home = Home::of(images.folder(), "rescue");
        let all = home.read().unwrap().unwrap();
        let last = ImageManifest::read(&home.folder_of(all.last_good.unwrap())).unwrap();
        assert_eq!(last.packages[0].version, "two");
        let folders = std::fs::read_dir(home.folder()).unwrap().flatten();
        let mut there: Vec<u32> =
            folders.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        there.sort_unstable();
        assert_eq!(there, all.kept().into_iter().collect::<Vec<_>>(), "killed after {steps} steps");
        assert!(!home.folder().join("vmlinuz").exists());
        if ended.success() {
            assert!(killed >= 20, "{killed} steps only");
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["four", "one", "two"]);
            return;
        }
    }
    panic!("the life has no end");
}

#[test]
fn two_do_not_make_a_generation_at_once() {
    let images = Images::new("busy");
    images.image("rescue", "one");
    let home = Home::of(images.folder(), "rescue");
    let part = home.begin().unwrap();
    assert_eq!(home.begin().unwrap_err().code(), "image-busy");
    drop(part);
    home.begin().unwrap();
}

#[test]
fn an_image_from_before_generations_is_the_one_in_use() {
    let images = Images::new("flat");
    let folder = images.image("rescue", "one");
    assert_eq!(in_use(images.folder(), "rescue"), folder);
    let home = Home::of(images.folder(), "rescue");
    assert_eq!((home.read().unwrap(), home.known().unwrap().unwrap().good), (None, 0));
    // One that is built first of all has a number at once.
    let other = Home::of(images.folder(), "hypervisor");
    assert_eq!(other.known().unwrap(), None);
    let number = made(images.folder(), &other, "one", false).unwrap();
    assert_eq!((number, other.read().unwrap().unwrap().good), (1, 1));
    assert_eq!(in_use(images.folder(), "hypervisor"), other.folder_of(1));
}
