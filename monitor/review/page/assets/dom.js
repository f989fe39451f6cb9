// Creates and updates elements. Strings become text nodes and are never parsed as markup.

const HTML = "http://www.w3.org/1999/xhtml";
const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element: `el("p.muted.small", { title }, "text")`. The attributes may be left out; those that are null or
 * false are. `class` (a text or a list) adds classes, `on` holds listeners, `style` CSS properties.
 */
export function el(selector, ...content) {
  return build(HTML, selector, content);
}

/** An SVG element; takes the same arguments as `el`. */
export function svg(selector, ...content) {
  return build(SVG, selector, content);
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

function build(namespace, selector, content) {
  const [tag, ...classes] = selector.split(".");
  const node = document.createElementNS(namespace, tag);
  const hasAttributes = content[0]?.constructor === Object;
  const { class: more, on = {}, style = {}, ...attributes } = hasAttributes ? content[0] : {};
  const named = [...classes, more].flat().filter(Boolean).join(" ");
  if (named) node.setAttribute("class", named);
  for (const [name, value] of Object.entries(attributes))
    if (isPresent(value)) node.setAttribute(name, value === true ? "" : String(value));
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  for (const [property, value] of Object.entries(style)) node.style.setProperty(property, value);
  node.append(...present(hasAttributes ? content.slice(1) : content));
  return node;
}

function isPresent(value) {
  return value !== null && value !== undefined && value !== false;
}

function present(children) {
  return children.flat(3).filter(isPresent);
}
