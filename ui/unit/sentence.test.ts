// Each kind of fact has a sentence, and it says what happened.
import { expect, test } from "vitest";
import { noticed, sentence } from "../src/sentence";
import { agent, moment } from "../tests/demo";
import type { Fact } from "../src/types";

const MAC = "52:54:00:4c:41:01";
const known = {
  nameOf: (mac: string) => (mac === MAC ? "node1" : undefined),
  orderOf: (id: number) => (id === 7 ? ({ node: "node1", order: "on" } as const) : undefined),
};
const say = (fact: Fact) => {
  const line = sentence({ seq: 1, at: moment(0), fact }, known);
  return line && `${line.who ? `${line.who}: ` : ""}${line.text}`.replaceAll("\u00a0", " ");
};
const seen = (rest: object) => say({ fact: "sighted", mac: MAC, ...rest } as Fact);

test.each<[Fact, string]>([
  [
    {
      fact: "images-found",
      boots: {},
      images: { all: { kernel: null, initrd: [], uki: null, args: "", agent: true } },
      missing: { rescue: ["rescue.efi"] },
    },
    "Images are here for all. Missing for rescue: the start sheet says what.",
  ],
  [{ fact: "images-found", boots: {}, images: {}, missing: {} }, "No scenario has its images here."],
  [{ fact: "counter-seen", up: true }, "The boot counter is connected."],
  [{ fact: "issued", id: 8, command: "mint", run: 3 }, "The secrets of run 3 are to be made."],
  [
    { fact: "issued", id: 9, command: "push", node: "node1", fingerprint: "aaa", proof: "key" },
    "node1: Its config is pushed, to the key that was seen to wait.",
  ],
  [
    { fact: "issued", id: 10, command: "bootstrap", node: "node1" },
    "node1: Etcd is to begin on it, and on no other machine.",
  ],
  [{ fact: "secrets-ready", run: 3, fingerprint: "0123456789abcdef" }, "The secrets of run 3 are kept: 0123456789ab."],
  [{ fact: "talos-seen", node: "node1", talos: "silent" }, "node1: Its Talos is silent."],
  [
    { fact: "talos-seen", node: "node1", talos: "maintenance", fingerprint: "aaa", proof: "key" },
    "node1: Its Talos waits for a config.",
  ],
  [{ fact: "talos-seen", node: "node1", talos: "locked" }, "node1: Its Talos has a config of which nothing is known."],
  [{ fact: "talos-seen", node: "node1", talos: "foreign" }, "node1: Its Talos belongs to another cluster."],
  [
    {
      fact: "talos-seen",
      node: "node1",
      talos: "known",
      version: "1.12.11",
      stage: "booting",
      ready: false,
      unmet: ["services: etcd"],
      etcd: true,
    },
    "node1: Its Talos 1.12.11 is booting, with etcd; not well: services: etcd.",
  ],
  [{ fact: "member-seen", node: "node1", member: "absent" }, "node1: The cluster does not know it."],
  [
    { fact: "member-seen", node: "node1", member: "not-ready", why: "no network" },
    "node1: The cluster gives it no work: no network.",
  ],
  [{ fact: "member-seen", node: "node1", member: "ready" }, "node1: The cluster gives it work."],
  [{ fact: "counter-seen", up: false }, "The boot counter is gone: nothing is seen of the machines."],
  [
    { fact: "start-accepted", run: 3, scenario: "all", by: "cli" },
    "Start of all was asked for from the command line: run 3.",
  ],
  [{ fact: "stop-accepted", by: "page" }, "Stop was asked for from the page."],
  [{ fact: "power-accepted", node: "node1", order: "off", by: "demo" }, "node1: Power off was asked for by the demo."],
  [
    { fact: "issued", id: 7, command: "power", node: "node1", port: { driver: "relays", port: "1" }, order: "on" },
    "node1: Power on sent to relays/1.",
  ],
  [{ fact: "finished", id: 7, outcome: "done" }, "node1: Power on: the driver says done."],
  [{ fact: "finished", id: 8, outcome: "done" }, "Command 8: the driver says done."],
  [
    { fact: "finished", id: 7, outcome: "failed", code: "x", why: "no such port" },
    "node1: Power on failed: no such port.",
  ],
  [
    { fact: "power-seen", node: "node1", state: "off", evidence: "its process ended" },
    "node1: Seen off: its process ended.",
  ],
  [
    { fact: "power-seen", node: "node1", state: "unknown", evidence: "nothing tells" },
    "node1: Seen neither on nor off: nothing tells.",
  ],
  [{ fact: "published", table: 1400 }, "Boot table 1,400 was handed to the counter."],
  [{ fact: "entered", node: "node1", rung: "fetched" }, "node1: Now fetched."],
  [
    { fact: "faulted", node: "node1", code: "never-asked", text: "no DISCOVER in 90 s", bad: true },
    "node1: no DISCOVER in 90 s. Given up for this run.",
  ],
  [
    { fact: "phase-entered", phase: "powering-down", because: "node1 runs something else" },
    "The lab is powering down: node1 runs something else.",
  ],
  [{ fact: "phase-entered", phase: "ready", because: "" }, "The lab is ready."],
])("%o", (fact, text) => expect(say(fact)).toBe(text));

test.each<[object, string]>([
  [{ sight: "frame" }, "node1: First frame after silence."],
  [
    { sight: "discover", client: "bios-pxe", secs: 4, version: "" },
    "node1: BIOS PXE asks for an address, for 4 s already.",
  ],
  [
    { sight: "discover", client: "ipxe", secs: 0, version: "1.21.1" },
    "node1: iPXE asks for an address (version 1.21.1).",
  ],
  [{ sight: "offer", address: "10.0.0.1" }, "node1: Was offered 10.0.0.1."],
  [{ sight: "request", client: "agent" }, "node1: The agent takes the address."],
  [{ sight: "ack", address: "10.0.0.1", client: "agent" }, "node1: Has the address 10.0.0.1."],
  [{ sight: "nak" }, "node1: Asked for an address it cannot have, and was told so."],
  [{ sight: "router-asked", answered: true }, "node1: Asked for an IPv6 router and was answered: none to wait for."],
  [
    { sight: "file-asked", role: "uki", name: "node.efi", carrier: "http", size: 95_700_000 },
    "node1: Asks for the image node.efi, 96 MB, over HTTP.",
  ],
  [
    { sight: "file-agreed", name: "snponly.efi", terms: { block: 1468, window: 4 } },
    "node1: snponly.efi goes in blocks of 1,468 bytes, 4 at a time.",
  ],
  [
    { sight: "file-served", name: "snponly.efi", bytes: 192_000, repeats: 3 },
    "node1: Took snponly.efi, 192 KB, 3 sent again.",
  ],
  [
    { sight: "file-broken", name: "node.efi", bytes: 1e6, why: "the line broke" },
    "node1: Broke off node.efi after 1.0 MB: the line broke.",
  ],
  [{ sight: "script-asked", answer: "wait" }, "node1: Was told to wait: nothing is decided yet."],
  [{ sight: "ipxe-told", version: "1.21.1", features: ["HTTP", "EFI"] }, "node1: Runs iPXE 1.21.1 with HTTP EFI."],
  [{ sight: "ipxe-told", version: "1.0.0", features: [] }, "node1: Runs iPXE 1.0.0."],
  [
    { sight: "talos-logged", severity: 4, service: null, text: "[talos] task install: done" },
    "node1: Its kernel says: [talos] task install: done.",
  ],
  [{ sight: "logged", severity: 6, text: "Link is up", error: null }, "node1: Its iPXE says: Link is up."],
  [
    { sight: "logged", severity: 3, text: "Error 0x3e11618e", error: "no server answers for the name" },
    "node1: Its iPXE says: no server answers for the name.",
  ],
  [{ sight: "deferred", name: "node.efi" }, "node1: The counter was full: node.efi later."],
  [
    { sight: "agent", report: agent(MAC, "bios").report },
    "node1: Its agent reports 1.3 s after its kernel started: QEMU Standard PC, kernel 6.1.0-41-cloud-amd64.",
  ],
])("seen: %o", (sight, text) => expect(seen(sight)).toBe(text));

test("a heartbeat is no news", () => expect(seen({ sight: "beat" })).toBeNull());

test("a machine that is not on the board goes by its address", () => {
  expect(say({ fact: "sighted", mac: "02:00:00:00:00:09", sight: "nak" })).toMatch(/^02:00:00:00:00:09: /);
});

test("notices say what is wrong and by whom", () => {
  expect(noticed({ notice: "foreign-dhcp", mac: MAC, server: "192.168.1.1" })).toBe(
    `Another DHCP server answers on this segment: 192.168.1.1 (${MAC}).`,
  );
  expect(noticed({ notice: "foreign-router", mac: MAC, address: "fe80::1", names_dns: true })).toContain(
    "old iPXE will fail",
  );
  expect(noticed({ notice: "foreign-dhcp6", mac: MAC, address: "fe80::2", duid: "00010001" })).toBe(
    `Another DHCPv6 server answers on this segment: fe80::2 (${MAC}).`,
  );
  expect(noticed({ notice: "foreign-choice6", mac: MAC, duid: "00010001" })).toBe(
    `${MAC} follows another DHCPv6 server: DUID 00010001.`,
  );
  expect(noticed({ notice: "ledger-full", why: "No space left on device" })).toBe(
    "The ledger cannot be written, no new address is given: No space left on device.",
  );
  expect(noticed({ notice: "malformed", protocol: "DHCP", count: 1204 })).toBe("1,204 DHCP packets could not be read.");
  expect(noticed({ notice: "clock-stepped", seconds: -3 })).toBe(
    "The boss's clock was set by -3 s while it served time.",
  );
});

test("what a newer controller says does not break an older page", () => {
  expect(say({ fact: "tea-served" } as unknown as Fact)).toBe("Something this page has no words for: tea-served.");
  expect(seen({ sight: "ghost" })).toBe("node1: Something this page has no words for: ghost.");
});
