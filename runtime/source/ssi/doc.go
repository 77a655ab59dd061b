// Package ssi serves pages with server-side includes: the elements and variables of Apache 2.4's mod_include. The
// package is a source and not a filter: it responds to requests for files named *.shtml, and never processes responses
// of other sources. The source runs as a responder of package backend, on a goroutine for each request. Start reading
// at Pages and parse.go.
//
// A parsed page is kept until its file changes, which each request checks. ssi.go and elements.go execute the elements.
// An error in a page is shown in the page and logged; it never ends the page.
//
// An include is a request of the server to itself (Request.Sub), so rules, routes and limits apply to it, and a page
// can include files, programs and the application. The variables that a page shares with its includes are attached to
// the request (Request.Share, Origin.Value). Regular expressions are RE2 and all other sizes are bounded, so the time
// for a page grows at most in proportion to its size and the client's input.
package ssi
