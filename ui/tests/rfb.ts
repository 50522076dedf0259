// The least of a WebSocket server (RFC 6455) with the least of a screen behind it (RFC 6143): one picture, and a list of
// the keys that were pressed.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

const [WIDTH, HEIGHT] = [64, 48];

/** Takes the handshake and shows a screen; `keys` gets each key that goes down (X11 keysyms). */
export function showScreen(request: IncomingMessage, line: Duplex, keys: number[]): void {
  const nonce = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  line.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: binary\r\n` +
      `Sec-WebSocket-Accept: ${createHash("sha1").update(nonce).digest("base64")}\r\n\r\n`,
  );
  const send = (bytes: Buffer) => line.write(Buffer.concat([head(bytes.length), bytes]));
  let [frames, said] = [Buffer.alloc(0), Buffer.alloc(0)];
  let stage = 0;
  line.on("error", () => line.destroy());
  line.on("data", (piece: Buffer) => {
    frames = Buffer.concat([frames, piece]);
    for (let frame = take(frames); frame !== null; frame = take(frames)) {
      frames = frames.subarray(frame.length);
      if (frame.kind === 8) return void line.end();
      said = Buffer.concat([said, frame.bytes]);
      for (let used = hear(); used > 0; used = hear()) said = said.subarray(used);
    }
  });
  send(Buffer.from("RFB 003.008\n"));

  /** Answers the first message of what was said; how long it was, or nothing while it is not whole. */
  function hear(): number {
    if (stage < 3) {
      if (said.length < (stage === 0 ? 12 : 1)) return 0;
      send([Buffer.from([1, 1]), Buffer.alloc(4), init()][stage] ?? Buffer.alloc(0));
      return stage++ === 0 ? 12 : 1;
    }
    const kind = said[0];
    const size =
      kind === 0
        ? 20
        : kind === 2
          ? said.length < 4
            ? 0
            : 4 + 4 * said.readUInt16BE(2)
          : kind === 3
            ? 10
            : kind === 4
              ? 8
              : kind === 5
                ? 6
                : 0;
    if (size === 0 || said.length < size) return 0;
    if (kind === 3) send(picture());
    if (kind === 4 && said[1] === 1) keys.push(said.readUInt32BE(4));
    return size;
  }
}

function init(): Buffer {
  const name = Buffer.from("QEMU (w1)");
  const bytes = Buffer.alloc(24 + name.length);
  bytes.writeUInt16BE(WIDTH, 0);
  bytes.writeUInt16BE(HEIGHT, 2);
  Buffer.from([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16]).copy(bytes, 4);
  bytes.writeUInt32BE(name.length, 20);
  name.copy(bytes, 24);
  return bytes;
}

/** One rectangle, raw: a slope from blue to white. */
function picture(): Buffer {
  const bytes = Buffer.alloc(16 + WIDTH * HEIGHT * 4);
  bytes.writeUInt16BE(1, 2);
  bytes.writeUInt16BE(WIDTH, 8);
  bytes.writeUInt16BE(HEIGHT, 10);
  for (let at = 0; at < WIDTH * HEIGHT; at++) {
    const light = Math.floor(((at % WIDTH) * 255) / WIDTH);
    bytes.writeUInt32LE(light | (light << 8) | 0xff0000, 16 + at * 4);
  }
  return bytes;
}

function head(length: number): Buffer {
  if (length < 126) return Buffer.from([0x82, length]);
  return Buffer.from([0x82, 126, length >> 8, length & 255]);
}

/** The first frame, unmasked; nothing while it is not whole. */
function take(bytes: Buffer): { kind: number; bytes: Buffer; length: number } | null {
  if (bytes.length < 6) return null;
  const short = (bytes[1] ?? 0) & 127;
  const from = short === 126 ? 4 : 2;
  const size = short === 126 ? bytes.readUInt16BE(2) : short;
  const length = from + 4 + size;
  if (bytes.length < length) return null;
  const mask = bytes.subarray(from, from + 4);
  const body = Buffer.from(bytes.subarray(from + 4, length)).map((byte, at) => byte ^ (mask[at % 4] ?? 0));
  return { kind: (bytes[0] ?? 0) & 15, bytes: Buffer.from(body), length };
}
