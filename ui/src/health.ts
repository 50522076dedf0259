// What a machine's kernel tells of its health, in the words of its sheet. Only what is worth a look.
import type { DiskHealth, Health, NicHealth, Sensor } from "./types";
import { count } from "./units";

/** From so many hundredths of a percent on, work that stood still is told. */
const PRESSED = 100;
/** Sensors told when none is near its limit. */
const SENSORS = 3;

/** A port: how its link is, and what serves it. */
export function port(nic: NicHealth): string {
  const speed = !nic.link ? "no link" : nic.speed_mbps == null ? "link" : `${nic.speed_mbps} Mbit/s`;
  const best = nic.link && nic.speed_mbps && nic.fastest_mbps && nic.speed_mbps < nic.fastest_mbps;
  return [
    best ? `${speed} of ${nic.fastest_mbps}` : speed,
    nic.full_duplex === false && nic.link && "half duplex",
    nic.errors > 0 && `${count(nic.errors)} errors`,
    nic.offloads != null && (nic.offloads.length > 0 ? nic.offloads.join(" ") : "no offloads"),
    served(nic),
    nic.rps && `steered to CPU ${nic.rps}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** Where its interrupts are served: each place once. */
function served(nic: NicHealth): string {
  const places = [...new Set(nic.irqs.map((irq) => irq.cpus).filter(Boolean))];
  if (places.length === 0) return "";
  const numbers = nic.irqs.length === 1 ? `IRQ ${nic.irqs[0]?.irq}` : `${nic.irqs.length} IRQs`;
  return `${numbers} on CPU ${places.join(" ")}`;
}

/** What its kernel lost; empty for one that lost nothing. */
export function lost(health: Health): string[] {
  const worst = health.softnet.cpus[0];
  const where =
    worst && health.softnet.cpus.length > 1 ? `, most on CPU ${worst.cpu}` : worst ? ` on CPU ${worst.cpu}` : "";
  const { dropped, squeezed } = health.softnet;
  return [
    (dropped > 0 || squeezed > 0) && `${count(dropped)} frames dropped, ${count(squeezed)} rounds cut short${where}`,
    health.udp.errors > 0 &&
      `${count(health.udp.errors)} datagrams lost, ${count(health.udp.buffer_errors)} to full sockets`,
    health.oom.count > 0 &&
      `${count(health.oom.count)} killed for want of memory${health.oom.victim ? `, last ${health.oom.victim}` : ""}`,
  ].filter((line): line is string => Boolean(line));
}

/** Shares of the last ten seconds in which work stood still. */
export function pressure(health: Health): string[] {
  const each = health.pressure;
  if (each == null) return [];
  const told = [
    ["CPU", each.cpu],
    ["memory", each.memory],
    ["disks", each.io],
  ] as const;
  return told
    .filter(([, stall]) => stall.some >= PRESSED)
    .map(([name, stall]) => `${name} ${percent(stall.some)}, all of it ${percent(stall.full)}`);
}

function percent(hundredths: number): string {
  return `${(hundredths / 100).toFixed(1)} %`;
}

/** Temperatures: those at most ten degrees below their limit, else the first few. */
export function warmth(health: Health): string[] {
  const near = health.sensors.filter(isNear);
  return (near.length > 0 ? near : health.sensors.slice(0, SENSORS)).map(
    (sensor) =>
      `${sensor.name} ${sensor.celsius} °C${sensor.critical != null && isNear(sensor) ? `, critical at ${sensor.critical} °C` : ""}`,
  );
}

function isNear(sensor: Sensor): boolean {
  return sensor.critical != null && sensor.celsius > sensor.critical - 10;
}

/** What a disk says of itself. */
export function disk(disk: DiskHealth): string {
  return [
    disk.failing ? `expects to fail${disk.why ? `: ${disk.why}` : ""}` : "well by its own word",
    disk.bad_sectors ? `${count(disk.bad_sectors)} bad sectors` : "",
    disk.used_percent != null && disk.used_percent >= 80 ? `${disk.used_percent} % of its life used` : "",
    disk.celsius != null ? `${disk.celsius} °C` : "",
  ]
    .filter(Boolean)
    .join(", ");
}
