//! The `pdudaemon` section: whether other programs may switch machines, where they ask, and what they must know.

use std::net::{Ipv4Addr, SocketAddrV4};

use model::{PDUDAEMON_PORT, PdudaemonSpec};
use schemars::JsonSchema;

use super::devices::secret_ref;
use super::fields::{Fields, Found, Typed};
use super::mistake::Mistake;
use super::yaml::{Entry, Place};

/// Other programs, such as LAVA and labgrid, switch the lab's machines as they do through pdudaemon.
#[derive(Debug, Clone, Default, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PdudaemonFile {
    /// Its key.
    #[schemars(skip)]
    pub place: Place,
    /// Where the password, or `USER:PASSWORD`, is kept that they must know: `secret:NAME` or `file:/PATH`.
    #[schemars(with = "String", regex(pattern = r"^(secret:[a-z0-9-]+|file:/.+)$"))]
    pub credentials: Option<Typed<String>>,
    /// Where they ask, `ADDRESS:PORT`; port 16421 of the boss's address unless told.
    #[schemars(with = "Option<String>", regex(pattern = r"^[0-9.]{7,15}:[0-9]{1,5}$"))]
    pub listen: Option<Typed<String>>,
}

/// Reads the section.
pub(super) fn read(entry: &Entry, found: &mut Found) -> Option<PdudaemonFile> {
    let mut fields = Fields::open("pdudaemon", entry.key_place, &entry.value, found)?;
    let file = PdudaemonFile {
        place: fields.place,
        credentials: fields.needed_text("credentials", "secret:pdudaemon", found),
        listen: fields.text("listen", found),
    };
    fields.close(&[], found);
    Some(file)
}

/// Judges the section.
pub(super) fn judge(
    file: &PdudaemonFile,
    boss: Option<Ipv4Addr>,
    found: &mut Found,
) -> Option<PdudaemonSpec> {
    let credentials = file.credentials.as_ref().and_then(|typed| secret_ref("credentials", typed, found));
    let at = match &file.listen {
        None => boss.map(|boss| SocketAddrV4::new(boss, PDUDAEMON_PORT)),
        Some(typed) => {
            let at = typed.value.parse::<SocketAddrV4>().ok().filter(|at| at.port() != 0);
            if at.is_none() {
                let title = format!("`{}` is no address to listen on", typed.value);
                found.push(Mistake::new(title, typed.place, "not `ADDRESS:PORT`").help(format!(
                    "for example `0.0.0.0:{PDUDAEMON_PORT}`, which is every address of the boss"
                )));
            }
            at
        }
    };
    let at = at?;
    Some(PdudaemonSpec { address: *at.ip(), port: at.port(), credentials: credentials? })
}
