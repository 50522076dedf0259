//! Memory for an image, and the start of a kernel by its EFI stub: arguments as load options, initramfs by `LoadFile2`.
#![expect(
    unsafe_code,
    reason = "pages, load options and a protocol of our own go to the firmware by their address"
)]

use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use uefi::boot::{self, AllocateType, LoadImageSource, MemoryType};
use uefi::proto::device_path::DevicePath;
use uefi::proto::loaded_image::LoadedImage;
use uefi::{Guid, Identify as _, Result, Status, cstr16, guid};
use uefi_raw::Boolean;
use uefi_raw::protocol::device_path::DevicePathProtocol;
use uefi_raw::protocol::media::LoadFile2Protocol;
use wire::loader::Plan;

use crate::enrol;
use crate::screen::Screen;

const PAGE: usize = 4096;
/// Initramfs files begin at multiples of four (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).
pub(crate) const ALIGNED: u64 = 4;
/// By which Linux finds its initramfs (`LINUX_EFI_INITRD_MEDIA_GUID`, Linux 5.8).
const INITRD: Guid = guid!("5568e427-68fc-4f3d-ac74-ca555231cc68");

/// Pages of memory. They go back to the firmware with this, unless the next system has taken the machine by then.
#[derive(Debug)]
pub(crate) struct Pages {
    at: NonNull<u8>,
    count: usize,
    size: usize,
}

impl Pages {
    /// Room for so many bytes.
    ///
    /// # Errors
    /// There is not so much memory.
    pub(crate) fn new(size: usize) -> Result<Self> {
        let count = size.div_ceil(PAGE).max(1);
        let at = boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count)?;
        // SAFETY: so many pages were given to this program just now.
        unsafe { ptr::write_bytes(at.as_ptr(), 0, count * PAGE) };
        Ok(Self { at, count, size })
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the pages were written whole, are nobody else's, and stay for as long as this is borrowed.
        unsafe { core::slice::from_raw_parts_mut(self.at.as_ptr(), self.size) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: they came from `allocate_pages`, and nothing that was borrowed of them is left.
        drop(unsafe { boot::free_pages(self.at, self.count) });
    }
}

/// An image in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) kernel: Pages,
    /// All initramfs files, one behind the other.
    pub(crate) initrd: Option<Pages>,
}

impl Loaded {
    /// Room for what an answer names.
    ///
    /// # Errors
    /// There is not so much memory; so many bytes are wanted.
    pub(crate) fn room(plan: &Plan) -> core::result::Result<Self, u64> {
        let pages =
            |size: u64| usize::try_from(size).ok().and_then(|bytes| Pages::new(bytes).ok()).ok_or(size);
        let size = plan.initrd.iter().fold(0, |all: u64, piece| all.next_multiple_of(ALIGNED) + piece.size);
        let kernel = pages(plan.kernel.size)?;
        let initrd = (!plan.initrd.is_empty()).then(|| pages(size)).transpose()?;
        Ok(Self { kernel, initrd })
    }
}

/// A path of one node of the vendor's media and an end (UEFI 2.10 section 10.3.5.3).
#[repr(C, packed)]
struct InitrdPath {
    kind: [u8; 4],
    guid: Guid,
    end: [u8; 4],
}

static PATH: InitrdPath = InitrdPath { kind: [4, 3, 20, 0], guid: INITRD, end: [0x7f, 0xff, 4, 0] };

/// The protocol, and behind it what it gives.
#[repr(C)]
struct Initrd {
    protocol: LoadFile2Protocol,
    bytes: *const u8,
    size: usize,
}

unsafe extern "efiapi" fn give(
    this: *mut LoadFile2Protocol,
    _: *const DevicePathProtocol,
    policy: Boolean,
    size: *mut usize,
    buffer: *mut c_void,
) -> Status {
    if this.is_null() || size.is_null() {
        return Status::INVALID_PARAMETER;
    }
    if policy != Boolean::FALSE {
        return Status::UNSUPPORTED;
    }
    // SAFETY: the protocol was installed as the first field of an `Initrd` that is never given back; `size` is the
    // caller's, and tells how much room `buffer` has.
    unsafe {
        let initrd = &*this.cast::<Initrd>();
        if buffer.is_null() || *size < initrd.size {
            *size = initrd.size;
            return Status::BUFFER_TOO_SMALL;
        }
        *size = initrd.size;
        ptr::copy_nonoverlapping(initrd.bytes, buffer.cast(), initrd.size);
    }
    Status::SUCCESS
}

/// Starts an image, and comes back with what the firmware is told where it does not run.
pub(crate) fn begin(screen: &mut Screen, name: &str, image: Loaded, args: &str) -> Status {
    match start(image.kernel, image.initrd, args) {
        Ok(()) => {
            screen.fact("ended", format_args!("{name} came back"));
            Status::ABORTED
        }
        Err(error) => {
            let status = error.status();
            let judged = matches!(status, Status::SECURITY_VIOLATION | Status::ACCESS_DENIED);
            if judged && enrol::says(cstr16!("SecureBoot")) {
                let why = "Secure Boot is on, and nobody whom this firmware trusts signed it";
                screen.fact("refused", format_args!("{name}: {why} (`labinator secure-boot`)"));
            } else {
                screen.fact("refused", format_args!("the firmware does not start {name}: {error}"));
            }
            status
        }
    }
}

/// Starts a kernel, and does not come back where it runs.
///
/// # Errors
/// As the firmware says: it is no program for this machine, it may not be started, or it ended by itself.
fn start(mut kernel: Pages, initrd: Option<Pages>, args: &str) -> Result {
    let source = LoadImageSource::FromBuffer { buffer: kernel.bytes(), file_path: None };
    let image = boot::load_image(boot::image_handle(), source)?;
    let mut options: Vec<u16> = args.encode_utf16().collect();
    options.push(0);
    let options: &'static [u16] = options.leak();
    {
        let mut loaded = boot::open_protocol_exclusive::<LoadedImage>(image)?;
        let size = u32::try_from(size_of_val(options)).map_err(|_| Status::INVALID_PARAMETER)?;
        if !args.is_empty() {
            // SAFETY: they were leaked, and outlive the program that reads them.
            unsafe { loaded.set_load_options(options.as_ptr().cast(), size) };
        }
    }
    if let Some(pages) = initrd {
        // The firmware keeps the protocol, and with it these pages, also where the kernel comes back.
        let pages = ManuallyDrop::new(pages);
        let protocol = LoadFile2Protocol { load_file: give };
        let initrd = Initrd { protocol, bytes: pages.at.as_ptr(), size: pages.size };
        let initrd: &'static mut Initrd = alloc::boxed::Box::leak(alloc::boxed::Box::new(initrd));
        // SAFETY: both are of the kind that their GUIDs name, and are never given back.
        unsafe {
            let handle = boot::install_protocol_interface(None, &DevicePath::GUID, (&raw const PATH).cast())?;
            let interface = ptr::from_mut(initrd).cast_const().cast();
            boot::install_protocol_interface(Some(handle), &LoadFile2Protocol::GUID, interface)?;
        }
    }
    boot::start_image(image)
}
