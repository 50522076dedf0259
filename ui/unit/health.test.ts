import { expect, test } from "vitest";
import { disk, lost, port, pressure, warmth } from "../src/health";
import type { Health, NicHealth } from "../src/types";

const well: Health = {
  softnet: { dropped: 0, squeezed: 0, cpus: [] },
  udp: { errors: 0, buffer_errors: 0 },
  pressure: { cpu: { some: 40, full: 0 }, memory: { some: 0, full: 0 }, io: { some: 0, full: 0 } },
  oom: { count: 0, victim: null },
  nics: [],
  sensors: [
    { name: "a", celsius: 50, critical: 90 },
    { name: "b", celsius: 40, critical: null },
  ],
  disks: [],
};

const nic: NicHealth = {
  name: "eth0",
  driver: "r8169",
  link: true,
  speed_mbps: 1000,
  full_duplex: true,
  fastest_mbps: 1000,
  peer_mbps: 1000,
  offloads: ["tso", "gro"],
  errors: 0,
  irqs: [{ irq: 125, cpus: "1" }],
  rps: "",
};

test("a machine that is well has little to say", () => {
  expect(lost(well)).toEqual([]);
  expect(pressure(well)).toEqual([]);
  expect(warmth(well)).toEqual(["a 50 °C", "b 40 °C"]);
  expect(port(nic)).toBe("1000 Mbit/s, tso gro, IRQ 125 on CPU 1");
});

test("what is wrong is told with its numbers and units", () => {
  const bad: Health = {
    ...well,
    softnet: { dropped: 7, squeezed: 120, cpus: [{ cpu: 3, dropped: 7, squeezed: 120 }] },
    udp: { errors: 4, buffer_errors: 3 },
    pressure: { cpu: { some: 1230, full: 5 }, memory: { some: 0, full: 0 }, io: { some: 0, full: 0 } },
    oom: { count: 1, victim: "qemu (77)" },
    sensors: [{ name: "a", celsius: 85, critical: 90 }, ...well.sensors],
  };
  expect(lost(bad)).toEqual([
    "7 frames dropped, 120 rounds cut short on CPU 3",
    "4 datagrams lost, 3 to full sockets",
    "1 killed for want of memory, last qemu (77)",
  ]);
  expect(pressure(bad)).toEqual(["CPU 12.3 %, all of it 0.1 %"]);
  expect(warmth(bad)).toEqual(["a 85 °C, critical at 90 °C"]);
  const slow = { ...nic, speed_mbps: 100, full_duplex: false, errors: 2, rps: "0-1" };
  expect(port(slow)).toBe("100 Mbit/s of 1000, half duplex, 2 errors, tso gro, IRQ 125 on CPU 1, steered to CPU 0-1");
  expect(port({ ...nic, link: false, offloads: null, irqs: [] })).toBe("no link");
});

test("a disk that fails says why", () => {
  const told = {
    name: "sda",
    failing: true,
    why: "it says so",
    bad_sectors: 8,
    used_percent: 90,
    celsius: 41,
    hours: 9,
  };
  expect(disk(told)).toBe("expects to fail: it says so, 8 bad sectors, 90 % of its life used, 41 °C");
  expect(disk({ ...told, failing: false, bad_sectors: 0, used_percent: 1, celsius: null })).toBe(
    "well by its own word",
  );
});
