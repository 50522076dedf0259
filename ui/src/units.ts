// Quantities as a person reads them: always with a unit, thousands separated, never jumping in width.

/** A number and its unit stay on one line. */
const NB = "\u00a0";

/** `4,000`: a count with its thousands separated. */
export function count(n: number): string {
  return Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Seconds with one decimal, cut and not rounded, so that a running clock never shows time that has not passed. */
function tenths(ms: number): string {
  return (Math.floor(ms / 100) / 10).toFixed(1);
}

/** `9.1 s` below two minutes, `2 min 51 s` below two hours, `2 h 5 min` above: the words of the command line. */
export function span(ms: number): string {
  const known = Math.max(0, ms);
  if (known < 120_000) return `${tenths(known)}${NB}s`;
  const seconds = Math.floor(known / 1000);
  if (seconds < 7200) return `${Math.floor(seconds / 60)}${NB}min${NB}${seconds % 60}${NB}s`;
  return `${count(Math.floor(seconds / 3600))}${NB}h${NB}${Math.floor(seconds / 60) % 60}${NB}min`;
}

/** Like `span`, without tenths: for what is only roughly known. */
export function about(ms: number): string {
  const known = Math.max(0, ms);
  return known < 120_000 ? `${Math.round(known / 1000)}${NB}s` : span(known);
}

/** `9.1 s`, `2:51 min`, `2:05 h`: a span where there is little room. */
export function brief(ms: number): string {
  const known = Math.max(0, ms);
  if (known < 120_000) return `${tenths(known)}${NB}s`;
  return known < 7_200_000 ? `${minutes(known)}${NB}min` : `${hours(known)}${NB}h`;
}

/** `12 of 90 s`, `1:12 of 15:00 min`: a wait against its limit. */
export function against(passed: number, limit: number): string {
  const done = Math.max(0, passed);
  if (limit <= 600_000 && done < 1_000_000)
    return `${Math.floor(done / 1000)}${NB}of${NB}${Math.round(limit / 1000)}${NB}s`;
  if (limit < 7_200_000) return `${minutes(done)}${NB}of${NB}${minutes(limit)}${NB}min`;
  return `${hours(done)}${NB}of${NB}${hours(limit)}${NB}h`;
}

const two = (n: number) => n.toString().padStart(2, "0");

function minutes(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
}

function hours(ms: number): string {
  const whole = Math.floor(ms / 60_000);
  return `${count(Math.floor(whole / 60))}:${two(whole % 60)}`;
}

/** `00:42:10`: hours, minutes, seconds. */
export function clock(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

const STEPS = [
  { size: 1e12, name: "TB" },
  { size: 1e9, name: "GB" },
  { size: 1e6, name: "MB" },
  { size: 1e3, name: "KB" },
] as const;

function stepOf(n: number): { size: number; name: string } {
  return STEPS.find((step) => n >= step.size) ?? { size: 1, name: "bytes" };
}

/** Tenths below ten units, of `n` or of the whole it belongs to. */
function inStep(n: number, size: number, whole = n): string {
  const value = n / size;
  return size > 1 && whole > 0 && whole / size < 9.95 ? value.toFixed(1) : count(value);
}

/** `95 MB`, `1.4 GB`, `812 bytes`: decimal units, as in the boot's own transfer figures. */
export function bytes(n: number): string {
  const step = stepOf(n);
  return `${inStep(n, step.size)}${NB}${step.name}`;
}

/** `61 of 95 MB`: both in the unit of the whole. */
export function bytesOf(done: number, whole: number): string {
  const step = stepOf(whole);
  return `${inStep(Math.min(done, whole), step.size, whole)}${NB}of${NB}${inStep(whole, step.size)}${NB}${step.name}`;
}

/** `7.7 GiB` or `512 MiB` of memory. */
export function memory(mib: number): string {
  return mib >= 1024 ? `${(mib / 1024).toFixed(1)}${NB}GiB` : `${count(mib)}${NB}MiB`;
}

/** `1 box`, `3 boxes`. */
export function many(n: number, one: string, more: string): string {
  return `${count(n)} ${n === 1 ? one : more}`;
}

/** `14:02:11.3`, the wall clock of whoever looks. */
export function wallTime(ms: number): string {
  const at = new Date(ms);
  const tenth = Math.floor(at.getMilliseconds() / 100);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${tenth}`;
}

/** `2026-03-01 14:02:11.3`, for hover and tables. */
export function wallDate(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${wallTime(ms)}`;
}
