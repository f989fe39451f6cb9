// Asking the server: JSON in, JSON out, errors as problems (RFC 9457).

const PREFIX = "/api/v1";
let csrfToken = "";

/** An answer that is a problem; `status` 0: no answer came. */
export class ApiError extends Error {
  constructor(status, problem = {}) {
    super(problem.detail || problem.title || (status === 0 ? "the server does not answer" : `status ${status}`));
    this.name = "ApiError";
    this.status = status;
    this.type = problem.type ?? "about:blank";
    this.violations = problem.violations ?? [];
  }
}

export const get = (path, signal) => ask("GET", path, undefined, signal);
export const put = (path, body) => ask("PUT", path, body);
export const post = (path, body) => ask("POST", path, body);
export const patch = (path, body) => ask("PATCH", path, body);
export const remove = (path) => ask("DELETE", path);

/** Who one is; keeps the token that everything but GET must carry. */
export async function session() {
  const found = await get("/session");
  csrfToken = found.csrf_token;
  return found;
}

async function ask(method, path, body, signal, isSecondTry = false) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(PREFIX + path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0);
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {}; // a proxy's page, say: the status tells enough
  });
  if (response.ok) return answer;
  if (answer.type === "csrf" && !isSecondTry) {
    // the server has begun anew: its tokens are others now
    await session();
    return ask(method, path, body, signal, true);
  }
  if (response.status === 401 && path !== "/session") location.assign(loginAddress());
  throw new ApiError(response.status, answer);
}

/** The log-in page, and the way back from it. */
export function loginAddress() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
