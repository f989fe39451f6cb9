// The filter panel: search, review-state tabs, and facets with the number of alerts of each value.

import { button, choice, field, select, tab } from "../controls.js";
import { el, keepFocus, replace } from "../dom.js";
import { humanize } from "../format.js";
import { icon } from "../icons.js";
import { onEscape } from "../shortcuts.js";
import { ANY, FACETS } from "./filter.js";

const TABS = { unreviewed: "To review", mine: "Mine", snoozed: "Snoozed", [ANY]: "All" };
const SPANS = [
  ["", "Any time"],
  ["900", "Last 15 minutes"],
  ["3600", "Last hour"],
  ["86400", "Last 24 hours"],
  ["604800", "Last 7 days"],
];
const MAX_VALUES = 12; // shown of a facet
const SEARCH_DELAY_MS = 250;

/** Calls `changed(filter)` with every choice. */
export class FilterPanel {
  #filter = null;
  #counts = null;
  #changed;
  #searchTimer = 0;
  #searched = "";

  constructor(changed) {
    this.#changed = changed;
    this.search = el("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": "Search alerts by reason, camera or id",
      maxlength: 200,
      autocomplete: "off",
      on: { input: () => this.#searchSoon() },
    });
    this.number = el("span.count.number", { hidden: true });
    this.toggle = button([icon("filter"), "Filters", this.number], () => this.#open(this.facets.hidden), {
      "aria-expanded": "false",
      "aria-controls": "facets",
    });
    this.tabs = el("div.tabs", { role: "group", "aria-label": "Review state" });
    this.facets = el("div.facets.card.popup", { id: "facets", hidden: true });
    onEscape(() => {
      const isOpen = this.facets.checkVisibility();
      if (isOpen) this.#close();
      return isOpen;
    });
    this.element = el(
      "div.filters.stack",
      el(
        "div.beside",
        el("div.search", icon("search"), this.search, el("kbd", { "aria-hidden": "true" }, "/")),
        this.toggle,
      ),
      this.tabs,
      this.facets,
    );
  }

  /** Shows a filter and the counts of its values. */
  show(filter, counts) {
    if (filter === this.#filter && counts === this.#counts) return;
    if (filter === this.#filter && this.element.querySelector("button:active, label:active")) return; // mid-click
    this.#filter = filter;
    this.#counts = counts;
    if (filter.single("text") !== this.#searched) this.search.value = this.#searched = filter.single("text");
    this.number.hidden = filter.narrowings === 0;
    this.number.textContent = filter.narrowings;
    keepFocus(this.element, () => {
      const tabs = Object.keys(TABS).map((name) => this.#tab(name));
      replace(this.tabs, tabs);
      if (!this.facets.hidden) this.#drawFacets();
    });
  }

  /** Focuses the search field. */
  focus() {
    this.search.focus();
    this.search.select();
  }

  #searchSoon() {
    clearTimeout(this.#searchTimer);
    this.#searchTimer = setTimeout(() => {
      this.#searched = this.search.value.trim();
      this.#changed(this.#filter.with("text", this.#searched));
    }, SEARCH_DELAY_MS);
  }

  #open(isOpen) {
    this.facets.hidden = !isOpen;
    this.toggle.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) this.#drawFacets();
  }

  #close() {
    this.#open(false);
    this.toggle.focus();
  }

  #tab(name) {
    const count = name === ANY ? null : (this.#counts?.by.review[name]?.toLocaleString("en") ?? "–");
    return tab(
      name,
      this.#filter.values("review").join() === name,
      () => this.#changed(this.#filter.with("review", name)),
      TABS[name],
      count === null ? null : el("span.tab-count.number.muted", " ", count),
    );
  }

  #drawFacets() {
    const clear = button("Clear filters", () => this.#changed(this.#filter.widened()), {
      class: "small",
      "data-name": "clear",
      disabled: this.#filter.narrowings === 0,
    });
    const close = button("Done", () => this.#close(), { class: "small primary", "data-name": "close" });
    replace(
      this.facets,
      FACETS.map((name) => this.#facet(name)),
      this.#times(),
      el("div.facet-actions.apart", clear, close),
    );
  }

  #facet(name) {
    const asked = this.#filter.values(name).filter((value) => value !== ANY);
    const counted = Object.entries(this.#counts?.by[name] ?? {}).sort(
      (a, b) => b[1] - a[1] || a[0].localeCompare(b[0]),
    );
    const missing = asked.filter((value) => !counted.some(([known]) => known === value)).map((value) => [value, 0]);
    const values = [...counted, ...missing].filter(([value], at) => at < MAX_VALUES || asked.includes(value));
    if (values.length === 0) return null;
    const more = counted.length + missing.length - values.length;
    return el(
      "fieldset.facet",
      el("legend", humanize(name)),
      values.map(([value, count]) => this.#choice(name, value, count, asked)),
      more > 0 ? el("p.muted.small", `${more} more; use the search to find them`) : null,
    );
  }

  #choice(name, value, count, asked) {
    const change = (event) => {
      const others = asked.filter((other) => other !== value);
      const wanted = event.target.checked ? [...others, value] : others;
      this.#changed(this.#filter.with(name, name === "review" && wanted.length === 0 ? ANY : wanted));
    };
    return choice(
      { type: "checkbox", "data-name": `${name}-${value}`, checked: asked.includes(value), on: { change } },
      el("span.choice-text.ellipsis", name === "camera" ? value : humanize(value)),
      el("span.number.muted.small", count.toLocaleString("en")),
    );
  }

  #times() {
    const setWithin = ({ target }) =>
      this.#changed(this.#filter.with("from", []).with("to", []).with("within", target.value));
    const within = { "data-name": "within", on: { change: setWithin } };
    const edge = (name) => {
      const change = ({ target: { value } }) =>
        this.#changed(this.#filter.with("within", []).with(name, value ? new Date(value).toISOString() : []));
      const value = localTime(this.#filter.single(name));
      return el("input", { type: "datetime-local", "data-name": name, value, on: { change } });
    };
    return el(
      "fieldset.facet.stack.tight",
      el("legend", "Raised"),
      field("Within", select(SPANS, this.#filter.single("within"), within)),
      field("From", edge("from")),
      field("Before", edge("to")),
    );
  }
}

/** An ISO time as a `datetime-local` input takes it. */
function localTime(text) {
  if (!text) return "";
  const time = new Date(text);
  return new Date(time.getTime() - 60_000 * time.getTimezoneOffset()).toISOString().slice(0, 16);
}
