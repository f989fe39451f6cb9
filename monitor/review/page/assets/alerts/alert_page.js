// One alert: its clip, why it was raised, and what people did with it.

import { cameraPath, get, isFailure } from "../api.js";
import { ClipSection } from "../clip/clip_section.js";
import { buttonLink, loadFailure, notice, skeletons } from "../controls.js";
import { CameraCorrections } from "../corrections/camera_corrections.js";
import { askCorrection } from "../corrections/correct_dialog.js";
import { describe } from "../corrections/correction.js";
import { withdraw } from "../corrections/corrections_card.js";
import { el, keepFocus, replace } from "../dom.js";
import { pluralize } from "../format.js";
import { icon } from "../icons.js";
import { shortcutList } from "../shortcuts.js";
import { toast } from "../toasts.js";
import { askComment, askSnooze } from "./alert_dialogs.js";
import { alertHead } from "./alert_head.js";
import { CommentsCard } from "./comments_card.js";
import { detailsCard } from "./details_card.js";
import { reasonCard } from "./reason_card.js";

const RELOAD_AFTER_MS = 400; // after an event about the alert
const SHOWN_SHORTCUTS = ["next", "previous", "acknowledge", "snooze", "filter", "help"];

/** The right side of the alerts view; a placeholder while no alert is chosen. */
export class AlertPage {
  alertId = null;
  alert = null;
  #app;
  #actions;
  #step;
  #filter = null;
  #loading = null;
  #reloadTimer = 0;
  #clip = null;
  #parts = null;
  #comments = null;
  #corrections;

  constructor(app, actions, step) {
    this.#app = app;
    this.#actions = actions;
    this.#step = step;
    this.element = el("section.detail-pane", { "aria-label": "Alert" });
    const onEvent = ({ detail }) => detail.alert.alert_id === this.alertId && this.#reload();
    app.live.addEventListener("alert", onEvent);
    app.live.addEventListener("review", onEvent);
    app.live.addEventListener("reset", () => this.alertId && this.#reload());
    this.#corrections = new CameraCorrections(app.live);
    this.#corrections.addEventListener("change", () => this.#showCorrections());
    this.#drawPlaceholder(null);
  }

  /** Shows an alert; `filter` defines the list that its neighbors come from. */
  show(id, filter) {
    this.#filter = filter;
    if (id === this.alertId) return;
    this.close();
    this.alertId = id;
    this.alert = null;
    if (id === null) {
      this.#corrections.follow(null);
      return this.#drawPlaceholder(null);
    }
    replace(
      this.element,
      skeletons(1, "skeleton-head"),
      skeletons(1, "skeleton-picture"),
      skeletons(4, "skeleton-line"),
    );
    this.element.scrollTop = 0;
    this.#load();
  }

  /** Shows how many alerts wait while no alert is chosen. */
  showCounts(counts) {
    if (this.alertId === null) this.#drawPlaceholder(counts);
  }

  /** Performs an action of a shortcut. Returns false if there is none of that name. */
  act(action) {
    if (this.alert === null) return false;
    const isAllowed = this.#actions.isAllowed;
    const commands = {
      acknowledge: () => this.#actions.acknowledge(this.alert),
      assign: () => this.#actions.assign(this.alert),
      review: () => this.#actions.review(this.alert),
      comment: () => isAllowed && askComment(this.alert, (text) => this.#actions.comment(this.alert, text)),
      snooze: () => isAllowed && askSnooze(this.alert, (silence) => this.#actions.snooze(this.alert, silence)),
      correct: () => isAllowed && this.#correct(),
      evidence: () => this.element.querySelector("a.evidence")?.click(),
      play: () => this.#clip.player.toggle(),
      stepBack: () => this.#clip.player.step(-1),
      stepForward: () => this.#clip.player.step(1),
      toOnset: () => this.#clip.player.toOnset(),
    };
    if (!commands[action]) return false;
    commands[action]();
    return true;
  }

  close() {
    this.#loading?.abort();
    clearTimeout(this.#reloadTimer);
    this.#clip?.close();
    this.#clip = this.#parts = null;
  }

  #reload() {
    clearTimeout(this.#reloadTimer);
    this.#reloadTimer = setTimeout(() => this.#load(), this.alert === null ? 0 : RELOAD_AFTER_MS);
  }

  async #load() {
    const id = this.alertId;
    this.#loading?.abort();
    this.#loading = new AbortController();
    try {
      const alert = await get(`/alerts/${encodeURIComponent(id)}?${this.#filter.apiQuery}`, this.#loading.signal);
      if (id !== this.alertId) return;
      const isNewRevision = this.alert !== null && this.alert.revision !== alert.revision;
      this.alert = alert;
      this.#corrections.follow(alert.stream_id);
      this.#draw();
      if (isNewRevision) this.#clip.load(alert);
    } catch (error) {
      if (isFailure(error) && this.alert === null) this.#drawError(error);
    }
  }

  #draw() {
    if (this.#parts === null) this.#build();
    const commands = {
      act: (action) => this.act(action),
      step: this.#step,
      unsnooze: () => this.#actions.unsnooze(this.alert),
      isAllowed: this.#actions.isAllowed,
      me: this.#actions.me,
      correction: this.#corrections.ofTrack(this.alert.run_id, this.alert.track_id),
    };
    const draw = () => {
      replace(this.#parts.head, alertHead(this.alert, commands, `/alerts${this.#filter.address}`));
      replace(this.#parts.reason, reasonCard(this.alert, this.#app.scores));
      this.#comments.show(this.alert);
      replace(this.#parts.details, detailsCard(this.alert));
    };
    keepFocus(this.element, draw, { preventScroll: true });
  }

  #build() {
    this.#clip = new ClipSection(this.#app.scores);
    this.#comments = new CommentsCard(this.#actions.isAllowed, (text) => this.#actions.comment(this.alert, text));
    this.#parts = {
      head: el("div.alert-head"),
      reason: el("section.card.stack.why", { "aria-labelledby": "why-title" }),
      details: el("section.card.details.stack", { "aria-labelledby": "details-title" }),
    };
    const { head, reason, details } = this.#parts;
    replace(
      this.element,
      head,
      el(
        "div.alert-body",
        el("div.alert-clip", this.#clip.element),
        el("div.alert-reason", reason),
        el("div.alert-history", this.#comments.element, details),
      ),
    );
    this.#clip.showMutes(this.#corrections.mutes);
    this.#clip.load(this.alert);
  }

  #showCorrections() {
    if (this.#parts === null) return;
    this.#clip.showMutes(this.#corrections.mutes);
    this.#draw();
  }

  #correct() {
    const camera = get(cameraPath(this.alert.stream_id)).catch(() => null);
    askCorrection(this.alert, this.#clip.still, camera, this.#corrections, (correction) => {
      const undo = () => withdraw(this.#corrections, correction);
      const isAdmin = this.#app.session.role === "admin";
      toast(`Correction submitted: ${describe(correction)}`, { undo: isAdmin ? undo : null });
    });
  }

  #drawError(error) {
    const list = buttonLink(`/alerts${this.#filter.address}`, "Back to the list");
    const text = "It may have been deleted by retention, or the address is wrong.";
    replace(
      this.element,
      error.status === 404
        ? notice("search", "Alert not found", text, list)
        : loadFailure("the alert", error.message, () => this.#load(), list),
    );
  }

  #drawPlaceholder(counts) {
    const waiting = counts?.by.review.unreviewed;
    const title = waiting === 0 ? "All alerts are reviewed" : `${pluralize(waiting ?? 0, "alert")} to review`;
    replace(
      this.element,
      el(
        "div.notice.quiet-notice",
        icon(waiting === 0 ? "check" : "eye"),
        el("h2", waiting === undefined ? "Select an alert" : title),
        shortcutList(SHOWN_SHORTCUTS),
      ),
    );
  }
}
