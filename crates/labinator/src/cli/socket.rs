//! Where the controller is.

use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A controller's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// A Unix socket: whoever may open it may do everything.
    Unix(PathBuf),
    /// Host and port, plain HTTP/1.1.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl FromStr for Server {
    type Err = String;

    /// Reads `/run/labinator/api.sock`, `unix:/run/…` and `http://HOST[:PORT]` (port 8080 unless told).
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return Ok(Self::Unix(path.into()));
        }
        if text.starts_with('/') || text.starts_with("./") {
            return Ok(Self::Unix(text.into()));
        }
        if text.starts_with("https://") {
            return Err("this version speaks plain HTTP: use an SSH tunnel to the boss".to_owned());
        }
        let wrong = || "a socket's path or http://HOST:PORT".to_owned();
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
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
        if host.is_empty() { Err(wrong()) } else { Ok(Self::Tcp { host, port }) }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
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
        let tcp = |host: &str, port| Ok(Server::Tcp { host: host.to_owned(), port });
        assert_eq!("http://boss:81/".parse(), tcp("boss", 81));
        assert_eq!("http://10.0.0.1".parse(), tcp("10.0.0.1", 8080));
        assert_eq!("http://[fd00::1]:9".parse(), tcp("fd00::1", 9));
        assert_eq!("unix:/a/b".parse(), Ok(Server::Unix("/a/b".into())));
        assert_eq!("/a/b".parse(), Ok(Server::Unix("/a/b".into())));
        for wrong in ["https://boss", "boss", "http://", "http://boss:99999", "http://boss:", "http://a b"] {
            assert!(wrong.parse::<Server>().is_err(), "{wrong}");
        }
    }
}
