// Package ssi answers with pages that have server-side includes: the elements and variables of Apache 2.4's
// mod_include. It is a source and not a filter: it answers requests for files named *.shtml, and sees no
// response of another source. It runs as a responder of package backend, on a goroutine for each request. Start
// reading at Pages and parse.go.
//
// parse.go turns a page into text and elements in one pass, and expr.go turns expressions into functions. Both are kept until the file changes; each request asks the kernel whether it has. ssi.go and
// elements.go carry the elements out. A mistake in a page is shown in the page and logged; it never ends the page.
//
// An include is a request of the server to itself (Request.Sub), so rules, routes and limits hold for it as for
// others, and a page can include files, programs and the application. The variables that a page shares with its
// includes travel beside the request (Request.Share, Request.Value). Regular expressions are RE2 and everything else
// is bounded, so neither a page nor the input of a client takes time that grows faster than its size.
//
// Package static finds a directory whose index is such a page, or a program, sends neither, and says so
// (Response.Index); then package exchange routes the request once more with that name behind its path.
package ssi
