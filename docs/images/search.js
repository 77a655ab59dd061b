// The search of the documentation. A query is some words or a copied message: a page must have all of its words. If no page has
// them, the words with digits or slashes are left out, because these are addresses, files and times of a message, or if there
// are no others, as in "http/2", the numbers. Then names with underscores are taken apart, as flags are written with "-". Then
// one of the others may be missing, too, because it may be a name. At last, any word counts; without
// numbers if the worker fails for them, as it does for 1 and 2.
//
// The search would read the signs of a message as operators (a word after "-" must not occur, and "--bind" is an error), so
// only words remain. A match in a title counts more than others, but not so much that one common word decides. Titles that
// are the query come first, then settings and keys whose names are words of it.
const SETUP = 0, QUERY = 2, RESULT = 3;
const TITLE = 8;
const MESSAGE = 5, LONGEST = 30; // words of a message

const words = (text) => text.match(/[\p{L}\p{N}_][\p{L}\p{N}_.]*/gu) || [];
const textOf = (html) => html.replace(/<[^>]*>/g, "");
const isName = (item) => /(^|\/)(settings\/#-|keys\/#)/.test(item.location);

// rank returns 0 for a section with the query as its title, 1 if only signs differ, 2 for a setting or key that the query
// names, otherwise 3.
function rank(item, typed) {
  const title = textOf(item.title).toLowerCase(), name = words(title).join(" "), query = words(typed);
  if (title === typed) return 0;
  if (name === query.join(" ")) return 1;
  return isName(item) && query.includes(name) ? 2 : 3;
}

// correct sorts a result. It removes words from the lists of missing words that the section has in another form: the worker
// compares a word as typed with stems.
function correct({items}, typed, texts) {
  for (const sections of items) {
    for (const {location, terms} of sections) {
      for (const term of Object.keys(terms).filter((term) => !terms[term])) {
        const stem = term.toLowerCase().replace(/(ies|ing|ed|es|[sye])$/, "");
        if (texts.get(location).some((word) => word.startsWith(stem) && word.length < stem.length + 4)) delete terms[term];
      }
    }
    if (sections.some((item) => rank(item, typed) < 3)) sections.sort((a, b) => rank(a, typed) - rank(b, typed));
  }
  const best = (sections) => Math.min(...sections.map((item) => rank(item, typed)));
  items.sort((a, b) => best(a) - best(b));
}

const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  if (message?.type === SETUP) {
    message.data.config.fields.title.boost = TITLE;
    // The worker answers in the order of the queries. The theme listens already, so it shows the worker's result before it
    // gets the sorted one. After a result without items, the next query follows unless the reader has typed more.
    const chains = this.chains = [];
    const texts = new Map(message.data.docs.map((doc) => [doc.location, words(textOf(doc.title + " " + doc.text).toLowerCase())]));
    this.addEventListener("message", ({data}) => {
      if (data?.type !== RESULT || data.sorted) return;
      const chain = chains.shift();
      if (data.data.items.length || chains.length || !chain?.length) {
        correct(data.data, chain?.typed ?? "", texts);
        this.dispatchEvent(Object.assign(new Event("message"), {data: {...data, sorted: true}}));
        return;
      }
      chains.push(chain);
      post.call(this, {type: QUERY, data: chain.shift()});
    });
  }
  if (message?.type === QUERY) {
    const text = globalThis.document?.querySelector(".md-search__input").value ?? message.data; // without the theme's operators
    const own = words(text), common = words(text.replace(/\S*[\d/]\S*/g, " "));
    const all = (list) => list.map((word) => "+" + word).join(" ");
    const without = (name) => all(common.filter((word) => word !== name));
    const names = common.length < MESSAGE ? [] : common.slice(0, LONGEST);
    const letters = own.filter((word) => /\p{L}/u.test(word));
    const flags = all(common.flatMap((word) => word.split("_")).filter(Boolean));
    const chain = [all(own), all(common.length ? common : letters), flags, ...names.map(without), own.join(" "), letters.join(" ")]
      .filter(Boolean);
    chain.typed = text.trim().toLowerCase();
    message = {...message, data: chain.shift() || ""};
    this.chains.push(chain);
  }
  return post.call(this, message, ...rest);
};

// The theme gives its search the role of a dialog, but no name.
globalThis.document?.querySelector(".md-search").setAttribute("aria-label", "Search");

// The button of the start page.
globalThis.document?.addEventListener("click", (event) => {
  if (event.target.matches("label.md-button")) document.querySelector(".md-search__input").focus();
});
