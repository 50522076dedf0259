// What a terminal shows, as lines of an element: text that can be selected, wrapped and read aloud. Only what may have
// changed is drawn again.
import type { IBufferCell, IBufferLine, IMarker, Terminal } from "@xterm/headless";

/** Cells of a line that look alike. */
export interface Run {
  text: string;
  look: string;
}

/** The eight colours of a terminal that come nearest, for one of 256 (xterm's palette) or of all. */
function nearest(red: number, green: number, blue: number): number {
  const most = Math.max(red, green, blue);
  if (most < 64) return 0;
  const on = (part: number, bit: number) => (part > most * 0.6 ? bit : 0);
  return on(red, 1) + on(green, 2) + on(blue, 4);
}

function ofPalette(index: number): number {
  if (index < 16) return index % 8;
  if (index >= 232) return index < 240 ? 0 : 7;
  const step = [0, 95, 135, 175, 215, 255];
  const at = index - 16;
  return nearest(step[Math.floor(at / 36)] ?? 0, step[Math.floor(at / 6) % 6] ?? 0, step[at % 6] ?? 0);
}

const ofRgb = (colour: number) => nearest((colour >> 16) & 255, (colour >> 8) & 255, colour & 255);

/** The look of a cell as classes: `f1` red text, `b4` on blue, and so on. */
export function look(cell: IBufferCell): string {
  const words: string[] = [];
  if (!cell.isFgDefault()) words.push(`f${cell.isFgRGB() ? ofRgb(cell.getFgColor()) : ofPalette(cell.getFgColor())}`);
  if (!cell.isBgDefault()) words.push(`b${cell.isBgRGB() ? ofRgb(cell.getBgColor()) : ofPalette(cell.getBgColor())}`);
  if (cell.isBold()) words.push("bold");
  if (cell.isDim()) words.push("dim");
  if (cell.isUnderline()) words.push("line");
  if (cell.isInverse()) words.push("turned");
  return words.join(" ");
}

/** A line's cells in runs; spaces at its end that look like nothing are left away unless the line goes on. */
export function runs(line: IBufferLine, goesOn: boolean, cell: IBufferCell): Run[] {
  const all: Run[] = [];
  for (let x = 0; x < line.length; x++) {
    const at = line.getCell(x, cell);
    if (!at || at.getWidth() === 0) continue;
    const [text, how] = [at.getChars() || " ", look(at)];
    const last = all.at(-1);
    if (last?.look === how) last.text += text;
    else all.push({ text, look: how });
  }
  const end = all.at(-1);
  if (!goesOn && end?.look === "") {
    end.text = end.text.trimEnd();
    if (end.text === "") all.pop();
  }
  return all;
}

/** A line as it is drawn, and of how many lines of the terminal it is made. */
interface Drawn {
  element: HTMLElement;
  key: string;
  rows: number;
}

/** Draws a terminal into an element. */
export class Paper {
  #drawn: Drawn[] = [];
  #mark: IMarker | undefined;
  #markedAt = 0;
  #settled = 0;
  #kind = "";

  constructor(
    readonly terminal: Terminal,
    readonly element: HTMLElement,
  ) {}

  /** Draws what is new; returns how many lines stand there. */
  draw(): number {
    const buffer = this.terminal.buffer.active;
    // How far lines moved up because the oldest fell off: a marker moves with its line.
    const fell = this.#mark && !this.#mark.isDisposed ? this.#markedAt - this.#mark.line : -1;
    if (fell < 0 || buffer.type !== this.#kind || buffer.baseY < this.#settled - fell) this.#cut(0);
    else this.#fall(fell);
    const settled = Math.max(0, this.#settled - Math.max(0, fell));
    let [at, kept] = [0, 0];
    while (kept < this.#drawn.length && at + (this.#drawn[kept]?.rows ?? 0) <= settled) {
      at += this.#drawn[kept]?.rows ?? 0;
      kept++;
    }
    const end = this.#end();
    const cell = buffer.getNullCell();
    let index = kept;
    while (at < end) {
      const parts: Run[] = [];
      let rows = 0;
      do {
        const line = buffer.getLine(at + rows);
        const next = buffer.getLine(at + rows + 1);
        if (line) parts.push(...runs(line, next?.isWrapped === true, cell));
        rows++;
      } while (at + rows < end && buffer.getLine(at + rows)?.isWrapped);
      this.#put(index, parts, rows);
      at += rows;
      index++;
    }
    this.#cut(index);
    this.#remember();
    return index;
  }

  /** Behind the last line that says something, or has the cursor. */
  #end(): number {
    const buffer = this.terminal.buffer.active;
    let end = buffer.length;
    while (end > buffer.baseY + buffer.cursorY + 1 && !buffer.getLine(end - 1)?.translateToString(true)) end--;
    return end;
  }

  #put(index: number, parts: Run[], rows: number): void {
    const key = JSON.stringify(parts);
    const before = this.#drawn[index];
    if (before?.key === key) {
      before.rows = rows;
      return;
    }
    const element = before?.element ?? this.element.appendChild(document.createElement("div"));
    element.replaceChildren(
      ...parts.map((run) => {
        if (run.look === "") return document.createTextNode(run.text);
        const span = document.createElement("span");
        span.className = run.look;
        span.textContent = run.text;
        return span;
      }),
    );
    this.#drawn[index] = { element, key, rows };
  }

  #cut(from: number): void {
    for (const gone of this.#drawn.splice(from)) gone.element.remove();
    if (from === 0) this.#settled = 0;
  }

  #fall(rows: number): void {
    let left = rows;
    while (left > 0 && this.#drawn[0]) {
      if (this.#drawn[0].rows > left) {
        this.#drawn[0].rows -= left;
        return;
      }
      left -= this.#drawn[0].rows;
      this.#drawn.shift()?.element.remove();
    }
  }

  #remember(): void {
    const buffer = this.terminal.buffer.active;
    this.#mark?.dispose();
    this.#mark = this.terminal.registerMarker(0);
    this.#markedAt = this.#mark?.line ?? 0;
    // What has left the window of the terminal does not change any more.
    this.#settled = buffer.baseY;
    this.#kind = buffer.type;
  }
}
