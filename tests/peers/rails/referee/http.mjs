// A plain client without cache, cookies or kept connections: it sees what goes over the wire.
import http from "node:http";

const DEADLINE_SECONDS = 40;

/** Answers `{ status, headers, setCookies, body, hints }`, `hints` being fields of every 103; a cut connection is an error. */
export function fetchRaw(url, { method = "GET", headers = {}, body } = {}) {
  const hints = [];
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, agent: false, signal: AbortSignal.timeout(DEADLINE_SECONDS * 1000) }, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => resolve({
        status: response.statusCode,
        headers: response.headers,
        setCookies: response.headers["set-cookie"] ?? [],
        body: Buffer.concat(chunks).toString(),
        hints,
      }));
    });
    request.on("information", ({ headers: told }) => hints.push(told));
    request.on("error", reject);
    request.end(body);
  });
}

// Each request is a connection: unpaced, a fast proxy would use up the machine's ports within seconds.
const PACE_MS = 5;

/** Asks again and again until `stop()`; answers every answer, errors among them. */
export function keepAsking(url) {
  const answers = [];
  let isAsking = true;
  const loop = (async () => {
    while (isAsking) {
      answers.push(await fetchRaw(url).catch((error) => ({ status: error.code ?? error.message, headers: {}, setCookies: [], body: "" })));
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
  })();
  return {
    answers,
    /** How many answers of each status, for the report. */
    async stop() {
      isAsking = false;
      await loop;
      const counts = {};
      for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
      return counts;
    },
  };
}

export const isHit = (headers) => /^Forebay\s*;\s*hit\b/i.test(headers["cache-status"] ?? "");

/** Makes `name=value; …` of `Set-Cookie` lines. */
export const cookieHeader = (setCookies) => setCookies.map((line) => line.split(";")[0]).join("; ");

/** Signs a person in without a browser; answers their cookies. */
export async function cookiesOf(url, { name, password }) {
  const form = await fetchRaw(`${url}/session/new`);
  const body = new URLSearchParams({ authenticity_token: formToken(form.body), name, password }).toString();
  const headers = { cookie: cookieHeader(form.setCookies), "content-type": "application/x-www-form-urlencoded" };
  const { status, setCookies } = await fetchRaw(`${url}/session`, { method: "POST", headers, body });
  if (status !== 303) throw new Error(`${name} could not sign in: ${status}`);
  return cookieHeader(setCookies);
}

export const formToken = (html) => /name="authenticity_token" value="([^"]+)"/.exec(html)?.[1];
