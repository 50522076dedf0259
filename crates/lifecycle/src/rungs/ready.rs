//! Rung *ready*: nothing is wanted; being heard keeps the machine here.

use super::Step;

pub(super) const fn climb() -> Step {
    Step::Rest
}
