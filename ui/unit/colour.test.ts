// The four hues of state stay apart for eyes that lack a cone, and everything is readable on its paper.
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const css = readFileSync(new URL("../src/page.css", import.meta.url), "utf8");
type Rgb = [number, number, number];

function theme(start: string): (name: string) => Rgb {
  const block = css.slice(css.indexOf(start));
  return (name) => {
    const hex = new RegExp(`--${name}: #([0-9a-f]{6})`).exec(block)?.[1] ?? "";
    return [0, 2, 4].map((i) => Number.parseInt(hex.slice(i, i + 2), 16) / 255) as Rgb;
  };
}

const linear = (c: Rgb) => c.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)) as Rgb;
const times = (m: readonly Rgb[], v: Rgb) => m.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as Rgb;

/** Machado, Oliveira and Fernandes 2009, severity 1.0. */
const EYES: Record<string, readonly Rgb[]> = {
  "all cones": [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function lab(c: Rgb): Rgb {
  const [x, y, z] = times(
    [
      [0.4124564, 0.3575761, 0.1804375],
      [0.2126729, 0.7151522, 0.072175],
      [0.0193339, 0.119192, 0.9503041],
    ],
    c,
  );
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const [fx, fy, fz] = [f(x / 0.95047), f(y), f(z / 1.08883)];
  return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)];
}

const luminance = (c: Rgb) => times([[0.2126, 0.7152, 0.0722]], linear(c))[0];
function contrast(a: Rgb, b: Rgb): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe.each([
  ["light", ":root {"],
  ["dark", ':root[data-theme="dark"]'],
  ["contrast", ':root[data-theme="contrast"]'],
])("%s", (_, start) => {
  const of = theme(start);
  test.each(["ink", "quiet", "plain", "busy", "well", "care", "bad"])("%s is readable on paper and wash", (name) => {
    expect(contrast(of(name), of("paper"))).toBeGreaterThanOrEqual(4.5);
    expect(contrast(of(name), of("wash"))).toBeGreaterThanOrEqual(4.5);
  });
  test.each(Object.keys(EYES))("the hues stay apart for %s", (eye) => {
    const seen = ["busy", "well", "care", "bad"].map((name) =>
      lab(times(EYES[eye] ?? [], linear(of(name))).map((v) => Math.min(1, Math.max(0, v))) as Rgb),
    );
    for (const [i, a] of seen.entries()) {
      for (const b of seen.slice(i + 1)) expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])).toBeGreaterThan(18);
    }
  });
});
