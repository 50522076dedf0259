//! Who may do what: every route of the contract asked with every role, and with nothing.

use std::collections::BTreeMap;

use api::{Method, ROUTES, Role, TokenAsk};
use labinator::clock::Clock;
use model::{LabTime, Origin};

use crate::house::{Answer, House, TOKEN, soon};

/// The table, written by hand: the least role for each route. A route that is not here fails the test.
const TABLE: &[(&str, &str)] = &[
    ("GET /v1/snapshot", "kiosk"),
    ("GET /v1/stream", "kiosk"),
    ("GET /v1/events", "view"),
    ("GET /v1/scenarios/{scenario}/plan", "view"),
    ("POST /v1/scenarios/{scenario}/start", "operate"),
    ("POST /v1/scenarios/{scenario}/adopt", "admin"),
    ("POST /v1/stop", "operate"),
    ("GET /v1/explain", "view"),
    ("GET /v1/nodes", "view"),
    ("GET /v1/nodes/{node}/explain", "view"),
    ("GET /v1/nodes/{node}/trace", "view"),
    ("POST /v1/nodes/{node}/power", "operate"),
    ("POST /v1/nodes/{node}/power/seen", "operate"),
    ("POST /v1/nodes/{node}/install", "operate"),
    ("POST /v1/nodes/{node}/wipe", "operate"),
    ("GET /v1/nodes/{node}/loader", "view"),
    ("POST /v1/nodes/{node}/loader", "operate"),
    ("GET /v1/nodes/{node}/console", "view"),
    ("POST /v1/nodes/{node}/console", "operate"),
    ("GET /v1/nodes/{node}/screen", "operate"),
    ("GET /v1/switches", "view"),
    ("POST /v1/switches/cut", "operate"),
    ("POST /v1/switches/restore", "operate"),
    ("POST /v1/switches/{switch}/mirror", "admin"),
    ("GET /v1/doctor", "view"),
    ("GET /v1/images", "view"),
    ("GET /v1/logs", "view"),
    ("GET /v1/logs/summary", "view"),
    ("GET /v1/failures", "view"),
    ("GET /v1/failures/{file}", "operate"),
    ("GET /v1/certificates", "view"),
    ("POST /v1/certificates/renew", "admin"),
    ("POST /v1/certificates/issue", "admin"),
    ("GET /v1/certificates/root", "anyone"),
    ("GET /v1/tokens", "admin"),
    ("POST /v1/tokens", "admin"),
    ("POST /v1/tokens/{name}/revoke", "admin"),
    ("GET /v1/openapi.json", "anyone"),
];

/// Roles in the order of what they may, with the words of the table.
const ROLES: [(&str, Option<Role>); 5] = [
    ("anyone", None),
    ("kiosk", Some(Role::Kiosk)),
    ("view", Some(Role::View)),
    ("operate", Some(Role::Operate)),
    ("admin", Some(Role::Admin)),
];

fn token(house: &House, role: Role) -> String {
    let ask = TokenAsk { name: format!("a-{role}"), role, allow: Vec::new(), days: 1, by: Origin::Cli };
    house.tokens.create(&ask, house.trust.at_least_now().wall).unwrap().0
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {token}"))]
}

#[tokio::test]
async fn every_route_asks_for_the_role_that_the_table_says() {
    let house = House::open("rights", Clock::after(None)).await;
    let table: BTreeMap<&str, &str> = TABLE.iter().copied().collect();
    let tokens = ROLES.map(|(_, role)| role.map(|role| token(&house, role)));
    assert_eq!(table.len(), ROUTES.len(), "a route without a row, or a row without a route");
    for route in ROUTES {
        let word = match route.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let row = format!("{word} {}", route.path);
        let least = table.get(row.as_str()).unwrap_or_else(|| panic!("no row for {row}"));
        let least = ROLES.iter().position(|(name, _)| name == least).unwrap();
        let parts: Vec<&str> =
            route.path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let path = parts.join("/");
        for (at, token) in tokens.iter().enumerate() {
            let headers = token.as_deref().map(bearer).unwrap_or_default();
            let told = house.send(word, &path, "{}", &headers).await;
            let expected = match (at >= least, token) {
                (true, _) => "let in",
                (false, None) => "no_token",
                (false, Some(_)) => "role_lacks",
            };
            let got = match told.status {
                401 | 403 => told.code(),
                _ => "let in".to_owned(),
            };
            assert_eq!(got, expected, "{row} as {}: {} {}", ROLES[at].0, told.status, told.body);
            assert!(told.status < 500 || told.status == 503, "{row}: {} {}", told.status, told.body);
        }
    }
}

#[tokio::test]
async fn a_token_is_made_listed_and_revoked_and_what_it_opened_ends() {
    let house = House::open("token", Clock::after(None)).await;
    let ca = ["--ca", &house.root];
    let made = house.run(&["token", "create", "wall", "--role", "kiosk", "--days", "30"], &ca, TOKEN).await;
    assert_eq!(made.code, 0, "{}", made.err);
    let wall = made.out.trim().to_owned();
    assert_eq!(wall.len(), 32, "the token alone stands on standard output");
    let listed = house.run(&["token", "list"], &ca, TOKEN).await;
    assert!(
        listed.out.starts_with("wall             kiosk    until ") && !listed.out.contains(&wall),
        "{}",
        listed.out
    );
    let refused = house.run(&["stop"], &ca, &wall).await;
    assert!(refused.code == 3 && refused.err.contains("role kiosk"), "{}", refused.err);
    let refused = house.run(&["token", "create", "mine", "--role", "admin"], &ca, &wall).await;
    assert_eq!(refused.code, 3);

    let mut stream = house.open_stream(&wall).await;
    let mut own = house.open_stream(TOKEN).await;
    assert_eq!(house.run(&["token", "revoke", "wall"], &ca, TOKEN).await.code, 0);
    soon(stream.ends()).await;
    assert!(own.is_open().await);
    assert_eq!(house.send("GET", "/v1/snapshot", "", &bearer(&wall)).await.code(), "no_token");
}

#[tokio::test]
async fn wrong_tokens_make_their_sender_wait() {
    // A clock that stands: no pause ends meanwhile.
    let house = House::open("throttle", Clock::virtual_from(LabTime(1), Clock::after(None).now().wall)).await;
    assert_eq!(house.send("GET", "/v1/snapshot", "", &bearer(TOKEN)).await.status, 200);
    for _ in 0..11 {
        let told = house.send("GET", "/v1/snapshot", "", &bearer("wrong")).await;
        assert_eq!(told.code(), "no_token");
    }
    let told = house.send("GET", "/v1/snapshot", "", &bearer("wrong")).await;
    assert_eq!((told.status, told.code().as_str()), (429, "throttled"));
    assert!(told.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() >= 1));
    assert_eq!(house.send("GET", "/v1/openapi.json", "", &[]).await.status, 200);
    // Even a right one is not told from a wrong one, unless it was there before.
    let fresh = token(&house, Role::View);
    assert_eq!(house.send("GET", "/v1/snapshot", "", &bearer(&fresh)).await.status, 429);
    assert_eq!(house.send("GET", "/v1/snapshot", "", &bearer(TOKEN)).await.status, 200);
}

#[tokio::test]
async fn a_browser_of_another_page_changes_nothing() {
    let house = House::open("page", Clock::after(None)).await;
    let link = house.send("GET", &format!("/?token={TOKEN}"), "", &[]).await;
    let cookie = link.header("set-cookie").unwrap();
    assert_eq!(link.status, 303);
    for word in ["HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let post = |more: &[(&'static str, &str)]| {
        let mut headers = vec![("cookie", cookie.clone())];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        headers
    };
    for (headers, code) in [
        (post(&[]), "other_page"),
        (post(&[("x-labinator", "1"), ("origin", "https://evil.example")]), "other_page"),
        (post(&[("x-labinator", "1"), ("origin", "null")]), "other_page"),
    ] {
        assert_eq!(house.send("POST", "/v1/stop", "{}", &headers).await.code(), code, "{headers:?}");
    }
    let own = post(&[("x-labinator", "1"), ("origin", "https://boss")]);
    assert_eq!(
        house.send("POST", "/v1/stop", "{}", &own).await.status,
        422,
        "let in, and the body lacks who asks"
    );
    let read = house.send("GET", "/v1/snapshot", "", &post(&[("origin", "https://evil.example")])).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("access-control-allow-origin"), None, "its page cannot read what came");
    let policy = read.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
}

/// What scanners send. Nothing of it may be answered with more than a refusal, and the page goes on.
#[tokio::test]
async fn bad_requests_are_refused_and_harm_nothing() {
    let house = House::open("bad", Clock::after(None)).await;
    let long = format!("/v1/nodes/{}/explain", "a".repeat(60_000));
    let deep = "[".repeat(100_000);
    for (method, path, body) in [
        ("OPTIONS", "/v1/stop", ""),
        ("TRACE", "/v1/snapshot", ""),
        ("PUT", "/v1/stop", "{}"),
        ("DELETE", "/v1/tokens", ""),
        ("POST", "/", "{}"),
        ("POST", "/v1/stop", "not json"),
        ("POST", "/v1/stop", &deep),
        ("POST", "/v1/tokens/%00/revoke", "{}"),
        ("GET", "/../../etc/passwd", ""),
        ("GET", "/..%2f..%2fetc%2fpasswd", ""),
        ("GET", "/v1/failures/..%2f..%2ftoken", ""),
        ("GET", "/v1/failures/%2e%2e%2ftoken", ""),
        ("GET", "//etc/passwd", ""),
        ("GET", "/v1/nodes/%27%20OR%201=1--/explain", ""),
        ("GET", "/v1/nodes/%3Cscript%3E/explain", ""),
        ("GET", "/v1/events?after=-1", ""),
        ("GET", "/v1/events?after=99999999999999999999999", ""),
        ("GET", &long, ""),
    ] {
        let told: Answer = house.send(method, path, body, &bearer(TOKEN)).await;
        let shown: String = path.chars().take(60).collect();
        assert!((400..500).contains(&told.status), "{method} {shown}: {} {}", told.status, told.body);
        assert!(!told.body.contains("root:x:") && !told.body.contains(TOKEN), "{method} {shown}");
    }
    assert_eq!(house.send("GET", "/v1/snapshot", "", &bearer(TOKEN)).await.status, 200);
}
