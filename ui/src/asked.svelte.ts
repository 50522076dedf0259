// One question to the controller, asked when a part of the page appears.
import type { Answer } from "./ask";

/** An answer that is awaited, and why there is none. */
export class Asked<T> {
  value = $state<T | null>(null);
  trouble = $state("");

  /** Call it while a part is made: what comes after the part is gone is not heard. */
  constructor(ask: () => Promise<Answer<T>>) {
    $effect(() => {
      let left = false;
      void ask().then((answer) => {
        if (left) return;
        this.value = answer.ok ? answer.value : null;
        this.trouble = answer.ok ? "" : answer.error.message;
      });
      return () => (left = true);
    });
  }
}
