// The dialog that asks for a correction: the class of an object, or a part of the picture to ignore.

import { isFailure } from "../api.js";
import { choice } from "../controls.js";
import { showForm } from "../dialogs.js";
import { el } from "../dom.js";
import { ClassChoice } from "./class_choice.js";
import { RegionChoice } from "./region_choice.js";

const TITLE = "Correct the system";
const CONSEQUENCES = {
  class:
    "In about 50 frames this object stops raising expectancy mismatches, and reports use this class. " +
    "It is still detected, and distribution shifts still raise alerts.",
  region:
    "In about 50 frames objects in this region stop raising expectancy mismatches. " +
    "They are still detected, and distribution shifts still raise alerts.",
};
const SHIFT = "This alert is a shift of the whole picture; a correction does not end it.";
const NOTHING =
  "This alert has neither a tracked object nor a frame to mark a region on. A later alert of this camera may have one.";

/**
 * Asks for a correction at an alert's camera. `still` is the frame that is shown (null: none), `camera` a promise of
 * the camera's status (null: not known), `corrections` its `CameraCorrections`; `stored(correction)` is called with
 * what the server has stored.
 */
export function askCorrection(alert, still, camera, corrections, stored) {
  const choices = [];
  if (alert.track_id !== null) choices.push(new ClassChoice(alert, still));
  if (still !== null) choices.push(new RegionChoice(alert, still, corrections.mutes, camera));
  if (choices.length === 0) return showForm(TITLE, el("p", NOTHING), "Close", () => true);
  if (choices.length === 1) choices[0].element.querySelector("input").autofocus = true;
  const consequence = el("p.muted");
  const failure = el("p.form-error", { role: "alert" });
  let chosen;
  const choose = (one) => {
    chosen = one;
    for (const { element } of choices) element.hidden = element.disabled = element !== one.element;
    consequence.textContent = [CONSEQUENCES[one.name], alert.kind === "distribution_shift" ? SHIFT : ""].join(" ");
  };
  choose(choices[0]);
  const fields = [switchBetween(choices, choose), choices.map((one) => one.element), consequence, failure];
  const submit = async () => {
    try {
      stored(await corrections.submit({ stream_id: alert.stream_id, ...chosen.body }));
      return true;
    } catch (error) {
      if (isFailure(error)) failure.textContent = `Failed: ${error.reason}`;
      return false;
    }
  };
  showForm(TITLE, fields, "Submit correction", submit, "wide");
}

/** Radio buttons for several choices; a heading for a single one. */
function switchBetween(choices, choose) {
  if (choices.length === 1) return el("h3.correction-what", choices[0].title);
  const radio = (one, at) => {
    const isFirst = at === 0;
    const on = { change: () => choose(one) };
    return choice(
      { type: "radio", name: "correction", value: one.name, checked: isFirst, autofocus: isFirst, on },
      one.title,
    );
  };
  const legend = el("legend", "What is wrong");
  return el("fieldset.choices.correction-what.beside.wrap", legend, choices.map(radio));
}
