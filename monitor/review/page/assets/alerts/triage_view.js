// The alerts: the list at the left, the chosen alert at the right, and the keys that go through them.

import { AlertStore } from "./alert_store.js";
import { alertRow, burstRow } from "./alert_row.js";
import { AlertPage } from "./alert_page.js";
import { Actions } from "./actions.js";
import { ANY, Filter } from "./filter.js";
import { FilterPanel } from "./filter_panel.js";
import { WindowedList } from "./windowed_list.js";
import { rowsOf } from "./bursts.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { outage } from "../live.js";
import { announce } from "../toasts.js";
import { plural, words } from "../words.js";

const ROW_PX = 84;

/** The view behind `/alerts` and `/alerts/<id>`. */
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
    this.store = new AlertStore(app.live, () => this.#mayMove());
    this.actions = new Actions(app.session, (alert) => this.store.update(alert));
    this.panel = new FilterPanel((filter) => this.#narrow(filter));
    this.list = new WindowedList({
      label: "Alerts, newest first",
      rowPx: ROW_PX,
      draw: (row, isCurrent) =>
        row.burst ? burstRow(row.burst, isCurrent) : alertRow(row.alert, app.scores, isCurrent, row.isMember),
      chosen: (id, event) => this.#choose(id, event),
      nearEnd: () => this.store.hasMore && this.store.loadMore(),
    });
    this.fresh = el("button", {
      class: "fresh",
      type: "button",
      hidden: true,
      on: { click: () => this.act("showNew") },
    });
    this.state = el("div", { class: "list-state" });
    this.page = new AlertPage(app, this.actions, (step) => this.#step(step));
    this.element = el(
      "div",
      { class: "triage" },
      el(
        "section",
        { class: "list-pane", "aria-label": "List of alerts" },
        this.panel.element,
        this.fresh,
        this.state,
        this.list.element,
      ),
      this.page.element,
    );
    this.store.addEventListener("change", () => this.#drawSoon());
    this.store.addEventListener("raised", ({ detail }) =>
      announce(`${words(detail.severity)} alert: ${words(detail.kind)} on ${detail.stream_id}`),
    );
  }

  /** Shows the alert and the filter of the address. */
  show({ id = null }, query) {
    const filter = new Filter(query);
    const isOther = this.#filter === null || filter.address !== this.#filter.address;
    this.#filter = filter;
    this.element.classList.toggle("has-alert", id !== null);
    if (id !== null && id !== this.#currentId) this.#currentId = id;
    this.page.show(id, filter);
    if (isOther) this.store.load(filter);
    else this.#draw();
  }

  close() {
    this.page.show(null, this.#filter);
  }

  /** Does what a key stands for; returns whether there was anything to do. */
  act(action) {
    const doings = {
      next: () => this.#step(1),
      previous: () => this.#step(-1),
      open: () => this.#open(),
      acknowledge: () => this.#acknowledge(),
      filter: () => this.panel.focus(),
      showNew: () => this.#showNew(),
      leave: () => this.#leave(),
    };
    if (!doings[action]) return this.page.act(action);
    doings[action]();
    return true;
  }

  get #shownId() {
    return this.page.alertId;
  }

  #address(id, filter = this.#filter) {
    return `/alerts${id ? `/${id}` : ""}${filter.address}`;
  }

  /** Another filter; what is typed on does not fill the history letter by letter. */
  #narrow(filter) {
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

  /** The next row; an alert is shown at once, in the place of the one before it in the history. */
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

  /** Whether rows may move: nobody reads, points at or works in the list. */
  #mayMove() {
    return this.list.isAtTop && !this.#shownId && !this.list.element.matches(":hover, :focus-within");
  }

  /** Once a frame, however many alerts come. */
  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const { store } = this;
    this.panel.show(this.#filter, store.counts);
    const isWhole = this.#filter.narrowings === 0 && this.#filter.single("text") === "";
    if (isWhole && store.counts) this.#app.showCount(store.counts.by.review.unreviewed);
    this.#rows = rowsOf(store.alerts, this.#openBursts, this.#burstAnchors, this.#currentId);
    this.list.show(this.#rows, this.#currentId);
    this.list.element.hidden = this.#rows.length === 0;
    this.fresh.hidden = store.waiting.size === 0;
    this.fresh.textContent = `${store.waiting.size.toLocaleString("en")} new — show`;
    this.element.setAttribute("aria-busy", String(store.isLoading));
    if (this.#rows.length === 0) replace(this.state, this.#stateInWords());
    else this.state.replaceChildren();
    this.page.learn(store);
  }

  #stateInWords() {
    const { store } = this;
    if (store.error)
      return notice(
        icon("offline"),
        "The list did not come",
        store.error.message,
        this.#button("Try again", () => store.load(this.#filter)),
      );
    if (store.isLoading || store.counts === null) return skeletons(6, "skeleton-row");
    if (this.#filter.address && !this.#isPlain()) {
      return notice(
        icon("filter"),
        "No alert fits the filter",
        "Others may: the counts beside the filters say where.",
        this.#button("Clear the filter", () => this.#app.router.go("/alerts")),
      );
    }
    const cameras = this.#app.live.status?.cameras ?? 0;
    const broken = outage(this.#app.live);
    const text = broken
      ? "As of the last time the broker answered. New alerts can't come until it is back."
      : `${plural(cameras, "camera")} watched. An alert appears here within a second of being raised.`;
    return notice(
      icon(broken ? "stale" : "check"),
      "Nothing to review",
      text,
      this.#button("Show all alerts", () => this.#app.router.go(`/alerts?review=${ANY}`)),
    );
  }

  #isPlain() {
    return (
      this.#filter.narrowings === 0 &&
      this.#filter.single("text") === "" &&
      this.#filter.values("review")[0] === "unreviewed"
    );
  }

  #button(text, click) {
    return el("button", { class: "button", type: "button", on: { click } }, text);
  }
}
