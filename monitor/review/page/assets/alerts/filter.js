// Which alerts are listed: from the address, to the API, and for alerts that come live.

import { iso, msOf, nowMs } from "../times.js";

export const FACETS = ["review", "severity", "state", "kind", "camera", "challenge"];
export const ANY = "any"; // of the address alone: reviewed or not
const SINGLES = ["text", "from", "to", "within"];

/** A filter; unchangeable. Without anything in the address it is what nobody has reviewed. */
export class Filter {
  #query;

  constructor(query) {
    this.#query = new URLSearchParams();
    for (const name of FACETS) for (const value of query.getAll(name)) this.#query.append(name, value);
    for (const name of SINGLES) if (query.get(name)) this.#query.set(name, query.get(name));
    if (this.#query.get("review") === "unreviewed" && this.#query.getAll("review").length === 1)
      this.#query.delete("review");
  }

  /** The values of a facet that are asked for; those of `review` are never empty here. */
  values(name) {
    const found = this.#query.getAll(name);
    return name === "review" && found.length === 0 ? ["unreviewed"] : found;
  }

  /** `text`, `from`, `to` (ISO times) or `within` (seconds), "" where not asked for. */
  single(name) {
    return this.#query.get(name) ?? "";
  }

  /** The same with other values of one name. */
  with(name, values) {
    const query = new URLSearchParams(this.#query);
    query.delete(name);
    for (const value of [values].flat()) if (value !== "") query.append(name, value);
    return new Filter(query);
  }

  /** How many facets beside `review` narrow it. */
  get narrowings() {
    const facets = FACETS.slice(1).filter((name) => this.values(name).length > 0).length;
    return facets + ["from", "to", "within"].filter((name) => this.single(name)).length;
  }

  /** What stands in the address, with its question mark. */
  get address() {
    const text = this.#query.toString();
    return text ? `?${text}` : "";
  }

  /** What the API is asked. */
  get asked() {
    const query = new URLSearchParams();
    for (const name of FACETS) for (const value of this.values(name)) if (value !== ANY) query.append(name, value);
    if (this.single("text")) query.set("text", this.single("text"));
    const from = this.single("within") ? iso(nowMs() - 1000 * Number(this.single("within"))) : this.single("from");
    if (from) query.set("from", from);
    if (this.single("to")) query.set("to", this.single("to"));
    return query;
  }

  /** Whether a new alert belongs to the list; what the server then says has the last word. */
  matches(alert) {
    const { stream_id: camera, kind, severity, state, challenge } = alert;
    const own = { camera, kind, severity, state, challenge };
    for (const [name, value] of Object.entries(own)) {
      const asked = this.values(name);
      if (asked.length > 0 && !asked.includes(value)) return false;
    }
    const review = this.values("review");
    if (
      !review.includes(ANY) &&
      !review.includes("unreviewed") &&
      !(review.includes("snoozed") && alert.review.is_snoozed)
    )
      return false;
    const raisedMs = msOf(alert.raised_ns);
    if (this.single("from") && raisedMs < Date.parse(this.single("from"))) return false;
    if (this.single("to") && raisedMs >= Date.parse(this.single("to"))) return false;
    const said = [
      alert.alert_id,
      camera,
      alert.reason,
      alert.expected,
      alert.observed,
      alert.cause,
      ...alert.carried_by,
    ];
    const haystack = said.join(" ").replaceAll("_", " ").toLowerCase();
    return this.single("text")
      .toLowerCase()
      .replaceAll("_", " ")
      .split(/\s+/)
      .every((word) => haystack.includes(word));
  }
}
