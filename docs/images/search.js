// The search of the documentation. A query is usually some words or a copied message: a page must have all of its words.
// Only if no page has them all, any of them counts.
//
// The search would read the signs of a message as operators (a word after "-" must not occur, and "--bind" is an error), so
// only words remain. A match in a title counts more than others, but not so much that one common word decides.
const SETUP = 0, QUERY = 2, RESULT = 3;
const TITLE = 8;

const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  if (message?.type === SETUP) {
    message.data.config.fields.title.boost = TITLE;
    // Ours must be the first listener: it takes a result without items, and asks again.
    this.addEventListener("message", (event) => {
      if (event.data?.type !== RESULT || event.data.data.items.length || !this.words) return;
      event.stopImmediatePropagation();
      const data = this.words.join(" ");
      this.words = null;
      post.call(this, {type: QUERY, data});
    }, {capture: true});
  }
  if (message?.type === QUERY) {
    this.words = message.data.match(/[\p{L}\p{N}_][\p{L}\p{N}_.]*/gu);
    message = {...message, data: (this.words || []).map((word) => "+" + word).join(" ")};
  }
  return post.call(this, message, ...rest);
};
