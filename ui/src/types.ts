// Short names for the shapes of the API; `api.ts` is made from the OpenAPI file by `npm run types`.
import type { components } from "./api";

type Shapes = components["schemas"];

export type Snapshot = Shapes["Snapshot"];
export type Change = Shapes["Change"];
export type LabView = Shapes["LabView"];
export type MachineView = Shapes["MachineView"];
export type NodeWord = Shapes["NodeWord"];
export type Phase = Shapes["Phase"];
export type PowerState = Shapes["PowerState"];
export type Waterfall = Shapes["Waterfall"];
export type Bar = Shapes["Bar"];
export type Stage = Shapes["Stage"];
export type Moment = Shapes["Moment"];
/** Something seen; the generator drops the tag of the two kinds that are whole shapes of their own. */
export type Sighted =
  | Extract<Shapes["Fact"], { fact: "sighted"; sight: string }>
  | ({ fact: "sighted"; sight: "agent" } & Shapes["AgentReport"])
  | ({ fact: "sighted"; sight: "beat" } & Shapes["AgentBeat"]);
export type Fact = Exclude<Shapes["Fact"], { fact: "sighted" }> | Sighted;
export type LabEvent = Omit<Shapes["Event"], "fact"> & { fact: Fact };
export type Notice = Shapes["Notice"];
export type ClientKind = Shapes["ClientKind"];
export type FileRole = Shapes["FileRole"];
export type Plan = Shapes["Plan"];
export type Explanation = Shapes["Explanation"];
export type Explanations = Shapes["Explanations"];
export type EventPage = Omit<Shapes["EventPage"], "events"> & { events: LabEvent[] };
export type Accepted = Shapes["Accepted"];
export type ErrorBody = Shapes["ErrorBody"];
export type StreamItem = Exclude<Shapes["StreamItem"], { event: "event" }> | { event: "event"; data: LabEvent };
export type PowerOrder = Shapes["PowerOrder"];
