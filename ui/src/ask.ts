// Questions and requests to the controller. Every failure comes back as words for a person, never as an exception.
import type {
  Accepted,
  CertificateList,
  Diagnosis,
  ErrorBody,
  EventPage,
  Explanations,
  Plan,
  PowerOrder,
  PowerState,
  Stock,
  Trace,
} from "./types";

/** An answer, or why there is none. */
export type Answer<T> = { ok: true; value: T } | { ok: false; error: ErrorBody };

/** Said when the page has no valid cookie. */
export const NO_TOKEN = "Open the link that `labinator` printed: this browser has no token, or an old one.";

/** Reads. */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<Answer<T>> {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10_000), ...init });
    if (answer.ok) return { ok: true, value: (await answer.json()) as T };
    return { ok: false, error: await errorOf(answer) };
  } catch {
    const error = {
      code: "no_answer",
      message: "The controller does not answer.",
      advice: "See whether `labinator serve` runs, and the cable.",
    };
    return { ok: false, error };
  }
}

async function errorOf(answer: Response): Promise<ErrorBody> {
  if (answer.status === 401) return { code: "no_token", message: NO_TOKEN, advice: "" };
  try {
    const body = (await answer.json()) as Partial<ErrorBody>;
    return {
      code: body.code ?? "failed",
      message: body.message ?? `It failed with status ${answer.status}.`,
      advice: body.advice ?? "",
    };
  } catch {
    return { code: "failed", message: `It failed with status ${answer.status}.`, advice: "" };
  }
}

/** Asks for a change. */
export function request<T>(path: string, body: object): Promise<Answer<T>> {
  return ask<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Labinator": "1" },
    body: JSON.stringify(body),
  });
}

/** What a start would do. */
export const plan = (scenario: string) => ask<Plan>(`/v1/scenarios/${encodeURIComponent(scenario)}/plan`);
/** Starts a scenario. */
export const start = (scenario: string) =>
  request<Accepted>(`/v1/scenarios/${encodeURIComponent(scenario)}/start`, { by: "page" });
/** Switches the lab's machines off. */
export const stop = () => request<Accepted>("/v1/stop", { by: "page" });
/** Switches one machine. */
export const power = (node: string, order: PowerOrder) =>
  request<Accepted>(`/v1/nodes/${encodeURIComponent(node)}/power`, { order, by: "page" });
/** Tells what a person saw of one machine's power. */
export const saw = (node: string, state: PowerState) =>
  request<Accepted>(`/v1/nodes/${encodeURIComponent(node)}/power/seen`, { state, by: "page" });
/** Why one machine is as it is. */
export const explain = (node: string) => ask<Explanations>(`/v1/nodes/${encodeURIComponent(node)}/explain`);
/** Where the seconds and bytes of a machine's last boot went. */
export const trace = (node: string) => ask<Trace>(`/v1/nodes/${encodeURIComponent(node)}/trace`);
/** What is wrong with the boss, its network and the lab, worst first. */
export const doctor = () => ask<Diagnosis>("/v1/doctor");
/** The lab's certificates, and whether the clock that they go by is believed. */
export const certificates = () => ask<CertificateList>("/v1/certificates");
/** Images with their generations, loaders and caches, and how old each is. */
export const stock = () => ask<Stock>("/v1/images");
/** Earlier events, after number `after`. */
export const events = (after: number, limit: number) => ask<EventPage>(`/v1/events?after=${after}&limit=${limit}`);
