// Controls and containers that several views share.

import { el } from "./dom.js";
import { icon } from "./icons.js";

/** A button; `content` is a text or a list of nodes. */
export function button(content, click, attributes = {}) {
  return el("button.button", { type: "button", on: { click }, ...attributes }, content);
}

/** A button that shows only an icon; `label` is its accessible name and tooltip. */
export function iconButton(name, label, click, attributes = {}) {
  return button(icon(name), click, { class: "icon-only quiet", "aria-label": label, title: label, ...attributes });
}

/** A tab: one of several buttons of which one is pressed. */
export function tab(name, isPressed, click, ...content) {
  const state = { "data-name": `tab-${name}`, "aria-pressed": String(isPressed) };
  return el("button.tab", { type: "button", ...state, on: { click } }, ...content);
}

/** A link that looks like a button. */
export function buttonLink(href, content, attributes = {}) {
  return el("a.button", { href, ...attributes }, content);
}

/** A tag: a short fact with an optional icon in front. */
export function tag(classes, iconName, ...content) {
  return el("span.tag", { class: classes }, iconName && icon(iconName), ...content);
}

/** A checkbox or radio button and its label. */
export function choice({ title = null, ...input }, ...label) {
  return el("label.choice.level", { title }, el("input", input), ...label);
}

/** A labeled input. */
export function field(label, input) {
  return el("label.field", label, input);
}

/** A drop-down list of [value, text] options. */
export function select(options, chosen, attributes = {}) {
  const option = ([value, text]) => el("option", { value, selected: value === chosen }, text);
  return el("select", attributes, options.map(option));
}

/** A table; `heads` are column titles, "" for none. */
export function table(heads, rows) {
  const cells = heads.map((head) => (head ? el("th", { scope: "col" }, head) : el("td")));
  return el("table.plain", el("thead", el("tr", cells)), el("tbody", rows));
}

/** A description list of [name, value] entries; entries that are null are left out. */
export function definitions(classes, entries) {
  const rows = entries.filter(Boolean).map(([name, value]) => el("div", el("dt", name), el("dd", value)));
  return el("dl", { class: classes }, rows);
}

/** A highlighted remark with an icon. */
export function callout(iconName, classes, ...content) {
  return el("p.callout.beside", { class: classes }, icon(iconName), el("span", ...content));
}

/** Details that are folded away behind a summary. */
export function folded(summary, ...content) {
  return el("details.more", el("summary", summary), ...content);
}

/** A message in place of content: what happened, and what can be done. */
export function notice(iconName, title, text, ...actions) {
  return el(
    "div.notice",
    icon(iconName),
    el("h2", title),
    text ? el("p.muted", text) : null,
    el("div.notice-actions.beside.wrap", ...actions),
  );
}

/** A notice that `what` could not be loaded; `retry` adds a button that calls it. */
export function loadFailure(what, reason, retry = null, ...actions) {
  return notice("offline", `Could not load ${what}`, reason, retry && button("Try again", retry), ...actions);
}

/** Placeholders of the size of what is being loaded. */
export function skeletons(count, name) {
  const shapes = Array.from({ length: count }, () => el(`div.skeleton.${name}`));
  return el("div.skeletons.stack", { "aria-hidden": "true" }, ...shapes);
}
