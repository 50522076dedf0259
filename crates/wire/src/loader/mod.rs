//! What our own UEFI loader and the controller say to each other, and how the loader judges it; no socket and no key here.
//!
//! ```text
//! loader ──Ask: who I am, nonce──▶ counter
//!        ◀─Sealed: delegation signed by the lab's key, answer signed by the delegated key──
//!        ── judged: signatures, nonce, machine, time ──▶ boot, wait or disk; or a refusal by name
//! ```
//!
//! | file | what |
//! |---|---|
//! | `ask.rs` | the one question |
//! | `answer.rs` | the answer, before it is sealed |
//! | `sealed.rs` | delegation and seal |
//! | `judge.rs` | what a sealed answer is worth |
//! | `refusal.rs` | why it is not followed, and what helps |
//! | `word.rs` | a line that the loader says on its way |
//! | `processor.rs` | processors that it is built for, and names of its files |
//! | `seed.rs` | what the controller writes into the loader's file before it hands it out |
//! | `smbios.rs` | what the firmware's tables say of a machine |
//! | `ladder.rs` | what is started when something better is not there |
//! | `unified.rs` | a unified kernel image, taken apart |
//! | `gpt.rs` | the partitions of a local medium |
//! | `entry.rs` | boot entries of firmware, and their order |
//! | `settings.rs` | what a person may set on one |
//! | `cache/` | how images lie on a local medium, and get there |
//! | `bios/` | how a local medium starts a machine where the loader cannot run: texts for GRUB and iPXE, what GRUB remembers |
//! | `http.rs` | heads of HTTP/1.1, as far as the loader needs them |
//!
//! All texts are UTF-8: a title line, then `key value` a line. Unknown keys are passed over, so that a loader on a stick
//! understands a newer controller; what must not be passed over gets another number in the title.

mod answer;
mod ask;
pub mod bios;
pub mod cache;
pub mod entry;
pub mod gpt;
pub mod http;
mod judge;
mod ladder;
mod lines;
mod processor;
mod refusal;
mod sealed;
mod seed;
mod settings;
pub mod smbios;
pub mod unified;
mod word;

pub use answer::{Answer, Order, Piece, Plan};
pub use ask::{Ask, Medium, Nonce, PORTS};
pub use judge::{Asked, Check, Judged, Trust, judge};
pub use ladder::{Controller, Rung, Seen, rung};
pub use lines::TextError;
pub use processor::Processor;
pub use refusal::Refusal;
pub use sealed::{ANSWER_PURPOSE, DELEGATION_PURPOSE, Delegation, Sealed, Signed, signed_text};
pub use seed::{PLACE_SIZE, Seed, SeedError, Unfit, fitted, plant, planted, read_place};
pub use settings::{KEYS_PATH, SETTINGS_PATH, Settings, StaticAddress};
pub use word::Word;

/// Where the question is asked (POST).
pub const ASK_PATH: &str = "/boot/ask";
/// Where the loader says what it does (POST).
pub const WORD_PATH: &str = "/boot/word";
/// What the loader calls itself in HTTP; its version follows.
pub const USER_AGENT: &str = "LabinatorLoader/";
/// Name of the loader for x86-64 among the network boot programs.
pub const FILE_X64: &str = Processor::X64.file();
/// Largest text of either side in bytes.
pub const LONGEST_TEXT: usize = 64 << 10;
