//! Each bad manner of an API server, and the cure.

use std::time::Duration;

use kubernetes::watch::{Link, SILENCE};
use sim::kubernetes::Manner;
use tokio::time::Instant;

use crate::bench::{Bench, Trust, created, deployment, until};

/// A cluster with a deployment of two pods, watched and ready.
async fn settled(bench: &mut Bench) -> kubernetes::watch::Watch {
    bench.join(3);
    let watch = bench.watch();
    created(bench, &deployment("web", 2));
    until(&watch, "two ready", |picture| picture.counts().ready == 2 && picture.link() == Link::Live).await;
    watch
}

/// `follow.rs`: `self.version = Some(version)` in `take`.
#[tokio::test(start_paused = true)]
async fn a_watch_that_is_cut_goes_on_from_where_it_was() {
    let mut bench = Bench::new();
    bench.server.behave(vec![Manner::ResetsWatches(1500)]);
    let watch = settled(&mut bench).await;
    created(&bench, &deployment("more", 20));
    until(&watch, "22 ready", |picture| picture.counts().ready == 22).await;
    let (watches, lists) = bench.server.asked();
    assert_eq!(lists, 2, "one list of each kind is enough");
    assert!(watches > 2);
}

/// `follow.rs`: `is_gone` in `rest_after`.
#[tokio::test(start_paused = true)]
async fn a_version_that_was_forgotten_is_followed_by_a_new_list() {
    let mut bench = Bench::new();
    let watch = settled(&mut bench).await;
    bench.server.behave(vec![Manner::Away]);
    until(&watch, "the link is lost", |picture| picture.link() != Link::Live).await;
    bench.server.delete(("apps/v1", "Deployment"), "default", "web").unwrap();
    created(&bench, &deployment("other", 1));
    bench.server.forget();
    bench.server.behave(Vec::new());
    let picture = until(&watch, "one other pod", |picture| {
        picture.counts().ready == 1 && picture.pods().count() == 1 && picture.link() == Link::Live
    });
    assert_eq!(
        picture.await.pods().next().unwrap().owner,
        Some(("Deployment".to_owned(), "other".to_owned()))
    );
    assert!(bench.server.asked().1 >= 4);
}

/// A watch that is still open when the past goes is told so in a line of its own.
#[tokio::test(start_paused = true)]
async fn a_server_that_remembers_little_loses_nobody() {
    let mut bench = Bench::remembering(3);
    bench.join(4);
    let watch = bench.watch();
    for n in 0..12 {
        created(&bench, &deployment(&format!("web{n}"), 3));
    }
    until(&watch, "36 ready", |picture| picture.counts().ready == 36).await;
}

/// `follow.rs`: `timeout(SILENCE, ..)` in `read`.
#[tokio::test(start_paused = true)]
async fn a_watch_that_goes_silent_is_noticed() {
    let mut bench = Bench::new();
    let watch = settled(&mut bench).await;
    bench.server.behave(vec![Manner::SilentWatches]);
    bench.server.cut();
    until(&watch, "the cut", |picture| picture.link() != Link::Live).await;
    until(&watch, "a new watch", |picture| picture.link() == Link::Live).await;
    let began = Instant::now();
    let picture = until(&watch, "the silence", |picture| picture.link() != Link::Live).await;
    let Link::Lost { why } = picture.link() else { panic!("{:?}", picture.link()) };
    assert!(why.contains("has sent nothing for 90 s"), "{why}");
    assert!((SILENCE..SILENCE * 2).contains(&began.elapsed()));
    assert_eq!(picture.counts().ready, 2, "the picture stays");
    bench.server.behave(Vec::new());
    bench.server.delete(("apps/v1", "Deployment"), "default", "web").unwrap();
    until(&watch, "what happened meanwhile", |picture| picture.pods().count() == 0).await;
}

/// Bookmarks keep a quiet watch from looking silent; without them it is opened anew, and nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_server_without_bookmarks_is_lived_with() {
    let mut bench = Bench::new();
    bench.server.behave(vec![Manner::NoBookmarks]);
    let watch = settled(&mut bench).await;
    until(&watch, "silence", |picture| picture.link() != Link::Live).await;
    until(&watch, "live again", |picture| picture.link() == Link::Live).await;
    assert_eq!(bench.server.asked().1, 2, "no list is needed for it");
}

/// `follow.rs`: `asked_to_wait` in `rest_after`; `client/mod.rs`: `RETRY_AFTER`.
#[tokio::test(start_paused = true)]
async fn a_busy_server_is_left_alone_for_as_long_as_it_says() {
    let mut bench = Bench::new();
    bench.join(2);
    bench.server.behave(vec![Manner::Busy { times: 2, seconds: 30 }]);
    let began = Instant::now();
    let watch = bench.watch();
    until(
        &watch,
        "it says so",
        |picture| matches!(picture.link(), Link::Lost { why } if why.contains("429")),
    )
    .await;
    until(&watch, "two nodes", |picture| picture.nodes().count() == 2).await;
    assert!(began.elapsed() >= Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(bench.wire.dialed() <= 6, "{} connections", bench.wire.dialed());
}

/// `follow.rs`: the wait in `run` doubles; a server that is away is not stormed, and found when it is back.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_asked_ever_less_and_found_again() {
    let mut bench = Bench::new();
    let watch = settled(&mut bench).await;
    bench.server.behave(vec![Manner::Away]);
    until(&watch, "the link is lost", |picture| picture.link() != Link::Live).await;
    let dialed = bench.wire.dialed();
    let gone = tokio::time::timeout(Duration::from_secs(600), bench.until_something_changes(&watch));
    assert!(gone.await.is_err(), "the picture stays as it was");
    let tries = bench.wire.dialed() - dialed;
    assert!((100..=180).contains(&tries), "{tries} tries in ten minutes");
    bench.server.behave(Vec::new());
    until(&watch, "live again", |picture| picture.link() == Link::Live).await;
}

/// `mod.rs`: `replace`. The server has a new authority and new clients: as after a lab was made anew.
#[tokio::test(start_paused = true)]
async fn a_kubeconfig_is_replaced_without_losing_the_picture() {
    let mut bench = Bench::new();
    let watch = settled(&mut bench).await;
    let mut other = Trust::new(2);
    bench.server.present(other.server());
    bench.server.cut();
    let picture = until(
        &watch,
        "distrust",
        |picture| matches!(picture.link(), Link::Lost { why } if why.contains("not signed by the authority")),
    );
    assert_eq!(picture.await.counts().ready, 2);
    assert!(watch.replace(b"nonsense").is_err());
    watch.replace(other.kubeconfig().as_bytes()).unwrap();
    let mut least = usize::MAX;
    until(&watch, "live again", |picture| {
        least = least.min(picture.counts().ready);
        picture.link() == Link::Live
    })
    .await;
    assert_eq!(least, 2, "no moment without the pods");
    created(&bench, &deployment("more", 1));
    until(&watch, "a new pod", |picture| picture.counts().ready == 3).await;
}

/// A server that knows nobody says 401; the right kubeconfig ends the wait at once.
#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_are_named() {
    let mut bench = Bench::new();
    bench.server.behave(vec![Manner::KnowsNobody]);
    let watch = bench.watch();
    until(
        &watch,
        "401",
        |picture| matches!(picture.link(), Link::Lost { why } if why.contains("401 Unauthorized")),
    )
    .await;
    let stranger = Trust::new(3).kubeconfig();
    let client = kubernetes::Client::new(stranger.as_bytes(), bench.wire.clone()).unwrap();
    assert_eq!(client.version().await.unwrap_err().code(), "cluster-untrusted");
}

/// `follow.rs`: pages are read one after the other, and 410 on the way begins again.
#[tokio::test(start_paused = true)]
async fn a_long_list_is_read_in_pages_even_when_they_expire() {
    let mut bench = Bench::new();
    bench.join(8);
    created(&bench, &deployment("web", 600));
    bench.server.behave(vec![Manner::ForgetsPages]);
    let watch = bench.watch();
    until(&watch, "410", |picture| matches!(picture.link(), Link::Lost { why } if why.contains("410"))).await;
    bench.server.behave(Vec::new());
    until(&watch, "all pods", |picture| picture.counts().ready == 600).await;
}

/// Slow answers are waited for, and no longer than the limit.
#[tokio::test(start_paused = true)]
async fn a_slow_server_is_waited_for_up_to_the_limit() {
    let mut bench = Bench::new();
    let client = bench.client();
    bench.server.behave(vec![Manner::Slow(20_000)]);
    assert_eq!(client.version().await.unwrap(), "v1.33.2");
    bench.server.behave(vec![Manner::Slow(40_000)]);
    assert_eq!(client.version().await.unwrap_err().code(), "cluster-late");
}
