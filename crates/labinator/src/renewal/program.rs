//! Is a file an agent for machines: an ELF program for their processor that needs nothing else?

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::Path;

use model::{AgentBuild, Digest};
use store::shelf::Shelf;

/// Of a program's head as much as holds its list of parts; real ones have a dozen.
const HEAD: u64 = 64 << 10;
/// Values of the ELF specification (System V ABI, chapter 4 and 5): 64 bits, least byte first, x86-64, and the part that
/// names a dynamic linker.
const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
const X86_64: u16 = 62;
const INTERPRETER: u32 = 3;

/// Puts it on the shelf; nothing where there is no such file.
///
/// # Errors
/// A sentence: it is no program that a machine could run, or cannot be read.
pub(super) fn shelve(path: &Path, shelf: &Shelf) -> Result<Option<AgentBuild>, String> {
    let told = |why: String| format!("{}: {why}", path.display());
    let mut head = Vec::new();
    let file = match File::open(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|why| told(why.to_string()))?,
    };
    let size = file.metadata().map_err(|why| told(why.to_string()))?.len();
    (&file).take(HEAD).read_to_end(&mut head).map_err(|why| told(why.to_string()))?;
    if let Some(why) = why_not(&head) {
        return Err(told(why.to_owned()));
    }
    (&file).rewind().map_err(|why| told(why.to_string()))?;
    let digest = shelf.put(&file).map_err(|why| told(why.to_string()))?;
    Ok(Some(AgentBuild { digest: Digest(digest.0), size }))
}

/// Why a file that begins so runs on no machine.
fn why_not(head: &[u8]) -> Option<&'static str> {
    let bytes = |at: usize, count: usize| head.get(at..at.checked_add(count)?);
    let half = |at| Some(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?));
    if !head.starts_with(&MAGIC) || half(18) != Some(X86_64) {
        return Some("it is no program for x86-64");
    }
    let parts = || {
        let first = usize::try_from(u64::from_le_bytes(bytes(32, 8)?.try_into().ok()?)).ok()?;
        let (each, count) = (usize::from(half(54)?), usize::from(half(56)?));
        let kind = |part: usize| {
            let at = first.checked_add(part.checked_mul(each)?)?;
            Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?))
        };
        (0..count).map(kind).collect::<Option<Vec<u32>>>()
    };
    match parts() {
        None => Some("it is cut short"),
        Some(parts) if parts.contains(&INTERPRETER) => {
            Some("it is linked dynamically, and images hold nothing it could be linked to")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head with parts of these kinds.
    fn program(kinds: &[u32]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(&MAGIC);
        head[18] = 62;
        head[32] = 64;
        head[54] = 56;
        head[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            head.extend(kind.to_le_bytes());
            head.resize(head.len() + 52, 0);
        }
        head
    }

    #[test]
    fn only_a_program_that_needs_nothing_else_is_given_to_machines() {
        assert_eq!(why_not(&program(&[6, 1, 1])), None);
        assert!(why_not(&program(&[6, 3, 1])).unwrap().contains("dynamically"));
        assert!(why_not(&program(&[6, 1])[..70]).unwrap().contains("short"));
        assert!(why_not(b"#!/bin/sh\n").unwrap().contains("no program"));
        // This very test is one that is linked dynamically, on every machine that builds it so.
        let mut arm = program(&[1]);
        arm[18] = 183;
        assert!(why_not(&arm).is_some());
    }

    #[test]
    fn it_is_found_on_the_shelf_by_its_digest() {
        let folder = std::env::temp_dir().join(format!("renewal-program-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, shelf) = (folder.join("agent"), Shelf::new(folder.join("shelf")));
        assert_eq!(shelve(&path, &shelf), Ok(None));
        std::fs::write(&path, program(&[1])).unwrap();
        let build = shelve(&path, &shelf).unwrap().unwrap();
        assert_eq!((build.size, shelf.has(store::Digest(build.digest.0))), (64 + 56, true));
        std::fs::write(&path, b"something else").unwrap();
        assert!(shelve(&path, &shelf).unwrap_err().contains("agent: it is no program"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
