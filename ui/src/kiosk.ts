// A screen beside the board that anybody may touch: `?kiosk` in the link, or `?kiosk=MINUTES`.

/** Minutes without a touch after which a kiosk rests, when the link says nothing else. */
const REST_AFTER = 5;

/** Milliseconds without a touch after which this page rests; null where it is no kiosk. */
export function restAfter(search: string): number | null {
  const said = new URLSearchParams(search).get("kiosk");
  if (said === null) return null;
  const minutes = Number(said);
  return (Number.isFinite(minutes) && minutes > 0 ? minutes : REST_AFTER) * 60_000;
}

/** Calls `rest` when nothing was touched for so long; gives back what ends it. */
export function watchTouches(after: number, rest: () => void): () => void {
  let timer = setTimeout(rest, after);
  const touched = () => {
    clearTimeout(timer);
    timer = setTimeout(rest, after);
  };
  const kinds = ["pointerdown", "keydown", "wheel"] as const;
  for (const kind of kinds) addEventListener(kind, touched, { capture: true, passive: true });
  return () => {
    clearTimeout(timer);
    for (const kind of kinds) removeEventListener(kind, touched, { capture: true });
  };
}
