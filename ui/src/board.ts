// The board as rows of cells, zones over columns, and where the arrow keys lead.
import type { MachineView } from "./types";

/** Machines with a cell of their own. */
export function metal(machines: readonly MachineView[]): MachineView[] {
  return machines.filter((m) => !m.is_guest);
}

/** The guests that a machine runs in the scenario in hand. */
export function guestsOf(machines: readonly MachineView[], host: string): MachineView[] {
  return machines.filter((m) => m.host === host);
}

/** Metal, and guests of the scenario in hand; those of others do not exist now. */
export function inHand(machines: readonly MachineView[]): MachineView[] {
  return machines.filter((m) => !m.is_guest || m.host != null || m.power.state === "on");
}

/** Rows from the top, each with one entry per column; null where no machine stands. */
export function grid(machines: readonly MachineView[], columns: number, rows: number): (MachineView | null)[][] {
  const wide = Math.max(columns, 1, ...machines.map((m) => m.cell.column));
  const high = Math.max(rows, 1, ...machines.map((m) => m.cell.row));
  const board = Array.from({ length: high }, () => Array<MachineView | null>(wide).fill(null));
  for (const machine of machines) {
    const row = board[machine.cell.row - 1];
    if (row && machine.cell.column >= 1) row[machine.cell.column - 1] = machine;
  }
  return board;
}

type Board = readonly (readonly (MachineView | null)[])[];

/** The machines of one column, from the top. */
function inLine(board: Board, column: number): MachineView[] {
  return board.flatMap((row) => row[column] ?? []);
}

/** A label over neighbouring columns. */
export interface ZoneLabel {
  /** Zone; null over columns without machines. */
  zone: number | null;
  /** How many columns it covers. */
  wide: number;
}

/** Labels over the columns, if each column belongs to one zone; null if zones do not follow columns. */
export function zoneLabels(board: Board): ZoneLabel[] | null {
  const wide = board[0]?.length ?? 0;
  const zones: (number | null)[] = [];
  for (let column = 0; column < wide; column += 1) {
    const here = new Set(inLine(board, column).map((m) => m.zone ?? null));
    if (here.size > 1 || here.has(null)) return null;
    zones.push([...here][0] ?? null);
  }
  const labels: ZoneLabel[] = [];
  for (const zone of zones) {
    const last = labels.at(-1);
    if (last && last.zone === zone) last.wide += 1;
    else labels.push({ zone, wide: 1 });
  }
  return labels.some((label) => label.zone !== null) ? labels : null;
}

/** The machine an arrow key leads to from `from`; the same one where the board ends. */
export function neighbour(board: Board, from: MachineView, key: string, far: boolean): MachineView {
  const { column, row } = from.cell;
  const inOrder = board.flat().filter((m) => m !== null);
  const inRow = (board[row - 1] ?? []).filter((m) => m !== null);
  const inColumn = inLine(board, column - 1);
  const along = (line: MachineView[], by: number) => line[line.indexOf(from) + by] ?? from;
  switch (key) {
    case "ArrowRight":
      return along(inOrder, 1);
    case "ArrowLeft":
      return along(inOrder, -1);
    case "ArrowDown":
      return along(inColumn, 1);
    case "ArrowUp":
      return along(inColumn, -1);
    case "Home":
      return (far ? inOrder : inRow)[0] ?? from;
    case "End":
      return (far ? inOrder : inRow).at(-1) ?? from;
    default:
      return from;
  }
}
