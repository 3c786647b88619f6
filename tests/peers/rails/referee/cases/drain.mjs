// SIGTERM cuts nothing: what is in flight is finished, then everything ends.
import { isAlive } from "../server.mjs";
import { until } from "../until.mjs";

const END_SECONDS = 20;

export const needsForebay = true;

export async function judge(report, { server, browser }) {
  await browser.close();
  const rails = server.railsPid();
  const slow = await server.slow("during-drain");
  server.process.kill("SIGTERM");
  await until("new connections are refused", END_SECONDS, async () => !(await server.accepts()));
  report.equal("the server still runs while an answer is in flight", undefined, server.ended);

  slow.release();
  const { status, body } = await slow.answer;
  report.holds("the answer in flight arrives whole", status === 200 && body === slow.whole, `200 and ${slow.whole.length} bytes`, `${status} and ${body.length} bytes`);
  report.equal("the server ends with exit code 0", { code: 0, signal: null }, await server.end(END_SECONDS));
  await until("Rails is gone", END_SECONDS, () => !isAlive(rails));
  report.holds("Rails ended too", true);
}
