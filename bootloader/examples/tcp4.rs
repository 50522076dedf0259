#![no_main]
#![no_std]
//! The firmware's own TCP, measured: fetches one file through `EFI_TCP4_PROTOCOL` (UEFI 2.10 section 28.1) with the
//! largest window that EDK2 takes, hashes nothing and keeps nothing. How long it took is read from the server's log.
//!
//! The loader brings a TCP of its own over the simple network protocol; `cargo xtask bench boot` compares the two.
#![expect(unsafe_code, reason = "the firmware's TCP has only raw forms")]

extern crate alloc;

use alloc::format;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr};
use core::ptr::null_mut;

use uefi::boot::{self, EventType, SearchType, Tpl};
use uefi::prelude::*;
use uefi::proto::network::pxe::BaseCode;
use uefi::proto::unsafe_protocol;
use uefi::{Handle, Identify, println};
use uefi_raw::protocol::driver::ServiceBindingProtocol;
use uefi_raw::protocol::network::tcp4::{
    Tcp4AccessPoint, Tcp4CompletionToken, Tcp4ConfigData, Tcp4ConnectionToken, Tcp4FragmentData, Tcp4IoToken,
    Tcp4Option, Tcp4Packet, Tcp4Protocol, Tcp4ReceiveData, Tcp4TransmitData,
};

/// The file that is fetched (`bench/loader.rs`).
const PATH: &str = "/filled.img";
/// EDK2 takes no larger buffer than this (`TCP_RCV_BUF_SIZE` in `TcpDxe`).
const WINDOW: u32 = 2 << 20;

#[unsafe_protocol(Tcp4Protocol::SERVICE_BINDING_GUID)]
struct Binding(ServiceBindingProtocol);

#[unsafe_protocol(Tcp4Protocol::GUID)]
struct Tcp4(Tcp4Protocol);

/// Data and its one piece, as the flexible arrays want them.
#[repr(C)]
struct Whole<H> {
    head: H,
    piece: Tcp4FragmentData,
}

#[entry]
fn main() -> Status {
    match run() {
        Ok(bytes) => {
            println!("tcp4: {bytes} bytes");
            Status::SUCCESS
        }
        Err((what, status)) => {
            println!("tcp4: {what}: {status}");
            status
        }
    }
}

fn run() -> Result<u64, (&'static str, Status)> {
    let (own, mask, server) = lease().ok_or(("no PXE client has an address", Status::NOT_FOUND))?;
    let child = child().map_err(|error| ("no child of the TCP service", error.status()))?;
    let mut tcp =
        boot::open_protocol_exclusive::<Tcp4>(child).map_err(|error| ("its protocol", error.status()))?;
    let tcp: *mut Tcp4Protocol = &mut tcp.0;
    let mut option = Tcp4Option {
        receive_buffer_size: WINDOW,
        send_buffer_size: 64 << 10,
        max_syn_back_log: 0,
        connection_timeout: 0,
        data_retries: 0,
        fin_timeout: 0,
        time_wait_timeout: 0,
        keep_alive_probes: 0,
        keep_alive_time: 0,
        keep_alive_interval: 0,
        enable_nagle: false.into(),
        enable_time_stamp: false.into(),
        enable_window_scaling: true.into(),
        enable_selective_ack: false.into(),
        enable_path_mtu_discovery: false.into(),
    };
    let config = Tcp4ConfigData {
        type_of_service: 0,
        time_to_live: 64,
        access_point: Tcp4AccessPoint {
            use_default_address: false.into(),
            station_address: own.octets().into(),
            subnet_mask: mask.octets().into(),
            station_port: 0,
            remote_address: server.octets().into(),
            remote_port: 80,
            active_flag: true.into(),
        },
        control_option: &mut option,
    };
    // SAFETY: the instance is this program's own, and what it is given outlives each call.
    done("configure", unsafe { ((*tcp).configure)(tcp, &config) })?;

    let mut token = Tcp4ConnectionToken { completion_token: begin()? };
    // SAFETY: the token stays where it is until it is completed below.
    done("connect", unsafe { ((*tcp).connect)(tcp, &mut token) })?;
    done("connected", finish(tcp, &token.completion_token))?;

    let mut request = format!("GET {PATH} HTTP/1.0\r\nHost: {server}\r\n\r\n").into_bytes();
    let length = u32::try_from(request.len()).unwrap_or_default();
    let mut data = Whole {
        head: Tcp4TransmitData {
            push: true.into(),
            urgent: false.into(),
            data_length: length,
            fragment_count: 1,
            fragment_table: [],
        },
        piece: Tcp4FragmentData { fragment_length: length, fragment_buf: request.as_mut_ptr() },
    };
    let packet = Tcp4Packet { tx_data: (&raw mut data).cast() };
    let mut token = Tcp4IoToken { completion_token: begin()?, packet };
    // SAFETY: token and data stay where they are until it is completed below.
    done("transmit", unsafe { ((*tcp).transmit)(tcp, &mut token) })?;
    done("transmitted", finish(tcp, &token.completion_token))?;

    let mut room = vec![0_u8; 1 << 20];
    let length = u32::try_from(room.len()).unwrap_or_default();
    let mut token = Tcp4IoToken { completion_token: begin()?, packet: Tcp4Packet { rx_data: null_mut() } };
    let mut bytes = 0;
    loop {
        let head = Tcp4ReceiveData {
            urgent: false.into(),
            data_length: length,
            fragment_count: 1,
            fragment_table: [],
        };
        let piece = Tcp4FragmentData { fragment_length: length, fragment_buf: room.as_mut_ptr() };
        let mut data = Whole { head, piece };
        token.packet = Tcp4Packet { rx_data: (&raw mut data).cast() };
        token.completion_token.status = Status::NOT_READY;
        // SAFETY: token and data stay where they are until it is completed below.
        let taken = unsafe { ((*tcp).receive)(tcp, &mut token) };
        if taken != Status::SUCCESS || finish(tcp, &token.completion_token) != Status::SUCCESS {
            // The server ends the connection behind the file.
            return Ok(bytes);
        }
        bytes += u64::from(data.head.data_length);
    }
}

fn done(what: &'static str, status: Status) -> Result<(), (&'static str, Status)> {
    if status == Status::SUCCESS { Ok(()) } else { Err((what, status)) }
}

/// A token that is not completed.
fn begin() -> Result<Tcp4CompletionToken, (&'static str, Status)> {
    // SAFETY: nobody is notified by it.
    let event = unsafe { boot::create_event(EventType::empty(), Tpl::CALLBACK, None, None) };
    let event = event.map_err(|error| ("an event", error.status()))?;
    Ok(Tcp4CompletionToken { event: event.as_ptr(), status: Status::NOT_READY })
}

/// Has the stack work until the token is completed.
fn finish(tcp: *mut Tcp4Protocol, token: &Tcp4CompletionToken) -> Status {
    loop {
        // SAFETY: the firmware writes the status while it works.
        let status = unsafe {
            // It fails where nothing came, which is no failure here.
            let _nothing_came = ((*tcp).poll)(tcp);
            (&raw const token.status).read_volatile()
        };
        if status != Status::NOT_READY {
            return status;
        }
    }
}

/// An instance of TCP on the first card that offers it.
fn child() -> uefi::Result<Handle> {
    let bindings = boot::locate_handle_buffer(SearchType::ByProtocol(&Binding::GUID))?;
    let first = *bindings.first().ok_or(Status::NOT_FOUND)?;
    let mut binding = boot::open_protocol_exclusive::<Binding>(first)?;
    let mut child = null_mut();
    // SAFETY: the call writes one handle, where it succeeds.
    let status = unsafe { (binding.0.create_child)(&mut binding.0, &mut child) };
    // SAFETY: the firmware made it just now.
    status.to_result_with_val(|| unsafe { Handle::from_ptr(child) })?.ok_or_else(|| Status::NOT_FOUND.into())
}

/// Own address, its mask, and who gave the boot file.
fn lease() -> Option<(Ipv4Addr, Ipv4Addr, Ipv4Addr)> {
    boot::find_handles::<BaseCode>().ok()?.into_iter().find_map(|handle| {
        let client = boot::open_protocol_exclusive::<BaseCode>(handle).ok()?;
        let mode = client.mode();
        let (IpAddr::V4(own), IpAddr::V4(mask)) = (mode.station_ip(), mode.subnet_mask()) else {
            return None;
        };
        let packet: &[u8; 1472] = mode.dhcp_ack().as_ref();
        let siaddr = packet.get(20..24)?.first_chunk::<4>()?;
        mode.dhcp_ack_received().then(|| (own, mask, Ipv4Addr::from(*siaddr)))
    })
}
