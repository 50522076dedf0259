//! What goes wrong with boards, boxes, cables and people.

use model::PowerOrder;
use proptest::prelude::*;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Mischief {
    Reset,
    Touch(usize),
    Mute(bool),
    Lose(u64),
    Cut(usize, bool),
    Hang(usize),
    Ask(usize, PowerOrder),
    Pass(u64),
}

pub(crate) fn mischief() -> impl Strategy<Value = Mischief> {
    let order = prop_oneof![Just(PowerOrder::On), Just(PowerOrder::Off)];
    prop_oneof![
        2 => Just(Mischief::Reset),
        3 => (0..2_usize).prop_map(Mischief::Touch),
        1 => any::<bool>().prop_map(Mischief::Mute),
        2 => (1..40_u64).prop_map(Mischief::Lose),
        2 => (0..2_usize, any::<bool>()).prop_map(|(at, cut)| Mischief::Cut(at, cut)),
        1 => (0..2_usize).prop_map(Mischief::Hang),
        4 => (0..2_usize, order).prop_map(|(at, order)| Mischief::Ask(at, order)),
        8 => (1..60_u64).prop_map(Mischief::Pass),
    ]
}
