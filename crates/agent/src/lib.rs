//! What the agent and the boss look at alike: a machine's own health.

pub mod health;
