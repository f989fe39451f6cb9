// What everybody did, newest first.

import { ApiError, get } from "../api.js";
import { changed } from "../alerts/conversation.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { moment } from "../times.js";
import { words } from "../words.js";
import { noPermission } from "./people_view.js";

/** The view behind `/audit`. */
export class AuditView {
  title = "Audit";
  #before = null;

  constructor() {
    this.rows = el("tbody");
    this.more = el(
      "button",
      { class: "button", type: "button", hidden: true, on: { click: () => this.#ask() } },
      "Older",
    );
    const heads = ["When", "Who", "By", "What", "On", "Change"].map((head) => el("th", { scope: "col" }, head));
    this.table = el(
      "div",
      { class: "card table-scroll", tabindex: "0", role: "region", "aria-label": "Audit trail" },
      skeletons(8, "skeleton-line"),
    );
    this.list = el("table", { class: "plain" }, el("thead", {}, el("tr", {}, heads)), this.rows);
    this.element = el(
      "div",
      { class: "page audit" },
      el("header", { class: "page-head" }, el("h1", {}, "Audit trail")),
      this.table,
      this.more,
    );
    this.#ask();
  }

  act() {
    return false;
  }

  async #ask() {
    try {
      const { actions, next_before: next } = await get(
        `/audit?limit=100${this.#before === null ? "" : `&before=${this.#before}`}`,
      );
      this.rows.append(...actions.map(row));
      this.#before = next;
      this.more.hidden = next === null;
      replace(
        this.table,
        this.rows.childElementCount === 0
          ? notice(
              icon("file"),
              "Nobody has done anything yet",
              "Every action is kept here: who, when, what, before and after.",
            )
          : this.list,
      );
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      replace(
        this.element,
        error.status === 403 ? noPermission() : notice(icon("offline"), "The trail did not come", error.message),
      );
    }
  }
}

function row(action) {
  const subject =
    action.subject === "alert"
      ? el("a", { href: `/alerts/${action.subject_id}` }, `alert ${action.subject_id.slice(0, 8)}`)
      : `${words(action.subject).toLowerCase()} ${action.subject_id}`;
  return el(
    "tr",
    {},
    el("td", { class: "number nowrap" }, moment(action.at_ns)),
    el("td", {}, action.actor),
    el("td", { class: "muted" }, action.via),
    el("td", {}, words(action.action)),
    el("td", {}, subject),
    el("td", { class: "muted change" }, changed(action.before, action.after)),
  );
}
