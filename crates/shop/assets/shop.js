// Shows, on every page, how old it is and what the edge said about it.
"use strict";

const made = document.querySelector("#made time");
const age = document.querySelector("#age");
const verdict = document.querySelector("#verdict");

function showAge() {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(made.dateTime)) / 1000));
  age.textContent = seconds === 1 ? "1 second ago" : `${seconds} seconds ago`;
}

async function showVerdict() {
  const answer = await fetch(location.href, { method: "HEAD" });
  const status = answer.headers.get("cache-status");
  verdict.textContent = status ?? "no edge in between";
  verdict.dataset.hit = String(/;\s*hit\b/.test(status ?? ""));
}

if (made && age) {
  showAge();
  setInterval(showAge, 1000);
}
if (verdict) {
  showVerdict().catch(() => { verdict.textContent = "unknown: the edge did not answer"; });
}

const live = document.querySelector("#live");
if (live) {
  const events = new EventSource("/events");
  events.addEventListener("stock", (event) => {
    const { name, stock, origin } = JSON.parse(event.data);
    live.textContent = `${name}: ${stock} left (origin ${origin})`;
  });
  events.onerror = () => { live.textContent = "connecting…"; };
  addEventListener("pagehide", () => events.close());
}
