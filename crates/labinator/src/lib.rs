//! The controller: one conductor that changes the lab, and the doors through which people and drivers
//! speak to it.

pub mod assets;
pub mod boss;
mod bulletin;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod conductor;
pub mod config;
pub mod delegate;
pub mod demo;
pub mod desk;
mod device_secrets;
pub mod disk_loader;
pub mod display;
pub mod doctor;
pub mod failures;
pub mod fetch;
mod hands;
pub mod http;
pub mod image;
pub mod import;
pub mod init;
pub mod journal;
pub mod link;
pub mod media;
mod nudges;
pub mod paging;
mod picture;
mod probe;
pub mod publisher;
pub mod renewal;
pub mod secure_boot;
pub mod seed;
pub mod serve;
pub mod service;
pub mod start;
