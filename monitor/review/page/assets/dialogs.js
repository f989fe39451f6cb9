// Modal dialogs.

import { button } from "./controls.js";
import { el } from "./dom.js";
import { icon } from "./icons.js";

/** Opens a modal dialog; it is removed from the page when it closes, and the browser restores the focus. */
export function showDialog(title, content, classes = "") {
  const id = `dialog-${title.toLowerCase().replaceAll(" ", "-")}`;
  const close = button(icon("close"), () => dialog.close(), { class: "icon-only", "aria-label": "Close" });
  const dialog = el(
    "dialog.dialog",
    { class: classes, "aria-labelledby": id },
    el("header.dialog-head.apart", el("h2", { id }, title), close),
    content,
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Opens a dialog with a form around `fields`; it closes once `submit(form)` resolves to true. */
export function showForm(title, fields, action, submit, classes = "") {
  const confirm = button(action, null, { class: "primary", type: "submit" });
  const cancel = button("Cancel", () => dialog.close());
  const form = el("form.stack", fields, el("footer.dialog-actions.beside", cancel, confirm));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    if (await submit(form)) dialog.close();
    confirm.disabled = false;
  });
  const dialog = showDialog(title, form, classes);
}

/** Opens a dialog that asks for confirmation before `act`. */
export function showConfirmation(title, text, act) {
  showForm(title, el("p", text), "Yes", act);
}
