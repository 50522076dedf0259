//! What is remembered of another build.

use super::*;

const OWN: Digest = Digest([1; 32]);
const OTHER: AgentBuild = AgentBuild { digest: Digest([2; 32]), size: 7 };

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("agent-renew-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    folder
}

fn state(renewer: &Renewer) -> Option<(RenewalState, String)> {
    renewer.told().map(|told| (told.state, told.why))
}

#[test]
fn what_was_refused_stays_so_in_this_boot_and_may_be_tried_in_the_next() {
    let folder = folder("boot");
    Renewer::new(folder.clone(), Some(OWN), "first").refuse(OTHER.digest, "it panicked");
    let same = Renewer::new(folder.clone(), Some(OWN), "first");
    assert_eq!(state(&same), Some((RenewalState::Refused, "it panicked".to_owned())));
    assert_eq!(same.order(OTHER), Err("it panicked".to_owned()));
    let third = AgentBuild { digest: Digest([3; 32]), size: 7 };
    assert_eq!(same.order(third), Ok(()), "another one is another matter");
    let next = Renewer::new(folder.clone(), Some(OWN), "second");
    assert_eq!((state(&next), next.order(OTHER)), (None, Ok(())));
    // One that is torn says nothing.
    fs::write(folder.join(REFUSED), b"{\"digest\":").unwrap();
    assert_eq!(state(&Renewer::new(folder.clone(), Some(OWN), "first")), None);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_build_that_nobody_answered_is_acquitted_and_one_that_stays_clears_its_own_note() {
    let folder = folder("acquit");
    let before = Renewer::new(folder.clone(), Some(OWN), "first");
    before.refuse(OTHER.digest, "silence");
    before.acquit();
    assert_eq!((state(&before), before.order(OTHER)), (None, Ok(())));
    // As it is left by an agent that hands over: to the other build that is no news.
    before.note(OTHER.digest, ENDED).unwrap();
    let other = Renewer::new(folder.clone(), Some(OTHER.digest), "first");
    assert_eq!(state(&other), None);
    other.stays();
    assert!(!folder.join(REFUSED).exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn its_own_build_is_taken_already_and_what_cannot_be_known_is_not() {
    let own = Renewer::new(folder("own"), Some(OTHER.digest), "first");
    assert_eq!((own.order(OTHER), state(&own)), (Ok(()), None));
    let blind = Renewer::new(folder("blind"), None, "first");
    assert!(blind.order(OTHER).unwrap_err().contains("cannot read its own program"));
}

#[tokio::test]
async fn an_order_without_a_boss_to_fetch_from_is_late_and_not_the_builds_fault() {
    let folder = folder("late");
    let renewer = Renewer::new(folder.clone(), Some(OWN), "first");
    renewer.order(OTHER).unwrap();
    assert_eq!(state(&renewer), Some((RenewalState::Fetching, String::new())));
    let console = Console::nobody();
    let late = async {
        while !matches!(state(&renewer), Some((RenewalState::Fetching, why)) if why.contains("where the boss is"))
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = renewer.work(&console) => {}
        () = late => {}
    }
    assert_eq!((renewer.ready(), folder.join(REFUSED).exists()), (None, false));
    fs::remove_dir_all(folder).unwrap();
}
