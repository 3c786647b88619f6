// Waiting is always for a condition, with a deadline.

const POLL_MS = 10;

/** Asks `condition` until it answers something true, and answers that. */
export async function until(what, seconds, condition) {
  const last = performance.now() + seconds * 1000;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (performance.now() > last) throw new Error(`after ${seconds} s still not so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Ends a promise that takes too long. */
export function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${seconds} s still waiting: ${what}`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
