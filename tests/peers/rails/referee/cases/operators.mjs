// What operators switch on, each behind an edge of its own before two instances of the application, beside one another.
import { Instance } from "../instance.mjs";
import * as acme from "../operators/acme.mjs";
import * as balance from "../operators/balance.mjs";
import * as collectors from "../operators/collectors.mjs";
import * as door from "../operators/door.mjs";
import * as early from "../operators/early.mjs";
import * as geo from "../operators/geo.mjs";
import * as look from "../operators/look.mjs";
import * as maintenance from "../operators/maintenance.mjs";
import * as mirror from "../operators/mirror.mjs";
import * as overload from "../operators/overload.mjs";
import * as passwords from "../operators/passwords.mjs";
import * as proxied from "../operators/proxied.mjs";
import * as rates from "../operators/rates.mjs";
import * as split from "../operators/split.mjs";

const CASES = {
  rates, overload, split, mirror, balance, maintenance, passwords, door, early, proxied, geo, acme, collectors, look,
};

export const needsForebay = true;

export async function judge(report, stage) {
  const first = await stage.server.applicationAddress();
  const second = await Instance.start(stage);
  const both = { ...stage, first, second: second.address };
  try {
    await Promise.all(Object.entries(CASES).map(([name, { judge: judgeOne }]) => {
      const own = report.beside(name);
      return judgeOne(own, both).catch((error) => own.broken("the case runs to its end", error));
    }));
  } finally {
    await second.end();
  }
}
