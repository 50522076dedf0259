//! A whole lab on this machine.
