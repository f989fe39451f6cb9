// Requests to the server: JSON in, JSON out, errors as problem details (RFC 9457).

const PREFIX = "/api/v1";
let csrfToken = "";

/** A request failed. `status` is 0 if no response came. */
export class ApiError extends Error {
  constructor(status, problem = {}) {
    super(problem.detail || problem.title || (status === 0 ? "the server is not responding" : `status ${status}`));
    this.name = "ApiError";
    this.status = status;
    this.violations = problem.violations ?? [];
  }

  /** The first invalid field if there is one, else the message. */
  get reason() {
    return this.violations[0]?.expected ?? this.message;
  }
}

/** Whether `error` is a failed request; false for an aborted one. Rethrows all other errors. */
export function isFailure(error) {
  if (error.name === "AbortError") return false;
  if (!(error instanceof ApiError)) throw error;
  return true;
}

export const get = (path, signal) => request("GET", path, undefined, signal);
export const put = (path, body) => request("PUT", path, body);
export const post = (path, body) => request("POST", path, body);
export const patch = (path, body) => request("PATCH", path, body);
export const remove = (path) => request("DELETE", path);

/** The logged-in person. Stores the CSRF token that every request but GET must carry. */
export async function session() {
  const found = await get("/session");
  csrfToken = found.csrf_token;
  return found;
}

/** API path of a camera. */
export function cameraPath(streamId) {
  return `/cameras/${encodeURIComponent(streamId)}`;
}

async function request(method, path, body, signal, isSecondTry = false) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(PREFIX + path, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0);
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return {}; // not JSON, for example a proxy's error page: the status is enough
  });
  if (response.ok) return answer;
  if (answer.type === "csrf" && !isSecondTry) {
    await session(); // the server has restarted and issues new tokens
    return request(method, path, body, signal, true);
  }
  if (response.status === 401 && path !== "/session") location.assign(loginAddress());
  throw new ApiError(response.status, answer);
}

/** The log-in page, which leads back to the current address. */
export function loginAddress() {
  return `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
}
