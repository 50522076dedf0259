//! The channel between an agent and the core: where it leads, which keys are at its ends, what can be asked over it.
//!
//! The agent connects, so that a machine opens no port; over the connection the *core* asks, and the agent answers.
//! TLS 1.3 with raw Ed25519 keys at both ends (RFC 7250), HTTP/2 in it (RFC 9113).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::AgentKey;

/// Protocol name in the handshake (RFC 7301).
pub const CHANNEL_PROTOCOL: &[u8] = b"labinator-channel/1";
/// TCP port of the core for its agents.
pub const CHANNEL_PORT: u16 = 8423;
/// GET: names of the guests that have a console, a JSON list.
pub const CHANNEL_GUESTS_PATH: &str = "/v1/guests";
/// POST: ask the boss now, for it would answer otherwise than last time. There is no body.
pub const CHANNEL_NUDGE_PATH: &str = "/v1/nudge";
/// Query parameter and header: offset of the first byte of a console that is wanted, or that comes.
pub const CHANNEL_FROM: &str = "labinator-from";
/// Folder of a hypervisor with a folder for each guest.
pub const GUESTS_FOLDER: &str = "/run/labinator/guests";
/// What a guest wrote to its serial port, from the first byte; what is too old is a hole in it.
pub const GUEST_CONSOLE_LOG: &str = "console.log";
/// Unix socket of a guest's serial port.
pub const GUEST_CONSOLE_SOCKET: &str = "serial.sock";
/// Unix socket of a guest's screen (RFC 6143).
pub const GUEST_VNC_SOCKET: &str = "vnc.sock";

/// Where agents reach the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentChannel {
    /// TCP port, at the boss's address.
    pub port: u16,
    /// The core's key. The first one that an agent is told in a boot is the only one it believes.
    pub key: AgentKey,
}

/// What stands before an Ed25519 key in the form that TLS has it in (`SubjectPublicKeyInfo`, RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl AgentKey {
    /// The key as TLS has it.
    #[must_use]
    pub fn to_spki(&self) -> [u8; 44] {
        let mut spki = [0; 44];
        for (to, from) in spki.iter_mut().zip(SPKI.iter().chain(&self.0)) {
            *to = *from;
        }
        spki
    }

    /// A key as TLS has it; `None` when it is of another kind.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Option<Self> {
        spki.strip_prefix(&SPKI)?.try_into().ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_what_tls_has() {
        let key = AgentKey([7; 32]);
        assert_eq!(AgentKey::of_spki(&key.to_spki()), Some(key));
        assert_eq!(AgentKey::of_spki(&key.to_spki()[..43]), None);
        assert_eq!(AgentKey::of_spki(&[0; 44]), None);
    }
}
