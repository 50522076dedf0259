import { Terminal } from "@xterm/headless/lib-headless/xterm-headless.mjs";
import { expect, test } from "vitest";
import type { Answer } from "../src/ask";
import { Typist, decoded, encoded, leaves, sequence } from "../src/console";
import { runs } from "../src/paper";

const press = (key: string, held: Partial<Record<"ctrlKey" | "altKey" | "metaKey" | "shiftKey", boolean>> = {}) => ({
  key,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  shiftKey: false,
  ...held,
});

test("keys send what a serial terminal sends", () => {
  expect(sequence(press("Enter"))).toBe("\r");
  expect(sequence(press("Backspace"))).toBe("\x7f");
  expect(sequence(press("ArrowLeft"))).toBe("\x1b[D");
  expect(sequence(press("Tab", { shiftKey: true }))).toBe("\x1b[Z");
  expect(sequence(press("c", { ctrlKey: true }))).toBe("\x03");
  expect(sequence(press("[", { ctrlKey: true }))).toBe("\x1b");
  expect(sequence(press(" ", { ctrlKey: true }))).toBe("\0");
  expect(sequence(press("x", { altKey: true }))).toBe("\x1bx");
});

test("what is text, the browser's or AltGr's is left to the browser", () => {
  for (const left of [
    press("a"),
    press("ä"),
    press("Shift"),
    press("Dead"),
    press("F24"),
    press("c", { metaKey: true }),
    press("C", { ctrlKey: true, shiftKey: true }),
    press("V", { ctrlKey: true, shiftKey: true }),
    press("@", { ctrlKey: true, altKey: true }),
    press("1", { ctrlKey: true }),
  ])
    expect(sequence(left), JSON.stringify(left)).toBe("");
});

test("only Control and ] gives the keyboard back", () => {
  expect(leaves(press("]", { ctrlKey: true }))).toBe(true);
  for (const stays of [press("]"), press("[", { ctrlKey: true }), press("]", { ctrlKey: true, altKey: true })])
    expect(leaves(stays)).toBe(false);
});

test("what is typed goes in order, one request at a time, and nothing follows what was refused", async () => {
  const sent: string[] = [];
  let answer: ((value: Answer<unknown>) => void) | undefined;
  const refusals: string[] = [];
  const typist = new Typist(
    "w1",
    (why) => refusals.push(why),
    (_, bytes) => {
      sent.push(new TextDecoder().decode(bytes));
      return new Promise((done) => (answer = done));
    },
  );
  const settle = () => new Promise((done) => setTimeout(done));
  typist.type("a");
  typist.type("b");
  typist.type("ö");
  expect(sent).toEqual(["a"]);
  answer?.({ ok: true, value: null });
  await settle();
  expect(sent).toEqual(["a", "bö"]);
  typist.type("x".repeat(5_000));
  answer?.({ ok: true, value: null });
  await settle();
  expect(sent[2]).toHaveLength(4_096);
  answer?.({ ok: false, error: { code: "unreached", message: "It is off.", advice: "" } });
  await settle();
  expect(refusals).toEqual(["It is off."]);
  expect(sent).toHaveLength(3);
  typist.type("y");
  expect(sent.at(-1)).toBe("y");
});

test("bytes survive base64", () => {
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  expect(decoded(encoded(all))).toEqual(all);
});

test("cells that look alike are one run, and colours of every kind come down to eight", async () => {
  const terminal = new Terminal({ cols: 40, rows: 2, allowProposedApi: true });
  const shown = (text: string) =>
    new Promise<unknown>((done) =>
      terminal.write(`\x1bc${text}`, () => {
        const buffer = terminal.buffer.active;
        const line = buffer.getLine(0);
        done(line && runs(line, false, buffer.getNullCell()));
      }),
    );
  expect(await shown("plain   ")).toEqual([{ text: "plain", look: "" }]);
  expect(await shown("a \x1b[1;31mred\x1b[0m b")).toEqual([
    { text: "a ", look: "" },
    { text: "red", look: "f1 bold" },
    { text: " b", look: "" },
  ]);
  expect(await shown("\x1b[94;44mx")).toEqual([{ text: "x", look: "f4 b4" }]);
  expect(await shown("\x1b[38;5;196mx\x1b[38;5;46my\x1b[38;5;240mz")).toEqual([
    { text: "x", look: "f1" },
    { text: "y", look: "f2" },
    { text: "z", look: "f7" },
  ]);
  expect(await shown("\x1b[38;2;10;20;250mx\x1b[48;2;255;255;255my")).toEqual([
    { text: "x", look: "f4" },
    { text: "y", look: "f4 b7" },
  ]);
  expect(await shown("\x1b[7;4;2mx")).toEqual([{ text: "x", look: "dim line turned" }]);
  expect(await shown("漢字")).toEqual([{ text: "漢字", look: "" }]);
});
