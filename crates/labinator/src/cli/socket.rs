//! Where the controller is.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A controller's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A Unix socket: whoever may open it may do everything.
    Unix(PathBuf),
    /// Host and port, HTTP/1.1.
    Tcp {
        /// Over TLS; without it only where a controller listens on loopback.
        tls: bool,
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl FromStr for Server {
    type Err = String;

    /// Reads `/run/labinator/api.sock`, `unix:/run/…`, `http://HOST[:PORT]` and `https://HOST[:PORT]` (port 8080 unless
    /// told).
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with('/') || text.starts_with("./") {
            return Ok(Self::Unix(text.into()));
        }
        let wrong = || "a socket's path, http://HOST:PORT or https://HOST:PORT".to_owned();
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
            return Err(wrong());
        }
        let (host, port) = match authority.strip_prefix('[') {
            // An IPv6 address is written in brackets (RFC 3986 section 3.2.2).
            Some(inside) => inside.split_once(']').ok_or_else(wrong)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if port.is_empty() => 8080,
            None => return Err(wrong()),
        };
        let host = host.to_owned();
        if host.is_empty() { Err(wrong()) } else { Ok(Self::Tcp { tls, host, port }) }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { tls, host, port } => {
                let scheme = if *tls { "https" } else { "http" };
                match host.contains(':') {
                    true => write!(f, "{scheme}://[{host}]:{port}"),
                    false => write!(f, "{scheme}://{host}:{port}"),
                }
            }
        }
    }
}

/// The local socket of a controller: `$LABINATOR_SOCKET`; else for root `/run/labinator/api.sock`;
/// else `$XDG_RUNTIME_DIR/labinator/api.sock`; else `/tmp/labinator-UID/api.sock`.
#[must_use]
pub fn socket_path() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    choose(variable("LABINATOR_SOCKET"), variable("XDG_RUNTIME_DIR"), rustix::process::geteuid().as_raw())
}

fn choose(told: Option<PathBuf>, runtime: Option<PathBuf>, uid: u32) -> PathBuf {
    let folder = match (told, runtime) {
        (Some(path), _) => return path,
        (None, _) if uid == 0 => Path::new("/run/labinator").to_owned(),
        (None, Some(runtime)) => runtime.join("labinator"),
        (None, None) => PathBuf::from(format!("/tmp/labinator-{uid}")),
    };
    folder.join("api.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_where_the_user_can_make_one() {
        assert_eq!(choose(None, Some("/run/user/7".into()), 0), Path::new("/run/labinator/api.sock"));
        assert_eq!(choose(None, Some("/run/user/7".into()), 7), Path::new("/run/user/7/labinator/api.sock"));
        assert_eq!(choose(None, None, 7), Path::new("/tmp/labinator-7/api.sock"));
        assert_eq!(choose(Some("/a/b".into()), None, 0), Path::new("/a/b"));
    }

    #[test]
    fn a_server_is_a_path_or_a_host() {
        let tcp = |host: &str, port| Ok(Server::Tcp { tls: false, host: host.to_owned(), port });
        assert_eq!("http://boss:81/".parse(), tcp("boss", 81));
        assert_eq!("http://10.0.0.1".parse(), tcp("10.0.0.1", 8080));
        assert_eq!("http://[fd00::1]:9".parse(), tcp("fd00::1", 9));
        assert_eq!("unix:/a/b".parse(), Ok(Server::Unix("/a/b".into())));
        assert_eq!("/a/b".parse(), Ok(Server::Unix("/a/b".into())));
        let tls = Ok(Server::Tcp { tls: true, host: "boss".to_owned(), port: 8080 });
        assert_eq!("https://boss".parse(), tls);
        assert_eq!("https://boss".parse::<Server>().unwrap().to_string(), "https://boss:8080");
        for wrong in
            ["ftp://boss", "boss", "https://", "http://", "http://boss:99999", "http://boss:", "http://a b"]
        {
            assert!(wrong.parse::<Server>().is_err(), "{wrong}");
        }
    }
}
