// Package refusal makes the parts of replies (exchange.Reply): responses that the server makes itself, in memory, and
// that have the page of the site, or a short page of the server, if they are errors. The texts of refusals such as
// 431 are in package http1; which requests are refused is decided there, in package route and in package sites.
//
// An error page of a site comes from the memory of static.Files, on the event loop, or is opened beside it. Until it
// can be read, and if it is missing, the server's own page is sent. Starting is the page for browsers while an application loads.
package refusal
