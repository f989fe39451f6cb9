// Addresses of the page and the views behind them.

/**
 * Shows the view of the address in `main`. A route is {pattern, open(parameters)}; a view is {element, title,
 * show(parameters, query), close()}. Going from one address to another of the same route keeps the view.
 */
export class Router {
  #routes;
  #main;
  #route = null;
  #view = null;
  #shown;

  constructor(main, routes, shown) {
    this.#main = main;
    this.#routes = routes;
    this.#shown = shown;
    addEventListener("popstate", () => this.#show());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  start() {
    this.#show();
  }

  /** Goes to a path with its query; `replaces` leaves no trace in the history. */
  go(address, { replaces = false } = {}) {
    if (address === location.pathname + location.search) return;
    history[replaces ? "replaceState" : "pushState"](null, "", address);
    this.#show();
  }

  get view() {
    return this.#view;
  }

  #show() {
    for (const route of this.#routes) {
      const match = route.pattern.exec(location.pathname);
      if (!match) continue;
      const parameters = match.groups ?? {};
      if (route !== this.#route) {
        this.#view?.close?.();
        this.#view = route.open();
        this.#main.replaceChildren(this.#view.element);
        scrollTo(0, 0);
        if (this.#route !== null) this.#main.focus({ preventScroll: true });
        this.#route = route;
      }
      this.#view.show?.(parameters, new URLSearchParams(location.search));
      document.title = `${this.#view.title} · gradwatch`;
      this.#shown(location.pathname);
      return;
    }
  }

  #follow(event) {
    const link = event.target.closest?.("a[href^='/']");
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
    if (link.pathname.startsWith("/api/") || link.pathname === "/login") return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}
