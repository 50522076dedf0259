// Short names for the shapes of the API; `api.ts` is made from the OpenAPI file by `npm run types`.
import type { components } from "./api";

type Shapes = components["schemas"];

export type Snapshot = Shapes["Snapshot"];
export type Change = Shapes["Change"];
export type LabView = Shapes["LabView"];
export type MachineView = Shapes["MachineView"];
export type PodCounts = Shapes["PodCounts"];
export type NodeWord = Shapes["NodeWord"];
export type Phase = Shapes["Phase"];
export type PowerState = Shapes["PowerState"];
export type Waterfall = Shapes["Waterfall"];
export type Bar = Shapes["Bar"];
export type Stage = Shapes["Stage"];
export type Moment = Shapes["Moment"];
export type Fact = Shapes["Fact"];
export type Sighted = Extract<Fact, { fact: "sighted" }>;
export type LabEvent = Shapes["Event"];
export type Notice = Shapes["Notice"];
export type ClientKind = Shapes["ClientKind"];
export type FileRole = Shapes["FileRole"];
export type Plan = Shapes["Plan"];
export type Explanation = Shapes["Explanation"];
export type Explanations = Shapes["Explanations"];
export type EventPage = Shapes["EventPage"];
export type Accepted = Shapes["Accepted"];
export type ErrorBody = Shapes["ErrorBody"];
export type StreamItem = Shapes["StreamItem"];
export type PowerOrder = Shapes["PowerOrder"];
export type Boot = Shapes["Boot"];
export type FileBytes = Shapes["FileBytes"];
export type Trace = Shapes["Trace"];
export type Diagnosis = Shapes["Diagnosis"];
export type Check = Shapes["Check"];
export type Light = Shapes["Light"];
