//! The driver of IPMI against a simulated controller: lost datagrams, wrong passwords, restarts.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]

mod bmc;

use bmc::{Bmc, Manners};
use drivers::power::ipmi::{Ask, Controller, IpmiError, Login, Suite};

fn login(suite: Suite) -> Login {
    Login { user: "lab".to_owned(), password: "secret".to_owned(), suite }
}

fn controller(bmc: &Bmc, suite: Suite) -> Controller {
    Controller::new(&bmc.address.to_string(), login(suite))
}

#[tokio::test]
async fn a_machine_is_switched_and_seen_in_one_session_with_either_suite() {
    for suite in [Suite::Three, Suite::Seventeen] {
        let bmc = Bmc::new(Manners::default()).await;
        let mut controller = controller(&bmc, suite);
        assert!(!controller.is_on().await.unwrap());
        controller.order(Ask::On).await.unwrap();
        assert!(controller.is_on().await.unwrap());
        controller.order(Ask::Soft).await.unwrap();
        controller.order(Ask::Off).await.unwrap();
        assert!(!controller.is_on().await.unwrap());
        // Numbers of requests have six bits, and begin anew.
        for _ in 0..70 {
            assert!(!controller.is_on().await.unwrap());
        }
        controller.close().await;
        let seen = bmc.seen.lock().unwrap();
        assert_eq!((seen.orders.clone(), seen.asked), (vec![1, 5, 0], 1), "{suite:?}");
    }
}

#[tokio::test]
async fn a_datagram_that_is_lost_is_sent_again_and_an_order_is_carried_out() {
    // Each of the first ten datagrams of an order, both ways; all at once, since each loss costs its wait.
    let losses: [&'static [usize]; 12] =
        [&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7], &[8], &[9], &[8, 10], &[1, 3]];
    let mut running = tokio::task::JoinSet::new();
    for lost in losses {
        running.spawn(async move {
            let bmc = Bmc::new(Manners { lost, ..Manners::default() }).await;
            let mut controller = controller(&bmc, Suite::Three);
            controller.order(Ask::On).await.unwrap_or_else(|why| panic!("{lost:?}: {why}"));
            let seen = bmc.seen.lock().unwrap();
            assert!(seen.on && seen.orders.iter().all(|order| *order == 1), "{lost:?}: {seen:?}");
        });
    }
    running.join_all().await;
}

#[tokio::test]
async fn answers_that_come_twice_and_a_busy_controller_change_nothing() {
    let bmc = Bmc::new(Manners { twice: true, busy: 2, ..Manners::default() }).await;
    let mut controller = controller(&bmc, Suite::Seventeen);
    controller.order(Ask::On).await.unwrap();
    controller.order(Ask::Off).await.unwrap();
    assert!(!controller.is_on().await.unwrap());
    assert_eq!(bmc.seen.lock().unwrap().orders, [1, 0]);
}

#[tokio::test]
async fn a_controller_that_began_anew_is_asked_in_a_new_session() {
    let bmc = Bmc::new(Manners::default()).await;
    let mut controller = controller(&bmc, Suite::Three);
    controller.order(Ask::On).await.unwrap();
    *bmc.restart.lock().unwrap() = true;
    assert!(controller.is_on().await.unwrap());
    assert_eq!(bmc.seen.lock().unwrap().asked, 2);
}

#[tokio::test]
async fn a_wrong_password_is_never_shown_to_the_controller_and_asked_once() {
    let bmc = Bmc::new(Manners { password: "other", ..Manners::default() }).await;
    let mut controller = controller(&bmc, Suite::Seventeen);
    for _ in 0..5 {
        let why = controller.order(Ask::On).await.unwrap_err();
        assert_eq!((why.code(), why.passes()), ("ipmi-password", false), "{why}");
    }
    let seen = bmc.seen.lock().unwrap();
    assert_eq!((seen.asked, seen.wrong, seen.orders.len()), (1, 0, 0));
}

#[tokio::test]
async fn a_user_that_is_not_there_and_a_suite_that_is_not_offered_are_named() {
    let bmc = Bmc::new(Manners { user: "admin", suites: &[Suite::Seventeen], ..Manners::default() }).await;
    let why = controller(&bmc, Suite::Three).is_on().await.unwrap_err();
    assert_eq!((why.code(), why.passes()), ("ipmi-suite", false), "{why}");
    assert!(why.to_string().contains("cipher suite 3: it offers no such cipher suite"), "{why}");
    let why = controller(&bmc, Suite::Seventeen).is_on().await.unwrap_err();
    assert_eq!((why.code(), why.passes()), ("ipmi-user", false), "{why}");
    assert!(why.to_string().contains("for `lab`"), "{why}");
}

#[tokio::test]
async fn silence_is_named_and_may_pass() {
    let quiet = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = quiet.local_addr().unwrap().to_string();
    let why = Controller::new(&address, login(Suite::Three)).is_on().await.unwrap_err();
    assert!(matches!(why, IpmiError::Silent { tries: 3, .. }) && why.passes(), "{why}");
}
