// The alerts: the list on the left, the chosen alert on the right, and the keyboard actions.

import { button, loadFailure, notice, skeletons } from "../controls.js";
import { el, replace } from "../dom.js";
import { humanize, pluralize } from "../format.js";
import { outage } from "../live.js";
import { announce } from "../toasts.js";
import { Actions } from "./actions.js";
import { AlertPage } from "./alert_page.js";
import { alertRow, burstRow } from "./alert_row.js";
import { AlertStore } from "./alert_store.js";
import { rowsOf } from "./bursts.js";
import { ANY, Filter } from "./filter.js";
import { FilterPanel } from "./filter_panel.js";
import { WindowedList } from "./windowed_list.js";

const ROW_PX = 84;

/** The view at `/alerts` and `/alerts/<id>`. */
export class TriageView {
  title = "Alerts";
  #app;
  #filter = null;
  #currentId = null; // of a row: an alert or a burst
  #openBursts = new Set();
  #burstAnchors = new Set();
  #rows = [];
  #frame = 0;

  constructor(app) {
    this.#app = app;
    this.store = new AlertStore(app.live, () => this.#mayShiftRows());
    this.actions = new Actions(app.session, (alert) => this.store.update(alert));
    this.panel = new FilterPanel((filter) => this.#setFilter(filter));
    this.list = new WindowedList({
      label: "Alerts, newest first",
      rowPx: ROW_PX,
      draw: (row, isCurrent) =>
        row.burst ? burstRow(row.burst, isCurrent) : alertRow(row.alert, app.scores, isCurrent, row.isMember),
      chosen: (id, event) => this.#choose(id, event),
      nearEnd: () => this.store.hasMore && this.store.loadMore(),
    });
    const showNew = { click: () => this.act("showNew") };
    this.fresh = el("button.fresh.number", { type: "button", hidden: true, on: showNew });
    this.state = el("div.list-state");
    this.page = new AlertPage(app, this.actions, (by) => this.#step(by));
    this.element = el(
      "div.triage",
      el(
        "section.list-pane",
        { "aria-label": "List of alerts" },
        this.panel.element,
        this.fresh,
        this.state,
        this.list.element,
      ),
      this.page.element,
    );
    this.store.addEventListener("change", () => this.#drawSoon());
    this.store.addEventListener("raised", ({ detail }) =>
      announce(`${humanize(detail.severity)} alert: ${humanize(detail.kind)} on ${detail.stream_id}`),
    );
  }

  /** Shows the alert and the filter of the address. */
  show({ id = null }, query) {
    const filter = new Filter(query);
    const isOther = this.#filter === null || filter.address !== this.#filter.address;
    this.#filter = filter;
    this.element.classList.toggle("has-alert", id !== null);
    if (id !== null) this.#currentId = id;
    this.page.show(id, filter);
    if (isOther) this.store.load(filter);
    else this.#draw();
  }

  close() {
    this.page.show(null, this.#filter);
  }

  /** Performs an action of a shortcut. Returns false if there is none of that name. */
  act(action) {
    const commands = {
      next: () => this.#step(1),
      previous: () => this.#step(-1),
      open: () => this.#open(),
      acknowledge: () => this.#acknowledge(),
      filter: () => this.panel.focus(),
      showNew: () => this.#showNew(),
      leave: () => this.#leave(),
    };
    if (!commands[action]) return this.page.act(action);
    commands[action]();
    return true;
  }

  get #shownId() {
    return this.page.alertId;
  }

  #address(id, filter = this.#filter) {
    return `/alerts${id ? `/${id}` : ""}${filter.address}`;
  }

  /** Applies another filter. Typing on in the search field replaces the history entry instead of adding one. */
  #setFilter(filter) {
    const before = this.#filter.single("text");
    const replaces = before !== "" && before !== filter.single("text");
    this.#app.router.go(this.#address(this.#shownId, filter), { replaces });
  }

  #choose(id, event) {
    if (!id.startsWith("burst-") && (event.ctrlKey || event.metaKey))
      return void open(this.#address(id), "_blank", "noopener");
    this.#currentId = id;
    this.#open();
  }

  #open() {
    if (this.#currentId === null) return;
    if (!this.#currentId.startsWith("burst-")) return this.#app.router.go(this.#address(this.#currentId));
    if (!this.#openBursts.delete(this.#currentId)) this.#openBursts.add(this.#currentId);
    this.#draw();
  }

  /** Moves to a neighboring row. An alert is shown at once and replaces the one before it in the history. */
  #step(by) {
    if (this.#rows.length === 0) return;
    const at = this.#rows.findIndex((row) => row.id === this.#currentId);
    const to = this.#rows[Math.min(this.#rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    this.#currentId = to.id;
    this.#draw();
    this.list.reveal(to.id);
    if (document.activeElement === document.body || document.activeElement.id === "main") this.list.element.focus();
    const isWide = matchMedia("(min-width: 60rem)").matches;
    if (to.alert && (isWide || this.#shownId))
      this.#app.router.go(this.#address(to.id), { replaces: this.#shownId !== null });
    if (to.burst) announce(`Burst of ${to.burst.members.length} alerts`);
  }

  #acknowledge() {
    const row = this.#rows.find((one) => one.id === this.#currentId);
    if (row?.burst) this.actions.acknowledgeAll(row.burst.unacknowledged);
    else if (this.page.alert) this.page.act("acknowledge");
    else if (row) this.actions.acknowledge(row.alert);
  }

  async #showNew() {
    if (this.store.waiting.size === 0) return;
    await this.store.load(this.#filter);
    this.list.element.scrollTop = 0;
    if (!this.#shownId) this.#currentId = this.#rows[0]?.id ?? null;
    this.list.element.focus();
    this.#draw();
  }

  #leave() {
    if (this.#shownId) this.#app.router.go(this.#address(null));
    this.list.element.focus();
  }

  /** Whether rows may shift: nobody reads, points at or uses the list. */
  #mayShiftRows() {
    return this.list.isAtTop && !this.#shownId && !this.list.element.matches(":hover, :focus-within");
  }

  /** Draws once per animation frame, however many alerts arrive. */
  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const { store } = this;
    this.panel.show(this.#filter, store.counts);
    if (this.#isUnfiltered && store.counts) this.#app.showCount(store.counts.by.review.unreviewed);
    this.#rows = rowsOf(store.alerts, this.#openBursts, this.#burstAnchors, this.#currentId);
    this.list.show(this.#rows, this.#currentId);
    this.list.element.hidden = this.#rows.length === 0;
    this.fresh.hidden = store.waiting.size === 0;
    this.fresh.textContent = `${store.waiting.size.toLocaleString("en")} new — show`;
    this.element.setAttribute("aria-busy", String(store.isLoading));
    replace(this.state, this.#rows.length === 0 ? this.#emptyState() : null);
    this.page.showCounts(store.counts);
  }

  /** Whether the list is narrowed by nothing but the review state. */
  get #isUnfiltered() {
    return this.#filter.narrowings === 0 && this.#filter.single("text") === "";
  }

  #emptyState() {
    const { store } = this;
    if (store.error) return loadFailure("the alerts", store.error.message, () => store.load(this.#filter));
    if (store.isLoading || store.counts === null) return skeletons(6, "skeleton-row");
    const go = (address) => () => this.#app.router.go(address);
    if (!this.#isUnfiltered || this.#filter.values("review")[0] !== "unreviewed") {
      const text = "The counts beside the filters show which values have alerts.";
      return notice("filter", "No alerts match the filter", text, button("Clear filters", go("/alerts")));
    }
    const cameras = pluralize(this.#app.live.status?.cameras ?? 0, "camera");
    const isOutage = outage(this.#app.live) !== null;
    return notice(
      isOutage ? "stale" : "check",
      "Nothing to review",
      isOutage
        ? "This was the state when the broker last responded. No new alerts arrive until it is back."
        : `Watching ${cameras}. New alerts appear here within a second.`,
      button("Show all alerts", go(`/alerts?review=${ANY}`)),
    );
  }
}
