// "This sign is …": the class of a tracked object.

import { el } from "../dom.js";
import { words } from "../words.js";
import { IGNORE } from "./said.js";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/; // as the API takes it
const OTHER = "other name"; // no class is called so: a name has no spaces
const CROP_PX = 72;
const CROP_MARGIN = 0.4; // around the object, as a share of its size

let signNames = null;

/** The choice for the track that `alert` names; `still` may show it, or be null. */
export class ClassChoice {
  name = "class";
  #alert;

  constructor(alert, still) {
    this.#alert = alert;
    const track = still?.frame.tracks.find((one) => one.track_id === alert.track_id);
    this.title = `This ${track ? words(track.kind).toLowerCase() : "object"} is …`;
    const labels = [
      [alert.expected, "what its track expects"],
      [alert.observed, "what the network reads"],
    ].filter(([label], at, all) => NAME.test(label) && all.findIndex(([other]) => other === label) === at);
    this.typed = typedName(() => this.#check(true));
    fillWithNames(this.typed.list, track?.kind, labels);
    this.element = el(
      "fieldset",
      { class: "class-choice", on: { change: (event) => event.target !== this.typed.field && this.#check(false) } },
      el("legend", { class: "visually-hidden" }, `Track ${alert.track_id} is`),
      el("div", { class: "track-shown muted small" }, cropOf(still, track), `Track ${alert.track_id}`),
      el(
        "div",
        { class: "choices" },
        labels.map(([label, why]) => choice(label, words(label), why)),
        el("div", { class: "choice" }, radio(OTHER, "Another class"), this.typed.field, this.typed.list),
        choice(IGNORE, "Nothing that matters", "not a sign for this road"),
      ),
    );
  }

  /** What the API is told. */
  get body() {
    const { run_id, track_id } = this.#alert;
    const label = this.#isOther ? idOf(this.typed.field.value) : this.#chosen.value;
    return { kind: "override_class", run_id, track_id, label };
  }

  get #chosen() {
    return this.element.querySelector("input[name=label]:checked");
  }

  get #isOther() {
    return this.#chosen?.value === OTHER;
  }

  /** A name is needed where no other choice is made; who types one means it. */
  #check(isTyping) {
    const { field } = this.typed;
    if (isTyping) this.element.querySelector(`input[value="${OTHER}"]`).checked = true;
    field.required = this.#isOther;
    const isName = !this.#isOther || field.value === "" || NAME.test(idOf(field.value));
    field.setCustomValidity(isName ? "" : "A name of letters, digits, dots, dashes and underscores");
  }
}

function radio(value, label = null) {
  return el("input", { type: "radio", name: "label", value, required: true, "aria-label": label });
}

function choice(value, text, why) {
  return el(
    "label",
    { class: "choice" },
    radio(value),
    el("span", {}, text, el("span", { class: "muted" }, ` – ${why}`)),
  );
}

function typedName(input) {
  const list = el("datalist", { id: "class-names" });
  const field = el("input", {
    type: "text",
    list: list.id,
    "aria-label": "Name of another class",
    placeholder: "Another class",
    autocomplete: "off",
    autocapitalize: "none",
    maxlength: 64,
    on: { input },
  });
  return { field, list };
}

/** "Speed limit" is `speed_limit`. */
function idOf(text) {
  return text.trim().replaceAll(/\s+/g, "_").toLowerCase();
}

/** Offers the signs that the shipped classifier tells apart; other models may know others, so any name can be typed. */
async function fillWithNames(list, kind, known) {
  if (kind === "pedestrian") return;
  signNames ??= fetch("/assets/sign_names.json").then((response) => (response.ok ? response.json() : []));
  const names = await signNames.catch(() => []);
  const offered = names.filter((name) => known.every(([label]) => label !== name));
  list.replaceChildren(...offered.map((name) => el("option", { value: words(name) })));
}

/** The object, cut out of the picture; null where it is not on it. */
function cropOf(still, track) {
  if (!still?.picture || !track) return null;
  const [x1, y1, x2, y2] = track.xyxy;
  const side = Math.max(x2 - x1, y2 - y1) * (1 + 2 * CROP_MARGIN);
  const size = 2 * CROP_PX; // for dense screens
  const name = `Track ${track.track_id} in frame ${still.frame.seq}`;
  const canvas = el("canvas", { class: "track-crop", role: "img", "aria-label": name, width: size, height: size });
  const [left, top] = [(x1 + x2 - side) / 2, (y1 + y2 - side) / 2];
  canvas.getContext("2d").drawImage(still.picture, left, top, side, side, 0, 0, size, size);
  return canvas;
}
