// The whole trial in order. Each case leaves the stage as it found it, the last one ends the server.
import { Browser } from "./browser.mjs";
import { Report } from "./report.mjs";
import { Server } from "./server.mjs";
import * as landing from "./cases/landing.mjs";
import * as assets from "./cases/assets.mjs";
import * as files from "./cases/files.mjs";
import * as hints from "./cases/hints.mjs";
import * as operators from "./cases/operators.mjs";
import * as careless from "./cases/careless.mjs";
import * as users from "./cases/users.mjs";
import * as chat from "./cases/chat.mjs";
import * as reload from "./cases/reload.mjs";
import * as secrets from "./cases/secrets.mjs";
import * as outage from "./cases/outage.mjs";
import * as leaving from "./cases/leaving.mjs";
import * as drain from "./cases/drain.mjs";

const CASES = { landing, assets, files, hints, operators, careless, users, chat, reload, secrets, outage, leaving, drain };
const DEADLINE_SECONDS = 300;

const { REFEREE_WORK: work, REFEREE_DIRECT: direct, FOREBAY_BIN: forebay, CHROMIUM: chromium } = process.env;
const report = new Report();

const deadline = setTimeout(() => {
  report.broken("the whole trial ends in time", new Error(`not over after ${DEADLINE_SECONDS} s`));
  process.exit(1);
}, DEADLINE_SECONDS * 1000);

async function trial() {
  report.open("start");
  const stage = await setStage();
  for (const [name, { judge, needsForebay }] of Object.entries(CASES)) {
    report.open(name);
    if (needsForebay && direct) {
      report.skipped("there is no Forebay in direct mode");
      continue;
    }
    await judge(report, stage).catch((error) => report.broken("the case runs to its end", error));
  }
  await stage.browser.close();
  if (report.failures > 0) console.log(stage.server.lastWords());
}

async function setStage() {
  const server = await Server.start({ folder: `${work}/application`, forebay: direct ? undefined : forebay });
  report.holds("the application is up with no config file", true);
  const browser = await Browser.launch(chromium, work);
  const person = async (name) => ({
    name,
    page: await browser.person(name),
    password: process.env[`${name.toUpperCase()}_PASSWORD`],
    // What nobody else may ever receive; cases add to it.
    marks: [process.env[`${name.toUpperCase()}_SECRET`]],
  });
  return { server, url: server.url, isDirect: Boolean(direct), browser, alice: await person("alice"), bob: await person("bob") };
}

const begun = performance.now();
await trial().catch((error) => report.broken("the trial can begin", error));
clearTimeout(deadline);
report.summary((performance.now() - begun) / 1000);
// Not waiting for what is left open: `run` ends every process of this trial.
process.exit(report.failures > 0 ? 1 : 0);
