// Frames are cut right, whatever the pieces they arrive in.
import { expect, test } from "vitest";
import { FrameReader, itemOf } from "../src/stream";

const TEXT =
  'id: 8f3a:7\nevent: event\ndata: {"seq":7}\n\n: a comment\nevent: beat\r\ndata: {"since_start":1,\r\ndata: "wall":2}\r\n\r\nevent: start-over\ndata:\n\n';

test("a stream in one piece gives its frames", () => {
  expect(new FrameReader().push(TEXT)).toEqual([
    { event: "event", data: '{"seq":7}', id: "8f3a:7" },
    { event: "beat", data: '{"since_start":1,\n"wall":2}', id: null },
    { event: "start-over", data: "", id: null },
  ]);
});

test("cut anywhere, it gives the same frames", () => {
  const whole = new FrameReader().push(TEXT);
  for (let cut = 1; cut < TEXT.length; cut += 1) {
    const reader = new FrameReader();
    expect([...reader.push(TEXT.slice(0, cut)), ...reader.push(TEXT.slice(cut))], `cut at ${cut}`).toEqual(whole);
  }
  const reader = new FrameReader();
  expect([...TEXT].flatMap((letter) => reader.push(letter))).toEqual(whole);
});

test("a frame becomes an item, an unknown one is passed over", () => {
  expect(itemOf({ event: "beat", data: '{"since_start":1,"wall":2}', id: null })).toEqual({
    event: "beat",
    data: { since_start: 1, wall: 2 },
  });
  expect(itemOf({ event: "start-over", data: "", id: null })).toEqual({ event: "start-over" });
  expect(itemOf({ event: "weather", data: "{}", id: null })).toBeNull();
});
