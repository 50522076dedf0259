//! The six messages that open a session (sections 13.17 to 13.24), and what a controller says when it does not.

use alloc::vec::Vec;
use core::fmt;

use super::{Fault, little};
use crate::cursor::Cursor;

/// Sixteen bytes of chance, one of each side.
pub type Random = [u8; 16];
/// What a controller calls itself, the same for ever.
pub type Guid = [u8; 16];
/// In the role of [`Rakp1`]: the user is found by name alone, whatever its level (table 13-11).
pub const RAKP_NAME_ONLY: u8 = 0x10;

/// A session's algorithms by their numbers (tables 13-17 to 13-19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithms {
    /// Of the key exchange.
    pub authentication: u8,
    /// Of each packet's code.
    pub integrity: u8,
    /// Of what a packet carries.
    pub confidentiality: u8,
}

/// How a step of the handshake went (table 13-15); 0 is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u8);

impl Status {
    /// It went well.
    pub const OK: Self = Self(0);
    /// All sessions are taken.
    pub const FULL: Self = Self(0x01);
    /// No such session: it waited too long, or the controller started anew.
    pub const NO_SESSION: Self = Self(0x02);
    /// The user may not have this level.
    pub const ROLE: Self = Self(0x09);
    /// The user may not have this level, or there is none of this name.
    pub const ROLE_OR_NAME: Self = Self(0x0a);
    /// No user of this name.
    pub const NAME: Self = Self(0x0d);
    /// The code was not the one that the password makes.
    pub const CODE: Self = Self(0x0f);
    /// No cipher suite is like the algorithms that were asked for.
    pub const SUITE: Self = Self(0x11);

    /// Whether the controller will say the same to the same question: then it is not asked again.
    #[must_use]
    pub const fn stays(self) -> bool {
        !matches!(self, Self::FULL | Self::NO_SESSION)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x00 => "well",
            0x01 => "no more sessions are free",
            0x02 => "it knows no such session",
            0x03 => "it does not know this kind of payload",
            0x04 => "it does not have this algorithm of authentication",
            0x05 => "it does not have this algorithm of integrity",
            0x06 | 0x07 => "it knows no such payload of authentication or integrity",
            0x09 => "the user may not have this privilege level",
            0x0a => "the user may not have this privilege level, or does not exist",
            0x0b | 0x0c => "a name or field has a wrong length",
            0x0d => "it has no such user",
            0x0e => "it does not know this GUID",
            0x0f => "the password's code is wrong",
            0x10 => "it does not have this algorithm of confidentiality",
            0x11 => "it offers no such cipher suite",
            0x12 => "it did not take a parameter",
            other => return write!(f, "status {other:#04x}"),
        })
    }
}

/// A session is asked for (table 13-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRequest {
    /// Comes back in the answer.
    pub tag: u8,
    /// Highest privilege level that is wanted.
    pub level: u8,
    /// What the asker calls the session; not 0.
    pub session: u32,
    /// What is asked for.
    pub algorithms: Algorithms,
}

impl OpenRequest {
    /// Its payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        out.extend([self.tag, self.level, 0, 0]);
        out.extend(self.session.to_le_bytes());
        let of = self.algorithms;
        for (kind, number) in [(0, of.authentication), (1, of.integrity), (2, of.confidentiality)] {
            out.extend([kind, 0, 0, 8, number, 0, 0, 0]);
        }
        out
    }

    /// Reads one, as a controller does.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn decode(payload: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let [tag, level, _, _] = cursor.array().ok_or(Fault::Short)?;
        let session = little(&mut cursor)?;
        Ok(Self { tag, level, session, algorithms: algorithms(&mut cursor)? })
    }
}

fn algorithms(cursor: &mut Cursor<'_>) -> Result<Algorithms, Fault> {
    let mut number = || match cursor.array::<8>() {
        Some([_, _, _, _, number, ..]) => Ok(number & 0x3f),
        None => Err(Fault::Short),
    };
    Ok(Algorithms { authentication: number()?, integrity: number()?, confidentiality: number()? })
}

/// A session is promised, or not (table 13-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenAnswer {
    /// That of the request.
    pub tag: u8,
    /// How it went.
    pub status: Status,
    /// What the asker calls the session; a refusal may leave it out.
    pub session: u32,
    /// What the controller calls it, and the algorithms that it took; absent in a refusal.
    pub agreed: Option<(u32, Algorithms)>,
}

impl OpenAnswer {
    /// Reads its payload.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn decode(payload: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let [tag, status] = cursor.array().ok_or(Fault::Short)?;
        let status = Status(status);
        if status != Status::OK {
            cursor.take(2);
            let session = little(&mut cursor).unwrap_or_default();
            return Ok(Self { tag, status, session, agreed: None });
        }
        cursor.take(2).ok_or(Fault::Short)?;
        let session = little(&mut cursor)?;
        let theirs = little(&mut cursor)?;
        Ok(Self { tag, status, session, agreed: Some((theirs, algorithms(&mut cursor)?)) })
    }

    /// Its payload, as a controller says it.
    #[must_use]
    pub fn encode(&self, level: u8) -> Vec<u8> {
        let mut out = Vec::from([self.tag, self.status.0, level, 0]);
        out.extend(self.session.to_le_bytes());
        if let Some((theirs, of)) = self.agreed {
            out.extend(theirs.to_le_bytes());
            for (kind, number) in [(0, of.authentication), (1, of.integrity), (2, of.confidentiality)] {
                out.extend([kind, 0, 0, 8, number, 0, 0, 0]);
            }
        }
        out
    }
}

/// Who asks (table 13-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp1<'a> {
    /// Comes back in the answer.
    pub tag: u8,
    /// What the controller calls the session.
    pub session: u32,
    /// The asker's chance.
    pub random: Random,
    /// Privilege level, with [`RAKP_NAME_ONLY`] where the name alone finds the user.
    pub role: u8,
    /// The user, at most 16 bytes.
    pub user: &'a [u8],
}

impl<'a> Rakp1<'a> {
    /// Its payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from([self.tag, 0, 0, 0]);
        out.extend(self.session.to_le_bytes());
        out.extend(self.random);
        out.extend([self.role, 0, 0]);
        out.push(u8::try_from(self.user.len()).unwrap_or(u8::MAX));
        out.extend(self.user);
        out
    }

    /// Reads one, as a controller does.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let [tag, ..] = cursor.array::<4>().ok_or(Fault::Short)?;
        let session = little(&mut cursor)?;
        let random = cursor.array().ok_or(Fault::Short)?;
        let [role, _, _, length] = cursor.array().ok_or(Fault::Short)?;
        let user = cursor.take(usize::from(length)).ok_or(Fault::Short)?;
        Ok(Self { tag, session, random, role, user })
    }
}

/// The controller's part (table 13-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp2<'a> {
    /// That of the question.
    pub tag: u8,
    /// How it went.
    pub status: Status,
    /// What the asker calls the session.
    pub session: u32,
    /// The controller's chance; zeros in a refusal.
    pub random: Random,
    /// What the controller calls itself; zeros in a refusal.
    pub guid: Guid,
    /// Proves that the controller knows the password; empty in a refusal.
    pub code: &'a [u8],
}

impl<'a> Rakp2<'a> {
    /// Reads its payload.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let [tag, status, _, _] = cursor.array().ok_or(Fault::Short)?;
        let status = Status(status);
        if status != Status::OK {
            let session = little(&mut cursor).unwrap_or_default();
            return Ok(Self { tag, status, session, random: [0; 16], guid: [0; 16], code: &[] });
        }
        let session = little(&mut cursor)?;
        let random = cursor.array().ok_or(Fault::Short)?;
        let guid = cursor.array().ok_or(Fault::Short)?;
        Ok(Self { tag, status, session, random, guid, code: cursor.rest() })
    }

    /// Its payload, as a controller says it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from([self.tag, self.status.0, 0, 0]);
        out.extend(self.session.to_le_bytes());
        if self.status == Status::OK {
            out.extend(self.random);
            out.extend(self.guid);
            out.extend(self.code);
        }
        out
    }
}

/// The asker's part (table 13-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp3<'a> {
    /// Comes back in the answer.
    pub tag: u8,
    /// How the second step went.
    pub status: Status,
    /// What the controller calls the session.
    pub session: u32,
    /// Proves that the asker knows the password.
    pub code: &'a [u8],
}

impl<'a> Rakp3<'a> {
    /// Its payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::from([self.tag, self.status.0, 0, 0]);
        out.extend(self.session.to_le_bytes());
        out.extend(self.code);
        out
    }

    /// Reads one, as a controller does.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(payload);
        let [tag, status, _, _] = cursor.array().ok_or(Fault::Short)?;
        let session = little(&mut cursor)?;
        Ok(Self { tag, status: Status(status), session, code: cursor.rest() })
    }
}

/// The session is open, or not (table 13-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp4<'a> {
    /// That of the question.
    pub tag: u8,
    /// How it went.
    pub status: Status,
    /// What the asker calls the session.
    pub session: u32,
    /// Proves that both have the same keys.
    pub code: &'a [u8],
}

impl<'a> Rakp4<'a> {
    /// Reads its payload.
    ///
    /// # Errors
    /// [`Fault::Short`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, Fault> {
        Rakp3::decode(payload).map(|read| Self {
            tag: read.tag,
            status: read.status,
            session: read.session,
            code: read.code,
        })
    }

    /// Its payload, as a controller says it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { tag, status, session, code } = *self;
        Rakp3 { tag, status, session, code }.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE_17: Algorithms = Algorithms { authentication: 3, integrity: 4, confidentiality: 1 };

    #[test]
    fn the_messages_are_what_the_tables_draw() {
        let open = OpenRequest { tag: 1, level: 3, session: 0xa0a2_a3a4, algorithms: SUITE_17 };
        let bytes = open.encode();
        assert_eq!(bytes[..8], [1, 3, 0, 0, 0xa4, 0xa3, 0xa2, 0xa0]);
        assert_eq!(bytes[8..16], [0, 0, 0, 8, 3, 0, 0, 0]);
        assert_eq!(bytes[16..24], [1, 0, 0, 8, 4, 0, 0, 0]);
        assert_eq!(bytes[24..], [2, 0, 0, 8, 1, 0, 0, 0]);
        assert_eq!(OpenRequest::decode(&bytes), Ok(open));
        let rakp = Rakp1 { tag: 2, session: 0x0102_0304, random: [7; 16], role: 0x13, user: b"lab" };
        let bytes = rakp.encode();
        assert_eq!(bytes[..8], [2, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(bytes[24..], [0x13, 0, 0, 3, b'l', b'a', b'b']);
        assert_eq!(Rakp1::decode(&bytes), Ok(rakp));
    }

    #[test]
    fn an_answer_is_read_as_it_was_said_and_never_beyond_its_end() {
        let opened =
            OpenAnswer { tag: 1, status: Status::OK, session: 5, agreed: Some((0x0900_0002, SUITE_17)) };
        let rakp2 =
            Rakp2 { tag: 2, status: Status::OK, session: 5, random: [1; 16], guid: [2; 16], code: &[3; 20] };
        let rakp4 = Rakp4 { tag: 3, status: Status::OK, session: 5, code: &[4; 12] };
        let (first, second, third) = (opened.encode(4), rakp2.encode(), rakp4.encode());
        assert_eq!(OpenAnswer::decode(&first), Ok(opened));
        assert_eq!(Rakp2::decode(&second), Ok(rakp2));
        assert_eq!(Rakp4::decode(&third), Ok(rakp4));
        for cut in 0..first.len() {
            assert_eq!(OpenAnswer::decode(&first[..cut]), Err(Fault::Short));
        }
        for cut in 0..40 {
            assert_eq!(Rakp2::decode(&second[..cut]), Err(Fault::Short));
        }
    }

    #[test]
    fn a_refusal_is_read_with_and_without_what_may_follow() {
        let refused = OpenAnswer { tag: 1, status: Status::SUITE, session: 0, agreed: None };
        assert_eq!(OpenAnswer::decode(&[1, 0x11]), Ok(refused));
        assert_eq!(OpenAnswer::decode(&[1, 0x11, 0, 0, 9, 0, 0, 0]).unwrap().session, 9);
        let refused = Rakp2::decode(&[2, 0x0d, 0, 0, 9, 0, 0, 0]).unwrap();
        assert_eq!((refused.status, refused.session), (Status::NAME, 9));
        assert!(Status::NAME.stays() && Status::CODE.stays() && !Status::FULL.stays());
    }
}
