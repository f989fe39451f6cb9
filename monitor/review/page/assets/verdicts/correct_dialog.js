// What is asked before the system is corrected: of which class an object is, or which part of the picture is ignored.

import { showForm } from "../alerts/dialogs.js";
import { ApiError, get } from "../api.js";
import { el } from "../dom.js";
import { ClassChoice } from "./class_choice.js";
import { RegionChoice } from "./region_choice.js";

const WHAT_FOLLOWS = {
  class:
    "About 50 frames from now this object stops raising expectancy mismatches, and reports name it as you say. " +
    "It is still detected, and shifts of the whole picture still raise alerts.",
  region:
    "About 50 frames from now what is seen there stops raising expectancy mismatches. " +
    "It is still detected, and shifts of the whole picture still raise alerts.",
};
const SHIFT = "This alert is a shift of the whole picture: a correction does not end it.";

/**
 * Asks for a correction of an alert's camera. `still` is the frame that is shown (null: none), `verdicts` the
 * `CameraVerdicts` of the camera; `given(verdict)` gets what the server has stored.
 */
export function askCorrection(alert, still, verdicts, given) {
  const camera = get(`/cameras/${encodeURIComponent(alert.stream_id)}`).catch(() => null);
  const choices = [];
  if (alert.track_id !== null) choices.push(new ClassChoice(alert, still));
  if (still !== null) choices.push(new RegionChoice(alert, still, verdicts.mutes, camera));
  if (choices.length === 0) return showNothingToCorrect();
  if (choices.length === 1) choices[0].element.querySelector("input").autofocus = true;
  const follows = el("p", { class: "muted" });
  const failure = el("p", { class: "form-error", role: "alert" });
  let chosen = choices[0];
  const choose = (choice) => {
    chosen = choice;
    for (const one of choices) one.element.hidden = one.element.disabled = one !== choice;
    follows.textContent = [WHAT_FOLLOWS[choice.name], alert.kind === "distribution_shift" ? SHIFT : ""].join(" ");
  };
  choose(chosen);
  const form = el("form", { class: "stack" }, switchOf(choices, choose), ...choices.map((one) => one.element));
  form.append(follows, failure);
  const dialog = showForm("Correct the system", form, "Give the correction", async () => {
    try {
      given(await verdicts.give({ stream_id: alert.stream_id, ...chosen.body }));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failure.textContent = `Not done: ${error.violations[0]?.expected ?? error.message}`;
      return false;
    }
  });
  dialog.classList.add("wide");
}

/** Which of several; nothing where there is no choice. */
function switchOf(choices, choose) {
  if (choices.length === 1) return el("h3", { class: "correction-what" }, choices[0].title);
  return el(
    "fieldset",
    { class: "choices correction-what" },
    el("legend", {}, "What is wrong"),
    choices.map((choice, at) =>
      el(
        "label",
        { class: "choice" },
        el("input", {
          type: "radio",
          name: "correction",
          value: choice.name,
          checked: at === 0,
          autofocus: at === 0,
          on: { change: () => choose(choice) },
        }),
        choice.title,
      ),
    ),
  );
}

function showNothingToCorrect() {
  const text =
    "This alert names no object, and no frame of it is there on which a part could be marked. A later alert of the " +
    "camera may have one.";
  showForm("Correct the system", el("form", {}, el("p", {}, text)), "Close", () => true);
}
