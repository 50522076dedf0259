//! The original's web-managed switch with eight ports, and its many relatives: a cookie, a table of ports, a form.
//!
//! | what | how |
//! |---|---|
//! | who we are | cookie `admin`, MD5 of user and password one after the other; told to `/login.cgi` first |
//! | how ports stand | `/port.cgi`, a table: port, (name,) state, speed that is set, speed that is, … |
//! | a port | `/port.cgi`, a form: `portid` from 0, `state` 1 or 0, `speed_duplex` 0 (auto), `flow` 0 |
//! | who hangs where | `/mac.cgi?page=fwd_tbl`, where the firmware has it |
//! | a copy | `/port.cgi?page=mirroring`, where the firmware has it |
//!
//! By what the original's own program does (labwatch, `switchman`), and, for the last two, by what owners of switches
//! with the same pages published.

use std::time::Duration;

use md5::{Digest as _, Md5};
use model::{MacAddr, SecretRef};

use super::device::{Look, Manner, Seen, Switch, mirrors_not};
use super::table::{port, rows, speed, state};
use crate::power::Reveal;
use crate::power::credentials::Credentials;
use crate::power::device::{Cure, DeviceError};
use crate::power::web::{Login, Origin, Question, Web};

/// The page of ports.
const PORTS: &str = "/port.cgi";
/// The page of addresses.
const MACS: &str = "/mac.cgi?page=fwd_tbl";
/// Pages of addresses that are read at most.
const MAC_PAGES: usize = 32;
/// Traffic in both directions, in the form of mirrors.
const BOTH: &str = "3";

/// Such a switch.
#[derive(Debug)]
pub(super) struct Pages {
    url: String,
    credentials: Credentials,
    web: Option<Web>,
    /// What proves who we are, once it was told.
    cookie: Option<String>,
}

impl Pages {
    pub(super) fn new(url: &str, credentials: &SecretRef, reveal: &Reveal) -> Self {
        let credentials = Credentials::new(Some(credentials.clone()), reveal);
        Self { url: url.trim_end_matches('/').to_owned(), credentials, web: None, cookie: None }
    }

    fn web(&mut self) -> Result<&mut Web, DeviceError> {
        if self.web.is_none() {
            let origin =
                Origin::read(&self.url).map_err(|why| DeviceError::locked(format!("{}: {why}", self.url)))?;
            self.web = Some(Web::new(origin, Login::Nobody, None));
        }
        self.web.as_mut().ok_or_else(|| DeviceError::lost("unreached", "it is not there"))
    }

    async fn log_in(&mut self) -> Result<(), DeviceError> {
        let user = self.credentials.user(Some("admin"))?;
        let (user, password) = user.unwrap_or_else(|| ("admin".to_owned(), String::new()));
        let mut proof = String::with_capacity(32);
        for byte in Md5::digest(format!("{user}{password}").as_bytes()) {
            proof.push_str(&format!("{byte:02x}"));
        }
        let fields = [
            ("username", user.as_str()),
            ("password", password.as_str()),
            ("language", "EN"),
            ("Response", proof.as_str()),
        ];
        let question = self.with_cookie(Question::form("/login.cgi", &fields), &proof);
        self.web()?.expect(&question).await?;
        self.cookie = Some(proof);
        Ok(())
    }

    fn with_cookie(&self, mut question: Question, proof: &str) -> Question {
        question.headers.push(("cookie", format!("admin={proof}")));
        // Some firmware answers nobody who does not come from its menu.
        question.headers.push(("referer", format!("{}/menu.cgi", self.url)));
        question
    }

    /// Asks for a page as who we are. A switch that was started anew has forgotten us, and is told once more.
    async fn page(&mut self, question: &Question) -> Result<String, DeviceError> {
        let kept = self.cookie.is_some();
        if !kept {
            self.log_in().await?;
        }
        let mut page = self.page_once(question).await?;
        if kept && asks_who(&page) {
            self.log_in().await?;
            page = self.page_once(question).await?;
        }
        if asks_who(&page) {
            self.cookie = None;
            return Err(DeviceError::locked(format!("{} does not take the password", self.url)));
        }
        Ok(page)
    }

    async fn page_once(&mut self, question: &Question) -> Result<String, DeviceError> {
        let proof = self.cookie.clone().unwrap_or_default();
        let question = self.with_cookie(question.clone(), &proof);
        let answer = self.web()?.expect(&question).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// True for the page that asks for user and password.
fn asks_who(page: &str) -> bool {
    page.contains("login.cgi")
}

/// The ports of the page of ports.
fn ports(page: &str) -> Vec<Seen> {
    let mut ports: Vec<Seen> = Vec::new();
    for row in rows(page) {
        let Some(name) = row.first().filter(|cell| cell.starts_with("Port")).and_then(|cell| port(cell))
        else {
            continue;
        };
        // A column with the port's name may stand between.
        let Some((at, enabled)) =
            row.iter().enumerate().skip(1).take(2).find_map(|(at, cell)| Some((at, state(cell)?)))
        else {
            continue;
        };
        // What is set, then what is.
        let Some(mbit) = row.get(at.saturating_add(2)).and_then(|cell| speed(cell)) else { continue };
        if !ports.iter().any(|seen| seen.port == name) {
            ports.push(Seen { port: name, enabled, mbit, bounced: false });
        }
    }
    ports
}

/// The addresses of one page of them: the column of ports is known by its heading, or is the last.
fn macs(page: &str) -> Vec<(String, MacAddr)> {
    let mut column = None;
    let mut found = Vec::new();
    for row in rows(page) {
        if row.iter().any(|cell| cell.eq_ignore_ascii_case("MAC Address")) {
            column = row.iter().position(|cell| cell.eq_ignore_ascii_case("Port"));
            continue;
        }
        let Some(mac) = row.iter().find_map(|cell| cell.parse::<MacAddr>().ok()) else { continue };
        let cell = column.map_or_else(|| row.last(), |at| row.get(at));
        found.extend(cell.and_then(|cell| port(cell)).map(|port| (port, mac)));
    }
    found
}

/// "Total 40 Items": how many addresses there are on all pages.
fn total(page: &str) -> Option<usize> {
    let rest = page.split_once("Total ")?.1;
    rest.split_once(" Items")?.0.trim().parse().ok()
}

/// A port's number from 0.
fn number(name: &str) -> Result<String, DeviceError> {
    let number = name.parse::<u16>().ok().and_then(|number| number.checked_sub(1));
    number
        .map(|number| number.to_string())
        .ok_or_else(|| DeviceError::refused("no-such-port", format!("`{name}` is no number of a port")))
}

impl Switch for Pages {
    fn manner(&self) -> Manner {
        Manner { shows: Duration::from_secs(3), limit: Duration::from_secs(8) }
    }

    async fn look(&mut self) -> Result<Look, DeviceError> {
        let page = self.page(&Question::get(PORTS)).await?;
        let ports = ports(&page);
        if ports.is_empty() {
            let shown: String =
                page.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(120).collect();
            let why = format!("{}{PORTS} shows no table of ports: {shown}", self.url);
            return Err(DeviceError::lost("not-understood", why));
        }
        Ok(Look { about: format!("web-managed switch with {} ports at {}", ports.len(), self.url), ports })
    }

    async fn set(&mut self, port: &str, on: bool) -> Result<(), DeviceError> {
        let id = number(port)?;
        let fields = [
            ("portid", id.as_str()),
            ("name", ""),
            ("state", if on { "1" } else { "0" }),
            ("speed_duplex", "0"),
            ("flow", "0"),
            ("submit", "   Apply   "),
            ("cmd", "port"),
        ];
        self.page(&Question::form(PORTS, &fields)).await.map(|_| ())
    }

    async fn macs(&mut self) -> Result<Option<Vec<(String, MacAddr)>>, DeviceError> {
        let mut page = match self.page(&Question::get(MACS)).await {
            Ok(page) => page,
            // This firmware has no such page.
            Err(error) if error.cure == Cure::Refused => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = macs(&page);
        let all = total(&page).unwrap_or_default();
        for _ in 1..MAC_PAGES {
            if found.len() >= all {
                break;
            }
            page = self.page(&Question::form(MACS, &[("cmd", "nextpage")])).await?;
            let before = found.len();
            for entry in macs(&page) {
                if !found.contains(&entry) {
                    found.push(entry);
                }
            }
            if found.len() == before {
                break;
            }
        }
        Ok(Some(found))
    }

    async fn mirror(&mut self, copy: Option<(&str, &str)>) -> Result<(), DeviceError> {
        let answer = match copy {
            None => {
                let form = Question::form("/port.cgi?page=delete_mirror", &[("cmd", "del_mirror")]);
                self.page(&form).await
            }
            Some((from, to)) => {
                let (from, to) = (format!("Port {from}"), number(to)?);
                let fields = [
                    ("mirror_direction", BOTH),
                    ("mirroring_port", to.as_str()),
                    ("mirrored_port", from.as_str()),
                    ("cmd", "mirror"),
                ];
                self.page(&Question::form("/port.cgi?page=mirroring", &fields)).await
            }
        };
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code == "http-status" => Err(mirrors_not()),
            Err(error) => Err(error),
        }
    }

    fn forget(&mut self) {
        self.cookie = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(port: &str, enabled: bool, mbit: Option<u32>) -> Seen {
        Seen { port: port.to_owned(), enabled, mbit, bounced: false }
    }

    #[test]
    fn ports_are_read_of_either_kind_of_table_and_of_nothing_else() {
        // As the original's program reads it: a form first, then a table whose second column is the port's name.
        let original = "<form action=port.cgi><table><tr><td><select><option>Port 1<option>Port 2</select></td>\
            <td><select name=state><option>Enable</select></td></tr></table></form>\
            <table><tr><th rowspan=2>Port<th>Name<th>State<th colspan=2>Speed<th colspan=2>Flow</tr>\
            <tr><th>Config<th>Actual<th>Config<th>Actual</tr>\
            <tr><td>Port 1</td><td></td><td>Enabled</td><td>Auto</td><td>1000Full</td><td>Off</td><td>Off</td></tr>\
            <tr><td>Port 2</td><td>rack</td><td>Disabled</td><td>Auto</td><td>Link Down</td><td>Off</td><td>Off</td></tr>\
            </table>";
        assert_eq!(ports(original), [seen("1", true, Some(1000)), seen("2", false, None)]);
        let relative = "<table><tr><td>Port 1</td><td>Enable</td><td>Auto</td><td>Link Down</td><td>On</td></tr>\
            <tr><td>Port 9</td><td>Enable</td><td>10G</td><td>10G Full</td><td>On</td></tr></table>";
        assert_eq!(ports(relative), [seen("1", true, None), seen("9", true, Some(10_000))]);
        for garbage in ["", "<table>", "<tr><td>Port 1<td>Enable", "<tr><td>Port 1<td>Maybe<td>x<td>1000"] {
            assert_eq!(ports(garbage), [], "{garbage}");
        }
    }

    #[test]
    fn addresses_are_read_by_the_heading_of_their_table() {
        let headed = "<tr><th>MAC Address<th>Type<th>Port<th>VLAN ID</tr>\
                      <tr><td>02:00:00:00:00:01<td>Dynamic<td>Port 3<td>1</tr>Total 12 Items, Current 1-10 Items";
        let mac = |last| MacAddr([2, 0, 0, 0, 0, last]);
        assert_eq!(macs(headed), [("3".to_owned(), mac(1))]);
        assert_eq!((total(headed), total("no such words")), (Some(12), None));
        let bare = "<tr><td>1<td>02:00:00:00:00:02<td>1<td>dynamic<td>8</tr>";
        assert_eq!(macs(bare), [("8".to_owned(), mac(2))]);
    }
}
