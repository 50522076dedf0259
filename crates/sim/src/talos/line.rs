//! The words of the kernel line that Talos reads, as far as it is simulated, and one of ours.

use std::net::SocketAddr;

use super::config;

/// Where events and kernel lines go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Receivers {
    /// `EventSinkConfig`
    pub sink: Option<SocketAddr>,
    /// `KmsgLogConfig`
    pub kernel_log: Option<SocketAddr>,
}

/// What the kernel line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// `talos.events.sink=HOST:PORT`
    pub sink: Option<SocketAddr>,
    /// `talos.logging.kernel=tcp://HOST:PORT/`
    pub kernel_log: Option<SocketAddr>,
    /// `talos.experimental.wipe=system`
    pub wipe: bool,
    /// `talos.config=URL`: where its config is fetched.
    pub config: Option<String>,
    /// `talos.config.inline=DOCUMENTS`: what they say of receivers, which outranks the words above.
    pub receivers: Receivers,
    /// `simulated-talos.release=1.12.11`, or `=1.12`: which one is played.
    pub release: Option<String>,
}

impl Line {
    /// Reads it; the last of equal words counts, as with Talos.
    #[must_use]
    pub fn read(text: &str) -> Self {
        // Talos begins its search for a config again, without end, where it cannot read them; here they are nothing.
        let documents = talos::inline::decode(text).ok().flatten();
        let receivers = documents.map(|text| config::receivers(&text)).unwrap_or_default();
        let mut line = Self { receivers, ..Self::default() };
        for word in text.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("talos.events.sink", at)) => line.sink = at.parse().ok(),
                Some(("talos.logging.kernel", url)) => {
                    line.kernel_log = url.trim_start_matches("tcp://").trim_end_matches('/').parse().ok();
                }
                Some(("talos.experimental.wipe", what)) => line.wipe = what == "system",
                // `none` says that there is none (`constants.ConfigNone`).
                Some(("talos.config", url)) => line.config = Some(url.to_owned()).filter(|url| url != "none"),
                Some(("simulated-talos.release", release)) => line.release = Some(release.to_owned()),
                _ => {}
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_talos_are_read() {
        let pulls = Line::read("talos.config=http://10.0.0.1/c/0123?a=b quiet");
        assert_eq!(pulls.config.as_deref(), Some("http://10.0.0.1/c/0123?a=b"));
        assert_eq!(Line::read("talos.config=http://10.0.0.1/c/0 talos.config=none").config, None);
        let line = Line::read(
            "console=ttyS0 talos.platform=metal talos.events.sink=10.0.0.1:8081 \
             talos.logging.kernel=tcp://10.0.0.1:6050/ talos.experimental.wipe=system simulated-talos.release=1.12",
        );
        assert_eq!(line.sink, Some("10.0.0.1:8081".parse().unwrap()));
        assert_eq!(line.kernel_log, Some("10.0.0.1:6050".parse().unwrap()));
        assert!(line.wipe);
        assert_eq!(line.release.as_deref(), Some("1.12"));
        // zstd 1.5.4, level 19, of an `EventSinkConfig` with 10.0.0.1:4002.
        let documents = "KLUv/QRo/QEA8sMNEaBvwBBRlofshDdIipjqtxUKgIxRmsXg0PZdzvUMOG8vDXxH9tk9odc7BKzejIpv6JdeKUs+VQEAWOCgrcVh2g==";
        let line = Line::read(&format!("talos.config.inline={documents} talos.events.sink=10.0.0.1:8081"));
        assert_eq!(line.sink, Some("10.0.0.1:8081".parse().unwrap()));
        let sink = Some("10.0.0.1:4002".parse().unwrap());
        assert_eq!(line.receivers, Receivers { sink, kernel_log: None });
        assert_eq!(
            Line::read("talos.experimental.wipe=system:EPHEMERAL talos.events.sink=x"),
            Line::default()
        );
    }
}
