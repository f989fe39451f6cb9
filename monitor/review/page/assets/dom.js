// Creates and updates elements. Strings become text nodes and are never parsed as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes that are null or false are left out; `on` holds listeners, `style` CSS properties. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element; takes the same arguments as `el`. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replaces all children of `node`. */
export function replace(node, ...children) {
  node.replaceChildren(...present(children));
  return node;
}

/** Calls `draw`, then focuses the element of `node` with the `data-name` that had the focus before. */
export function keepFocus(node, draw, options = {}) {
  const name = node.contains(document.activeElement) ? document.activeElement.dataset.name : null;
  draw();
  if (name) node.querySelector(`[data-name="${CSS.escape(name)}"]`)?.focus(options);
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
