// A balancer that passes bytes says by the PROXY protocol whose connection it is, and Rails learns it.
import net from "node:net";
import { Edge } from "../edge.mjs";
import { within } from "../until.mjs";

const REQUEST = "GET /seen HTTP/1.1\r\nHost: pinboard.example\r\nConnection: close\r\n\r\n";
const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];

export async function judge(report, stage) {
  const listen = (port) => `on = ["127.0.0.1:${port}"]\nproxy_protocol = ["127.0.0.1"]`;
  const edge = await Edge.start(stage, { name: "proxied", route: [], listen });
  const client = async (header) => {
    const answer = await speak(edge.port, Buffer.concat([Buffer.from(header), Buffer.from(REQUEST)]));
    return answer.startsWith("HTTP/1.1 200") ? JSON.parse(/\{.*\}/.exec(answer)[0]).client : answer;
  };
  try {
    report.equal("version 1", "198.51.100.7", await client("PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n"));
    report.equal("version 1 of IPv6", "2001:db8::7", await client("PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n"));
    const addresses = [198, 51, 100, 8, 192, 0, 2, 1, 0x12, 0x67, 0, 80];
    report.equal("version 2", "198.51.100.8", await client([...SIGNATURE, 0x21, 0x11, 0, addresses.length, ...addresses]));
    edge.relay.asked();
    report.holds("without a header nobody is served", !(await client("")).startsWith("HTTP/1.1 200"), "no answer", "an answer");
    report.equal("and Rails is not asked", "", edge.relay.asked());
  } finally {
    await edge.end();
  }
}

/** Everything that comes back until the connection ends. */
function speak(port, bytes) {
  const answer = new Promise((resolve) => {
    const got = [];
    const socket = net.connect({ host: "127.0.0.1", port }, () => socket.write(bytes));
    socket.on("data", (data) => got.push(data)).on("error", () => {}).on("close", () => resolve(Buffer.concat(got).toString()));
  });
  return within(20, "the connection to end", answer);
}
