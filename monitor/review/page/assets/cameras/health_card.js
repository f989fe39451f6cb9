// The health of a camera: what is wrong now, and what happened lately.

import { folded } from "../controls.js";
import { el, replace } from "../dom.js";
import { icon } from "../icons.js";
import { ageElement, timeElement } from "../times.js";
import { meaningOf, reporterOf, titleOf } from "./disturbances.js";

const STATES = { begin: " begins", end: " ends", moment: "" };

/** Shows `disturbances` that last and the latest `events`. */
export class HealthCard {
  #shown = "";

  constructor() {
    this.lasting = el("div.stack.tight");
    this.events = el("ul.stack.tight.events");
    this.more = folded("Latest events", this.events);
    this.element = el(
      "section.card.stack.health",
      { "aria-labelledby": "camera-health" },
      el("h2", { id: "camera-health" }, "Health"),
      this.lasting,
      this.more,
    );
  }

  show({ disturbances, events }) {
    const content = JSON.stringify([disturbances, events]);
    if (content === this.#shown) return;
    this.#shown = content;
    const none = el("p.muted.small", "Neither the source nor the worker reports a disturbance.");
    replace(this.lasting, disturbances.length > 0 ? el("ul.stack.tight", disturbances.map(lastingItem)) : none);
    this.more.hidden = events.length === 0;
    replace(this.events, events.map(eventItem));
  }
}

function lastingItem(one) {
  const since = el("span.muted", " since ", timeElement(one.since_ns));
  return el(
    "li.disturbance.beside",
    icon("warning"),
    el("div", el("p", el("strong", titleOf(one)), since), el("p.small", meaningOf(one)), origin(one)),
  );
}

function eventItem(one) {
  const title = `${titleOf(one)}${STATES[one.state] ?? ""}`;
  return el("li", { title: meaningOf(one) }, el("p.apart", title, ageElement(one.at_ns, "muted small")), origin(one));
}

function origin(one) {
  return el("p.muted.small.detail", [one.detail, reporterOf(one)].filter(Boolean).join("; "));
}
