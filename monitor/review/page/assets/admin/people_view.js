// Who may use the page, and which programs: users with their roles, and API tokens.

import { ApiError, get, patch, post, remove } from "../api.js";
import { showForm } from "../alerts/dialogs.js";
import { el, notice, replace, skeletons } from "../dom.js";
import { icon } from "../icons.js";
import { toast } from "../toasts.js";
import { moment } from "../times.js";
import { words } from "../words.js";

const ROLES = ["viewer", "reviewer", "admin"];
const MEANINGS = { viewer: "looks", reviewer: "looks and acts", admin: "does everything" };

/** The view behind `/people`. */
export class PeopleView {
  title = "People";
  #app;

  constructor(app) {
    this.#app = app;
    this.users = el("section", { class: "card" }, skeletons(3, "skeleton-line"));
    this.tokens = el("section", { class: "card" }, skeletons(3, "skeleton-line"));
    const roles = ROLES.map((role) => `${words(role).toLowerCase()}: ${MEANINGS[role]}`).join("; ");
    this.element = el(
      "div",
      { class: "page people" },
      el("header", { class: "page-head" }, el("h1", {}, "People and programs"), el("p", { class: "muted" }, roles)),
      this.users,
      this.tokens,
    );
    this.#ask();
  }

  act() {
    return false;
  }

  async #ask() {
    try {
      const [{ users }, { tokens }] = await Promise.all([get("/users"), get("/tokens")]);
      this.#drawUsers(users);
      this.#drawTokens(tokens);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      replace(
        this.element,
        error.status === 403 ? noPermission() : notice(icon("offline"), "The list did not come", error.message),
      );
    }
  }

  async #try(request, text) {
    try {
      const answer = await request();
      if (text) toast(text);
      this.#ask();
      return answer ?? true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      toast(`Not done: ${error.violations[0]?.expected ?? error.message}`, { isError: true });
      return false;
    }
  }

  #drawUsers(users) {
    const row = (user) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, user.username),
        el(
          "td",
          {},
          roleSelect(user.role, `Role of ${user.username}`, (role) =>
            this.#try(
              () => patch(`/users/${encodeURIComponent(user.username)}`, { role }),
              `${user.username} is ${role} now`,
            ),
          ),
        ),
        el("td", { class: "muted" }, moment(user.created_ns)),
        el(
          "td",
          { class: "table-actions" },
          button("Password", () => this.#askPassword(user.username), `New password for ${user.username}`),
          button(
            "Remove",
            () =>
              this.#confirm(`Remove ${user.username}?`, "Their sessions end; what they did stays theirs.", () =>
                this.#try(() => remove(`/users/${encodeURIComponent(user.username)}`), `${user.username} is removed`),
              ),
            `Remove ${user.username}`,
          ),
        ),
      );
    replace(
      this.users,
      el(
        "header",
        { class: "card-head" },
        el("h2", {}, "Users"),
        button("Add a user", () => this.#addUser()),
      ),
      users.length === 0
        ? el(
            "p",
            { class: "muted" },
            this.#app.session.via === "local"
              ? "Nobody logs in on this machine. Users matter once the page is served to others."
              : "No users.",
          )
        : el("table", { class: "plain" }, heads(["User", "Role", "Since", ""]), el("tbody", {}, users.map(row))),
    );
  }

  #drawTokens(tokens) {
    const row = (token) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, token.name),
        el("td", {}, words(token.role)),
        el("td", { class: "muted" }, `${token.created_by}, ${moment(token.created_ns)}`),
        el(
          "td",
          { class: "table-actions" },
          button(
            "Revoke",
            () =>
              this.#confirm(`Revoke ${token.name}?`, "The program is locked out at once.", () =>
                this.#try(() => remove(`/tokens/${token.token_id}`), `${token.name} is revoked`),
              ),
            `Revoke ${token.name}`,
          ),
        ),
      );
    replace(
      this.tokens,
      el(
        "header",
        { class: "card-head" },
        el("h2", {}, "API tokens"),
        button("Make a token", () => this.#addToken()),
      ),
      tokens.length === 0
        ? el("p", { class: "muted" }, "No program has a token.")
        : el("table", { class: "plain" }, heads(["Program", "Role", "Made by", ""]), el("tbody", {}, tokens.map(row))),
    );
  }

  #addUser() {
    const name = el("input", {
      id: "new-username",
      autofocus: true,
      required: true,
      maxlength: 64,
      autocomplete: "off",
      autocapitalize: "none",
    });
    const password = el("input", { id: "new-password", type: "password", autocomplete: "new-password" });
    const role = roleSelect("reviewer", "Role");
    const form = el(
      "form",
      { class: "stack" },
      el("label", { class: "field" }, "User name", name),
      el("label", { class: "field" }, "Role", role),
      el("label", { class: "field" }, "Password", password),
      el("p", { class: "muted small" }, "Without a password only a trusted proxy lets them in."),
    );
    showForm("Add a user", form, "Add", () =>
      this.#try(
        () => post("/users", { username: name.value.trim(), role: role.value, password: password.value || null }),
        `${name.value.trim()} is added`,
      ),
    );
  }

  #askPassword(username) {
    const password = el("input", {
      id: "new-password",
      type: "password",
      autocomplete: "new-password",
      required: true,
    });
    showForm(
      "New password",
      el("form", { class: "stack" }, el("label", { class: "field" }, `For ${username}; their sessions end`, password)),
      "Set",
      () =>
        this.#try(
          () => patch(`/users/${encodeURIComponent(username)}`, { password: password.value }),
          `${username} has a new password`,
        ),
    );
  }

  #addToken() {
    const name = el("input", {
      id: "token-name",
      autofocus: true,
      required: true,
      maxlength: 64,
      autocomplete: "off",
      placeholder: "grafana",
    });
    const role = roleSelect("viewer", "Role");
    const form = el(
      "form",
      { class: "stack" },
      el("label", { class: "field" }, "What the program is called", name),
      el("label", { class: "field" }, "Role", role),
    );
    showForm("Make a token", form, "Make", async () => {
      const made = await this.#try(() => post("/tokens", { name: name.value.trim(), role: role.value }));
      if (made) setTimeout(() => showSecret(made));
      return Boolean(made);
    });
  }

  #confirm(title, text, act) {
    showForm(title, el("form", {}, el("p", {}, text)), "Yes", act);
  }
}

function showSecret(made) {
  const secret = el("input", { readonly: true, value: made.secret, "aria-label": "Token", class: "secret" });
  const copy = el(
    "button",
    {
      class: "button",
      type: "button",
      on: {
        click: () => {
          secret.select();
          navigator.clipboard?.writeText(made.secret);
        },
      },
    },
    "Copy",
  );
  showForm(
    "The token",
    el(
      "form",
      { class: "stack" },
      el("p", {}, `Give it to ${made.name}. It can't be shown again.`),
      el("div", { class: "filter-line" }, secret, copy),
    ),
    "I have it",
    () => true,
  );
}

function roleSelect(chosen, label, changed = null) {
  return el(
    "select",
    { "aria-label": label, on: changed ? { change: (event) => changed(event.target.value) } : {} },
    ROLES.map((role) => el("option", { value: role, selected: role === chosen }, words(role))),
  );
}

function button(text, click, label = null) {
  return el("button", { class: "button small", type: "button", "aria-label": label, on: { click } }, text);
}

function heads(names) {
  return el(
    "thead",
    {},
    el(
      "tr",
      {},
      names.map((name) => (name ? el("th", { scope: "col" }, name) : el("td", {}))),
    ),
  );
}

/** What those see who may not see a view. */
export function noPermission() {
  return notice(
    icon("lock"),
    "This is for admins",
    "Your role lets you see the alerts and the cameras.",
    el("a", { class: "button", href: "/alerts" }, "To the alerts"),
  );
}
