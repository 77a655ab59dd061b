// Package refusal has the responses that the server makes itself, in memory: refusals with the page of the server or of the
// site, and those of other sources that need no I/O (Source). It writes no head; what a Response is made into is an
// http1.Response.
package refusal
