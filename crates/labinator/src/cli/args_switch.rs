//! What can be typed after `switch`, `wiring` and `identify`.

use std::time::Duration;

use clap::{Args, Subcommand};
use model::NodeName;

use super::args::duration;

/// What can be done with switches.
#[derive(Debug, Clone, Subcommand)]
pub enum SwitchVerb {
    /// Show the switches, their ports, and who hangs on them
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Disable ports for a while; they are enabled again by themselves
    Off {
        /// Ports (core/6), machines (node1) or zones (zone:2)
        #[arg(required = true, value_name = "WHAT")]
        what: Vec<String>,
        /// For how long, such as 30s or 5m; an hour at most
        #[arg(long = "for", value_name = "TIME", value_parser = duration, default_value = "1m")]
        span: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Enable ports again before their time
    On {
        /// Ports, machines, zones, or `all`
        #[arg(required = true, value_name = "WHAT")]
        what: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy what goes through one port to another, where somebody listens
    Mirror {
        /// Which switch
        switch: String,
        /// What goes through this port
        #[arg(required_unless_present = "off", value_name = "FROM")]
        from: Option<String>,
        /// comes out of this one, too
        #[arg(required_unless_present = "off", value_name = "TO")]
        to: Option<String>,
        /// End it
        #[arg(long, conflicts_with_all = ["from", "to"])]
        off: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// What can be done with wiring.
#[derive(Debug, Clone, Subcommand)]
pub enum WiringVerb {
    /// Show which machine is heard on which switch port
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Name what the lab file and the switches do not agree about
    Check {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Disable one port after the other, see who vanishes, and propose lines for the lab file
    Learn(LearnArgs),
}

/// Options of `wiring learn`.
#[derive(Debug, Clone, Args)]
pub struct LearnArgs {
    /// Only this switch
    #[arg(long, value_name = "NAME")]
    pub switch: Option<String>,
    /// Only this port of it
    #[arg(long, value_name = "PORT", requires = "switch")]
    pub port: Option<String>,
    /// Also while machines start
    #[arg(long)]
    pub anyway: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `identify`.
#[derive(Debug, Clone, Args)]
pub struct IdentifyArgs {
    /// Which machine
    pub node: NodeName,
    /// How often its light goes out and on again
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub times: u8,
    /// Also while it starts
    #[arg(long)]
    pub anyway: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
