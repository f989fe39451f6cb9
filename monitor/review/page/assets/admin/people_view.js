// Access to the page: users with their roles, and API tokens for programs.

import { get, isFailure, patch, post, remove } from "../api.js";
import { button, buttonLink, field, loadFailure, notice, select, skeletons, table } from "../controls.js";
import { showConfirmation, showForm } from "../dialogs.js";
import { el, replace } from "../dom.js";
import { humanize } from "../format.js";
import { formatDateTime } from "../times.js";
import { toast, toastFailure } from "../toasts.js";

const ROLES = { viewer: "views", reviewer: "views and acts on alerts", admin: "does everything" };

/** The view at `/people`. */
export class PeopleView {
  title = "People";
  #app;

  constructor(app) {
    this.#app = app;
    this.users = el("section.card.table-scroll", skeletons(3, "skeleton-line"));
    this.tokens = el("section.card.table-scroll", skeletons(3, "skeleton-line"));
    const roles = Object.entries(ROLES).map(([role, meaning]) => `${role}: ${meaning}`);
    const explanation = el("p.muted", roles.join("; "));
    const head = el("header.page-head.level.wrap", el("h1", "People and programs"), explanation);
    this.element = el("div.page.people", head, this.users, this.tokens);
    this.#load();
  }

  async #load() {
    try {
      const [{ users }, { tokens }] = await Promise.all([get("/users"), get("/tokens")]);
      this.#drawUsers(users);
      this.#drawTokens(tokens);
    } catch (error) {
      if (isFailure(error)) replace(this.element, adminFailure("users and tokens", error));
    }
  }

  /** Sends a request and reloads. Returns its response (true if empty), or false if it failed. */
  async #send(request, text = null) {
    try {
      const response = await request();
      if (text) toast(text);
      this.#load();
      return response ?? true;
    } catch (error) {
      if (isFailure(error)) toastFailure(error);
      return false;
    }
  }

  #drawUsers(users) {
    const row = ({ username, role, created_ns: createdNs }) => {
      const path = `/users/${encodeURIComponent(username)}`;
      const setRole = ({ target }) =>
        this.#send(() => patch(path, { role: target.value }), `Changed the role of ${username} to ${target.value}`);
      const removeUser = () => this.#send(() => remove(path), `Removed ${username}`);
      return el(
        "tr",
        el("th", { scope: "row" }, username),
        el("td", roleSelect(role, { "aria-label": `Role of ${username}`, on: { change: setRole } })),
        el("td.muted", formatDateTime(createdNs)),
        actions(
          action("Password", `New password for ${username}`, () => this.#askPassword(username, path)),
          confirmed("Remove", username, "Their sessions end. Their past actions stay in the audit trail.", removeUser),
        ),
      );
    };
    const none =
      this.#app.session.via === "local"
        ? "You came by the server's link. Add an admin before serving the page to others."
        : "No users yet.";
    const add = button("Add user", () => this.#addUser(), { class: "small" });
    drawList(this.users, "Users", add, ["User", "Role", "Since", ""], users.map(row), none);
  }

  #drawTokens(tokens) {
    const row = ({ name, role, created_by: author, created_ns: createdNs, token_id: id }) => {
      const revoke = () => this.#send(() => remove(`/tokens/${id}`), `Revoked ${name}`);
      return el(
        "tr",
        el("th", { scope: "row" }, name),
        el("td", humanize(role)),
        el("td.muted", `${author}, ${formatDateTime(createdNs)}`),
        actions(confirmed("Revoke", name, "The program loses access immediately.", revoke)),
      );
    };
    const add = button("Create token", () => this.#addToken(), { class: "small" });
    const heads = ["Program", "Role", "Created by", ""];
    drawList(this.tokens, "API tokens", add, heads, tokens.map(row), "No tokens yet.");
  }

  #addUser() {
    const name = nameInput({ autocapitalize: "none" });
    const password = passwordInput();
    const role = roleSelect("reviewer", { "aria-label": "Role" });
    const fields = [
      field("User name", name),
      field("Role", role),
      field("Password", password),
      el("p.muted.small", "Without a password, the user can log in only through a trusted proxy."),
    ];
    showForm("Add user", fields, "Add", () => {
      const username = name.value.trim();
      const user = { username, role: role.value, password: password.value || null };
      return this.#send(() => post("/users", user), `Added ${username}`);
    });
  }

  #askPassword(username, path) {
    const password = passwordInput({ required: true });
    showForm("New password", field(`New password of ${username} (ends their sessions)`, password), "Set", () =>
      this.#send(() => patch(path, { password: password.value }), `Changed the password of ${username}`),
    );
  }

  #addToken() {
    const name = nameInput({ placeholder: "grafana" });
    const role = roleSelect("viewer", { "aria-label": "Role" });
    const fields = [field("Program name", name), field("Role", role)];
    showForm("Create token", fields, "Create", async () => {
      const made = await this.#send(() => post("/tokens", { name: name.value.trim(), role: role.value }));
      if (made) setTimeout(() => showSecret(made));
      return Boolean(made);
    });
  }
}

function drawList(card, title, add, heads, rows, none) {
  replace(
    card,
    el("header.card-head.apart", el("h2", title), add),
    rows.length > 0 ? table(heads, rows) : el("p.muted", none),
  );
}

function showSecret({ name, secret }) {
  const input = el("input.secret", { readonly: true, value: secret, "aria-label": "Token" });
  const copy = button("Copy", () => {
    input.select();
    navigator.clipboard?.writeText(secret);
  });
  const fields = [el("p", `Copy it to ${name} now. It will not be shown again.`), el("div.beside", input, copy)];
  showForm("New token", fields, "Done", () => true);
}

function nameInput(attributes) {
  return el("input", { autofocus: true, required: true, maxlength: 64, autocomplete: "off", ...attributes });
}

function passwordInput(attributes = {}) {
  return el("input", { type: "password", autocomplete: "new-password", ...attributes });
}

function roleSelect(chosen, attributes) {
  const roles = Object.keys(ROLES).map((role) => [role, humanize(role)]);
  return select(roles, chosen, attributes);
}

function actions(...buttons) {
  return el("td.table-actions", buttons);
}

function action(text, label, click) {
  return button(text, click, { class: "small", "aria-label": label });
}

function confirmed(text, name, consequence, act) {
  return action(text, `${text} ${name}`, () => showConfirmation(`${text} ${name}?`, consequence, act));
}

/** Shown in place of a view for admins that could not load `what`. */
export function adminFailure(what, error) {
  if (error.status !== 403) return loadFailure(what, error.message);
  const text = "Your role gives access to alerts and cameras.";
  return notice("lock", "Only for admins", text, buttonLink("/alerts", "Show alerts"));
}
