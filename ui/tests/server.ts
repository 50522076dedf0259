// A server that speaks the controller's contract and says exactly what a test tells it to.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { showScreen } from "./rfb";
import type {
  Boot,
  CertificateList,
  Change,
  Diagnosis,
  Explanation,
  LabEvent,
  MachineView,
  Plan,
  Snapshot,
  Stock,
  StreamItem,
} from "../src/types";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".txt": "text/plain; charset=utf-8",
};
/** The policy the controller sends with the page. */
const POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const TOKEN = "an-open-door";

/** A request that was meant to change something. */
export interface Posted {
  path: string;
  body: unknown;
  headers: IncomingMessage["headers"];
}

/** One scripted controller on a free port. */
export class ScriptedLab {
  snapshot: Snapshot;
  events: LabEvent[] = [];
  plans = new Map<string, Plan>();
  explanations = new Map<string, Explanation>();
  /** Bytes of boots, by machine; others took nothing. */
  traces = new Map<string, Pick<Boot, "files" | "packets" | "transfers" | "log">>();
  diagnosis: Diagnosis = {
    light: { finding: "well", broken: 0, warnings: 0, text: "19 checks passed" },
    checks: [],
    notices: [],
    faults: [],
  };
  stock: Stock = { images: [], others: [] };
  certificates: CertificateList = {
    clock: { now: 0, believed: true, code: "", why: "", help: "" },
    root: null,
    lab: null,
    services: [],
  };
  /** What was posted, in order. */
  posted: Posted[] = [];
  /** Headers of each request for the stream. */
  streams: IncomingMessage["headers"][] = [];
  /** When false, a broken stream is not taken up again. */
  taking = true;
  /** What is said on a connection that comes with `Last-Event-ID`, before anything else. */
  onResume: (lastId: string) => StreamItem[] = () => [];
  /** Why nothing can be typed; nothing where it can. */
  refuses: object | null = null;
  /** Keys that went down on a screen. */
  keys: number[] = [];
  /** Screens that are open. */
  get screens(): number {
    return this.#lines.size;
  }
  #lines = new Set<Duplex>();
  #consoles = new Map<string, { said: Buffer; asked: number; news: Set<() => void> }>();
  #open = new Set<ServerResponse>();
  #server: Server;
  #beats: ReturnType<typeof setInterval> | undefined;
  #began = Date.now();
  #zero: number;
  #port = 0;

  constructor(snapshot: Snapshot) {
    this.snapshot = snapshot;
    this.#zero = snapshot.at.since_start;
    this.#server = createServer((request, answer) => void this.#answer(request, answer));
    this.#server.on("upgrade", (request: IncomingMessage, line: Duplex) => {
      this.#lines.add(line);
      line.on("close", () => this.#lines.delete(line));
      showScreen(request, line, this.keys);
    });
  }

  /** Opens the door; gives the address with its token. */
  async open(): Promise<string> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
    this.#port = (this.#server.address() as AddressInfo).port;
    this.#beats = setInterval(() => this.say({ event: "beat", data: this.at() }), 2_000);
    return `${this.origin()}/?token=${TOKEN}`;
  }

  /** The address without the token. */
  origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async close(): Promise<void> {
    clearInterval(this.#beats);
    this.drop();
    for (const line of this.#lines) line.destroy();
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  /** The lab's time. */
  at() {
    const passed = Date.now() - this.#began;
    return { since_start: this.#zero + passed, wall: this.snapshot.at.wall + passed };
  }

  /** No beat any more: the line is open and silent. */
  fallSilent(): void {
    clearInterval(this.#beats);
  }

  /** Breaks all streams. */
  drop(): void {
    for (const stream of this.#open) stream.destroy();
    this.#open.clear();
  }

  /** Says an item to everyone who listens, and keeps it true for those who come later. */
  say(item: StreamItem): void {
    for (const stream of this.#open) write(stream, item, this.snapshot.epoch);
  }

  /** A machine says this on its serial port. */
  says(node: string, text: string): void {
    const console = this.#console(node);
    console.said = Buffer.concat([console.said, Buffer.from(text)]);
    for (const tell of console.news) tell();
  }

  /** The same from a core that began anew. */
  forgets(node: string, text: string): void {
    this.#console(node).said = Buffer.alloc(0);
    this.says(node, text);
  }

  /** How much of a console was told, and how much it said. */
  asked = (node: string) => this.#console(node).asked;
  length = (node: string) => this.#console(node).said.length;

  #console(node: string) {
    const known = this.#consoles.get(node) ?? { said: Buffer.alloc(0), asked: 0, news: new Set<() => void>() };
    this.#consoles.set(node, known);
    return known;
  }

  async #tell(node: string, wanted: number, answer: ServerResponse): Promise<void> {
    const console = this.#console(node);
    console.asked = wanted;
    if (console.said.length === 0) {
      return json(answer, 404, { code: "no_console", message: `Nothing came of a console of ${node}.`, advice: "" });
    }
    if (wanted === console.said.length) {
      await new Promise<void>((done) => {
        console.news.add(done);
        answer.on("close", done);
      });
      console.news.clear();
    }
    const from = wanted > console.said.length ? 0 : wanted;
    const bytes = console.said.subarray(from, from + 49_152);
    json(answer, 200, { from, next: from + bytes.length, lost: 0, bytes: bytes.toString("base64") });
  }

  /** Says that machines, or the lab, changed. */
  change(machines: MachineView[], lab: Partial<Snapshot["lab"]> | null = null): void {
    const fresh = new Map(machines.map((m) => [m.node, m]));
    this.snapshot.machines = this.snapshot.machines.map((m) => fresh.get(m.node) ?? m);
    if (lab) this.snapshot.lab = { ...this.snapshot.lab, ...lab };
    this.snapshot.through += 1;
    const data: Change = {
      through: this.snapshot.through,
      at: this.at(),
      lab: lab ? this.snapshot.lab : null,
      machines,
    };
    this.say({ event: "change", data });
  }

  /** Records an event and says it. */
  happen(fact: LabEvent["fact"]): void {
    const seq = Math.max(this.snapshot.through, this.events.at(-1)?.seq ?? 0) + 1;
    const event = { seq, at: this.at(), fact } as LabEvent;
    this.snapshot.through = seq;
    this.events.push(event);
    this.say({ event: "event", data: event } as StreamItem);
  }

  async #answer(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://localhost");
    answer.setHeader("Content-Security-Policy", POLICY);
    answer.setHeader("X-Content-Type-Options", "nosniff");
    if (url.searchParams.get("token") === TOKEN) {
      answer
        .writeHead(303, { Location: "/", "Set-Cookie": `labinator=${TOKEN}; HttpOnly; SameSite=Strict; Path=/` })
        .end();
      return;
    }
    if (!url.pathname.startsWith("/v1/")) return this.#file(url.pathname, answer);
    if (!request.headers.cookie?.includes(`labinator=${TOKEN}`)) {
      return json(answer, 401, { code: "no_token", message: "No token.", advice: "" });
    }
    if (request.method === "POST") return this.#post(request, url.pathname, answer);
    this.#get(request, url, answer);
  }

  async #file(path: string, answer: ServerResponse): Promise<void> {
    const name = path === "/" ? "index.html" : normalize(path).replace(/^\/+/, "");
    try {
      const body = await readFile(join(DIST, name));
      answer.writeHead(200, { "Content-Type": TYPES[extname(name)] ?? "application/octet-stream" }).end(body);
    } catch {
      answer.writeHead(404).end();
    }
  }

  async #post(request: IncomingMessage, path: string, answer: ServerResponse): Promise<void> {
    let text = "";
    for await (const piece of request) text += piece;
    if (request.headers["x-labinator"] !== "1" || request.headers["content-type"] !== "application/json") {
      return json(answer, 403, { code: "forged", message: "Not from the page.", advice: "" });
    }
    if (path.endsWith("/console") && this.refuses) return json(answer, 409, this.refuses);
    this.posted.push({ path, body: JSON.parse(text), headers: request.headers });
    json(answer, 200, { epoch: this.snapshot.epoch, seq: this.snapshot.through, already: false });
  }

  #get(request: IncomingMessage, url: URL, answer: ServerResponse): void {
    const [, , kind, name, verb] = url.pathname.split("/").map(decodeURIComponent);
    if (kind === "stream") return this.#stream(request, answer);
    if (kind === "snapshot") return json(answer, 200, { ...this.snapshot, at: this.at() });
    if (kind === "events") {
      const after = Number(url.searchParams.get("after") ?? 0);
      const events = this.events.filter((e) => e.seq > after).slice(0, Number(url.searchParams.get("limit") ?? 1000));
      return json(answer, 200, { epoch: this.snapshot.epoch, events, oldest: this.events[0]?.seq ?? 1 });
    }
    if (kind === "doctor") return json(answer, 200, this.diagnosis);
    if (kind === "certificates") return json(answer, 200, this.certificates);
    if (kind === "images") return json(answer, 200, this.stock);
    if (verb === "console") return void this.#tell(name ?? "", Number(url.searchParams.get("from") ?? 0), answer);
    if (verb === "trace") {
      const boot = this.traces.get(name ?? "") ?? { files: [], packets: null, transfers: [], log: [] };
      return json(answer, 200, { node: name, boot });
    }
    const plan = verb === "plan" ? this.plans.get(name ?? "") : undefined;
    if (plan) return json(answer, 200, plan);
    const explanation = verb === "explain" ? this.explanations.get(name ?? "") : undefined;
    if (explanation) return json(answer, 200, { lab: "", nodes: [explanation] });
    json(answer, 404, { code: "unknown", message: `Nothing is known of ${name}.`, advice: "See `labinator status`." });
  }

  #stream(request: IncomingMessage, answer: ServerResponse): void {
    this.streams.push(request.headers);
    if (!this.taking) {
      answer.destroy();
      return;
    }
    answer.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    const lastId = request.headers["last-event-id"];
    const resumed = typeof lastId === "string" ? this.onResume(lastId) : [];
    for (const item of resumed) if (item.event === "start-over") write(answer, item, this.snapshot.epoch);
    write(answer, { event: "snapshot", data: { ...this.snapshot, at: this.at() } }, this.snapshot.epoch);
    for (const item of resumed) if (item.event !== "start-over") write(answer, item, this.snapshot.epoch);
    this.#open.add(answer);
    request.on("close", () => this.#open.delete(answer));
  }
}

function write(to: ServerResponse, item: StreamItem, epoch: string): void {
  const id =
    item.event === "event"
      ? `id: ${epoch}:${item.data.seq}\n`
      : item.event === "snapshot"
        ? `id: ${epoch}:${item.data.through}\n`
        : "";
  const data = "data" in item ? `data: ${JSON.stringify(item.data)}\n` : "data:\n";
  to.write(`${id}event: ${item.event}\n${data}\n`);
}

function json(answer: ServerResponse, status: number, body: object): void {
  answer.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}
