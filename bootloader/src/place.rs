//! The place in this file where the controller writes its key and address.
#![expect(unsafe_code, reason = "what is read was changed in the file, behind the compiler's back")]

use wire::loader::{PLACE_SIZE, Seed, TextError, read_place};

/// Found in the file by its beginning.
#[used]
static PLACE: [u8; PLACE_SIZE] = {
    let mut place = [0; PLACE_SIZE];
    let (mark, _) = place.split_at_mut(32);
    mark.copy_from_slice(b"labinator:seed:here:3f9a77c1d6e2");
    place
};

/// What is written there.
pub(crate) fn seed() -> Result<Option<Seed>, TextError> {
    // SAFETY: a reference to a static of the same type; volatile, since the file holds other bytes than the compiler saw.
    let place = unsafe { core::ptr::read_volatile(&raw const PLACE) };
    read_place(&place)
}
