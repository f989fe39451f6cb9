// Comments on an alert and its audit trail.

import { button, folded } from "../controls.js";
import { el, replace } from "../dom.js";
import { describeChange, humanizeLower } from "../format.js";
import { timeElement } from "../times.js";

/** Comments with a field for a new one, and the audit trail. Updates keep what is being typed. */
export class CommentsCard {
  constructor(isAllowed, send) {
    this.comments = el("div.comments.stack");
    this.trail = el("ol.trail");
    const text = commentInput({
      rows: 2,
      "aria-label": "Comment",
      placeholder: isAllowed ? "Add a comment" : "Viewers cannot comment",
      disabled: !isAllowed,
    });
    const submit = async (event) => {
      event.preventDefault();
      const written = text.value.trim();
      if (written && (await send(written))) text.value = "";
    };
    this.element = el(
      "section.card",
      { "aria-labelledby": "comments-title" },
      el("h2", { id: "comments-title" }, "Comments"),
      this.comments,
      el(
        "form.comment-form.beside",
        { on: { submit } },
        text,
        button("Add", null, { type: "submit", disabled: !isAllowed }),
      ),
      folded("Audit trail", this.trail),
    );
  }

  show({ comments, audit }) {
    const noComments = el("p.muted", "No comments yet.");
    const noActions = el("li.muted", "No actions yet.");
    replace(this.comments, comments.length > 0 ? comments.map(comment) : noComments);
    replace(this.trail, audit.length > 0 ? [...audit].reverse().map(entry) : noActions);
  }
}

/** A text area for a comment; Ctrl+Enter submits its form. */
export function commentInput(attributes) {
  const keydown = (event) =>
    (event.ctrlKey || event.metaKey) && event.key === "Enter" && event.target.form.requestSubmit();
  return el("textarea", { maxlength: 10_000, on: { keydown }, ...attributes });
}

function comment({ author, at_ns: atNs, text }) {
  return el("article", el("p", el("strong", author), " ", timeElement(atNs, "muted")), el("p.comment-text", text));
}

function entry(action) {
  const change = describeChange(action.before, action.after);
  return el(
    "li",
    timeElement(action.at_ns, "muted number"),
    " ",
    el("strong", action.actor),
    ` ${humanizeLower(action.action)}`,
    action.via === "token" ? [" ", el("span.tag", "by API token")] : null,
    change ? el("span.muted", ` ${change}`) : null,
  );
}
