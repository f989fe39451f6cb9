// The corrections in force at a camera; admins can withdraw them.

import { isFailure } from "../api.js";
import { button, folded } from "../controls.js";
import { showConfirmation } from "../dialogs.js";
import { el, keepFocus, replace } from "../dom.js";
import { icon } from "../icons.js";
import { ageElement, formatDateTime } from "../times.js";
import { toast, toastFailure } from "../toasts.js";
import { describe, isExpired, kindText } from "./correction.js";

const SHOWN = 6; // older ones are folded away
const EXPIRED = { override_class: ", run has ended", mute_region: ", expired" };

/** A card of `corrections`; `report()` returns the newest known report of the camera, or null. */
export class CorrectionsCard {
  #corrections;
  #isAdmin;
  #report;

  constructor(corrections, role, report) {
    this.#corrections = corrections;
    this.#isAdmin = role === "admin";
    this.#report = report;
    this.element = el("section.card.stack.tight.corrections", {
      "aria-labelledby": "corrections-title",
      tabindex: -1,
    });
    this.draw();
  }

  draw() {
    const hadFocus = this.element.contains(document.activeElement);
    const title = el("h2", { id: "corrections-title" }, "Corrections in force");
    keepFocus(this.element, () => replace(this.element, title, this.#content()), { preventScroll: true });
    if (hadFocus && !this.element.contains(document.activeElement)) this.element.focus({ preventScroll: true });
  }

  #content() {
    const { list } = this.#corrections;
    if (list === null) return el("p.muted.small", "Loading…");
    if (list.length === 0) return el("p.muted.small", "None: all detections of this camera are judged as they are.");
    const listOf = (some) =>
      el(
        "ul.correction-list",
        some.map((correction) => this.#item(correction)),
      );
    if (list.length <= SHOWN) return listOf(list);
    const older = folded(`Older (${list.length - SHOWN})`, listOf(list.slice(SHOWN)));
    older.open = this.element.querySelector("details")?.open ?? false;
    return [listOf(list.slice(0, SHOWN)), older];
  }

  #item(correction) {
    const text = describe(correction);
    const { author, created_ns: createdNs, until_ns: untilNs } = correction;
    const report = this.#report();
    const hasExpired = isExpired(correction, report?.capture_ns ?? null, report?.run_id);
    const until = untilNs ? `, until ${formatDateTime(untilNs)}` : "";
    const expired = hasExpired ? EXPIRED[correction.kind] : "";
    return el(
      "li.correction.apart",
      el(
        "div.correction-text.level.wrap",
        el("span.tag", kindText(correction)),
        el("span.correction-summary", text),
        el(
          "div.muted.small.correction-meta.beside.wrap",
          el("span", `by ${author}, `, ageElement(createdNs), until, expired),
          publication(correction),
        ),
      ),
      this.#isAdmin
        ? button("Withdraw", () => this.#confirm(correction, text), {
            class: "small",
            "aria-label": `Withdraw: ${text}`,
            "data-name": correction.verdict_id,
          })
        : null,
    );
  }

  #confirm(correction, text) {
    const consequence = `In about 50 frames this no longer applies: ${text}.`;
    showConfirmation("Withdraw the correction?", consequence, () => withdraw(this.#corrections, correction));
  }
}

/** Withdraws a correction and shows a toast. Resolves to whether it is withdrawn. */
export async function withdraw(corrections, correction) {
  try {
    await corrections.withdraw(correction);
    toast("Correction withdrawn");
    return true;
  } catch (error) {
    if (isFailure(error)) toastFailure(error);
    return error.status === 404; // somebody else has withdrawn it
  }
}

function publication({ published }) {
  return published
    ? el("span.status.level", icon("check"), "published")
    : el("span.status.status-waiting.level", icon("stale"), "waiting for the broker");
}
