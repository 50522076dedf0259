//! Tokens: who holds one, what it may do, until when. On disk are their SHA-256 alone.
//!
//! A token has 128 random bits, so a plain hash is as hard to undo as a slow one: there is no word to guess.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::{Method, Role, TokenAsk, TokenView, route_of};
use model::WallTime;
use pki::x509::{OsRandom, Random as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Disk, Files as _};
use tokio::sync::watch;

/// Most tokens that are kept.
const MOST: usize = 256;
/// Most days that a token is good for.
const DAYS: u32 = 3650;
/// Most things that one kiosk may do.
const ALLOWED: usize = 32;
/// Name of whoever has the controller's own token.
const CONSOLE: &str = "console";
/// How often a stream looks whether the token that opened it has ended.
const LOOKED: Duration = Duration::from_secs(5);
/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whose token it is.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What a kiosk may do beyond its picture.
    pub allow: Arc<[String]>,
    /// Which token of that name: another one may be made of the same.
    hash: [u8; 32],
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a name.
    #[error("`{0}` is no name for a token: letters, digits and `-`, 64 at most")]
    Name(String),
    /// There is one of this name.
    #[error("there is a token `{0}` already")]
    Taken(String),
    /// There is none of this name.
    #[error("there is no token `{0}`")]
    Unknown(String),
    /// A time that is none.
    #[error("a token is good for 1 to {DAYS} days")]
    Days,
    /// Something that no kiosk can be let do.
    #[error("`{0}` is nothing that a kiosk could be let do")]
    Allow(String),
    /// More than one kiosk can be let do.
    #[error("a kiosk can be let do {ALLOWED} things at most")]
    Many,
    /// No room.
    #[error("{MOST} tokens are kept already")]
    Full,
    /// The disk, or no random bytes.
    #[error("{0}")]
    Disk(String),
}

impl TokenError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "token_name",
            Self::Taken(_) => "token_taken",
            Self::Unknown(_) => "token_unknown",
            Self::Days => "token_days",
            Self::Allow(_) | Self::Many => "token_allow",
            Self::Full => "tokens_full",
            Self::Disk(_) => "token_not_kept",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Name(_) => "for example `wall` or `anna-laptop`",
            Self::Taken(_) => "revoke it first: `labinator token revoke NAME`",
            Self::Unknown(_) => "`labinator token list` has those that are",
            Self::Days => "make another when it ends",
            Self::Allow(_) => {
                "a kiosk only; a method and a path that asks for no more than `operate`, such as \
                 `POST /v1/scenarios/demo/start`"
            }
            Self::Many => "an operator's token may all of them",
            Self::Full => "revoke those that nobody needs",
            Self::Disk(_) => "look at the disk of the state folder: space, owner, errors",
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    listed: TokenView,
    /// SHA-256 of the token, in hexadecimal.
    hash: String,
}

/// The tokens of one controller.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Book>);

#[derive(Debug)]
struct Book {
    path: PathBuf,
    /// SHA-256 of the controller's own, which may everything and does not end. Nothing where there is none.
    own: Option<[u8; 32]>,
    kept: Mutex<Vec<Kept>>,
    /// Why what lies on the disk could not be read: it is not written over.
    unread: Option<String>,
    /// Changes with each one that is revoked.
    revoked: watch::Sender<u64>,
}

impl Tokens {
    /// The tokens of a state folder, and the controller's own beside them. Where the file cannot be read none of it
    /// counts, and the log says so.
    #[must_use]
    pub fn open(state: &Path, own: &str) -> Self {
        let path = state.join("tokens.json");
        let read = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|why| why.to_string()),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(why) => Err(why.to_string()),
        };
        let (kept, unread) = match read {
            Ok(kept) => (kept, None),
            Err(why) => {
                let why = format!("{} cannot be read: {why}", path.display());
                tracing::error!("no token counts but the controller's own: {why}");
                (Vec::new(), Some(why))
            }
        };
        let own = (!own.is_empty()).then(|| Sha256::digest(own).into());
        Self(Arc::new(Book { path, own, kept: Mutex::new(kept), unread, revoked: watch::channel(0).0 }))
    }

    /// Whose token this is, if it is one and has not ended. Every one is compared, and each whole.
    #[must_use]
    pub fn holder(&self, offered: &str, now: WallTime) -> Option<Holder> {
        let hash: [u8; 32] = Sha256::digest(offered).into();
        let text = hex(&hash);
        let own = self.0.own.as_ref().is_some_and(|own| same(&hash, own));
        let console = || (CONSOLE.to_owned(), Role::Admin, Arc::default());
        let mut found = own.then(console).map(|(name, role, allow)| Holder { name, role, allow, hash });
        for kept in self.kept().iter() {
            if same(kept.hash.as_bytes(), text.as_bytes()) && now < kept.listed.expires {
                let TokenView { name, role, allow, .. } = &kept.listed;
                found = Some(Holder { name: name.clone(), role: *role, allow: allow.clone().into(), hash });
            }
        }
        found
    }

    /// What is known of all.
    #[must_use]
    pub fn list(&self) -> Vec<TokenView> {
        self.kept().iter().map(|kept| kept.listed.clone()).collect()
    }

    /// Makes a token; it is synced before anybody has it.
    ///
    /// # Errors
    /// [`TokenError`]; nothing was kept.
    pub fn create(&self, ask: &TokenAsk, now: WallTime) -> Result<(String, TokenView), TokenError> {
        let right = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if ask.name.is_empty() || ask.name.len() > 64 || !ask.name.chars().all(right) {
            return Err(TokenError::Name(ask.name.clone()));
        }
        if ask.days == 0 || ask.days > DAYS {
            return Err(TokenError::Days);
        }
        if let Some(wrong) = ask.allow.iter().find(|what| ask.role != Role::Kiosk || !allowable(what)) {
            return Err(TokenError::Allow(wrong.clone()));
        }
        if ask.allow.len() > ALLOWED {
            return Err(TokenError::Many);
        }
        let mut bytes = [0; 16];
        OsRandom::new().fill(&mut bytes).map_err(|why| TokenError::Disk(why.to_string()))?;
        let token = hex(&bytes);
        let listed = TokenView {
            name: ask.name.clone(),
            role: ask.role,
            allow: ask.allow.clone(),
            created: now,
            expires: WallTime(now.0.saturating_add(u64::from(ask.days) * DAY)),
        };
        let mut kept = self.kept();
        let mut fresh: Vec<Kept> = kept.iter().filter(|one| now < one.listed.expires).cloned().collect();
        if fresh.iter().any(|one| one.listed.name == ask.name) || ask.name == CONSOLE {
            return Err(TokenError::Taken(ask.name.clone()));
        }
        if fresh.len() >= MOST {
            return Err(TokenError::Full);
        }
        fresh.push(Kept { listed: listed.clone(), hash: hex(&Sha256::digest(&token)) });
        fresh.sort_by(|a, b| a.listed.name.cmp(&b.listed.name));
        self.write(&fresh)?;
        *kept = fresh;
        Ok((token, listed))
    }

    /// Revokes a token; streams that were opened with it end.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be written down; then it still counts.
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        let mut kept = self.kept();
        let rest: Vec<Kept> = kept.iter().filter(|one| one.listed.name != name).cloned().collect();
        if rest.len() == kept.len() {
            return Err(TokenError::Unknown(name.to_owned()));
        }
        self.write(&rest)?;
        *kept = rest;
        drop(kept);
        self.0.revoked.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }

    /// Returns once this holder's token counts no more: at once when it is revoked, within [`LOOKED`] when it ended.
    pub async fn gone(self, holder: Holder, now: impl Fn() -> WallTime + Send) {
        let mut revoked = self.0.revoked.subscribe();
        while self.counts(&holder, now()) {
            // A short timer, for the wall clock may jump.
            if let Ok(Err(_)) = tokio::time::timeout(LOOKED, revoked.changed()).await {
                return;
            }
        }
    }

    fn counts(&self, holder: &Holder, now: WallTime) -> bool {
        let text = hex(&holder.hash);
        self.0.own == Some(holder.hash)
            || self.kept().iter().any(|one| one.hash == text && now < one.listed.expires)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, kept: &[Kept]) -> Result<(), TokenError> {
        if let Some(why) = &self.0.unread {
            return Err(TokenError::Disk(format!("{why}; move it away and start the controller again")));
        }
        let text = serde_json::to_vec_pretty(kept).map_err(|why| TokenError::Disk(why.to_string()))?;
        let failed = |why| TokenError::Disk(format!("{}: {why}", self.0.path.display()));
        Disk.replace(&self.0.path, &text).map_err(failed)
    }
}

impl Holder {
    /// Whether it may ask this. What is no route is the page, which everybody with a token may see.
    #[must_use]
    pub fn may(&self, method: Method, path: &str) -> bool {
        let Some(route) = route_of(method, path) else { return method == Method::Get };
        let word = match method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let listed = |what: &String| what.split_once(' ') == Some((word, path));
        self.role.may(route.right) || self.role == Role::Kiosk && self.allow.iter().any(listed)
    }
}

/// Whether a kiosk may be let do this: a route, written out, that an operator may ask.
fn allowable(what: &str) -> bool {
    let route = match what.split_once(' ') {
        Some(("GET", path)) => route_of(Method::Get, path),
        Some(("POST", path)) => route_of(Method::Post, path),
        _ => None,
    };
    !what.contains(['{', '?', '%']) && route.is_some_and(|route| Role::Operate.may(route.right))
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use model::Origin;

    use super::*;

    const NOW: WallTime = WallTime(20_783 * DAY);

    fn ask(name: &str, role: Role, allow: &[&str]) -> TokenAsk {
        let allow = allow.iter().map(|what| (*what).to_owned()).collect();
        TokenAsk { name: name.to_owned(), role, allow, days: 30, by: Origin::Cli }
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("tokens-{name}-{}", std::process::id()));
            drop(std::fs::remove_dir_all(&folder));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_token_counts_until_it_ends_or_is_revoked_and_is_nowhere_on_the_disk() {
        let folder = Folder::new("life");
        let tokens = Tokens::open(&folder.0, "own");
        assert_eq!(tokens.holder("own", NOW).unwrap().role, Role::Admin);
        let (token, listed) = tokens.create(&ask("wall", Role::View, &[]), NOW).unwrap();
        let text = std::fs::read_to_string(folder.0.join("tokens.json")).unwrap();
        assert!(!text.contains(&token) && text.contains("wall"), "{text}");
        // Also after a restart.
        let tokens = Tokens::open(&folder.0, "own");
        assert_eq!(tokens.holder(&token, NOW).unwrap().name, "wall");
        assert_eq!(tokens.list(), std::slice::from_ref(&listed));
        for wrong in ["", "own ", &token[1..], &token.to_uppercase(), &hex(&Sha256::digest(&token))] {
            assert_eq!(tokens.holder(wrong, NOW), None, "{wrong}");
        }
        assert_eq!(tokens.holder(&token, listed.expires), None);
        assert_eq!(tokens.create(&ask("wall", Role::View, &[]), NOW).unwrap_err().code(), "token_taken");
        tokens.revoke("wall").unwrap();
        assert_eq!(tokens.holder(&token, NOW), None);
        assert_eq!(Tokens::open(&folder.0, "own").holder(&token, NOW), None);
        assert_eq!(tokens.revoke("wall").unwrap_err().code(), "token_unknown");
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_by_name() {
        let folder = Folder::new("wrong");
        let tokens = Tokens::open(&folder.0, "own");
        let code = |ask: TokenAsk| tokens.create(&ask, NOW).unwrap_err().code();
        assert_eq!(code(ask("two words", Role::View, &[])), "token_name");
        assert_eq!(code(ask("", Role::View, &[])), "token_name");
        assert_eq!(code(ask("console", Role::View, &[])), "token_taken");
        assert_eq!(code(TokenAsk { days: 0, ..ask("a", Role::View, &[]) }), "token_days");
        assert_eq!(code(TokenAsk { days: DAYS + 1, ..ask("a", Role::View, &[]) }), "token_days");
        for wrong in
            ["POST /v1/tokens", "/v1/stop", "POST /v1/scenarios/{scenario}/start", "DELETE /v1/stop", "GET /"]
        {
            assert_eq!(code(ask("a", Role::Kiosk, &[wrong])), "token_allow", "{wrong}");
        }
        assert_eq!(code(ask("a", Role::View, &["POST /v1/stop"])), "token_allow");
        assert_eq!(code(ask("a", Role::Kiosk, &["POST /v1/stop"; ALLOWED + 1])), "token_allow");
        std::fs::write(folder.0.join("tokens.json"), b"{").unwrap();
        let tokens = Tokens::open(&folder.0, "own");
        assert_eq!(tokens.list(), []);
        // What nobody can read may be mended by hand: it is not written over.
        assert_eq!(tokens.create(&ask("a", Role::View, &[]), NOW).unwrap_err().code(), "token_not_kept");
        assert_eq!(std::fs::read(folder.0.join("tokens.json")).unwrap(), b"{");
    }

    #[test]
    fn without_a_token_of_its_own_an_empty_one_opens_nothing() {
        let folder = Folder::new("empty");
        assert_eq!(Tokens::open(&folder.0, "").holder("", NOW), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_opened_ends_with_its_token_and_not_with_another_of_that_name() {
        let folder = Folder::new("gone");
        let tokens = Tokens::open(&folder.0, "own");
        let of = |token: &str| tokens.holder(token, NOW).unwrap();
        let (first, listed) = tokens.create(&ask("wall", Role::View, &[]), NOW).unwrap();
        let first = of(&first);
        tokens.clone().gone(first.clone(), || listed.expires).await;
        let wait = |holder: &Holder| {
            let gone = tokens.clone().gone(holder.clone(), || NOW);
            tokio::time::timeout(Duration::from_secs(60), gone)
        };
        assert!(wait(&first).await.is_err(), "it counts");
        tokens.revoke("wall").unwrap();
        let (second, _) = tokens.create(&ask("wall", Role::View, &[]), NOW).unwrap();
        assert!(wait(&first).await.is_ok());
        assert!(wait(&of(&second)).await.is_err() && wait(&of("own")).await.is_err());
    }

    #[test]
    fn a_kiosk_sees_its_picture_and_does_what_it_is_let_do() {
        let folder = Folder::new("kiosk");
        let tokens = Tokens::open(&folder.0, "own");
        let allow = ["POST /v1/scenarios/demo/start"];
        let (token, _) = tokens.create(&ask("wall", Role::Kiosk, &allow), NOW).unwrap();
        let wall = tokens.holder(&token, NOW).unwrap();
        assert!(
            wall.may(Method::Get, "/v1/snapshot")
                && wall.may(Method::Get, "/")
                && wall.may(Method::Get, "/status")
        );
        assert!(wall.may(Method::Post, "/v1/scenarios/demo/start"));
        assert!(!wall.may(Method::Post, "/v1/scenarios/other/start") && !wall.may(Method::Post, "/v1/stop"));
        assert!(!wall.may(Method::Get, "/v1/doctor") && !wall.may(Method::Post, "/"));
    }
}
