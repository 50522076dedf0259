//! GRUB's environment block: 1024 bytes in which GRUB, which can make no file longer, remembers a few words (GRUB manual
//! 2.06, "Environment block"; `include/grub/lib/envblk.h`).
//!
//! ```text
//! # GRUB Environment Block\n
//! name=value\n              a backslash stands before each backslash and line feed of the value
//! ####…                     up to 1024 bytes
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Bytes of a block.
pub const SIZE: usize = 1024;
const TITLE: &[u8] = b"# GRUB Environment Block\n";

/// What a block says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Env(Vec<(Vec<u8>, Vec<u8>)>);

/// Why a block cannot be read, or a word not be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvError {
    /// It does not begin as one.
    NoBlock,
    /// It does not fit.
    Full,
    /// Nothing can have this name.
    Name,
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBlock => "it does not begin with `# GRUB Environment Block`",
            Self::Full => "it does not fit into the 1024 bytes of GRUB's environment block",
            Self::Name => "a name of GRUB's environment block is neither empty, nor begins with #, nor holds = or a line feed",
        })
    }
}

impl core::error::Error for EnvError {}

impl Env {
    /// Reads a block. What has no name, such as a comment, is passed over, as GRUB does.
    ///
    /// # Errors
    /// [`EnvError::NoBlock`].
    pub fn read(block: &[u8; SIZE]) -> Result<Self, EnvError> {
        let mut rest = block.strip_prefix(TITLE).ok_or(EnvError::NoBlock)?;
        let mut all = Self::default();
        while !rest.is_empty() {
            let (line, after) = line(rest);
            rest = after;
            let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
            let Some((name, value)) = line.split_at_checked(at) else { continue };
            // The last one of a name counts.
            if is_name(name) {
                all.0.retain(|(known, _)| known != name);
                all.0.push((name.to_vec(), plain(value.get(1..).unwrap_or_default())));
            }
        }
        Ok(all)
    }

    /// A value, where it is text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name.as_bytes())?;
        core::str::from_utf8(value).ok()
    }

    /// Sets a value.
    ///
    /// # Errors
    /// [`EnvError::Name`], and [`EnvError::Full`], with which nothing changes.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), EnvError> {
        if !is_name(name.as_bytes()) {
            return Err(EnvError::Name);
        }
        let mut changed = self.clone();
        match changed.0.iter_mut().find(|(known, _)| known == name.as_bytes()) {
            Some((_, kept)) => *kept = value.as_bytes().to_vec(),
            None => changed.0.push((name.as_bytes().to_vec(), value.as_bytes().to_vec())),
        }
        if changed.text().len() > SIZE {
            return Err(EnvError::Full);
        }
        *self = changed;
        Ok(())
    }

    /// Takes a value away; true where there was one that is not empty.
    pub fn unset(&mut self, name: &str) -> bool {
        let was = self.0.iter().any(|(known, value)| known == name.as_bytes() && !value.is_empty());
        self.0.retain(|(known, _)| known != name.as_bytes());
        was
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> [u8; SIZE] {
        let mut block = [b'#'; SIZE];
        for (to, from) in block.iter_mut().zip(self.text()) {
            *to = from;
        }
        block
    }

    /// What stands before the padding. It is never longer than a block: what was read was not, and `set` sees to it.
    fn text(&self) -> Vec<u8> {
        let mut text = TITLE.to_vec();
        for (name, value) in &self.0 {
            text.extend(name);
            text.push(b'=');
            for byte in value {
                if matches!(byte, b'\\' | b'\n') {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
            text.push(b'\n');
        }
        text
    }
}

/// The first line, and what comes after it. A line feed behind a backslash does not end a line.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut quoted = false;
    let end = bytes.iter().position(|byte| {
        let ends = *byte == b'\n' && !quoted;
        quoted = *byte == b'\\' && !quoted;
        ends
    });
    match end {
        Some(end) => (bytes.get(..end).unwrap_or_default(), bytes.get(end + 1..).unwrap_or_default()),
        // What has no end is not taken for a value: it may be torn.
        None => (&[], &[]),
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.starts_with(b"#") && !name.iter().any(|byte| matches!(byte, b'=' | b'\n'))
}

/// A value without its backslashes.
fn plain(value: &[u8]) -> Vec<u8> {
    let mut quoted = false;
    let mut plain = Vec::with_capacity(value.len());
    for byte in value {
        if *byte == b'\\' && !quoted {
            quoted = true;
            continue;
        }
        quoted = false;
        plain.push(*byte);
    }
    plain
}

impl fmt::Display for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_what_grub_makes() {
        let mut env = Env::default();
        assert_eq!(env.block().as_slice(), [TITLE, &[b'#'; SIZE - 25]].concat());
        env.set("tried", "2026-11-27-13-4").unwrap();
        env.set("word", "a\\b\nc=d").unwrap();
        let block = env.block();
        let text = b"# GRUB Environment Block\ntried=2026-11-27-13-4\nword=a\\\\b\\\nc=d\n####";
        assert!(block.starts_with(text), "{}", String::from_utf8_lossy(&block));
        let mut read = Env::read(&block).unwrap();
        assert_eq!((read.get("tried"), read.get("word")), (Some("2026-11-27-13-4"), Some("a\\b\nc=d")));
        assert!(read.unset("tried") && !read.unset("tried"));
        assert_eq!((read.get("tried"), read.get("word")), (None, Some("a\\b\nc=d")));
    }

    #[test]
    fn what_is_no_block_is_not_read_and_what_does_not_fit_is_not_kept() {
        assert_eq!(Env::read(&[0; SIZE]), Err(EnvError::NoBlock));
        let mut env = Env::default();
        assert_eq!(env.set("a", &"x".repeat(SIZE - 25 - 3 + 1)), Err(EnvError::Full));
        assert_eq!(env, Env::default());
        env.set("a", &"x".repeat(SIZE - 25 - 3)).unwrap();
        assert_eq!(Env::read(&env.block()), Ok(env));
        for name in ["", "#a", "a=b", "a\nb"] {
            assert_eq!(Env::default().set(name, "x"), Err(EnvError::Name), "{name}");
        }
    }

    #[test]
    fn an_empty_value_is_none_to_those_who_ask_whether_it_was_set() {
        let mut env = Env::default();
        env.set("tried", "").unwrap();
        assert!(!env.unset("tried"));
    }

    proptest! {
        #[test]
        fn words_are_read_back(words in proptest::collection::btree_map("[a-z_]{1,8}", "[ -~\n\\\\é]{0,40}", 0..6)) {
            let mut env = Env::default();
            for (name, value) in &words {
                env.set(name, value).unwrap();
            }
            let read = Env::read(&env.block()).unwrap();
            for (name, value) in &words {
                prop_assert_eq!(read.get(name), Some(value.as_str()));
            }
            prop_assert_eq!(read, env);
        }

        #[test]
        fn whatever_was_read_is_written_and_read_again(bytes in proptest::collection::vec(any::<u8>(), SIZE - 25)) {
            let mut block = [0; SIZE];
            block.iter_mut().zip(TITLE.iter().chain(&bytes)).for_each(|(to, from)| *to = *from);
            let read = Env::read(&block).unwrap();
            prop_assert_eq!(Env::read(&read.block()).unwrap(), read);
        }
    }
}
