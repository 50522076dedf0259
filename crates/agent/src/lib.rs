//! What the agent and the boss look at alike: a machine's own health, and who holds up its network.

pub mod cores;
pub mod health;
