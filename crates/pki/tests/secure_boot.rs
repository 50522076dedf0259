//! Signed EFI programs, against one that `sbsign` 0.9.4 signed (`secure_boot/plain.signed.efi`, with `db.pk8`, `db.cer`).
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use model::{Secret, WallTime};
use pki::secure_boot::{
    Certificate, Program, SecureBootError, SetVariable, Signer, Variable, signature_list, signed_by,
};
use zeroize::Zeroizing;

const PLAIN: &[u8] = include_bytes!("secure_boot/plain.efi");
const SIGNED: &[u8] = include_bytes!("secure_boot/plain.signed.efi");
const KEY: &[u8] = include_bytes!("secure_boot/db.pk8");
const CERTIFICATE: &[u8] = include_bytes!("secure_boot/db.cer");
/// 2026-11-27.
const NOW: WallTime = WallTime(1_795_737_600_000);

fn key() -> Secret<Zeroizing<Vec<u8>>> {
    Secret::new(Zeroizing::new(KEY.to_vec()))
}

fn signer() -> Signer {
    Signer::new(&key(), Certificate::read(CERTIFICATE).unwrap()).unwrap()
}

/// The same key under another name, with another number each time.
fn other() -> Signer {
    Signer::self_signed(&key(), "another", NOW).unwrap()
}

fn sign(program: &[u8], signer: &Signer) -> Vec<u8> {
    Program::read(program).unwrap().signed(signer).unwrap()
}

#[test]
fn what_sbsign_signed_is_signed_and_not_by_anybody_else() {
    assert_eq!(signed_by(SIGNED, signer().certificate()), Ok(()));
    assert_eq!(signed_by(PLAIN, signer().certificate()), Err("is not signed".to_owned()));
    let mut changed = SIGNED.to_vec();
    changed[0x210] ^= 1;
    assert_eq!(
        signed_by(&changed, signer().certificate()),
        Err("is signed, but not by CN=lab db".to_owned())
    );
}

#[test]
fn the_same_program_gets_the_same_bytes_and_is_signed_once() {
    let signed = sign(PLAIN, &signer());
    assert_eq!(signed, sign(PLAIN, &signer()));
    assert_eq!(signed, sign(&signed, &signer()), "it is not signed again");
    assert_eq!(Program::read(SIGNED).unwrap().digest(), Program::read(&signed).unwrap().digest());
    assert_eq!(signed_by(&signed, signer().certificate()), Ok(()));
}

#[test]
fn a_second_signature_stands_beside_the_first() {
    let other = other();
    let both = sign(SIGNED, &other);
    assert_eq!(Program::read(&both).unwrap().signatures().len(), 2);
    assert_eq!(signed_by(&both, signer().certificate()), Ok(()));
    assert_eq!(signed_by(&both, other.certificate()), Ok(()));
    assert!(signed_by(SIGNED, other.certificate()).is_err());
}

#[test]
fn every_byte_counts_but_the_checksum() {
    let (signed, signer) = (sign(PLAIN, &signer()), signer());
    let checksum = 0x98 + 64;
    for at in 0..signed.len() {
        let mut changed = signed.clone();
        changed[at] ^= 0x10;
        let still = signed_by(&changed, signer.certificate()).is_ok();
        // `dwLength`'s fellows: the revision is not read, and certificates that come along prove nothing.
        if at < PLAIN.len() {
            assert_eq!(still, (checksum..checksum + 4).contains(&at), "{at:#x}");
        }
    }
}

#[test]
fn a_program_that_is_cut_anywhere_is_refused_or_not_signed() {
    let (signed, signer) = (sign(PLAIN, &signer()), signer());
    for size in 0..signed.len() {
        assert!(signed_by(&signed[..size], signer.certificate()).is_err(), "{size}");
    }
}

#[test]
fn a_program_of_an_odd_length_is_padded_before_it_is_hashed() {
    let odd = [PLAIN, b"odd"].concat();
    let signed = sign(&odd, &signer());
    assert_eq!(signed_by(&signed, signer().certificate()), Ok(()));
    assert_eq!(&signed[odd.len()..odd.len() + 5], &[0; 5]);
}

#[test]
fn what_is_behind_the_signatures_is_in_the_way() {
    let trailing = [SIGNED, b"12345678"].concat();
    let refused = Program::read(&trailing).unwrap().signed(&other());
    assert_eq!(refused.err(), Some(SecureBootError::Trailing));
}

#[test]
fn key_and_certificate_belong_together() {
    let made = Signer::self_signed(&key(), "lab db", NOW).unwrap();
    assert_eq!(made.certificate().name(), "CN=lab db");
    assert!(Signer::new(&key(), Certificate::read(made.certificate().der()).unwrap()).is_ok());
    let broken = Secret::new(Zeroizing::new(KEY[1..].to_vec()));
    assert_eq!(Signer::self_signed(&broken, "x", NOW).unwrap_err().code(), "secure_boot_key");
    assert_eq!(Certificate::read(&CERTIFICATE[1..]).unwrap_err().code(), "secure_boot_broken");
}

#[test]
fn a_list_of_one_certificate_has_the_sizes_that_it_says() {
    let (signer, owner) = (signer(), [7; 16]);
    let list = signature_list(signer.certificate(), &owner);
    let number = |at: usize| u32::from_le_bytes(list[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), (u32::try_from(list.len()).unwrap(), 0));
    assert_eq!(number(24), u32::try_from(16 + CERTIFICATE.len()).unwrap());
    assert!(list.ends_with(CERTIFICATE));
    let set = SetVariable { variable: Variable::Db, list: &list, at: NOW };
    let file = set.signed(&signer).unwrap();
    assert_eq!(&file[..5], &[0xea, 7, 11, 27, 0]);
    let size = usize::try_from(u32::from_le_bytes(file[16..20].try_into().unwrap())).unwrap();
    assert_eq!(&file[16 + size..], &list, "what is said of the signature's size leads to the list");
}
