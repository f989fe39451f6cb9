// Entry point: loads the session and shows the view of the address.

import { AuditView } from "./admin/audit_view.js";
import { PeopleView } from "./admin/people_view.js";
import { TriageView } from "./alerts/triage_view.js";
import { isFailure, loginAddress, session } from "./api.js";
import { banners } from "./banners.js";
import { CameraView } from "./cameras/camera_view.js";
import { CamerasView } from "./cameras/cameras_view.js";
import { buttonLink, notice } from "./controls.js";
import { el, replace } from "./dom.js";
import { Live } from "./live.js";
import { Router } from "./routes.js";
import { readCatalog } from "./score_catalog.js";
import { listen, showHelp } from "./shortcuts.js";
import { startAgeUpdates } from "./times.js";
import { topBar } from "./top_bar.js";

const RETRY_MS = 3_000;

/** Starts the page; retries while the server cannot be reached. */
async function start() {
  const main = document.getElementById("main");
  try {
    const [person, scores] = await Promise.all([session(), readCatalog()]);
    run(main, person, scores);
  } catch (error) {
    if (error.status === 401) return location.assign(loginAddress());
    const isForbidden = error.status === 403;
    replace(
      main,
      isForbidden
        ? notice("lock", "You do not have access to this page", error.message)
        : notice("offline", "The review server is not responding", "Retrying every few seconds."),
    );
    if (isFailure(error) && !isForbidden) setTimeout(start, RETRY_MS);
  }
}

function run(main, person, scores) {
  const live = new Live();
  const bar = topBar(document.getElementById("top-bar"), person, live);
  banners(document.getElementById("banners"), live);
  const app = { session: person, live, scores, router: null, showCount: bar.showCount };
  const triage = new TriageView(app); // one for the whole session: it keeps the list and counts in the background
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
    if (action !== "help") return app.router.view?.act?.(action) ?? false;
    showHelp();
    return true;
  });
  startAgeUpdates();
  if (location.pathname === "/") history.replaceState(null, "", `/alerts${location.search}`);
  app.router.show();
  live.start();
}

function notFound() {
  const text = "Check the address. It may also belong to another version.";
  const message = notice("search", "Page not found", text, buttonLink("/alerts", "Show alerts"));
  return { title: "Not found", element: el("div.page", message) };
}

start();
