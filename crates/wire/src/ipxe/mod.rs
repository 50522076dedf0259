//! iPXE: scripts in the words that its version of January 2019 knows, and its error numbers.

mod error;
mod script;
mod version;

pub use error::IpxeError;
pub use script::{BootScript, ScriptError, disk_script, unknown_machine_script, waiting_script};
pub use version::{banner_version, feature_name, user_agent_version};
