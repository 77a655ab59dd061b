// Package login has users log in with a form, and knows them again by a signed cookie. Package sites asks it about each
// request behind a login, on the event loop, before anything answers; its pages (the form, logging out) are responders,
// each on its own goroutine. Passwords are checked by package auth.
//
// # Sessions
//
// A session is a cookie: user, start, time of the last use, and a MAC (session.go). No process keeps a list of sessions, so
// they live through reloads, upgrades and restarts, and every worker knows them. The key of the MAC is derived from a key
// in the state directory and the hash of the user's password: another password, or the removal of the user, ends the
// sessions. Logging out appends a line to a file that all processes share (session.go). Both files stay open, and are asked
// by fstat(2) for each request whether they have changed; so a session that has ended is refused by every worker at once.
//
// # Other sites
//
// The cookie is SameSite=Lax, and a request with a session that changes something, or asks for a WebSocket, has to come
// from a page of the same origin (login.go). The form has a token that belongs to another cookie, so that no other site
// can log a visitor in as somebody else.
//
// # The first user
//
// Without a user, the form makes the first one, for a client with the code that the log shows (respond.go).
//
// Start reading at login.go.
package login
