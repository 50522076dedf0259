//! Every path that can be asked, with what goes in, what comes out, and who may.

use model::{DiskLoaders, Snapshot, Trace};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::{
    Accepted, AdoptAsk, Adopted, Ask, Captures, CertificateList, ConsolePart, CutAsk, Diagnosis, EventPage,
    Explanations, IssueAsk, IssuedCertificate, LoaderAsk, LogItem, LogSummary, MachinePage, MirrorAsk,
    Mirrored, Plan, PowerAsk, PowerSaid, RenewAsk, RestoreAsk, RootCertificate, Stock, StreamItem,
    SwitchList, TokenAsk, TokenList, TokenMade, TypeAsk, Typed, WipeAsk,
};

/// How it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Anybody who reaches the port.
    Anyone,
    /// Whoever holds a token, a kiosk's too.
    Kiosk,
    /// Whoever may read.
    View,
    /// Whoever may start, stop, switch and install.
    Operate,
    /// Whoever may do everything. Whoever comes over the local Unix socket may, too.
    Admin,
}

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One path.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// How.
    pub method: Method,
    /// Where; `{name}` is a parameter.
    pub path: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Query parameters: name and meaning.
    pub query: &'static [(&'static str, &'static str)],
    /// Shape of the request body.
    pub takes: Option<SchemaOf>,
    /// Shape of the answer.
    pub gives: SchemaOf,
    /// Who may.
    pub right: Right,
    /// True when the answer is a stream of server-sent events.
    pub streams: bool,
    /// True when it is a WebSocket (RFC 6455): binary messages both ways, nothing else.
    pub upgrades: bool,
    /// Media type of an answer that is not JSON.
    pub media: Option<&'static str>,
}

/// Media type of a capture file (IANA registry).
pub const CAPTURE: &str = "application/vnd.tcpdump.pcap";

fn shape<T: JsonSchema>(to: &mut SchemaGenerator) -> Schema {
    to.subschema_for::<T>()
}

const fn get(path: &'static str, about: &'static str, gives: SchemaOf) -> Route {
    Route {
        method: Method::Get,
        path,
        about,
        query: &[],
        takes: None,
        gives,
        right: Right::View,
        streams: false,
        upgrades: false,
        media: None,
    }
}

const fn post(path: &'static str, about: &'static str, takes: SchemaOf, gives: SchemaOf) -> Route {
    Route { method: Method::Post, right: Right::Operate, takes: Some(takes), ..get(path, about, gives) }
}

const fn by(right: Right, route: Route) -> Route {
    Route { right, ..route }
}

/// The whole API, version 1.
pub const ROUTES: &[Route] = &[
    by(Right::Kiosk, get("/v1/snapshot", "The lab at this moment.", shape::<Snapshot>)),
    Route {
        streams: true,
        right: Right::Kiosk,
        ..get("/v1/stream", "A snapshot, then changes and events as they come.", shape::<StreamItem>)
    },
    Route {
        query: &[
            ("after", "number of the last event already known"),
            ("limit", "events at most; 1000 unless told"),
        ],
        ..get("/v1/events", "Events, oldest first.", shape::<EventPage>)
    },
    get("/v1/scenarios/{scenario}/plan", "What a start would do, without doing it.", shape::<Plan>),
    post("/v1/scenarios/{scenario}/start", "Start a scenario.", shape::<Ask>, shape::<Accepted>),
    by(
        Right::Admin,
        post(
            "/v1/scenarios/{scenario}/adopt",
            "Take over a cluster that runs, without a write to it.",
            shape::<AdoptAsk>,
            shape::<Adopted>,
        ),
    ),
    post("/v1/stop", "Switch the lab's machines off.", shape::<Ask>, shape::<Accepted>),
    get("/v1/explain", "Why everything is as it is.", shape::<Explanations>),
    Route {
        query: &[
            ("limit", "machines at most, up to 1000; 100 unless told"),
            ("after", "name of the last machine of the page before"),
            ("node", "only machines whose name, MAC or IP address contains this text"),
            ("zone", "only machines of this zone"),
            ("word", "only machines with this word, such as `bad`"),
            ("order", "`board` (by row, then column) or `trouble` (what a person must look at first)"),
        ],
        ..get("/v1/nodes", "The machines, page by page.", shape::<MachinePage>)
    },
    get("/v1/nodes/{node}/explain", "Why one machine is as it is.", shape::<Explanations>),
    Route {
        query: &[("boot", "number of the boot; the last one unless told")],
        ..get("/v1/nodes/{node}/trace", "Where the seconds of a boot went.", shape::<Trace>)
    },
    post("/v1/nodes/{node}/power", "Switch one machine.", shape::<PowerAsk>, shape::<Accepted>),
    post(
        "/v1/nodes/{node}/power/seen",
        "Say whether one machine runs, after a look at it.",
        shape::<PowerSaid>,
        shape::<Accepted>,
    ),
    post(
        "/v1/nodes/{node}/install",
        "Install one machine again, in the running scenario.",
        shape::<Ask>,
        shape::<Accepted>,
    ),
    post(
        "/v1/nodes/{node}/wipe",
        "Wipe a disk of one machine, in the boot that goes on or the next one.",
        shape::<WipeAsk>,
        shape::<Accepted>,
    ),
    get(
        "/v1/nodes/{node}/loader",
        "Our loader on the disks of one machine, and what its firmware starts, as its live image sees it.",
        shape::<DiskLoaders>,
    ),
    post(
        "/v1/nodes/{node}/loader",
        "Put our loader onto a disk of one machine, or take it away, and have its firmware follow.",
        shape::<LoaderAsk>,
        shape::<DiskLoaders>,
    ),
    Route {
        query: &[
            ("from", "number of the first byte wanted; all that is kept unless told"),
            ("wait", "true: the answer waits up to 10 s until there is something new"),
        ],
        ..get(
            "/v1/nodes/{node}/console",
            "What a guest or a virtual machine wrote to its serial port.",
            shape::<ConsolePart>,
        )
    },
    post("/v1/nodes/{node}/console", "Type into its serial port.", shape::<TypeAsk>, shape::<Typed>),
    Route {
        upgrades: true,
        right: Right::Operate,
        ..get(
            "/v1/nodes/{node}/screen",
            "Its screen: the messages are the RFB stream (RFC 6143), as noVNC and websockify have it.",
            shape::<()>,
        )
    },
    get("/v1/switches", "The switches, and who hangs on which of their ports.", shape::<SwitchList>),
    post("/v1/switches/cut", "Disable ports for a while.", shape::<CutAsk>, shape::<Accepted>),
    post(
        "/v1/switches/restore",
        "Enable ports again before their time.",
        shape::<RestoreAsk>,
        shape::<Accepted>,
    ),
    by(
        Right::Admin,
        post(
            "/v1/switches/{switch}/mirror",
            "Copy what goes through a port to another, or end that.",
            shape::<MirrorAsk>,
            shape::<Mirrored>,
        ),
    ),
    get("/v1/doctor", "What is wrong with this boss, network and lab.", shape::<Diagnosis>),
    get(
        "/v1/images",
        "Images with their generations, loaders and caches, and how old each is.",
        shape::<Stock>,
    ),
    Route {
        query: &[
            ("node", "only lines of this node"),
            ("level", "only lines this bad or worse: `emerg` to `debug`, or 0 to 7"),
            ("grep", "only lines in which this regular expression is found"),
            ("tail", "begin so many lines before now; 100 unless told"),
            ("since", "begin at this time instead, in milliseconds since 1970"),
            ("until", "leave out what is later than this time"),
            ("after", "begin behind this `id` instead; the header `Last-Event-ID` outranks it"),
            ("follow", "false: end with what is kept"),
        ],
        streams: true,
        ..get("/v1/logs", "Lines of everybody, as they come.", shape::<LogItem>)
    },
    get("/v1/logs/summary", "What came, what it was, and what is missing.", shape::<LogSummary>),
    get("/v1/failures", "Heads of packets saved of starts that failed.", shape::<Captures>),
    Route {
        media: Some(CAPTURE),
        right: Right::Operate,
        ..get("/v1/failures/{file}", "One of them, for tshark or Wireshark.", shape::<String>)
    },
    get(
        "/v1/certificates",
        "The lab's certificates: what serves with one, what waits for one and why, and whether the clock is believed.",
        shape::<CertificateList>,
    ),
    by(
        Right::Admin,
        post(
            "/v1/certificates/renew",
            "Make the lab's own certificates anew, without closing a connection.",
            shape::<RenewAsk>,
            shape::<CertificateList>,
        ),
    ),
    by(
        Right::Admin,
        post(
            "/v1/certificates/issue",
            "Issue a server's certificate for a request (PKCS #10).",
            shape::<IssueAsk>,
            shape::<IssuedCertificate>,
        ),
    ),
    by(Right::Admin, get("/v1/tokens", "The tokens, without what is secret of them.", shape::<TokenList>)),
    by(
        Right::Admin,
        post("/v1/tokens", "Make a token; it is shown this once.", shape::<TokenAsk>, shape::<TokenMade>),
    ),
    by(
        Right::Admin,
        post(
            "/v1/tokens/{name}/revoke",
            "Revoke a token; what was opened with it ends.",
            shape::<Ask>,
            shape::<TokenList>,
        ),
    ),
    Route {
        right: Right::Anyone,
        ..get("/v1/certificates/root", "The root that clients are told.", shape::<RootCertificate>)
    },
    Route {
        right: Right::Anyone,
        ..get("/v1/openapi.json", "This description.", shape::<serde_json::Value>)
    },
];
