// usage: node .ci/search-test.mjs SITE QUERIES TROUBLE
// Types each query of the file QUERIES into the search of the built documentation SITE: its index, its worker and its own
// search.js. One of the named pages, or sections, must be among the first three results, and no result may call a word
// missing that it has. The messages of the page TROUBLE, pasted with and without quotes, and with names in them, must
// lead to this page. `./build.sh test` runs it.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";

const [site, queries, trouble] = process.argv.slice(2);
const read = (name) => fs.readFileSync(path.join(site, name), "utf8");
const folder = path.join(site, "assets/javascripts/workers");
const worker = fs.readdirSync(folder).find((name) => /^search\..*\.js$/.test(name));

// The page sees the worker as an object with events, through search.js. The theme listens first, and shows the latest result.
class Worker extends EventTarget {
  postMessage(message) { listener({data: message}); }
}
vm.runInNewContext(read("images/search.js"), {Worker, Event});
const page = new Worker();
let shown;
page.addEventListener("message", ({data}) => { shown = structuredClone(data); });

let listener;
const inside = {
  console: {warn() {}},
  addEventListener: (_, f) => { listener = f; },
  postMessage: (data) => page.dispatchEvent(Object.assign(new Event("message"), {data})),
};
inside.self = inside;
vm.runInNewContext(fs.readFileSync(path.join(folder, worker), "utf8"), inside);
async function ask(message) {
  page.postMessage(message);
  await new Promise(setImmediate); // all answers of the worker
  return shown;
}

const index = JSON.parse(read("search/search_index.json"));
const texts = new Map(index.docs.map(({location, title, text}) => [location, `${title} ${text}`.toLowerCase().split(/[^\w.]+/)]));
await ask({type: 0, data: {...index, options: {suggest: true}}});
let failed = 0, asked = 0;
async function want(query, pages) {
  const {data} = await ask({type: 2, data: query});
  const found = data.items.map((items) => items[0].location.replace(/\/?(#.*)?$/, ""));
  const sections = data.items.map((items) => items[0].location);
  asked++;
  for (const {location, terms} of data.items.flat()) {
    const wrong = Object.keys(terms).filter((term) => !terms[term] && texts.get(location).includes(term.toLowerCase()));
    if (wrong.length) {
      failed++;
      console.error(`search-test: ${query}: ${location} has ${wrong}, which the result calls missing`);
      return;
    }
  }
  if (pages.some((name) => found.slice(0, 3).includes(name) || sections.slice(0, 3).includes(name))) return;
  failed++;
  console.error(`search-test: ${query}: the first results are ${found.slice(0, 5).join(", ") || "none"}, not ${pages}`);
}

for (const line of fs.readFileSync(queries, "utf8").split("\n").filter((line) => line && !line.startsWith("#"))) {
  const [query, pages] = line.split("\t");
  await want(query, pages.split(", "));
}

// Messages are lines of text blocks, and the first cells of tables that are code. "…" stands for a part that differs.
const messages = [];
let inText = false;
for (const line of fs.readFileSync(trouble, "utf8").split("\n")) {
  if (line.startsWith("```")) inText = line === "```text";
  else if (inText && line.startsWith("  ")) messages[messages.length - 1] += line;
  else if (inText) messages.push(line);
  else if (/^\| `[^|]*` \|/.test(line)) messages.push(...line.split(" | ")[0].match(/(?<=`)[^`]{12,}(?=`)/g) ?? []);
}
for (const message of messages) {
  const pasted = message.replaceAll("…", ""), named = message.replaceAll("…", "/srv/mysite 127.0.0.1:8000");
  for (const query of [pasted, `"${pasted}"`, named, `"${named}"`]) await want(query, ["trouble"]);
}
if (failed || !asked) {
  console.error(`search-test: ${failed} of ${asked} queries failed`);
  process.exit(1);
}
console.log(`search-test: ${asked} queries, all good`);
