// What a person does with an alert: sent at once, said in a toast, and taken back with one click.

import { ApiError, post, put, remove } from "../api.js";
import { toast } from "../toasts.js";
import { plural } from "../words.js";

const AT_ONCE = 4; // requests of a burst that are under way

/** Actions as the person `session.username`; `changed(alert)` gets what the server then says of it. */
export class Actions {
  #session;
  #changed;

  constructor(session, changed) {
    this.#session = session;
    this.#changed = changed;
  }

  /** Whether one may act at all; viewers may only look. */
  get isAllowed() {
    return this.#session.role !== "viewer";
  }

  get me() {
    return this.#session.username;
  }

  /** Acknowledges, or takes it back. */
  acknowledge(alert) {
    const path = `/alerts/${alert.alert_id}/acknowledgement`;
    const there = () => this.#send(() => put(path));
    const back = () => this.#send(() => remove(path));
    return alert.review.acknowledged_by === null
      ? this.#do(there, "Acknowledged", back)
      : this.#do(back, "No longer acknowledged", there);
  }

  /** Acknowledges all of a burst. */
  async acknowledgeAll(alerts) {
    if (!this.#may()) return;
    const waiting = [...alerts];
    let done = 0;
    const work = async () => {
      for (let alert = waiting.pop(); alert; alert = waiting.pop()) {
        if (await this.#send(() => put(`/alerts/${alert.alert_id}/acknowledgement`))) done += 1;
        else waiting.length = 0;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const ids = alerts.slice();
    if (done > 0)
      toast(`${plural(done, "alert")} acknowledged`, {
        undo: () => ids.forEach((alert) => this.#send(() => remove(`/alerts/${alert.alert_id}/acknowledgement`))),
      });
  }

  /** Gives the alert to me, or to nobody where it is mine. */
  assign(alert) {
    const give = (assignee) => () => this.#send(() => put(`/alerts/${alert.alert_id}/assignee`, { assignee }));
    const isMine = alert.review.assignee === this.me;
    return this.#do(
      give(isMine ? null : this.me),
      isMine ? "Assigned to nobody" : "Assigned to you",
      give(alert.review.assignee),
    );
  }

  /** Marks as seen by me, or takes it back. */
  review(alert) {
    const path = `/alerts/${alert.alert_id}/reviewed`;
    const there = () => this.#send(() => put(path));
    const back = () => this.#send(() => remove(path));
    return alert.review.reviewed
      ? this.#do(back, "No longer marked as seen", there)
      : this.#do(there, "Marked as seen by you", back);
  }

  /** Snoozes as the dialog says: {scope, until, factor}. */
  snooze(alert, silence) {
    const path = `/alerts/${alert.alert_id}/snooze`;
    return this.#do(
      () => this.#send(() => put(path, silence)),
      "Snoozed: what comes is counted, nobody is notified",
      () => this.#send(() => remove(path)),
    );
  }

  /** Ends a snooze. */
  unsnooze(alert) {
    return this.#do(() => this.#send(() => remove(`/alerts/${alert.alert_id}/snooze`)), "No longer snoozed");
  }

  /** Adds a comment. Returns whether the server has it. */
  comment(alert, text) {
    return this.#do(() => this.#send(() => post(`/alerts/${alert.alert_id}/comments`, { text })), "Comment added");
  }

  async #do(action, text, undo = null) {
    if (!this.#may()) return false;
    const isDone = await action();
    if (isDone) toast(text, { undo });
    return isDone;
  }

  #may() {
    if (!this.isAllowed)
      toast("Your role is viewer: you may look, not act. An admin can change that.", { isError: true });
    return this.isAllowed;
  }

  async #send(request) {
    try {
      this.#changed(await request());
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not done: ${error.message}`, { isError: true });
      return false;
    }
  }
}
