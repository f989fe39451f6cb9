// Routing: which view is shown at an address of the page.

/**
 * Shows the view of the current address in `main`. A route is {pattern, open()}; a view is {element, title, show(
 * parameters, query), act(action), close()}, of which the methods are optional. Moving between addresses of one route
 * keeps the view.
 */
export class Router {
  view = null;
  #routes;
  #main;
  #route = null;
  #onNavigate;

  constructor(main, routes, onNavigate) {
    this.#main = main;
    this.#routes = routes;
    this.#onNavigate = onNavigate;
    addEventListener("popstate", () => this.show());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /** Goes to a path with its query; `replaces` adds no entry to the history. */
  go(address, { replaces = false } = {}) {
    if (address === location.pathname + location.search) return;
    history[replaces ? "replaceState" : "pushState"](null, "", address);
    this.show();
  }

  /** Shows the view of the current address. */
  show() {
    const route = this.#routes.find(({ pattern }) => pattern.test(location.pathname));
    if (route !== this.#route) {
      this.view?.close?.();
      this.view = route.open();
      this.#main.replaceChildren(this.view.element);
      scrollTo(0, 0);
      if (this.#route !== null) this.#main.focus({ preventScroll: true });
      this.#route = route;
    }
    const parameters = route.pattern.exec(location.pathname).groups ?? {};
    this.view.show?.(parameters, new URLSearchParams(location.search));
    document.title = `${this.view.title} · gradwatch`;
    this.#onNavigate(location.pathname);
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
