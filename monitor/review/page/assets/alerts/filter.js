// Which alerts are listed: read from the address, sent to the API, and applied to live alerts.

import { msOf, nowMs, toIso } from "../times.js";

export const FACETS = ["review", "severity", "state", "kind", "camera", "challenge"];
export const ANY = "any"; // review state in the address only: reviewed or not
const TIMES = ["from", "to", "within"];

/** An immutable filter. An empty address means alerts that nobody has reviewed. */
export class Filter {
  #query;

  constructor(query) {
    this.#query = new URLSearchParams();
    for (const name of FACETS) for (const value of query.getAll(name)) this.#query.append(name, value);
    for (const name of ["text", ...TIMES]) if (query.get(name)) this.#query.set(name, query.get(name));
    if (this.#query.getAll("review").join() === "unreviewed") this.#query.delete("review");
  }

  /** The chosen values of a facet; never empty for `review`. */
  values(name) {
    const found = this.#query.getAll(name);
    return name === "review" && found.length === 0 ? ["unreviewed"] : found;
  }

  /** `text`, `from`, `to` (ISO times) or `within` (seconds); "" if not set. */
  single(name) {
    return this.#query.get(name) ?? "";
  }

  /** The same filter with other values of one name. */
  with(name, values) {
    const query = new URLSearchParams(this.#query);
    query.delete(name);
    for (const value of [values].flat()) if (value !== "") query.append(name, value);
    return new Filter(query);
  }

  /** The same filter without facets and times; text and review state stay. */
  widened() {
    return [...FACETS.slice(1), ...TIMES].reduce((filter, name) => filter.with(name, []), this);
  }

  /** How many facets and times other than `review` are set. */
  get narrowings() {
    const facets = FACETS.slice(1).filter((name) => this.values(name).length > 0).length;
    return facets + TIMES.filter((name) => this.single(name)).length;
  }

  /** The query of the page's address, with its question mark; "" for the default filter. */
  get address() {
    const text = this.#query.toString();
    return text ? `?${text}` : "";
  }

  /** The query for the API. */
  get apiQuery() {
    const query = new URLSearchParams();
    for (const name of FACETS) for (const value of this.values(name)) if (value !== ANY) query.append(name, value);
    const within = this.single("within");
    const from = within ? toIso(nowMs() - 1000 * Number(within)) : this.single("from");
    for (const [name, value] of Object.entries({ text: this.single("text"), from, to: this.single("to") }))
      if (value) query.set(name, value);
    return query;
  }

  /** Whether a new alert belongs to the list, as far as the page can tell; the server decides at the next load. */
  matches(alert) {
    const { stream_id: camera, kind, severity, state, challenge } = alert;
    for (const [name, value] of Object.entries({ camera, kind, severity, state, challenge })) {
      const asked = this.values(name);
      if (asked.length > 0 && !asked.includes(value)) return false;
    }
    const isListed = (value) =>
      value === ANY || value === "unreviewed" || (value === "snoozed" && alert.review.is_snoozed);
    if (!this.values("review").some(isListed)) return false;
    const raisedMs = msOf(alert.raised_ns);
    if (this.single("from") && raisedMs < Date.parse(this.single("from"))) return false;
    if (this.single("to") && raisedMs >= Date.parse(this.single("to"))) return false;
    const { alert_id: id, reason, expected, observed, cause, carried_by: carriers } = alert;
    const plain = (text) => text.replaceAll("_", " ").toLowerCase();
    const haystack = plain([id, camera, reason, expected, observed, cause, ...carriers].join(" "));
    const needles = plain(this.single("text")).split(/\s+/);
    return needles.every((word) => haystack.includes(word));
  }
}
