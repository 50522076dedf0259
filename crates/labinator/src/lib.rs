//! The controller: one conductor that changes the lab, and the doors through which people and drivers speak to it.

pub mod cli;
pub mod config;
pub mod demo;
pub mod image;
