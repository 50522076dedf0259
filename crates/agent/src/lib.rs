//! What of the agent others use: what it and the boss look at alike, a machine's own health and who holds up its network,
//! and the decoder of what QEMU says, which is fuzzed.

pub mod cores;
pub mod health;
pub mod qmp;
