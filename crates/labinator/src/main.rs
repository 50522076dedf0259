//! The binary: parse, check, bind, run, drain.
fn main() {}
