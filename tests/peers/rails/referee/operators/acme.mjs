// The edge gets its certificate from a real authority by itself, and serves the application under it.
import { execFileSync, spawn } from "node:child_process";
import { openSync, writeFileSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { Edge, Relay, origin } from "../edge.mjs";
import { freePort } from "../server.mjs";
import { until } from "../until.mjs";

const NAME = "pinboard.example";

export async function judge(report, stage) {
  const folder = `${stage.server.folder}/tmp`;
  const [directory, names, management, tls] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const relay = await Relay.start(stage.first);
  makeAuthority(folder);
  const edge = await Edge.open(stage, {
    name: "acme",
    relays: [relay],
    settings: (port) => [
      "[listen]", `on = ["127.0.0.1:${port}", "https://127.0.0.1:${tls}"]`,
      "[acme]", `domains = ["${NAME}"]`, "agree_to_terms = true", `directory = "https://127.0.0.1:${directory}/dir"`,
      'authorities = "authority.pem"', 'folder = "acme"',
      origin("app", relay), "[[route]]",
    ],
  });
  const peers = [];
  try {
    peers.push(...startAuthority(folder, { directory, names, management, http: edge.port, tls }));
    await until("the authority listens", 20, () => accepts(directory));
    // What failed while nobody was there is tried anew.
    await edge.verb("reload");
    const { body, certificate } = await until("the application answers under a certificate", 60, () => get(tls).catch(() => undefined));
    report.equal("the application answers under its name", "up", body);
    report.equal("with a certificate for it", `DNS:${NAME}`, certificate.subjectaltname);
    report.holds("of the authority", /Pebble/.test(certificate.issuer.CN), "Pebble…", certificate.issuer);
    const [held] = (await edge.status()).acme;
    report.equal("the status says so", true, held.is_held);
  } finally {
    for (const peer of peers) peer.kill();
    await edge.end();
  }
}

/** The certificate of the authority's own directory; it is checked against itself. */
function makeAuthority(folder) {
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
    "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
    "-keyout", `${folder}/authority.key`, "-out", `${folder}/authority.pem`,
  ], { timeout: 20_000, stdio: "ignore" });
}

function startAuthority(folder, { directory, names, management, http, tls }) {
  writeFileSync(`${folder}/pebble.json`, JSON.stringify({ pebble: {
    listenAddress: `127.0.0.1:${directory}`, managementListenAddress: `127.0.0.1:${management}`,
    certificate: `${folder}/authority.pem`, privateKey: `${folder}/authority.key`, httpPort: http, tlsPort: tls,
  } }));
  const log = openSync(`${folder}/pebble.log`, "a");
  const stdio = ["ignore", log, log];
  const nowhere = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", ""];
  const resolver = spawn("pebble-challtestsrv", ["-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", `127.0.0.1:${names}`, ...nowhere], { stdio });
  const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1" };
  return [resolver, spawn("pebble", ["-config", `${folder}/pebble.json`, "-dnsserver", `127.0.0.1:${names}`], { stdio, env })];
}

function get(port) {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path: "/up", servername: NAME, headers: { host: NAME }, rejectUnauthorized: false, agent: false, timeout: 10_000 };
    const request = https.get(options, (response) => {
      const certificate = response.socket.getPeerCertificate();
      let body = "";
      response.on("data", (data) => { body += data; }).on("end", () => resolve({ body, certificate })).on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("no answer"))).on("error", reject);
  });
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.on("connect", () => { socket.destroy(); resolve(true); }).on("error", () => resolve(false));
  });
}
