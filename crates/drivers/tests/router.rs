//! A router that runs OpenWrt over HTTP, against its simulator: state, scan, a Wi-Fi that is joined and one that is not,
//! uplink, and credentials.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use drivers::power::Reveal;
use drivers::router::{Router, RouterError};
use model::{Secret, SecretRef};
use sim::router::{Air, Router as Simulated};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Shared = Arc<Mutex<Simulated>>;

/// Serves a router's door: one question a connection.
async fn serve(listener: TcpListener, router: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream, Arc::clone(&router)));
    }
}

async fn answer(mut stream: TcpStream, router: Shared) {
    let mut bytes = Vec::new();
    let body = loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize =
            head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().trim().parse().unwrap();
        if bytes.len() >= end + 4 + length {
            break bytes[end + 4..].to_vec();
        }
    };
    let said = router.lock().unwrap().answer(&body).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        said.len()
    );
    stream.write_all(format!("{head}{said}").as_bytes()).await.unwrap();
}

async fn bench(secret: &'static str) -> (Router, Shared) {
    let router = Arc::new(Mutex::new(Simulated::new("lab", "right password")));
    router.lock().unwrap().air = vec![
        Air { ssid: "far".to_owned(), password: Some("somewhere".to_owned()), signal: -80 },
        Air { ssid: "hotel".to_owned(), password: Some("breakfast at 8".to_owned()), signal: -48 },
        Air { ssid: "hotel".to_owned(), password: Some("breakfast at 8".to_owned()), signal: -70 },
        Air { ssid: "<img src=x>".to_owned(), password: None, signal: -60 },
    ];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, Arc::clone(&router)));
    let reveal: Reveal = Arc::new(move |_| Ok(Secret::new(secret.as_bytes().to_vec())));
    let asked = Router::new(&url, None, SecretRef::Kept("router".to_owned()), &reveal);
    (asked.joining_within(Duration::from_secs(20)), router)
}

const RIGHT: &str = "lab:right password";

fn password(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

#[tokio::test]
async fn a_router_tells_what_it_is_its_counters_leases_and_zones() {
    let (mut router, simulated) = bench(RIGHT).await;
    let state = router.state().await.unwrap();
    assert_eq!((state.name.as_str(), state.uptime), ("wally", 86_400));
    let names: Vec<&str> = state.interfaces.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["lan", "wan"]);
    let wan = &state.interfaces[1];
    assert_eq!((wan.address.as_deref(), wan.gateway.as_deref()), (Some("192.0.2.17/24"), Some("192.0.2.1")));
    assert_eq!((wan.bytes, wan.troubles), ((1_000, 2_000), (3, 4)));
    assert_eq!(state.leases[0].mac, "52:54:00:aa:00:01");
    let zones: Vec<(&str, usize)> =
        state.zones.iter().map(|zone| (zone.name.as_str(), zone.networks.len())).collect();
    assert_eq!(zones, [("lan", 1), ("wan", 2)], "as a list, and as words");
    // A router without LuCI's part tells no leases, and the rest.
    simulated.lock().unwrap().ubus.forbidden.push("luci-rpc".to_owned());
    assert!(router.state().await.unwrap().leases.is_empty());
    assert_eq!(simulated.lock().unwrap().ubus.wrong, 0);
}

#[tokio::test]
async fn the_strongest_network_comes_first_and_each_once() {
    let (mut router, _) = bench(RIGHT).await;
    let around = router.scan().await.unwrap();
    let heard: Vec<(&str, i64, &str)> =
        around.iter().map(|one| (one.ssid.as_str(), one.signal, one.guarded.as_str())).collect();
    assert_eq!(heard, [("hotel", -48, "WPA2 psk"), ("<img src=x>", -60, "none"), ("far", -80, "WPA2 psk")]);
}

#[tokio::test]
async fn a_wifi_is_joined_and_confirmed_once_it_has_an_address() {
    let (mut router, simulated) = bench(RIGHT).await;
    assert_eq!(router.connect("hotel", Some(&password("breakfast at 8"))).await.unwrap(), "172.16.9.23/24");
    {
        let simulated = simulated.lock().unwrap();
        assert!(!simulated.is_unconfirmed());
        assert_eq!(simulated.setting("/wireless/labinator_sta/encryption").unwrap(), "psk2");
        let zone = simulated.setting("/firewall/cfg03dc81/network").unwrap();
        assert_eq!(
            zone,
            serde_json::json!(["wan", "wan6", "wwan"]),
            "behind the firewall, beside the others"
        );
    }
    // Another one later is the same station, and stands in its zone once.
    assert!(router.connect("<img src=x>", None).await.is_ok());
    let simulated = simulated.lock().unwrap();
    assert_eq!(simulated.setting("/firewall/cfg03dc81/network").unwrap().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_wrong_password_leaves_the_router_as_it_was() {
    let (router, simulated) = bench(RIGHT).await;
    let mut router = router.joining_within(Duration::from_millis(600));
    let error = router.connect("hotel", Some(&password("wrong wrong"))).await.unwrap_err();
    assert_eq!(error.code, "not-joined", "{error}");
    let simulated = simulated.lock().unwrap();
    assert!(!simulated.is_unconfirmed(), "taken back at once");
    assert_eq!(simulated.setting("/wireless/labinator_sta"), None);
    assert_eq!(simulated.setting("/network/wwan"), None);
}

#[tokio::test]
async fn what_cannot_be_joined_is_said_before_anything_is_changed() {
    let (mut router, simulated) = bench(RIGHT).await;
    let code = |answer: Result<String, RouterError>| answer.unwrap_err().code;
    assert_eq!(code(router.connect("hotel", None).await), "secured");
    assert_eq!(code(router.connect("<img src=x>", Some(&password("12345678"))).await), "open");
    assert_eq!(code(router.connect("hotel", Some(&password("short"))).await), "password");
    let error = router.connect("home", None).await.unwrap_err();
    assert!(error.why.contains("around are: hotel, <img src=x>, far"), "{error}");
    assert!(!simulated.lock().unwrap().ubus.calls.iter().any(|call| call.contains("apply")));
}

#[tokio::test]
async fn an_uplink_goes_down_and_up_and_an_unknown_one_is_named() {
    let (mut router, simulated) = bench(RIGHT).await;
    router.uplink("wan", false).await.unwrap();
    assert!(!router.state().await.unwrap().interfaces[1].up);
    router.uplink("wan", true).await.unwrap();
    assert!(simulated.lock().unwrap().down.is_empty());
    let error = router.uplink("wlan", false).await.unwrap_err();
    assert_eq!(error.why, "the router has no interface `wlan`; it has: lan, wan");
}

#[tokio::test]
async fn a_wrong_password_of_ours_is_tried_once_and_a_session_that_ran_out_is_made_anew() {
    let (mut router, simulated) = bench("lab:wrong").await;
    assert_eq!(router.scan().await.unwrap_err().code, "credentials");
    assert_eq!(simulated.lock().unwrap().ubus.wrong, 1);
    let (mut router, simulated) = bench(RIGHT).await;
    router.scan().await.unwrap();
    simulated.lock().unwrap().ubus.restart();
    router.scan().await.unwrap();
    assert_eq!(simulated.lock().unwrap().ubus.logins, 2);
}
