// A query is usually a word or a copied message. The search would read the signs of a message as operators: a word after
// "-" must not occur, and "--bind" is an error.
const post = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (message, ...rest) {
  if (typeof message?.data === "string")
    message = {...message, data: message.data.replace(/[^\p{L}\p{N}_."]+/gu, " ")};
  return post.call(this, message, ...rest);
};
