// What people said of an alert, and everything that was done with it.

import { el, replace } from "../dom.js";
import { clock, moment } from "../times.js";
import { words } from "../words.js";

/** Comments with a field for the next one, and the audit trail; what is being typed outlives updates. */
export class Conversation {
  constructor(isAllowed, send) {
    this.comments = el("div", { class: "comments" });
    this.trail = el("ol", { class: "trail" });
    this.text = el("textarea", {
      rows: 2,
      maxlength: 10_000,
      "aria-label": "Comment",
      placeholder: isAllowed ? "Add a comment" : "Viewers can't comment",
      disabled: !isAllowed,
    });
    const form = el(
      "form",
      { class: "comment-form" },
      this.text,
      el("button", { class: "button", type: "submit", disabled: !isAllowed }, "Add"),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = this.text.value.trim();
      if (text && (await send(text))) this.text.value = "";
    });
    this.text.addEventListener(
      "keydown",
      (event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && form.requestSubmit(),
    );
    this.element = el(
      "section",
      { class: "card", "aria-labelledby": "comments-title" },
      el("h2", { id: "comments-title" }, "Comments"),
      this.comments,
      form,
      el("details", { class: "more" }, el("summary", {}, "Audit trail"), this.trail),
    );
  }

  /** Shows what is known of an alert. */
  show(alert) {
    replace(
      this.comments,
      alert.comments.length === 0
        ? el("p", { class: "muted" }, "Nobody has said anything yet.")
        : alert.comments.map(comment),
    );
    replace(
      this.trail,
      alert.audit.length === 0
        ? el("li", { class: "muted" }, "Nobody has done anything yet.")
        : [...alert.audit].reverse().map(entry),
    );
  }
}

function comment({ author, at_ns: atNs, text }) {
  return el(
    "article",
    { class: "comment" },
    el(
      "p",
      { class: "comment-head" },
      el("strong", {}, author),
      " ",
      el("time", { class: "muted", title: moment(atNs) }, clock(atNs)),
    ),
    el("p", { class: "comment-text" }, text),
  );
}

/** One action of the audit trail. */
export function entry(action) {
  const to = changed(action.before, action.after);
  return el(
    "li",
    {},
    el("time", { class: "muted number", title: moment(action.at_ns) }, clock(action.at_ns)),
    " ",
    el("strong", {}, action.actor),
    ` ${words(action.action).toLowerCase()}`,
    action.via === "token" ? el("span", { class: "tag" }, "by a program") : null,
    to ? el("span", { class: "muted" }, ` ${to}`) : null,
  );
}

/** What an action changed, in one line: "assignee: nobody → ada". */
export function changed(before, after) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const shown = (value) =>
    value === null || value === undefined || value === ""
      ? "nothing"
      : typeof value === "object"
        ? JSON.stringify(value)
        : String(value);
  return names
    .filter((name) => !name.endsWith("_ns") && shown(before?.[name]) !== shown(after?.[name]))
    .map((name) => `${words(name).toLowerCase()}: ${shown(before?.[name])} → ${shown(after?.[name])}`)
    .join(", ");
}
