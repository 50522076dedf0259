//! Hands and eyes: what switches machines, and the one place that starts programs.

pub mod process;
