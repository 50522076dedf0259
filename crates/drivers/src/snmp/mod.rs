//! What speaks SNMP: one agent, asked for values and tables, and told to set one.
//!
//! Setting the same number twice does the same once, so what was lost is sent again.

mod agent;
mod listen;

use model::{SecretRef, SnmpVersion};
use wire::snmp::{Kind, Oid, Pdu, Status, Value, Version};

use crate::power::Reveal;
use crate::power::credentials::Credentials;
use crate::power::device::DeviceError;
use agent::{Agent, NoAnswer};

pub(crate) use listen::{Hint, Listener};

/// Names in one question: an answer to twice as many fits into 1500 bytes.
const AT_ONCE: usize = 16;
/// Names that one question behind another may bring (version 2c).
const ROWS: i32 = 24;
/// Rows of a table that are read; what is behind them is not.
pub(crate) const LONGEST: usize = 8192;
/// Shortest question that is halved when its answer does not fit.
const SHORTEST: usize = 1;

/// An agent, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Talk {
    host: String,
    version: SnmpVersion,
    credentials: Credentials,
    agent: Option<Agent>,
    /// What it has, for a person: `outlet`, `port`.
    noun: &'static str,
    /// Names that fit into one of its answers.
    fits: usize,
    /// What it says it is, once it was asked.
    about: Option<String>,
}

impl Talk {
    /// Nothing is sent yet. `host` is `HOST` or `HOST:PORT`; the secret holds the community.
    pub(crate) fn new(
        host: &str,
        version: SnmpVersion,
        community: SecretRef,
        noun: &'static str,
        reveal: &Reveal,
    ) -> Self {
        let credentials = Credentials::new(Some(community), reveal);
        Self { host: host.to_owned(), version, credentials, agent: None, noun, fits: AT_ONCE, about: None }
    }

    /// Where it is, as the lab file has it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Which version is spoken.
    pub(crate) const fn version(&self) -> SnmpVersion {
        self.version
    }

    /// The word that it takes and sends.
    ///
    /// # Errors
    /// The secret is not there.
    fn community(&self) -> Result<Vec<u8>, DeviceError> {
        Ok(self.credentials.text()?.unwrap_or_default().into_bytes())
    }

    /// True of what this agent sent, with the word that it takes.
    pub(crate) fn is_from(&self, hint: &Hint) -> bool {
        let peer = self.agent.as_ref().and_then(Agent::peer);
        peer == Some(hint.from) && self.community().is_ok_and(|known| *known == *hint.community)
    }

    fn agent(&mut self) -> Result<&mut Agent, DeviceError> {
        if self.agent.is_none() {
            let community = self.community()?;
            let version = match self.version {
                SnmpVersion::One => Version::One,
                SnmpVersion::TwoC => Version::TwoC,
            };
            self.agent = Some(Agent::new(&self.host, version, community));
        }
        self.agent.as_mut().ok_or_else(|| DeviceError::lost("snmp", "it is not there"))
    }

    async fn ask(&mut self, make: impl FnOnce(i32) -> Pdu) -> Result<Pdu, DeviceError> {
        let agent = self.agent()?;
        let asked = agent.ask(make).await;
        let host = agent.host();
        asked.map_err(|why| match why {
            NoAnswer::Unreached(why) => DeviceError::lost("unreached", format!("{host}: {why}")),
            // An agent says nothing to who has the wrong word, and locks nobody out.
            NoAnswer::Silent { tries } => DeviceError::doubt(
                "silent",
                format!(
                    "{host} does not answer ({tries} datagrams): is it there, does it take the community, and \
                     questions from this address?"
                ),
            ),
        })
    }

    /// Values of names, in their order.
    ///
    /// # Errors
    /// No answer, or one that is none to these names.
    pub(crate) async fn get(&mut self, names: &[Oid]) -> Result<Vec<Value>, DeviceError> {
        let mut values = Vec::with_capacity(names.len());
        let mut rest = names;
        while !rest.is_empty() {
            let (some, more) = rest.split_at(self.fits.min(rest.len()));
            let answer = self.ask(|id| Pdu::ask(Kind::Get, id, some.iter().cloned())).await?;
            if answer.status == Status::TOO_BIG && some.len() > SHORTEST {
                self.fits = some.len().div_ceil(2);
                continue;
            }
            if answer.status != Status::OK {
                let at = usize::try_from(answer.index).ok().and_then(|index| some.get(index.checked_sub(1)?));
                return Err(self.no(answer.status, at));
            }
            // An answer is to these names, in this order, or to something else.
            if !answer.values.iter().map(|(name, _)| name).eq(some) {
                let why = format!("{} answers with other names than it was asked for", self.host);
                return Err(DeviceError::lost("not-understood", why));
            }
            values.extend(answer.values.into_iter().map(|(_, value)| value));
            rest = more;
        }
        Ok(values)
    }

    /// Sets one name.
    ///
    /// # Errors
    /// It did not, or nobody knows.
    pub(crate) async fn set(&mut self, name: &Oid, value: Value) -> Result<(), DeviceError> {
        let answer = self.ask(|id| Pdu::set(id, name.clone(), value)).await?;
        if answer.status == Status::OK { Ok(()) } else { Err(self.no(answer.status, Some(name))) }
    }

    /// A column of a table: what stands behind its name, and the values, at most [`LONGEST`]. A table that is not there
    /// is empty.
    ///
    /// # Errors
    /// No answer, or names that do not grow: an agent that begins anew would be asked for ever.
    pub(crate) async fn column(&mut self, column: &Oid) -> Result<Vec<(Vec<u32>, Value)>, DeviceError> {
        let mut rows = Vec::new();
        let (mut at, mut times) = (column.clone(), ROWS);
        while rows.len() < LONGEST {
            let behind = at.clone();
            let answer = match self.version {
                SnmpVersion::One => self.ask(|id| Pdu::ask(Kind::GetNext, id, [behind])).await?,
                SnmpVersion::TwoC => self.ask(|id| Pdu::bulk(id, behind, times)).await?,
            };
            match answer.status {
                Status::OK => {}
                // The end of what it has, in version 1.
                Status::NO_SUCH_NAME => return Ok(rows),
                Status::TOO_BIG if times > 1 => {
                    times /= 2;
                    continue;
                }
                other => return Err(self.no(other, Some(&at))),
            }
            if answer.values.is_empty() {
                let why = format!("{} answers with nothing to what is behind {at}", self.host);
                return Err(DeviceError::lost("not-understood", why));
            }
            for (name, value) in answer.values {
                let Some(index) = name.after(column).filter(|_| value.is_there()) else { return Ok(rows) };
                if name <= at {
                    let why = format!("{}: behind {at} comes {name}, which is no step forward", self.host);
                    return Err(DeviceError::lost("not-understood", why));
                }
                rows.push((index.to_vec(), value));
                at = name;
            }
        }
        Ok(rows)
    }

    fn no(&self, status: Status, name: Option<&Oid>) -> DeviceError {
        let (host, noun) = (&self.host, self.noun);
        let name = name.map(|name| format!(" of {name}")).unwrap_or_default();
        match status {
            Status::GENERAL | Status(13..=15) => {
                DeviceError::doubt("snmp-status", format!("{host} says{name} {status}"))
            }
            Status::NO_SUCH_NAME => {
                let cure = format!("is there such {noun}, and may this community see and switch it?");
                DeviceError::refused("no-such-port", format!("{host} says{name} {status}; {cure}"))
            }
            _ => {
                let cure = "may this community write?";
                DeviceError::refused("snmp-status", format!("{host} says{name} {status}; {cure}"))
            }
        }
    }

    /// What it says it is (`sysDescr`, RFC 3418), in one line.
    pub(crate) async fn about(&mut self, what: &str) -> String {
        if self.about.is_none() {
            let said = match Oid::new(&[1, 3, 6, 1, 2, 1, 1, 1, 0]) {
                Some(name) => self.get(&[name]).await.unwrap_or_default(),
                None => Vec::new(),
            };
            let text = said.first().and_then(Value::octets).map(String::from_utf8_lossy);
            let line = text.iter().flat_map(|text| text.split_whitespace()).collect::<Vec<_>>().join(" ");
            self.about = Some(line.chars().filter(|c| !c.is_control()).take(80).collect());
        }
        match self.about.as_deref() {
            None | Some("") => format!("{what} by SNMP at {}", self.host),
            Some(said) => format!("{said}, by SNMP at {}", self.host),
        }
    }

    /// Takes a new socket for the next question, and asks anew what it is.
    pub(crate) fn forget(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.forget();
        }
        self.about = None;
    }
}
