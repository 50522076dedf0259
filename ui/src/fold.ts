// The picture on the screen, folded from the stream: the last snapshot with its changes, and the events so far.
import type { Change, EventPage, LabEvent, LabView, MachineView, PowerOrder, Snapshot, StreamItem } from "./types";
import { type Line, sentence } from "./sentence";

/** Lines kept in the list of events. */
export const LINES_KEPT = 500;
/** Commands remembered, so that an answer can be told with its question. */
const ORDERS_KEPT = 200;

/** One row of the list: an event, or a place where some are missing. */
export interface Row {
  /** Unique and rising. */
  key: number;
  /** Lab time in milliseconds. */
  at: number;
  /** Wall time in milliseconds. */
  wall: number;
  /** What is said. */
  line: Line;
  /** True where events are missing. */
  gap: boolean;
  /** Rows that say the same of the same file or machine replace each other. */
  folds: string | null;
}

/** Everything the page shows. */
export interface Picture {
  epoch: string;
  /** Number of the last event contained in `lab` and `machines`. */
  through: number;
  lab: LabView | null;
  /** In the board's order. */
  machines: MachineView[];
  rows: Row[];
  /** Number of the last event in `rows`. */
  lastSeq: number | null;
  /** True after `start-over`, until the missing events were asked for. */
  lost: boolean;
  orders: Map<number, { node: string; order: PowerOrder }>;
  nextKey: number;
}

/** Before anything was heard. */
export function nothing(): Picture {
  return {
    epoch: "",
    through: 0,
    lab: null,
    machines: [],
    rows: [],
    lastSeq: null,
    lost: false,
    orders: new Map(),
    nextKey: 1,
  };
}

const names = new WeakMap<readonly MachineView[], Map<string, string>>();

/** The machine with this Ethernet address; looked up once for each picture, since a fleet has many events. */
function nameOf(machines: readonly MachineView[], mac: string): string | undefined {
  let known = names.get(machines);
  if (!known) names.set(machines, (known = new Map(machines.map((m) => [m.mac, m.node]))));
  return known.get(mac);
}

const inBoardOrder = (a: MachineView, b: MachineView) =>
  a.cell.row - b.cell.row ||
  a.cell.column - b.cell.column ||
  Number(a.is_guest ?? false) - Number(b.is_guest ?? false) ||
  a.node.localeCompare(b.node, "en", { numeric: true });

/** The picture after one item of the stream. The old picture is left as it was. */
export function fold(picture: Picture, item: StreamItem): Picture {
  switch (item.event) {
    case "snapshot":
      return withSnapshot(picture, item.data);
    case "change":
      return withChange(picture, item.data);
    case "event":
      return withEvents(picture, [item.data]);
    case "start-over":
      return { ...picture, lost: true };
    case "beat":
      return picture;
  }
}

function withSnapshot(picture: Picture, snapshot: Snapshot): Picture {
  const machines = [...snapshot.machines].sort(inBoardOrder);
  const next = { ...picture, epoch: snapshot.epoch, through: snapshot.through, lab: snapshot.lab, machines };
  if (picture.epoch !== "" && picture.epoch !== snapshot.epoch) {
    next.lastSeq = null;
    next.orders = new Map();
    next.lost = false;
    return withMark(
      next,
      snapshot.at.since_start,
      snapshot.at.wall,
      "The controller is another one than before; what came in between is not known here.",
    );
  }
  return next;
}

function withChange(picture: Picture, change: Change): Picture {
  if (picture.lab === null || change.through < picture.through) return picture;
  const changed = new Map(change.machines.map((m) => [m.node, m]));
  const machines = picture.machines.map((m) => {
    const fresh = changed.get(m.node);
    changed.delete(m.node);
    return fresh ?? m;
  });
  if (changed.size > 0) machines.push(...changed.values());
  machines.sort(inBoardOrder);
  return { ...picture, through: change.through, lab: change.lab ?? picture.lab, machines };
}

/** The picture with events appended, oldest first. Known ones are skipped; missing ones leave a mark. */
export function withEvents(picture: Picture, events: readonly LabEvent[]): Picture {
  let next = picture;
  for (const event of events) {
    if (next.lastSeq !== null && event.seq <= next.lastSeq) continue;
    const missing = next.lastSeq === null ? 0 : event.seq - next.lastSeq - 1;
    if (missing > 0) {
      const text =
        missing === 1
          ? `1 event is missing here (${event.seq - 1}).`
          : `${missing} events are missing here (${event.seq - missing} to ${event.seq - 1}).`;
      next = withMark(next, event.at.since_start, event.at.wall, text);
    }
    next = withEvent(next, event);
  }
  return next;
}

/** The picture after a page of earlier events came in answer to a question. */
export function withPage(picture: Picture, page: EventPage): Picture {
  if (page.epoch !== picture.epoch) return picture;
  return { ...withEvents(picture, page.events), lost: false };
}

function withEvent(picture: Picture, event: LabEvent): Picture {
  const { fact } = event;
  const orders =
    fact.fact === "issued" && fact.command === "power"
      ? remember(picture.orders, fact.id, { node: fact.node, order: fact.order })
      : picture.orders;
  const line = sentence(event, {
    nameOf: (mac) => nameOf(picture.machines, mac),
    orderOf: (id) => orders.get(id),
  });
  const next = { ...picture, orders, lastSeq: event.seq };
  if (line === null) return next;
  const row = { at: event.at.since_start, wall: event.at.wall, line, gap: false, folds: foldKey(event) };
  return withRow(next, row);
}

/** Progress of one file is one row that grows, not a row for each step. */
function foldKey(event: LabEvent): string | null {
  const { fact } = event;
  return fact.fact === "sighted" && fact.sight === "file-moved" ? `${fact.mac} ${fact.name}` : null;
}

function remember(
  orders: Picture["orders"],
  id: number,
  order: { node: string; order: PowerOrder },
): Picture["orders"] {
  const kept = [...orders, [id, order] as const].slice(-ORDERS_KEPT);
  return new Map(kept);
}

function withMark(picture: Picture, at: number, wall: number, text: string): Picture {
  return withRow(picture, { at, wall, line: { who: "", text, tone: "care" }, gap: true, folds: null });
}

function withRow(picture: Picture, row: Omit<Row, "key">): Picture {
  const earlier = row.folds === null ? -1 : picture.rows.findLastIndex((r) => r.folds === row.folds);
  const recent = earlier >= picture.rows.length - 24 && earlier >= 0;
  const kept = recent ? picture.rows.toSpliced(earlier, 1) : picture.rows;
  const rows = [...kept, { ...row, key: picture.nextKey }].slice(-LINES_KEPT);
  return { ...picture, rows, nextKey: picture.nextKey + 1 };
}
