//! `cert`: what serves with a certificate or waits for one, the root that clients are told, and certificates for others.

use std::path::PathBuf;

use api::{
    CertificateList, CertificateView, IssueAsk, IssuedCertificate, RenewAsk, RootCertificate,
    ServiceCertificate, ServiceState,
};
use clap::{Args, Subcommand};
use model::{Origin, Span, WallTime};
use pki::clock::AWAY;
use pki::x509::{KeyKind, Name, OsRandom, PrivateKey, Request, pem_encode};

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};
use super::talos::private::{self, Written};

/// Milliseconds of a day.
const DAY: u64 = 86_400_000;

/// What can be done with certificates.
#[derive(Debug, Clone, Subcommand)]
pub enum CertVerb {
    /// Show the clock, the root, and what serves with a certificate or waits for one
    Status {
        /// Say what happens if the boss stays off for so many days
        #[arg(long, value_name = "DAYS")]
        off: Option<u64>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the root that clients are told, and its fingerprint
    Root {
        /// Make a new one; every client must be told it
        #[arg(long)]
        replace: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Issue a certificate for a server; its key is made here and stays here
    Issue(CertIssueArgs),
    /// Make the lab's own certificates anew, without closing a connection
    Renew {
        /// Believe the clock as it is, though it lies before or far behind what was seen already
        #[arg(long)]
        trust_clock: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// For whom, and where to.
#[derive(Debug, Clone, Args)]
pub struct CertIssueArgs {
    /// Names and addresses of the server; the first names the files
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<Name>,
    /// How long it is valid, in hours, up to a year
    #[arg(long, value_name = "HOURS", default_value = "24", value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub hours: u32,
    /// Folder for NAME.pem (certificate and authority) and NAME.key [default: here]
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// Also over files that are there
    #[arg(long)]
    pub force: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(client: &Client, verb: CertVerb, look: Look) -> Result<(), Failure> {
    match verb {
        CertVerb::Status { off, json } => {
            let list: CertificateList = client.get("/v1/certificates").await?;
            match off {
                Some(days) => out::line(&off_for(&list, days)),
                None if json => out::json(&list, true),
                None => out::print(&text(&list)),
            }
        }
        CertVerb::Root { replace, json } => {
            if replace {
                let ask = RenewAsk { trust_clock: false, new_root: true, by: Origin::Cli };
                let _list: CertificateList = client.post("/v1/certificates/renew", &ask).await?;
            }
            let root: RootCertificate = client.get("/v1/certificates/root").await?;
            if json {
                return out::json(&root, true);
            }
            if !look.quiet {
                out::complain(&format!(
                    "{}\nuntil {}",
                    root.certificate.fingerprint, root.certificate.not_after
                ));
            }
            out::print(&root.pem)
        }
        CertVerb::Issue(args) => issue(client, args, look).await,
        CertVerb::Renew { trust_clock, json } => {
            let ask = RenewAsk { trust_clock, new_root: false, by: Origin::Cli };
            let list: CertificateList = client.post("/v1/certificates/renew", &ask).await?;
            if json { out::json(&list, true) } else { out::print(&text(&list)) }
        }
    }
}

async fn issue(client: &Client, args: CertIssueArgs, look: Look) -> Result<(), Failure> {
    let wrong = |why: pki::x509::PkiError| Failure::with_advice(why.to_string(), why.advice());
    let file = match args.names.first() {
        Some(Name::Dns(name)) => name.replace('*', "any"),
        Some(Name::Ip(address)) => address.to_string(),
        None => return Err(Failure::Usage("a certificate needs a name".to_owned())),
    };
    let (certificate, key_file) =
        (args.out.join(format!("{file}.pem")), args.out.join(format!("{file}.key")));
    let over = if args.force { Written::Anew } else { Written::Never };
    if !args.force {
        private::absent(&certificate, "--force replaces it")?;
        private::absent(&key_file, "--force replaces it")?;
    }
    let key = PrivateKey::mint(KeyKind::P256, &mut OsRandom::new()).map_err(wrong)?;
    let request = Request::write(&key, &args.names).map_err(wrong)?;
    let ask = IssueAsk {
        request: pem_encode("CERTIFICATE REQUEST", &request),
        hours: Some(args.hours),
        by: Origin::Cli,
    };
    let issued: IssuedCertificate = client.post("/v1/certificates/issue", &ask).await?;
    private::write(&key_file, &key.to_pem(), over)?;
    private::write(&certificate, &issued.chain, over)?;
    if args.json {
        return out::json(&issued, true);
    }
    if look.quiet {
        return Ok(());
    }
    out::line(&format!(
        "{}\n{}\nuntil {}; clients that know `labinator cert root` take it",
        certificate.display(),
        key_file.display(),
        issued.certificate.not_after
    ))
}

/// The whole list, a line each.
fn text(list: &CertificateList) -> String {
    let clock = &list.clock;
    let mut lines = vec![match clock.believed {
        true => format!("clock  {}", clock.now),
        false => {
            format!("clock  {}, not believed: {}\n       help: {}", clock.now, clock.why, clock.help)
        }
    }];
    let above = |name: &str, view: &Option<CertificateView>| {
        view.as_ref().map(|view| format!("{name}until {}  {}", view.not_after, view.fingerprint))
    };
    lines.extend(above("root   ", &list.root));
    lines.extend(above("lab    ", &list.lab));
    lines.extend(list.services.iter().map(service));
    lines.push(String::new());
    lines.join("\n")
}

fn service(service: &ServiceCertificate) -> String {
    let since = service.since.wall;
    let mut line = match service.state {
        ServiceState::Serving => format!("{:<6} serving since {since}", service.service),
        ServiceState::Waiting => format!("{:<6} {}, since {since}", service.service, service.why),
    };
    if let Some(view) = &service.certificate {
        line += &format!("\n       until {}", view.not_after);
        if let Some(at) = service.renew_at {
            line += &format!(", renewed at {at}");
        }
        line += &format!("\n       for {}", view.names.join(" "));
    }
    if let Some(at) = service.renewed_at {
        line += &format!("\n       made {}, because {}", at, service.renewed_because);
    }
    if let Some(failed) = &service.failed {
        line += &format!("\n       the last try failed: {failed}");
    }
    line
}

/// What happens if the boss stays off for so many days.
fn off_for(list: &CertificateList, days: u64) -> String {
    let back = WallTime(list.clock.now.0.saturating_add(days.saturating_mul(DAY)));
    let root = list.root.as_ref().map(|root| root.not_after);
    let on = back;
    match root {
        None => "the lab has no root yet; it is made when the clock is believed".to_owned(),
        Some(end) if back >= end => {
            format!("on again at {on}: the root has ended ({end}); a new one must be told to every client")
        }
        Some(_) if Span(days.saturating_mul(DAY)) > AWAY => format!(
            "on again at {on}: a person must say that the clock is right: `labinator cert renew --trust-clock`"
        ),
        Some(_) => format!("on again at {on}: every certificate is made anew at the first look, by itself"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_if_it_stays_off_is_answered_for_every_length() {
        let now = WallTime(20_783 * DAY);
        let view = |days| CertificateView {
            fingerprint: "sha256:x".to_owned(),
            names: Vec::new(),
            not_before: now,
            not_after: WallTime(now.0 + days * DAY),
        };
        let clock = api::ClockView {
            now,
            believed: true,
            code: String::new(),
            why: String::new(),
            help: String::new(),
        };
        let list =
            CertificateList { clock, root: Some(view(3652)), lab: Some(view(730)), services: Vec::new() };
        for (days, words) in [
            (0, "by itself"),
            (400, "2027-12-31 00:00:00 UTC: every certificate is made anew"),
            (1098, "by itself"),
            (1099, "--trust-clock"),
            (3652, "the root has ended"),
            (u64::MAX, "the root has ended"),
        ] {
            assert!(off_for(&list, days).contains(words), "{days}: {}", off_for(&list, days));
        }
    }
}
