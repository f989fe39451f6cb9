// The filters with their counts: which views there are, and what narrows them.

import { el, replace } from "../dom.js";
import { icon } from "../icons.js";
import { words } from "../words.js";
import { ANY, FACETS } from "./filter.js";

const TABS = ["unreviewed", "mine", "snoozed", ANY];
const TAB_TEXTS = { unreviewed: "To review", mine: "Mine", snoozed: "Snoozed", [ANY]: "All" };
const WITHIN = [
  ["", "Any time"],
  ["900", "Last 15 minutes"],
  ["3600", "Last hour"],
  ["86400", "Last 24 hours"],
  ["604800", "Last 7 days"],
];
const SHOWN_VALUES = 12;

/** Search, tabs and facets; `changed(filter)` is called with every choice. */
export class FilterPanel {
  #filter = null;
  #counts = null;
  #changed;
  #typing = 0;
  #sought = "";

  constructor(changed) {
    this.#changed = changed;
    this.search = el("input", {
      type: "search",
      id: "search",
      placeholder: "Search",
      "aria-label": "Search alerts: words of the reason, camera or id",
      maxlength: 200,
      autocomplete: "off",
    });
    this.search.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = setTimeout(() => this.#seek(this.search.value.trim()), 250);
    });
    this.number = el("span", { class: "count", hidden: true });
    this.toggle = el(
      "button",
      { class: "button", type: "button", "aria-expanded": "false", "aria-controls": "facets" },
      icon("filter"),
      "Filters",
      this.number,
    );
    this.toggle.addEventListener("click", () => this.#open(this.facets.hidden));
    this.tabs = el("div", { class: "tabs", role: "group", "aria-label": "Where people stand with alerts" });
    this.facets = el("div", { class: "facets", id: "facets", hidden: true });
    this.facets.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.#open(false);
      this.toggle.focus();
    });
    this.element = el(
      "div",
      { class: "filters" },
      el(
        "div",
        { class: "filter-line" },
        el("div", { class: "search" }, icon("search"), this.search, el("kbd", { "aria-hidden": "true" }, "/")),
        this.toggle,
      ),
      this.tabs,
      this.facets,
    );
  }

  /** Shows a filter and the counts of its values; what has the focus keeps it. */
  show(filter, counts) {
    if (filter === this.#filter && counts === this.#counts) return;
    if (filter === this.#filter && this.element.querySelector("button:active, label:active")) return; // mid-click
    this.#filter = filter;
    this.#counts = counts;
    if (filter.single("text") !== this.#sought) this.search.value = this.#sought = filter.single("text");
    this.number.hidden = filter.narrowings === 0;
    this.number.textContent = filter.narrowings;
    const focusedName = this.element.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    replace(
      this.tabs,
      TABS.map((tab) => this.#tab(tab)),
    );
    if (!this.facets.hidden) this.#drawFacets();
    if (focusedName) this.element.querySelector(`[data-name="${CSS.escape(focusedName)}"]`)?.focus();
  }

  /** Puts the cursor into the search. */
  focus() {
    this.search.focus();
    this.search.select();
  }

  #seek(text) {
    this.#sought = text;
    this.#changed(this.#filter.with("text", text));
  }

  #open(isOpen) {
    this.facets.hidden = !isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.#drawFacets();
  }

  #tab(tab) {
    const asked = this.#filter.values("review");
    const isChosen = asked.length === 1 && asked[0] === tab;
    const count = tab === ANY ? null : this.#counts?.by.review[tab];
    return el(
      "button",
      {
        class: "tab",
        type: "button",
        "data-name": `tab-${tab}`,
        "aria-pressed": String(isChosen),
        on: { click: () => this.#changed(this.#filter.with("review", tab)) },
      },
      TAB_TEXTS[tab],
      count === null
        ? null
        : el("span", { class: "tab-count number" }, " ", count === undefined ? "–" : count.toLocaleString("en")),
    );
  }

  #drawFacets() {
    const clear = el(
      "button",
      {
        class: "button small",
        type: "button",
        "data-name": "clear",
        disabled: this.#filter.narrowings === 0,
        on: { click: () => this.#clear() },
      },
      "Clear filters",
    );
    const close = el(
      "button",
      {
        class: "button small primary",
        type: "button",
        "data-name": "close",
        on: {
          click: () => {
            this.#open(false);
            this.toggle.focus();
          },
        },
      },
      "Done",
    );
    replace(
      this.facets,
      FACETS.map((name) => this.#facet(name)),
      this.#times(),
      el("div", { class: "facet-actions" }, clear, close),
    );
  }

  #clear() {
    let filter = this.#filter;
    for (const name of [...FACETS.slice(1), "from", "to", "within"]) filter = filter.with(name, []);
    this.#changed(filter);
  }

  #facet(name) {
    const asked = this.#filter.values(name).filter((value) => value !== ANY);
    const counted = Object.entries(this.#counts?.by[name] ?? {}).sort(
      (a, b) => b[1] - a[1] || a[0].localeCompare(b[0]),
    );
    const missing = asked.filter((value) => !counted.some(([known]) => known === value)).map((value) => [value, 0]);
    const values = [...counted, ...missing].filter(([value], at) => at < SHOWN_VALUES || asked.includes(value));
    if (values.length === 0) return null;
    const more = counted.length + missing.length - values.length;
    return el(
      "fieldset",
      { class: "facet" },
      el("legend", {}, words(name)),
      values.map(([value, count]) => this.#choice(name, value, count, asked)),
      more > 0 ? el("p", { class: "muted small" }, `and ${more} more; search for them`) : null,
    );
  }

  #choice(name, value, count, asked) {
    const choose = (event) => {
      const others = asked.filter((other) => other !== value);
      const wanted = event.target.checked ? [...others, value] : others;
      this.#changed(this.#filter.with(name, name === "review" && wanted.length === 0 ? ANY : wanted));
    };
    return el(
      "label",
      { class: "choice" },
      el("input", {
        type: "checkbox",
        "data-name": `${name}-${value}`,
        checked: asked.includes(value),
        on: { change: choose },
      }),
      el("span", { class: "choice-text" }, name === "camera" ? value : words(value)),
      el("span", { class: "choice-count number" }, count.toLocaleString("en")),
    );
  }

  #times() {
    const within = el(
      "select",
      {
        "data-name": "within",
        on: {
          change: (event) =>
            this.#changed(this.#filter.with("from", []).with("to", []).with("within", event.target.value)),
        },
      },
      WITHIN.map(([value, text]) => el("option", { value, selected: this.#filter.single("within") === value }, text)),
    );
    const edge = (name, text) =>
      el(
        "label",
        { class: "field" },
        text,
        el("input", {
          type: "datetime-local",
          "data-name": name,
          value: localTime(this.#filter.single(name)),
          on: { change: (event) => this.#edge(name, event.target.value) },
        }),
      );
    return el(
      "fieldset",
      { class: "facet facet-time" },
      el("legend", {}, "Raised"),
      el("label", { class: "field" }, "Within", within),
      edge("from", "From"),
      edge("to", "Before"),
    );
  }

  #edge(name, value) {
    this.#changed(this.#filter.with("within", []).with(name, value ? new Date(value).toISOString() : []));
  }
}

function localTime(text) {
  if (!text) return "";
  const time = new Date(text);
  return new Date(time.getTime() - 60_000 * time.getTimezoneOffset()).toISOString().slice(0, 16);
}
