// How the page looks: colours, and a size for the back of a room. Kept in this browser only.

/** Colours that can be chosen; `contrast` is black, white and the strongest of each hue. */
export const COLOURS = ["system", "light", "dark", "contrast"] as const;
export type Colours = (typeof COLOURS)[number];
/** Sizes that can be chosen; `projector` is read from ten metres. */
export const SIZES = ["normal", "projector"] as const;
export type Size = (typeof SIZES)[number];

/** What is chosen. */
export interface Look {
  colours: Colours;
  size: Size;
}

const KEYS = { colours: "labinator-theme", size: "labinator-size" } as const;

function kept<T extends string>(key: string, of: readonly T[], otherwise: T): T {
  try {
    return of.find((word) => word === localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** What was chosen last. */
export function chosenLook(): Look {
  return { colours: kept(KEYS.colours, COLOURS, "system"), size: kept(KEYS.size, SIZES, "normal") };
}

/** Shows a look and keeps it. A device that asks for more contrast gets it where nothing was chosen. */
export function showLook(look: Look): void {
  const { dataset } = document.documentElement;
  const more = matchMedia("(prefers-contrast: more)").matches;
  const colours = look.colours === "system" && more ? "contrast" : look.colours;
  if (colours === "system") delete dataset["theme"];
  else dataset["theme"] = colours;
  if (look.size === "normal") delete dataset["size"];
  else dataset["size"] = look.size;
  try {
    localStorage.setItem(KEYS.colours, look.colours);
    localStorage.setItem(KEYS.size, look.size);
  } catch {
    // A browser that keeps nothing has the look until it is closed.
  }
}
