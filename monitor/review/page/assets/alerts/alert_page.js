// One alert: what was seen, why it was raised, and what people did with it.

import { ApiError, get } from "../api.js";
import { ClipSection } from "../clip/clip_section.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { SHORTCUTS } from "../shortcuts.js";
import { toast } from "../toasts.js";
import { CameraVerdicts } from "../verdicts/camera_verdicts.js";
import { askCorrection } from "../verdicts/correct_dialog.js";
import { takeBack } from "../verdicts/corrections_card.js";
import { sayingOf } from "../verdicts/said.js";
import { plural } from "../words.js";
import { alertHead } from "./alert_head.js";
import { Conversation } from "./conversation.js";
import { askComment, askSnooze } from "./dialogs.js";
import { facts } from "./facts.js";
import { why } from "./why.js";

const AGAIN_MS = 400; // after an event about the alert

/** The right side of the alerts view; shows nothing in particular while no alert is chosen. */
export class AlertPage {
  alertId = null;
  alert = null;
  #app;
  #actions;
  #step;
  #filter = null;
  #asked = null;
  #again = 0;
  #clip = null;
  #parts = null;
  #conversation = null;
  #verdicts;

  constructor(app, actions, step) {
    this.#app = app;
    this.#actions = actions;
    this.#step = step;
    this.element = el("section", { class: "detail-pane", "aria-label": "Alert" });
    const hear = ({ detail }) => detail.alert.alert_id === this.alertId && this.#askAgain();
    app.live.addEventListener("alert", hear);
    app.live.addEventListener("review", hear);
    app.live.addEventListener("reset", () => this.alertId && this.#askAgain());
    this.#verdicts = new CameraVerdicts(app.live);
    this.#verdicts.addEventListener("change", () => this.#showVerdicts());
    this.#drawNothing(null);
  }

  /** Shows an alert; `filter` says among which its neighbors are. */
  show(id, filter) {
    this.#filter = filter;
    if (id === this.alertId) return;
    this.close();
    this.alertId = id;
    this.alert = null;
    if (id === null) {
      this.#verdicts.follow(null);
      return this.#drawNothing(null);
    }
    replace(
      this.element,
      skeletons(1, "skeleton-head"),
      skeletons(1, "skeleton-picture"),
      skeletons(4, "skeleton-line"),
    );
    this.element.scrollTop = 0;
    this.#ask();
  }

  /** How many alerts wait, for the time that none is chosen. */
  learn(store) {
    if (this.alertId === null) this.#drawNothing(store.counts);
  }

  /** Does what a key stands for. */
  act(action) {
    if (this.alert === null) return false;
    const doings = {
      acknowledge: () => this.#actions.acknowledge(this.alert),
      assign: () => this.#actions.assign(this.alert),
      review: () => this.#actions.review(this.alert),
      comment: () => this.#comment(),
      snooze: () => this.#snooze(),
      correct: () => this.#correct(),
      evidence: () => this.element.querySelector("a.evidence")?.click(),
      play: () => this.#clip.player.toggle(),
      stepBack: () => this.#clip.player.step(-1),
      stepForth: () => this.#clip.player.step(1),
      toOnset: () => this.#clip.player.toOnset(),
    };
    if (!doings[action]) return false;
    doings[action]();
    return true;
  }

  close() {
    this.#asked?.abort();
    clearTimeout(this.#again);
    this.#clip?.close();
    this.#clip = this.#parts = null;
  }

  #askAgain() {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#ask(), this.alert === null ? 0 : AGAIN_MS);
  }

  async #ask() {
    const id = this.alertId;
    this.#asked?.abort();
    this.#asked = new AbortController();
    try {
      const alert = await get(`/alerts/${encodeURIComponent(id)}?${this.#filter.asked}`, this.#asked.signal);
      if (id !== this.alertId) return;
      const isNewRevision = this.alert !== null && this.alert.revision !== alert.revision;
      this.alert = alert;
      this.#verdicts.follow(alert.stream_id);
      this.#draw();
      if (isNewRevision) this.#clip.load(alert);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      if (this.alert === null) this.#drawError(error);
    }
  }

  #draw() {
    if (this.#parts === null) this.#build();
    const doing = {
      act: (action) => this.act(action),
      step: this.#step,
      unsnooze: () => this.#actions.unsnooze(this.alert),
      isAllowed: this.#actions.isAllowed,
      me: this.#actions.me,
      correction: this.#verdicts.ofTrack(this.alert.run_id, this.alert.track_id),
    };
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    replace(this.#parts.head, alertHead(this.alert, doing, `/alerts${this.#filter.address}`));
    replace(this.#parts.why, why(this.alert, this.#app.scores));
    this.#conversation.show(this.alert);
    replace(this.#parts.facts, facts(this.alert));
    if (focused) this.element.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  #build() {
    this.#clip = new ClipSection(this.#app.scores);
    this.#conversation = new Conversation(this.#actions.isAllowed, (text) => this.#actions.comment(this.alert, text));
    this.#parts = {
      head: el("div", { class: "alert-head" }),
      why: el("section", { class: "card why", "aria-labelledby": "why-title" }),
      facts: el("section", { class: "card facts", "aria-labelledby": "facts-title" }),
    };
    const { head, why: reasons, facts: details } = this.#parts;
    replace(
      this.element,
      head,
      el(
        "div",
        { class: "alert-body" },
        el("div", { class: "alert-seen" }, this.#clip.element),
        el("div", { class: "alert-said" }, reasons),
        el("div", { class: "alert-done" }, this.#conversation.element, details),
      ),
    );
    this.#clip.showMutes(this.#verdicts.mutes);
    this.#clip.load(this.alert);
  }

  #showVerdicts() {
    if (this.#parts === null) return;
    this.#clip.showMutes(this.#verdicts.mutes);
    this.#draw();
  }

  #comment() {
    if (this.#actions.isAllowed) askComment(this.alert, (text) => this.#actions.comment(this.alert, text));
  }

  #snooze() {
    if (this.#actions.isAllowed) askSnooze(this.alert, (silence) => this.#actions.snooze(this.alert, silence));
  }

  #correct() {
    if (!this.#actions.isAllowed) return;
    const verdicts = this.#verdicts;
    askCorrection(this.alert, this.#clip.still, verdicts, (verdict) =>
      toast(`Correction given: ${sayingOf(verdict)}`, {
        undo: this.#app.session.role === "admin" ? () => takeBack(verdicts, verdict) : null,
      }),
    );
  }

  #drawError(error) {
    const list = el("a", { class: "button", href: `/alerts${this.#filter.address}` }, "To the list");
    if (error.status === 404)
      replace(
        this.element,
        notice(
          icon("search"),
          "There is no such alert",
          "It may have been removed by retention, or the address is mistyped.",
          list,
        ),
      );
    else
      replace(
        this.element,
        notice(
          icon("offline"),
          "The alert did not come",
          error.message,
          el("button", { class: "button", type: "button", on: { click: () => this.#ask() } }, "Try again"),
          list,
        ),
      );
  }

  #drawNothing(counts) {
    const waiting = counts?.by.review.unreviewed;
    const title =
      waiting === undefined
        ? "Choose an alert"
        : waiting === 0
          ? "All is reviewed"
          : `${plural(waiting, "alert")} to review`;
    const keys = SHORTCUTS.filter(({ action }) =>
      ["next", "previous", "acknowledge", "snooze", "filter", "help"].includes(action),
    );
    replace(
      this.element,
      el(
        "div",
        { class: "notice quiet-notice" },
        icon(waiting === 0 ? "check" : "eye"),
        el("h2", {}, title),
        el(
          "dl",
          { class: "shortcuts" },
          keys.map(({ shown, text }) =>
            el(
              "div",
              { class: "shortcut" },
              el(
                "dt",
                {},
                shown.split(" ").map((key) => el("kbd", {}, key)),
              ),
              el("dd", {}, text),
            ),
          ),
        ),
      ),
    );
  }
}
