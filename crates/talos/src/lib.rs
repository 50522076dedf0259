//! Talos Linux, natively: secrets, machine configs, patches, client configs, the machine API and its events.

pub mod api;
pub mod config;
pub mod feed;
pub mod inline;
pub mod kinds;
pub mod kubeconfig;
pub mod load;
pub mod mistake;
pub mod patch;
pub mod release;
pub mod schematic;
pub mod secrets;
pub mod talosconfig;
pub mod validate;
pub mod yaml;

/// Keys and certificates, as the room of trust writes them.
pub use ::pki::x509 as pki;
