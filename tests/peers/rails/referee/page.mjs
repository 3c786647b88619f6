// One person's page: what they do, and everything that reached them.
import { until } from "./until.mjs";

const SECONDS = 20;

export class Page {
  /** Every answer: `{ url, method, status, headers, body, sent }`; `sent` are the request's own fields. */
  answers = [];
  /** Every `Set-Cookie` line. */
  setCookies = [];
  /** Texts of WebSocket messages that came in. */
  messages = [];
  /** Whatever the browser complains of: violated policies, failed loads, exceptions. */
  complaints = [];

  #call;
  #loads = 0;
  #open = new Map();
  #sent = new Map();

  constructor(name, call) {
    this.name = name;
    this.#call = call;
  }

  async open() {
    await this.#call("Network.enable", { maxTotalBufferSize: 50_000_000, maxResourceBufferSize: 10_000_000 });
    for (const domain of ["Page", "Runtime", "Log"]) await this.#call(`${domain}.enable`);
  }

  /** For a certificate that nobody vouches for. */
  trustAnyone() { return this.#call("Security.setIgnoreCertificateErrors", { ignore: true }); }

  visit(url) {
    return this.#navigated(async () => {
      const { errorText } = await this.#call("Page.navigate", { url });
      if (errorText) throw new Error(`${this.name} at ${url}: ${errorText}`);
    });
  }

  /** Fills the form and presses its button, as a person does. */
  submit(form, fields = {}) {
    return this.#navigated(() => this.press(form, fields));
  }

  /** The same, where the page stays. */
  press(form, fields = {}) {
    return this.evaluate(`{
      const form = document.querySelector(${JSON.stringify(form)});
      for (const [name, value] of Object.entries(${JSON.stringify(fields)})) form.elements[name].value = value;
      form.querySelector("[type=submit], button").click();
    }`);
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.#call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`${this.name}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** The element's text, or null where there is none. */
  text(selector) {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? null`);
  }

  path() { return this.evaluate("location.pathname"); }

  /** Fetches from inside the page, with its cookies and its cache. */
  async fetchInside(path) {
    const text = await this.evaluate(`fetch(${JSON.stringify(path)}).then((answer) => answer.text())`);
    await this.#settled();
    return text;
  }

  until(what, expression) {
    return until(`${this.name} sees ${what}`, SECONDS, () => this.evaluate(expression));
  }

  async cookies() {
    const { cookies } = await this.#call("Network.getCookies");
    return cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  async #navigated(act) {
    const before = this.#loads;
    await act();
    await until(`${this.name}'s page is loaded`, SECONDS, () => this.#loads > before);
    await this.#settled();
  }

  /** Bodies must be read before the page moves on: Chromium forgets them then. */
  #settled() {
    return until(`${this.name} has every body of ${[...this.#open.values()].map(({ url }) => url)}`, SECONDS, () => this.#open.size === 0);
  }

  happened(event, about) {
    switch (event) {
      case "Page.loadEventFired": this.#loads += 1; break;
      case "Network.requestWillBeSent": this.#asked(about); break;
      case "Network.requestWillBeSentExtraInfo": this.#sent.set(about.requestId, about.headers); break;
      case "Network.responseReceivedExtraInfo": this.#cookiesCame(about.headers); break;
      case "Network.responseReceived": this.#answered(about.requestId, about.response); break;
      case "Network.loadingFinished": this.#finished(about.requestId); break;
      case "Network.loadingFailed": this.#failed(about); break;
      case "Network.webSocketFrameReceived": this.messages.push(about.response.payloadData); break;
      case "Network.webSocketFrameError": this.complaints.push(`WebSocket: ${about.errorMessage}`); break;
      case "Log.entryAdded": this.#logged(about.entry); break;
      case "Runtime.exceptionThrown": this.complaints.push(about.exceptionDetails.exception?.description ?? about.exceptionDetails.text); break;
    }
  }

  #asked({ requestId, request, redirectResponse }) {
    if (redirectResponse) {
      const { url, method } = this.#open.get(requestId);
      this.answers.push({ url, method, status: redirectResponse.status, headers: lower(redirectResponse.headers), body: "", sent: {} });
    }
    this.#open.set(requestId, { url: request.url, method: request.method });
  }

  #cookiesCame(headers) {
    const cookies = lower(headers)["set-cookie"];
    if (cookies) this.setCookies.push(...cookies.split("\n"));
  }

  #answered(requestId, response) {
    Object.assign(this.#open.get(requestId) ?? {}, { status: response.status, headers: lower(response.headers) });
  }

  async #finished(requestId) {
    const answer = this.#open.get(requestId);
    if (!answer) return;
    try {
      const { body, base64Encoded } = await this.#call("Network.getResponseBody", { requestId });
      const sent = this.#sent.get(requestId) ?? {};
      this.answers.push({ ...answer, body: base64Encoded ? Buffer.from(body, "base64").toString() : body, sent });
    } catch (error) {
      this.complaints.push(`the body of ${answer.url} could not be read: ${error.message}`);
    }
    this.#open.delete(requestId);
  }

  #logged({ level, text, url }) {
    // Chromium asks for the icon behind the page's back, and the application has none.
    if (level === "error" && !url?.endsWith("/favicon.ico")) this.complaints.push(`${text} (${url})`);
  }

  #failed({ requestId, errorText, blockedReason }) {
    this.complaints.push(`${this.#open.get(requestId)?.url ?? "a request"}: ${blockedReason ?? errorText}`);
    this.#open.delete(requestId);
  }
}

function lower(headers) {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
