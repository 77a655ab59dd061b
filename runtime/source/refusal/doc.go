// Package refusal makes parts of replies (exchange.Reply): responses that the server makes itself, in memory, and that have
// the page of the server or of the site if they are errors.
package refusal
