// What a reviewer can do with an alert. Each action is sent at once, shown as a toast, and can be undone.

import { isFailure, post, put, remove } from "../api.js";
import { pluralize } from "../format.js";
import { toast, toastFailure } from "../toasts.js";

const PARALLEL_REQUESTS = 4; // for a burst

/** Actions of the logged-in person; `changed(alert)` is called with the server's new version of an alert. */
export class Actions {
  #session;
  #changed;

  constructor(session, changed) {
    this.#session = session;
    this.#changed = changed;
  }

  /** Whether the person may act at all; viewers may not. */
  get isAllowed() {
    return this.#session.role !== "viewer";
  }

  get me() {
    return this.#session.username;
  }

  /** Acknowledges the alert, or removes the acknowledgement. */
  acknowledge(alert) {
    const isDone = alert.review.acknowledged_by !== null;
    return this.#toggle(`/alerts/${alert.alert_id}/acknowledgement`, isDone, "Acknowledged", "Acknowledgement removed");
  }

  /** Marks the alert as seen by me, or removes the mark. */
  review(alert) {
    const path = `/alerts/${alert.alert_id}/reviewed`;
    return this.#toggle(path, alert.review.reviewed, "Marked as seen", "Seen mark removed");
  }

  /** Acknowledges all alerts of a burst; stops sending at the first failure. */
  async acknowledgeAll(alerts) {
    if (!this.#checkAllowed()) return;
    const waiting = [...alerts];
    let done = 0;
    const work = async () => {
      for (let alert = waiting.pop(); alert; alert = waiting.pop()) {
        if (await this.#send(() => put(`/alerts/${alert.alert_id}/acknowledgement`))) done += 1;
        else waiting.length = 0;
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_REQUESTS }, work));
    const undo = () => alerts.forEach(({ alert_id: id }) => this.#send(() => remove(`/alerts/${id}/acknowledgement`)));
    if (done > 0) toast(`${pluralize(done, "alert")} acknowledged`, { undo });
  }

  /** Assigns the alert to me, or to nobody if it is mine. */
  assign(alert) {
    const give = (assignee) => () => put(`/alerts/${alert.alert_id}/assignee`, { assignee });
    const undo = give(alert.review.assignee);
    if (alert.review.assignee === this.me) return this.#do(give(null), "Unassigned", undo);
    return this.#do(give(this.me), "Assigned to you", undo);
  }

  /** Snoozes the alert as the dialog returns it: {scope, until, factor}. */
  snooze(alert, silence) {
    const path = `/alerts/${alert.alert_id}/snooze`;
    const [set, unset] = [() => put(path, silence), () => remove(path)];
    return this.#do(set, "Snoozed: new alerts are counted, but nobody is notified", unset);
  }

  /** Ends a snooze. */
  unsnooze(alert) {
    return this.#do(() => remove(`/alerts/${alert.alert_id}/snooze`), "Snooze ended");
  }

  /** Adds a comment. Resolves to whether the server stored it. */
  comment(alert, text) {
    return this.#do(() => post(`/alerts/${alert.alert_id}/comments`, { text }), "Comment added");
  }

  #toggle(path, isSet, setText, unsetText) {
    const [set, unset] = [() => put(path), () => remove(path)];
    return isSet ? this.#do(unset, unsetText, set) : this.#do(set, setText, unset);
  }

  async #do(request, text, undo = null) {
    const isDone = this.#checkAllowed() && (await this.#send(request));
    if (isDone) toast(text, { undo: undo && (() => this.#send(undo)) });
    return isDone;
  }

  #checkAllowed() {
    if (!this.isAllowed)
      toast("Your role is viewer, so you cannot act on alerts. Ask an admin to change it.", { isError: true });
    return this.isAllowed;
  }

  async #send(request) {
    try {
      this.#changed(await request());
      return true;
    } catch (error) {
      if (isFailure(error)) toastFailure(error);
      return false;
    }
  }
}
