//! `token`: who may ask over the network, and what.

use api::{Ask, Role, TokenAsk, TokenList, TokenMade, TokenView};
use clap::{Args, Subcommand};
use model::Origin;

use super::client::Client;
use super::failure::Failure;
use super::out::{self, Look};

/// What can be done with tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenVerb {
    /// Make a token; it is printed this once
    Create(CreateArgs),
    /// List the tokens: whose, what each may, until when
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token; streams that were opened with it end
    Revoke {
        /// Whose
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// For whom.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// Whose it shall be: letters, digits and `-`
    pub name: String,
    /// What it may: kiosk, view, operate or admin
    #[arg(long, value_name = "ROLE", default_value = "view")]
    pub role: Role,
    /// How many days it is good for
    #[arg(long, value_name = "DAYS", default_value = "90", value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
    /// What a kiosk may beyond its picture, such as `POST /v1/scenarios/demo/start`; may be repeated
    #[arg(long, value_name = "METHOD PATH")]
    pub allow: Vec<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

pub(super) async fn run(client: &Client, verb: TokenVerb, look: Look) -> Result<(), Failure> {
    match verb {
        TokenVerb::Create(CreateArgs { name, role, days, allow, json }) => {
            let ask = TokenAsk { name, role, allow, days, by: Origin::Cli };
            let made: TokenMade = client.post("/v1/tokens", &ask).await?;
            if json {
                return out::json(&made, true);
            }
            if !look.quiet {
                out::complain(&format!("{}; it is shown this once", line(&made.listed)));
            }
            out::line(made.token.reveal())
        }
        TokenVerb::List { json } => {
            let list: TokenList = client.get("/v1/tokens").await?;
            shown(&list, json)
        }
        TokenVerb::Revoke { name, json } => {
            // A name that is none cannot be part of a path.
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
                return Err(Failure::Usage(format!("`{name}` is no name of a token")));
            }
            let ask = Ask { by: Origin::Cli };
            let list: TokenList = client.post(&format!("/v1/tokens/{name}/revoke"), &ask).await?;
            if json { out::json(&list, true) } else { Ok(()) }
        }
    }
}

fn shown(list: &TokenList, json: bool) -> Result<(), Failure> {
    if json {
        return out::json(list, true);
    }
    list.tokens.iter().try_for_each(|token| out::line(&line(token)))
}

fn line(token: &TokenView) -> String {
    let mut line = format!("{:<16} {:<8} until {}", token.name, token.role, token.expires);
    if !token.allow.is_empty() {
        line += &format!("  {}", token.allow.join(", "));
    }
    line
}
