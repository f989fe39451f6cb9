// The log-in form.

import { isFailure, post } from "./api.js";

const form = document.getElementById("login");
const failure = document.getElementById("login-error");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = Object.fromEntries(new FormData(form));
  if (!username || !password) return fail("Enter your user name and password.", username ? "password" : "username");
  button.disabled = true;
  failure.textContent = "";
  try {
    await post("/session", { username, password });
    location.assign(nextAddress());
  } catch (error) {
    button.disabled = false;
    if (isFailure(error)) fail(textOf(error), "password");
  }
});

function textOf({ status, message }) {
  if (status === 0) return "The server is not responding. Try again in a moment.";
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function fail(text, field) {
  failure.textContent = text;
  const input = document.getElementById(field);
  input.focus();
  if (field === "password") input.select();
}

/** Where the person wanted to go: always a path of this site, never another one. */
function nextAddress() {
  const wanted = new URL(new URLSearchParams(location.search).get("next") ?? "/", location.origin);
  return wanted.origin === location.origin && wanted.pathname !== "/login" ? wanted.pathname + wanted.search : "/";
}
