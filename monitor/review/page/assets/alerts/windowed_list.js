// A long list of which only the visible rows exist in the page.

import { el } from "../dom.js";

const OVERSCAN = 6; // rows drawn beyond each edge

/**
 * A listbox of rows that are all `rowPx` high; `draw(row, isCurrent)` creates one. The listbox itself has the focus and
 * names the current row by `aria-activedescendant`, so removing a row never loses the focus.
 */
export class WindowedList {
  #rows = [];
  #currentId = null;
  #drawn = new Map();
  #frame = 0;

  constructor({ label, rowPx, draw, chosen, nearEnd }) {
    this.rowPx = rowPx;
    this.draw = draw;
    this.nearEnd = nearEnd;
    this.spacer = el("div.list-spacer", { role: "presentation" });
    this.element = el("div.windowed-list", { role: "listbox", tabindex: "0", "aria-label": label }, this.spacer);
    this.element.addEventListener("scroll", () => this.#schedule(), { passive: true });
    new ResizeObserver(() => this.#schedule()).observe(this.element);
    this.element.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row-id]");
      if (row) chosen(row.dataset.rowId, event);
    });
  }

  get isAtTop() {
    return this.element.scrollTop < this.rowPx / 2;
  }

  /** Sets the rows; visible ones are drawn in the next animation frame. */
  show(rows, currentId) {
    this.#rows = rows;
    this.#currentId = currentId;
    this.#schedule();
  }

  /** Scrolls as little as needed to make a row visible. */
  reveal(id) {
    const at = this.#rows.findIndex((row) => row.id === id);
    if (at < 0) return;
    const top = at * this.rowPx;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.rowPx > scrollTop + clientHeight) this.element.scrollTop = top + this.rowPx - clientHeight;
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  #render() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / this.rowPx) - OVERSCAN);
    const end = Math.min(this.#rows.length, Math.ceil((scrollTop + clientHeight) / this.rowPx) + OVERSCAN);
    this.spacer.style.setProperty("height", `${this.#rows.length * this.rowPx}px`);
    const visible = this.#rows.slice(first, end);
    const kept = new Map(visible.map((row, at) => [row.id, this.#drawnRow(row, first + at)]));
    for (const [id, { node }] of this.#drawn) if (!kept.has(id)) node.remove();
    this.#drawn = kept;
    this.#putInOrder();
    if (kept.has(this.#currentId)) this.element.setAttribute("aria-activedescendant", `row-${this.#currentId}`);
    else this.element.removeAttribute("aria-activedescendant");
    if (this.#rows.length > 0 && end >= this.#rows.length - OVERSCAN) this.nearEnd();
  }

  /** Sorts the nodes: screen readers follow the document's order, not the position on the screen. */
  #putInOrder() {
    let next = this.spacer.firstElementChild;
    for (const { node } of this.#drawn.values()) {
      if (node === next) next = next.nextElementSibling;
      else this.spacer.insertBefore(node, next);
    }
  }

  /** The node of a row; reused while the row is unchanged, so that hovering and clicking it keep working. */
  #drawnRow(row, at) {
    const isCurrent = row.id === this.#currentId;
    const known = this.#drawn.get(row.id);
    let drawn = known;
    const isSame = known && known.isCurrent === isCurrent && known.row.alert === row.alert && !row.burst;
    if (!isSame || known.row.isMember !== row.isMember) {
      const node = this.draw(row, isCurrent);
      node.id = `row-${row.id}`;
      node.dataset.rowId = row.id;
      node.setAttribute("role", "option");
      node.setAttribute("aria-selected", String(isCurrent));
      if (known) known.node.replaceWith(node);
      else this.spacer.append(node);
      drawn = { node, row, isCurrent };
    }
    drawn.node.style.setProperty("transform", `translateY(${at * this.rowPx}px)`);
    drawn.node.setAttribute("aria-posinset", at + 1);
    drawn.node.setAttribute("aria-setsize", this.#rows.length);
    return drawn;
  }
}
