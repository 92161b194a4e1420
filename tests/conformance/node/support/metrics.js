/** What the server says of itself. */

/** The sum of a metric's series whose labels have all these. */
export async function sample(name, labels) {
  const page = await (await fetch(process.env.REALM_METRICS_URL)).text();
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const series = page.split('\n').filter((line) => line.startsWith(`${name}{`));
  const chosen = series.filter((line) => wanted.every((label) => line.includes(label)));
  return chosen.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Asks again and again until it is so; the test's own limit ends it. */
export async function until(isSo) {
  while (!(await isSo()));
}
