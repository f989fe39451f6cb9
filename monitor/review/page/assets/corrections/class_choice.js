// The part of the correction dialog that corrects the class of a tracked object.

import { choice } from "../controls.js";
import { el } from "../dom.js";
import { humanize, humanizeLower } from "../format.js";
import { IGNORE } from "./correction.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/; // what the API accepts as a class
const OTHER = "other name"; // never a class, because of the space
const CROP_PX = 72;
const CROP_MARGIN = 0.4; // around the object, relative to its size

let signNames = null;

/** Asks for the class of the track of `alert`; `still` is the frame that is shown, or null. */
export class ClassChoice {
  name = "class";
  #alert;

  constructor(alert, still) {
    this.#alert = alert;
    const track = still?.frame.tracks.find((one) => one.track_id === alert.track_id);
    this.title = `This ${track ? humanizeLower(track.kind) : "object"} is …`;
    const labels = [
      [alert.expected, "expected by the track"],
      [alert.observed, "read by the network"],
    ].filter(([label], at, all) => NAME.test(label) && all.findIndex(([other]) => other === label) === at);
    const names = el("datalist", { id: "class-names" });
    fillWithNames(names, track?.kind, labels);
    this.typed = el("input", {
      type: "text",
      list: names.id,
      "aria-label": "Name of another class",
      placeholder: "Another class",
      autocomplete: "off",
      autocapitalize: "none",
      maxlength: 64,
      on: { input: () => this.#check(true) },
    });
    this.element = el(
      "fieldset.class-choice",
      { on: { change: (event) => event.target !== this.typed && this.#check(false) } },
      el("legend.visually-hidden", `Track ${alert.track_id} is`),
      el("div.track-shown.stack.muted.small", cropOf(still, track), `Track ${alert.track_id}`),
      el(
        "div.choices",
        labels.map(([label, explanation]) => labelChoice(label, humanize(label), explanation)),
        el("div.choice.level", el("input", radio(OTHER, "Another class")), this.typed, names),
        labelChoice(IGNORE, "Not relevant", "not a sign for this road"),
      ),
    );
  }

  /** The correction for the API. */
  get body() {
    const { run_id, track_id } = this.#alert;
    const label = this.#isOther ? idOf(this.typed.value) : this.#chosen.value;
    return { kind: "override_class", run_id, track_id, label };
  }

  get #chosen() {
    return this.element.querySelector("input[name=label]:checked");
  }

  get #isOther() {
    return this.#chosen?.value === OTHER;
  }

  /** Validates the typed name. Typing one also chooses it. */
  #check(isTyping) {
    if (isTyping) this.element.querySelector(`input[value="${OTHER}"]`).checked = true;
    this.typed.required = this.#isOther;
    const isValid = !this.#isOther || this.typed.value === "" || NAME.test(idOf(this.typed.value));
    this.typed.setCustomValidity(isValid ? "" : "Use letters, digits, dots, dashes and underscores");
  }
}

function radio(value, label = null) {
  return { type: "radio", name: "label", value, required: true, "aria-label": label };
}

function labelChoice(value, text, explanation) {
  return choice(radio(value), el("span", text, el("span.muted", ` – ${explanation}`)));
}

/** "Speed limit" is `speed_limit`. */
function idOf(text) {
  return text.trim().replaceAll(/\s+/g, "_").toLowerCase();
}

/** Offers the classes of the shipped sign classifier. Other models have others, so any name may be typed. */
async function fillWithNames(list, kind, labels) {
  if (kind === "pedestrian") return;
  signNames ??= fetch("/assets/sign_names.json").then((response) => (response.ok ? response.json() : []));
  const names = await signNames.catch(() => []);
  const offered = names.filter((name) => labels.every(([label]) => label !== name));
  list.replaceChildren(...offered.map((name) => el("option", { value: humanize(name) })));
}

/** The object cut out of the picture; null if it is not in the picture. */
function cropOf(still, track) {
  if (!still?.picture || !track) return null;
  const [x1, y1, x2, y2] = track.xyxy;
  const side = Math.max(x2 - x1, y2 - y1) * (1 + 2 * CROP_MARGIN);
  const size = 2 * CROP_PX; // for dense screens
  const name = `Track ${track.track_id} in frame ${still.frame.seq}`;
  const canvas = el("canvas.track-crop", { role: "img", "aria-label": name, width: size, height: size });
  const [left, top] = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2];
  canvas.getContext("2d").drawImage(still.picture, left, top, side, side, 0, 0, size, size);
  return canvas;
}
