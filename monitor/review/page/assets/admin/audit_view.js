// The audit trail: every action of every user, newest first.

import { get, isFailure } from "../api.js";
import { button, notice, skeletons, table } from "../controls.js";
import { el, replace } from "../dom.js";
import { describeChange, humanize, humanizeLower } from "../format.js";
import { formatDateTime } from "../times.js";
import { adminFailure } from "./people_view.js";

/** The view at `/audit`. */
export class AuditView {
  title = "Audit";
  #before = null;

  constructor() {
    this.more = button("Older", () => this.#load(), { hidden: true });
    this.table = table(["Time", "User", "Via", "Action", "Subject", "Change"], []);
    this.card = el(
      "div.card.table-scroll",
      { tabindex: "0", role: "region", "aria-label": "Audit trail" },
      skeletons(8, "skeleton-line"),
    );
    const head = el("header.page-head.level.wrap", el("h1", "Audit trail"));
    this.element = el("div.page.audit", head, this.card, this.more);
    this.#load();
  }

  async #load() {
    try {
      const before = this.#before === null ? "" : `&before=${this.#before}`;
      const { actions, next_before: next } = await get(`/audit?limit=100${before}`);
      const [body] = this.table.tBodies;
      body.append(...actions.map(row));
      this.#before = next;
      this.more.hidden = next === null;
      const text = "Each action is listed here with its author, its time, and the values before and after.";
      replace(this.card, body.rows.length > 0 ? this.table : notice("file", "No actions yet", text));
    } catch (error) {
      if (isFailure(error)) replace(this.element, adminFailure("the audit trail", error));
    }
  }
}

function row(action) {
  const { subject, subject_id: id } = action;
  const link = () => el("a", { href: `/alerts/${id}` }, `alert ${id.slice(0, 8)}`);
  return el(
    "tr",
    el("td.number.nowrap", formatDateTime(action.at_ns)),
    el("td", action.actor),
    el("td.muted", action.via),
    el("td", humanize(action.action)),
    el("td", subject === "alert" ? link() : `${humanizeLower(subject)} ${id}`),
    el("td.muted.change", describeChange(action.before, action.after)),
  );
}
