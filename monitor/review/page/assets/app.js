// The review page: who is here, what is live, and which view is shown.

import { ApiError, loginAddress, session } from "./api.js";
import { AuditView } from "./admin/audit_view.js";
import { PeopleView } from "./admin/people_view.js";
import { TriageView } from "./alerts/triage_view.js";
import { banners } from "./banners.js";
import { CameraView } from "./cameras/camera_view.js";
import { CamerasView } from "./cameras/cameras_view.js";
import { el, notice, replace } from "./dom.js";
import { icon } from "./icons.js";
import { Live } from "./live.js";
import { Router } from "./routes.js";
import { readCatalog } from "./score_catalog.js";
import { listen, showHelp } from "./shortcuts.js";
import { keepAges } from "./times.js";
import { topBar } from "./top_bar.js";

const AGAIN_MS = 3_000;

/** Starts the page; comes again where the server does not answer yet. */
async function start() {
  const main = document.getElementById("main");
  try {
    const [person, scores] = await Promise.all([session(), readCatalog()]);
    run(main, person, scores);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return location.assign(loginAddress());
    const isForbidden = error instanceof ApiError && error.status === 403;
    replace(
      main,
      isForbidden
        ? notice(icon("lock"), "You may not see this page", error.message)
        : notice(icon("offline"), "The review server does not answer", "Trying again every few seconds."),
    );
    if (!(error instanceof ApiError)) throw error;
    if (!isForbidden) setTimeout(start, AGAIN_MS);
  }
}

function run(main, person, scores) {
  const live = new Live();
  const bar = topBar(document.getElementById("top-bar"), person, live);
  banners(document.getElementById("banners"), live);
  const app = { session: person, live, scores, router: null, showCount: bar.showCount };
  const triage = new TriageView(app); // one for all time: it keeps the list, and counts while others are shown
  app.router = new Router(
    main,
    [
      { pattern: /^\/alerts(?:\/(?<id>[A-Za-z0-9-]{1,64}))?\/?$/, open: () => triage },
      { pattern: /^\/cameras\/?$/, open: () => new CamerasView(app) },
      { pattern: /^\/cameras\/(?<id>[A-Za-z0-9][A-Za-z0-9._-]{0,62})$/, open: () => new CameraView(app) },
      { pattern: /^\/people$/, open: () => new PeopleView(app) },
      { pattern: /^\/audit$/, open: () => new AuditView() },
      { pattern: /.*/, open: notFound },
    ],
    bar.showPath,
  );
  if (!location.pathname.startsWith("/alerts")) triage.show({}, new URLSearchParams()); // for the count in the bar
  listen((action) => {
    if (action === "help") showHelp();
    else return app.router.view?.act?.(action) ?? false;
    return true;
  });
  keepAges();
  if (location.pathname === "/") history.replaceState(null, "", `/alerts${location.search}`);
  app.router.start();
  live.start();
}

function notFound() {
  const text = "The address may be mistyped, or from another version.";
  return {
    title: "Not found",
    element: el(
      "div",
      { class: "page" },
      notice(
        icon("search"),
        "There is nothing here",
        text,
        el("a", { class: "button", href: "/alerts" }, "To the alerts"),
      ),
    ),
  };
}

start();
