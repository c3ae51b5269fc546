// Runs the cases of the suite; prints a line for each, one for each feature, and the counts.
"use strict";

const { parseArgs } = require("node:util");

const STEP_MS = 60_000;

/** Runs each {proves, name, run} against the broker; what a case proves are words of features.tsv. */
async function main(connect, cases) {
  const options = { bootstrap: { type: "string", default: process.env.BOOTSTRAP }, only: { type: "string", default: "" } };
  const { bootstrap, only } = parseArgs({ options }).values;
  if (!bootstrap) {
    console.error("--bootstrap HOST:PORT or BOOTSTRAP is needed");
    process.exit(2);
  }
  const cluster = await connect(bootstrap);
  const features = new Map();
  let passed = 0;
  let failed = 0;
  for (const { proves, name, run } of cases) {
    if (!name.includes(only)) continue;
    const begun = Date.now();
    let good = true;
    try {
      await Promise.race([run(cluster), late()]);
      passed++;
      console.log(`ok     ${name} (${Date.now() - begun} ms)`);
    } catch (error) {
      good = false;
      failed++;
      console.log(`FAILED ${name}: ${error.stack}`);
    }
    for (const feature of proves.split(" ")) features.set(feature, good && (features.get(feature) ?? true));
  }
  for (const [feature, good] of features) console.log(`feature ${feature} ${good ? "passed" : "failed"}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(passed > 0 && failed === 0 ? 0 : 1);
}

function late() {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(`not done after ${STEP_MS} ms`)), STEP_MS).unref());
}

module.exports = { main, STEP_MS };
