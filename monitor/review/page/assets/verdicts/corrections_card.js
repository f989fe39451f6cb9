// The corrections of a camera that are in force, and the way to take one back.

import { showForm } from "../alerts/dialogs.js";
import { ApiError } from "../api.js";
import { el, replace } from "../dom.js";
import { icon } from "../icons.js";
import { toast } from "../toasts.js";
import { ago, moment } from "../times.js";
import { isOver, kindOf, sayingOf } from "./said.js";

const SHOWN = 6; // the others wait behind a line: classes of past tracks grow many
const ENDED = { override_class: ", of a run that is over", mute_region: ", which is over" };

/** A card that follows `verdicts`; `report()` is the camera's newest one as far as known, or null. */
export class CorrectionsCard {
  #verdicts;
  #isAdmin;
  #report;

  constructor(verdicts, role, report) {
    this.#verdicts = verdicts;
    this.#isAdmin = role === "admin";
    this.#report = report;
    this.element = el("section", { class: "card corrections", "aria-labelledby": "corrections-title", tabindex: -1 });
    this.draw();
  }

  draw() {
    const { list } = this.#verdicts;
    const isFocused = this.element.contains(document.activeElement);
    const focusedId = document.activeElement?.closest(".correction")?.dataset.id;
    const isOpen = this.element.querySelector("details")?.open;
    replace(
      this.element,
      el("h2", { id: "corrections-title" }, "Corrections in force"),
      list === null
        ? el("p", { class: "muted small" }, "Not known yet.")
        : list.length === 0
          ? el("p", { class: "muted small" }, "None: everything that is seen here is judged as it is read.")
          : this.#lists(list, isOpen),
    );
    if (!isFocused) return;
    const same = focusedId && this.element.querySelector(`[data-id="${CSS.escape(focusedId)}"] button`);
    (same || this.element).focus({ preventScroll: true });
  }

  #lists(list, isOpen) {
    const [first, others] = [list.slice(0, SHOWN), list.slice(SHOWN)];
    const listOf = (some) =>
      el(
        "ul",
        { class: "correction-list" },
        some.map((verdict) => this.#item(verdict)),
      );
    if (others.length === 0) return [listOf(first)];
    const older = el("summary", {}, `Older (${others.length})`);
    return [listOf(first), el("details", { class: "more", open: isOpen }, older, listOf(others))];
  }

  #item(verdict) {
    const saying = sayingOf(verdict);
    const report = this.#report();
    const ended = isOver(verdict, report?.capture_ns ?? null, report?.run_id) ? ENDED[verdict.kind] : "";
    return el(
      "li",
      { class: "correction", "data-id": verdict.verdict_id },
      el(
        "div",
        { class: "correction-text" },
        el("span", { class: "tag" }, kindOf(verdict)),
        el("span", { class: "correction-saying" }, saying),
        el(
          "div",
          { class: "muted small correction-meta" },
          el(
            "span",
            {},
            `by ${verdict.author}, `,
            el("time", { title: moment(verdict.created_ns), "data-ago": verdict.created_ns }, ago(verdict.created_ns)),
            verdict.until_ns ? `, until ${moment(verdict.until_ns)}` : "",
            ended,
          ),
          standing(verdict),
        ),
      ),
      this.#isAdmin
        ? el(
            "button",
            {
              class: "button small",
              type: "button",
              "aria-label": `Take back: ${saying}`,
              on: { click: () => this.#confirm(verdict, saying) },
            },
            "Take back",
          )
        : null,
    );
  }

  #confirm(verdict, saying) {
    const text = `${saying}: about 50 frames from now what is seen is judged as it is read again.`;
    showForm("Take the correction back?", el("form", {}, el("p", {}, text)), "Yes", () =>
      takeBack(this.#verdicts, verdict),
    );
  }
}

/** Takes one back and says so; whether it was done. */
export async function takeBack(verdicts, verdict) {
  try {
    await verdicts.takeBack(verdict);
    toast("The correction is taken back");
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    toast(`Not done: ${error.message}`, { isError: true });
    return error.status === 404; // somebody else was first
  }
}

function standing({ published }) {
  return published
    ? el("span", { class: "correction-standing" }, icon("check"), "published")
    : el("span", { class: "correction-standing is-waiting" }, icon("stale"), "waiting for the broker");
}
