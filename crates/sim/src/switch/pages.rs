//! The pages of the original's web-managed switch: who comes without the right cookie is asked to log in, whatever is
//! asked for, and with 200.

use super::Switch;
use super::door::{Asked, Reply};

/// What the pages know besides the switch.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// The switch behind them.
    pub switch: Switch,
    /// What the cookie `admin` must be: MD5 of user and password one after the other, in hexadecimal.
    pub proof: String,
    /// True once somebody logged in, until it is started anew.
    pub known: bool,
    /// Logins.
    pub logins: u32,
    /// Questions of somebody who was not let in.
    pub strangers: u32,
    /// True where this firmware has a page of addresses, and of mirrors.
    pub rich: bool,
    /// Entries of a page of addresses.
    pub per_page: usize,
    page: usize,
}

impl Pages {
    /// A switch with eight ports.
    #[must_use]
    pub fn new(proof: &str) -> Self {
        Self {
            switch: Switch::new(["1", "2", "3", "4", "5", "6", "7", "8"]),
            proof: proof.to_owned(),
            rich: true,
            per_page: 3,
            ..Self::default()
        }
    }

    /// It is started anew: who had logged in is forgotten.
    pub fn restart(&mut self) {
        self.known = false;
    }

    /// Answers one question.
    pub fn answer(&mut self, asked: &Asked) -> Reply {
        let right = asked.cookie.split(';').any(|part| part.trim() == format!("admin={}", self.proof));
        if asked.path == "/login.cgi" {
            self.logins += 1;
            self.known = right && asked.field("Response").as_deref() == Some(self.proof.as_str());
            return Reply::page("<html>ok</html>");
        }
        if !right || !self.known {
            self.strangers += 1;
            return Reply::page("<form action=\"/login.cgi\" method=post><input name=username></form>");
        }
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/port.cgi") => {
                let id = asked.field("portid").and_then(|id| id.parse::<u16>().ok()).unwrap_or(u16::MAX);
                let on = asked.field("state").as_deref() == Some("1");
                self.switch.set(&(u32::from(id) + 1).to_string(), on);
                self.ports()
            }
            (_, "/port.cgi") => self.ports(),
            (method, "/mac.cgi?page=fwd_tbl") if self.rich => {
                self.page = if method == "POST" { self.page + 1 } else { 0 };
                self.addresses()
            }
            ("POST", "/port.cgi?page=mirroring") if self.rich => {
                let to =
                    asked.field("mirroring_port").and_then(|to| to.parse::<u32>().ok()).unwrap_or_default();
                let from = asked.field("mirrored_port").unwrap_or_default();
                self.switch.mirror = Some((from.replace("Port ", ""), (to + 1).to_string()));
                Reply::page("ok")
            }
            ("POST", "/port.cgi?page=delete_mirror") if self.rich => {
                self.switch.mirror = None;
                Reply::page("ok")
            }
            _ => Reply { status: 404, body: "not found".to_owned() },
        }
    }

    fn ports(&self) -> Reply {
        let mut page = String::from("<table><tr><td>Port<td><select><option>Port 1</select></table><table>");
        page += "<tr><th>Port<th>Name<th>State<th colspan=2>Speed/Duplex<th colspan=2>Flow</tr>";
        page += "<tr><th>Config<th>Actual<th>Config<th>Actual</tr>";
        for port in &self.switch.ports {
            let state = if port.enabled { "Enabled" } else { "Disabled" };
            let actual = port.link().map_or_else(|| "Link Down".to_owned(), |mbit| format!("{mbit}Full"));
            let row =
                format!("<td></td><td>{state}</td><td>Auto</td><td>{actual}</td><td>Off</td><td>Off</td>");
            page += &format!("<tr><td>Port {}</td>{row}</tr>\n", port.name);
        }
        Reply::page(&(page + "</table>"))
    }

    fn addresses(&self) -> Reply {
        let all: Vec<_> = self
            .switch
            .ports
            .iter()
            .flat_map(|port| port.heard.iter().map(|mac| (&port.name, *mac)))
            .collect();
        let first = self.page.saturating_mul(self.per_page);
        let mut page = String::from("<table><tr><th>MAC Address<th>Type<th>Port<th>VLAN ID</tr>");
        for (port, mac) in all.iter().skip(first).take(self.per_page) {
            page += &format!("<tr><td>{mac}<td>Dynamic<td>Port {port}<td>1</tr>");
        }
        page += &format!("</table><label>Total {} Items,</label>", all.len());
        Reply::page(&page)
    }
}
