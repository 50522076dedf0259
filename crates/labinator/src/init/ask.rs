//! Questions on a terminal: one line each, the suggestion in brackets, Enter takes it.

use std::io::BufRead as _;
use std::str::FromStr;

use tokio::sync::mpsc;

use crate::cli::{Failure, out};

/// Lines typed by a person, read beside everything else.
#[derive(Debug)]
pub(super) struct Keyboard(mpsc::Receiver<String>);

impl Keyboard {
    /// Begins to read standard input.
    pub(super) fn new() -> Self {
        let (lines, typed) = mpsc::channel(16);
        // Reading a terminal cannot be cancelled: the thread ends with the program.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if lines.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self(typed)
    }

    /// The next line without its ends. Safe to cancel.
    ///
    /// # Errors
    /// Standard input ended.
    pub(super) async fn line(&mut self) -> Result<String, Failure> {
        let line = self.0.recv().await.ok_or_else(|| Failure::failed("no answer: standard input ended"))?;
        Ok(line.trim().to_owned())
    }

    /// Asks until the answer can be read.
    ///
    /// # Errors
    /// Standard input ended.
    pub(super) async fn ask<T>(&mut self, question: &str, suggested: &str) -> Result<T, Failure>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        loop {
            out::print(&format!("{question} [{suggested}]: "))?;
            let typed = self.line().await?;
            match (if typed.is_empty() { suggested } else { typed.as_str() }).parse() {
                Ok(answer) => return Ok(answer),
                Err(why) => out::line(&format!("  not understood: {why}"))?,
            }
        }
    }
}

/// A place on the board as it is typed: column and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaceOnBoard(pub(super) u8, pub(super) u8);

impl FromStr for PlaceOnBoard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::parse::<u8>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(column @ 1..)), Some(Ok(row @ 1..)), None) => Ok(Self(column, row)),
            _ => Err("a place is a column and a row, both from 1: `2 1`".to_owned()),
        }
    }
}

/// A network as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(pub std::net::Ipv4Addr, pub u8);

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a subnet is an address and a length from 8 to 30: 192.168.1.0/24".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let (address, prefix) = (address.parse::<std::net::Ipv4Addr>(), prefix.parse::<u8>());
        match (address, prefix) {
            (Ok(address), Ok(prefix @ 8..=30)) => {
                Ok(Self((u32::from(address) & crate::boss::mask(prefix)).into(), prefix))
            }
            _ => Err(wrong()),
        }
    }
}

/// A range of addresses as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool(pub std::net::Ipv4Addr, pub std::net::Ipv4Addr);

impl FromStr for Pool {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('-').and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        parts
            .map(|(a, b)| Self(a, b))
            .ok_or_else(|| "a pool is two addresses: 10.0.0.100-10.0.0.150".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_networks_are_read_as_people_type_them() {
        assert_eq!("2 1".parse(), Ok(PlaceOnBoard(2, 1)));
        assert_eq!("2,1".parse(), Ok(PlaceOnBoard(2, 1)));
        for wrong in ["", "0 1", "2", "2 1 1", "a b", "300 1"] {
            assert!(wrong.parse::<PlaceOnBoard>().is_err(), "{wrong}");
        }
        assert_eq!("10.0.0.7/24".parse(), Ok(Subnet([10, 0, 0, 0].into(), 24)));
        for wrong in ["10.0.0.0", "10.0.0.0/31", "10.0.0.0/7", "x/24"] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
        assert!("10.0.0.9".parse::<Pool>().is_err());
    }
}
