// A lab of six virtual machines as the controller would show it in the middle of a start: two with BIOS,
// two with UEFI PXE, two with UEFI HTTP. Figures are of the kind that real boots gave.
import type {
  CertificateList,
  Bar,
  Boot,
  Check,
  ClientKind,
  Diagnosis,
  Explanation,
  LabEvent,
  MachineView,
  NodeWord,
  Plan,
  Snapshot,
  Stage,
  Stock,
  Waterfall,
} from "../src/types";

/** Lab time of the snapshot, in milliseconds. */
export const NOW = 912_400;
/** Number of the last event in the snapshot. */
export const SEQ = 540;
/** When the run began. */
export const RUN = NOW - 17_300;
const WALL = new Date("2026-03-14T14:02:31").getTime();
const wallOf = (at: number) => WALL + at - NOW;
export const moment = (at: number) => ({ since_start: at, wall: wallOf(at) });

const RUNGS: Record<NodeWord, MachineView["rung"]> = {
  off: "off",
  starting: "on",
  dhcp: "asked",
  waiting: "asked",
  parked: "asked",
  loader: "asked",
  image: "asked",
  kernel: "fetched",
  maintenance: "up",
  joining: "configured",
  ready: "ready",
  degraded: "up",
  stopping: "up",
  bad: "on",
  unknown: "off",
};

type Step = [stage: Stage, took: number, median: number, note?: string, bytes?: number, size?: number];

/** A waterfall from its steps; the last one is open unless the boot is over. */
export function waterfall(firmware: ClientKind, began: number, steps: Step[], open: boolean): Waterfall {
  let from = 0;
  const bars = steps.map(([stage, took, median, note, bytes, size], i): Bar => {
    const bar = {
      stage,
      from_ms: from,
      took_ms: took,
      open: open && i === steps.length - 1,
      bytes: bytes ?? 0,
      size: size ?? 0,
      note: note ?? null,
      median_ms: median,
    };
    from += took;
    return bar;
  });
  const all = { "bios-pxe": 9_240, "uefi-pxe": 16_580, "uefi-http": 25_900 } as Partial<Record<ClientKind, number>>;
  return {
    number: 8,
    began: moment(began),
    firmware,
    ipxe: firmware === "bios-pxe" ? "1.21.1" : "",
    total_ms: from,
    open,
    bars,
    median_ms: all[firmware] ?? null,
    median_of: 7,
  };
}

const OFFERS = "firmware collects offers (4 s timer, EDK2); nothing can shorten it";

/** One machine with everything that does not matter filled in. */
export function machine(
  node: string,
  column: number,
  row: number,
  word: NodeWord,
  more: Partial<MachineView> = {},
): MachineView {
  const number = (row - 1) * 2 + column;
  return {
    node,
    cell: { column, row },
    zone: column,
    mac: `52:54:00:4c:41:0${number}`,
    ip: `10.77.0.1${number}`,
    word,
    since: moment(NOW - 2_100),
    rung: RUNGS[word],
    goal: "ready",
    waiting: null,
    power: {
      state: "on",
      evidence: "its process runs",
      seen: moment(NOW - 900),
      port: { driver: "qemu", port: node.slice(4) },
    },
    boot: null,
    ipxe: null,
    agent: null,
    talos: null,
    host: null,
    is_guest: false,
    has_console: false,
    guest: null,
    wipe: null,
    fault: null,
    tries: 1,
    ...more,
  };
}

/** What an agent says of a virtual machine. */
export function agent(mac: string, firmware: "uefi" | "bios"): NonNullable<MachineView["agent"]> {
  return {
    report: {
      mac,
      boot_id: "3f0c8a1e-5a3b-4d0e-9a55-0d6d4a5d6c01",
      nonce: null,
      address: null,
      key: null,
      version: "0.1.0",
      kernel: "6.1.0-41-cloud-amd64",
      uptime_ms: 1_320,
      inventory: {
        firmware,
        product: "QEMU Standard PC",
        serial: "",
        uuid: "",
        cpu: "QEMU Virtual CPU version 2.5+",
        cpus: 1,
        memory_mib: 462,
        disks: [
          {
            name: "vda",
            model: "",
            serial: "",
            bytes: 1_073_741_824,
            digest: null,
            label: null,
            used: null,
          },
        ],
        nics: [{ name: "eth0", mac, driver: "virtio_net", speed_mbps: null }],
      },
    },
    beat: {
      mac,
      boot_id: "3f0c8a1e-5a3b-4d0e-9a55-0d6d4a5d6c01",
      uptime_ms: 6_000,
      load_milli: 120,
      memory_available_mib: 388,
      guests: [],
      health: {
        softnet: { dropped: 0, squeezed: 12, cpus: [{ cpu: 0, dropped: 0, squeezed: 12 }] },
        udp: { errors: 0, buffer_errors: 0 },
        pressure: {
          cpu: { some: 240, full: 0 },
          memory: { some: 0, full: 0 },
          io: { some: 0, full: 0 },
        },
        oom: { count: 0, victim: null },
        nics: [
          {
            name: "eth0",
            driver: "virtio_net",
            link: true,
            speed_mbps: null,
            full_duplex: null,
            fastest_mbps: null,
            peer_mbps: null,
            offloads: ["rx-checksum", "tso", "gso", "gro"],
            errors: 0,
            irqs: [{ irq: 25, cpus: "0" }],
            rps: "",
          },
        ],
        sensors: [],
        disks: [],
      },
    },
    ailing: [],
    proof: "address",
    heard: moment(NOW - 1_200),
  };
}

function board(): MachineView[] {
  const began = (i: number) => RUN + 300 + i * 500;
  const bios = (i: number, kernel: number, last: number) =>
    waterfall(
      "bios-pxe",
      began(i),
      [
        ["power", 120, 120],
        ["firmware", 2_190, 2_210],
        ["dhcp", 40, 40],
        ["loader", 90, 90],
        ["image", 2_710, 2_700, "95 MB in 2.7 s over HTTP", 95_100_000, 95_100_000],
        ["kernel", kernel, 3_900],
        ["agent", last, 190],
      ],
      false,
    );
  const pxe = (i: number, last: Step[]) =>
    waterfall(
      "uefi-pxe",
      began(i),
      [
        ["power", 130, 120],
        ["firmware", 3_540, 3_540],
        ["dhcp", 4_020, 4_010, OFFERS],
        ["loader", 180, 170, "192 KB, 44 round trips"],
        ["ipxe", 620, 600],
        ...last,
      ],
      true,
    );
  const http = (i: number, last: Step[]) =>
    waterfall("uefi-http", began(i), [["power", 130, 120], ["firmware", 8_650, 8_600], ...last], true);
  const since = (ago: number, limit: number, what: string, then: string) => ({
    what,
    since: NOW - ago,
    until: NOW - ago + limit,
    then,
  });
  return [
    machine("node1", 1, 1, "ready", {
      boot: bios(0, 3_870, 210),
      agent: agent("52:54:00:4c:41:01", "bios"),
      since: moment(RUN + 9_540),
    }),
    machine("node2", 2, 1, "kernel", {
      boot: pxe(1, [
        ["image", 2_890, 2_900, "95 MB in 2.9 s over HTTP", 95_100_000, 95_100_000],
        ["kernel", 5_050, 3_840],
      ]),
      waiting: since(5_050, 120_000, "the first words of its agent", "switch it off and on"),
    }),
    machine("node3", 1, 2, "image", {
      boot: http(2, [
        ["dhcp", 4_030, 4_020, OFFERS],
        ["image", 3_190, 10_100, undefined, 31_400_000, 95_700_000],
      ]),
      waiting: since(7_220, 240_000, "the whole image", "switch it off and on"),
    }),
    machine("node4", 2, 2, "ready", {
      boot: bios(3, 3_990, 200),
      agent: agent("52:54:00:4c:41:04", "bios"),
      since: moment(RUN + 11_200),
    }),
    machine("node5", 1, 3, "image", {
      boot: pxe(4, [["image", 1_960, 2_900, undefined, 61_300_000, 95_100_000]]),
      waiting: since(6_640, 240_000, "the whole image", "switch it off and on"),
    }),
    machine("node6", 2, 3, "dhcp", {
      boot: http(5, [["dhcp", 2_210, 4_020, OFFERS]]),
      waiting: since(2_210, 240_000, "its firmware to choose an offer (4 s timer, EDK2)", "switch it off and on"),
    }),
  ];
}

/** The snapshot. */
export function snapshot(): Snapshot {
  const machines = board();
  const nodes = machines.map((m) => m.node);
  return {
    epoch: "8f3a",
    through: SEQ,
    at: moment(NOW),
    lab: {
      name: "demo",
      columns: 2,
      rows: 3,
      phase: "booting",
      phase_since: moment(RUN + 200),
      phase_because: "2 of 6 machines are ready; all six are needed",
      scenario: "demo",
      run: 3,
      run_since: moment(RUN),
      waiting: null,
      pods: null,
      trials: [],
      counter_up: true,
      notices: [],
      strangers: [],
      scenarios: [
        { name: "demo", nodes, image: "node image, 6.1.0-41-cloud-amd64", missing: [] },
        {
          name: "one-each",
          nodes: ["node1", "node2", "node3"],
          image: "node image, 6.1.0-41-cloud-amd64",
          missing: [],
        },
        { name: "rescue", nodes, image: "rescue image", missing: ["rescue.efi: run `labinator image fetch rescue`"] },
      ],
    },
    machines,
  };
}

/** The events of this start. */
export function story(): LabEvent[] {
  const told: { ago: number; fact: LabEvent["fact"] }[] = [];
  const say = (ago: number, fact: LabEvent["fact"]) => told.push({ ago, fact });
  const mac = (n: number) => `52:54:00:4c:41:0${n}`;
  say(0, { fact: "start-accepted", run: 3, scenario: "demo", by: "page" });
  say(20, { fact: "published", table: 14 });
  say(200, { fact: "phase-entered", phase: "booting", because: "six machines are switched on, 0.5 s apart" });
  for (const n of [1, 2, 3, 4, 5, 6]) {
    const node = `node${n}`;
    say(n * 500 - 200, {
      fact: "issued",
      id: n,
      command: "power",
      node,
      port: { driver: "qemu", port: node.slice(4) },
      order: "on",
    });
    say(n * 500 - 80, { fact: "power-seen", node, state: "on", evidence: "its process runs" });
  }
  for (const n of [1, 4]) {
    const at = n * 500 + 2_200;
    say(at, {
      fact: "sighted",
      mac: mac(n),
      sight: "discover",
      client: "bios-pxe",
      arch: 0,
      secs: 0,
      uuid: null,
      version: "",
    });
    say(at + 30, { fact: "sighted", mac: mac(n), sight: "ack", address: `10.77.0.1${n}`, client: "bios-pxe" });
    say(at + 2_900, {
      fact: "sighted",
      mac: mac(n),
      sight: "file-served",
      name: "node.cpio.zst",
      bytes: 81_100_000,
      repeats: 0,
    });
  }
  say(8_300, { fact: "sighted", mac: mac(2), sight: "router-asked", answered: true });
  say(8_900, { fact: "sighted", mac: mac(2), sight: "script-asked", answer: "boot" });
  say(9_540, { fact: "entered", node: "node1", rung: "ready" });
  say(11_200, { fact: "entered", node: "node4", rung: "ready" });
  say(12_100, {
    fact: "sighted",
    mac: mac(2),
    sight: "file-served",
    name: "node.cpio.zst",
    bytes: 81_100_000,
    repeats: 0,
  });
  say(13_800, {
    fact: "sighted",
    mac: mac(3),
    sight: "file-asked",
    role: "uki",
    name: "node.efi",
    carrier: "http",
    size: 95_700_000,
  });
  say(15_000, {
    fact: "sighted",
    mac: mac(6),
    sight: "discover",
    client: "uefi-http",
    arch: 16,
    secs: 0,
    uuid: null,
    version: "",
  });
  say(15_010, { fact: "sighted", mac: mac(6), sight: "offer", address: "10.77.0.16" });
  say(15_300, {
    fact: "sighted",
    mac: mac(5),
    sight: "file-asked",
    role: "initrd",
    name: "node.cpio.zst",
    carrier: "http",
    size: 81_100_000,
  });
  for (const done of [1, 2, 3, 4])
    say(15_400 + done * 450, {
      fact: "sighted",
      mac: mac(5),
      sight: "file-moved",
      name: "node.cpio.zst",
      bytes: 12_000_000 * done,
    });
  say(17_250, { fact: "sighted", mac: mac(3), sight: "file-moved", name: "node.efi", bytes: 31_400_000 });
  told.sort((a, b) => a.ago - b.ago);
  return told.map(({ ago, fact }, i) => ({ seq: SEQ - told.length + 1 + i, at: moment(RUN + ago), fact }));
}

/** What a start would do. */
export function plans(): Map<string, Plan> {
  const none = { released: [], switched_off: [], switched_on: [], by_hand: [], about_ms: null, refused: null };
  return new Map<string, Plan>([
    [
      "demo",
      {
        ...none,
        scenario: "demo",
        switched_off: ["node1", "node4"],
        switched_on: ["node1", "node4"],
        released: ["node2", "node3"],
        about_ms: 31_200,
      },
    ],
    [
      "one-each",
      { ...none, scenario: "one-each", switched_on: ["node2", "node3"], released: ["node1"], about_ms: 26_000 },
    ],
    [
      "rescue",
      {
        ...none,
        scenario: "rescue",
        refused: {
          code: "image_missing",
          message: "The rescue image is not here.",
          advice: "Fetch it with `labinator image fetch rescue`.",
        },
      },
    ],
  ]);
}

/** Why each machine is as it is. */
export function explanations(): Map<string, Explanation> {
  const all = board().map((m): Explanation => ({
    node: m.node,
    headline: m.word === "ready" ? `${m.node} is ready, as wanted.` : `${m.node} is booting: ${m.word}.`,
    wanted: "ready, since 14:02:14, scenario demo",
    seen: [`on: its process runs`, "DISCOVER from UEFI HTTP, offered 10.77.0.16", "no file was asked for yet"],
    because: m.word === "ready" ? "" : "its firmware collects offers for 4 s, whatever the server does (EDK2)",
    will: m.word === "ready" ? "" : "switch it off and on if the image is not taken by 14:06:29",
    you_can: [`labinator boot trace ${m.node}`, `labinator power off ${m.node}`],
  }));
  return new Map(all.map((e) => [e.node, e]));
}

/** What the doctor finds on a boss that is mostly well. */
export function diagnosis(): Diagnosis {
  const check = (code: string, finding: Check["finding"], seen: string, help = ""): Check => ({
    code,
    finding,
    seen,
    help,
    page: `docs/operating/doctor.md#${code.replace("_", "-")}`,
  });
  const dropped = "3 frames dropped and 12 rounds cut short by the kernel in the last 10 minutes (3 and 40 in all)";
  return {
    light: { finding: "warning", broken: 0, warnings: 2, text: dropped },
    checks: [
      check("softnet", "warning", dropped, "something hogs the core that takes frames: find it with `top -H`"),
      check("old_ipxe", "warning", "node5 boots with iPXE 1.0.0, older than 1.21.1", "replace the ROM"),
      check("usb_resets", "skipped", "the kernel's log cannot be read, so resets of USB adapters stay unseen"),
      check("interface", "well", "enp1s0 is up"),
      check("boss_address", "well", "10.77.0.1 is this machine's"),
      check("disk", "well", "51200 MiB free and room for 3200000 files under /var/lib/labinator"),
    ],
    notices: [],
    faults: [],
  };
}

/** Certificates of a page that serves; of one whose boss woke with a wrong clock, where that is asked for. */
export function certificates(believed = true): CertificateList {
  const hour = 3_600_000;
  const certificate = (names: string[], from: number, until: number) => ({
    fingerprint: `sha256:${"3c9e51d0".repeat(8)}`,
    names,
    not_before: WALL + from * hour,
    not_after: WALL + until * hour,
  });
  const clock = believed
    ? { now: WALL, believed, code: "", why: "", help: "" }
    : {
        now: WALL,
        believed,
        code: "clock_before_program",
        why: "the clock lies before this program was written",
        help: "plug the uplink in, or set it: `date -s '2026-01-31 12:00'`",
      };
  return {
    clock,
    root: certificate([], -1, 87_600),
    lab: certificate([], -1, 8_760),
    services: [
      {
        service: "page",
        state: believed ? "serving" : "waiting",
        since: moment(NOW - 60_000),
        code: clock.code,
        why: believed ? "" : `waiting for a right clock: ${clock.why}`,
        certificate: certificate(["10.77.0.1"], -6, 19),
        renew_at: WALL + 11 * hour,
        renewed_at: WALL - 5 * hour,
        renewed_because: "two thirds of its life were over",
        failed: null,
      },
    ],
  };
}

/** What is in stock: one image in the middle of a trial, one that is old. */
export function stock(): Stock {
  const day = 86_400_000;
  const aged = (kind: Stock["others"][number]["kind"], name: string, days: number, help: string) => ({
    kind,
    name,
    since: WALL - days * day,
    days,
    old: days > 30,
    help,
  });
  const generation = (
    number: number,
    state: Stock["images"][number]["generations"][number]["state"],
    days: number,
    more: Partial<Stock["images"][number]["generations"][number]> = {},
  ) => ({
    number,
    state,
    since: WALL - days * day,
    days,
    size: 84_200_000,
    packages: 214,
    kernel: "6.1.0-56-amd64",
    signed: "signed here (boss1)",
    ...more,
  });
  return {
    images: [
      {
        name: "hypervisor",
        generations: [
          generation(4, "candidate", 0, { trial: { starts: 1, after: 3, node: "node3" } }),
          generation(3, "good", 12),
          generation(2, "last-good", 47),
        ],
        aged: aged("image", "hypervisor", 12, "labinator image update hypervisor"),
      },
      {
        name: "rescue",
        generations: [
          generation(6, "refused", 2, { because: "the kernel of node5 was silent for 90 s" }),
          generation(5, "good", 41, { signed: "signed by nobody" }),
        ],
        aged: aged("image", "rescue", 41, "labinator image update rescue"),
      },
    ],
    others: [
      aged("loader", "snponly.efi", 20, "labinator update"),
      aged("cache", "bookworm", 33, "labinator image update hypervisor"),
    ],
  };
}

/** What some boots cost. */
export function traces(): Map<string, Pick<Boot, "files" | "packets" | "transfers" | "log">> {
  const file = (name: string, role: Boot["files"][number]["role"], size: number, sent = size, begun = 1) => ({
    name,
    role,
    size,
    begun,
    whole: 1,
    sent,
  });
  return new Map([
    [
      "node6",
      {
        files: [
          file("snponly.efi", "loader", 192_512),
          file("vmlinuz", "kernel", 11_000_000),
          file("initrd.zst", "initrd", 84_000_000, 124_000_000, 2),
          file("metal-amd64.iso", "other", 100_000_000),
        ],
        packets: { file: "node6-3-14.pcap", frames: 312 },
        transfers: [
          {
            name: "snponly.efi",
            role: "loader",
            carrier: "tftp",
            size: 192_512,
            bytes: 192_512,
            asked: RUN + 9_000,
            ended: RUN + 9_400,
            repeats: 3,
            broken: null,
            terms: { block: 1_468, window: 4 },
          },
        ],
        log: [
          {
            at: RUN + 9_900,
            severity: 3,
            source: "ipxe" as const,
            text: "Could not boot: https://ipxe.org/3e11618e",
            error: "no server answers for the name; see `labinator doctor`",
          },
        ],
      },
    ],
  ]);
}
