// Elements out of plain calls. Text becomes text nodes: nothing here parses markup, so what streams say stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; `attributes` that are null or false are left out, `on` holds listeners, `style` custom properties. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Puts new children in the place of all that are there. */
export function replace(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

/** A number of placeholders that keep the room for what is being loaded. */
export function skeletons(count, name) {
  const shapes = Array.from({ length: count }, () => el("div", { class: `skeleton ${name}` }));
  return el("div", { class: "skeletons", "aria-hidden": "true" }, ...shapes);
}

/** A state in words: what it means and what can be done. */
export function notice(icon, title, text, ...actions) {
  const said = [el("h2", {}, title), text ? el("p", { class: "muted" }, text) : null];
  return el("div", { class: "notice" }, icon, ...said, el("div", { class: "notice-actions" }, ...actions));
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "style")
      for (const [property, set] of Object.entries(value)) node.style.setProperty(property, set);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...present(children));
  return node;
}

function present(children) {
  return children.flat(3).filter((child) => child !== null && child !== undefined && child !== false);
}
