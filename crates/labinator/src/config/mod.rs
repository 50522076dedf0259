//! The lab file: what was typed, what is true, and every mistake between the two.
