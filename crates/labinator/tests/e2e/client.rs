//! A client's machine: a network namespace of its own on the house's bridge.

use std::ffi::OsStr;
use std::process::Command;

use super::house::House;
use super::processes::told;

/// One port of the segment with a machine at it.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    house: &'a House,
    name: String,
    pub(crate) mac: String,
}

impl<'a> Client<'a> {
    /// A machine with this Ethernet address at `eth0`, without an address of its own.
    pub(crate) fn new(house: &'a House, name: &str, mac: &str) -> Self {
        house.shell(&format!(
            "ip netns add {name} && ip link add to-{name} type veth peer name eth0 address {mac} netns {name} \
             && ip link set to-{name} master br0 up && ip -n {name} link set lo up \
             && ip -n {name} link set eth0 up"
        ));
        Self { house, name: name.to_owned(), mac: mac.to_owned() }
    }

    /// The same with an address of the segment.
    pub(crate) fn with_address(house: &'a House, name: &str, mac: &str, address: &str) -> Self {
        let client = Self::new(house, name, mac);
        house.shell(&format!("ip -n {name} addr add {address}/20 broadcast + dev eth0"));
        client
    }

    /// A program on this machine.
    pub(crate) fn command(&self, seconds: u32, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.house.inside(seconds, "ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// A line of shell on this machine, which must succeed.
    pub(crate) fn shell(&self, line: &str) -> String {
        told(self.command(60, "sh").args(["-c", line]))
    }
}
