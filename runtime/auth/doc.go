// Package auth knows users: it checks names and passwords against files as Apache's htpasswd writes them, and has the form with
// which users log in.
//
// Good hashes are slow on purpose (bcrypt takes 60 ms, on small boards a second), so a check has two steps: Known
// answers from memory, on the event loop, and Checker.Check computes beside it. The result, right or wrong, is
// remembered until the file changes. A wrong pair is not told from memory before its answer was due, or asking twice
// would be the quicker way to guess.
//
// # Guessing
//
// A Checker bounds the cost of all checks together: half of the processors compute. It never locks an account,
// because then any client could lock out its owner. Instead a check is due when it arrived, plus a penalty for recent
// failures of its client's network and of its account (checker.go), and for the checks of its network and its connection
// that wait already. So a flood of guesses waits behind all other logins, requests that one connection has sent at once wait
// behind other connections, and a network from which the user has logged in has no penalty for what others do to the
// account. No first check of a connection waits more than 30 s longer than in turn. The 401 for a guess is held back by the
// larger of both penalties, so 80 clients that guess get 8 hashes a second, and leave the rest of the processors to others. A
// check whose client disconnects is dropped; one whose client has shut down its side comes last. When 1,024 wait, the one due
// last gets 503.
//
// # Files
//
//	admit.go    the decision about a request: Basic and Login as exchange.Access of a mount
//	users.go    a file of users, and the pairs of a name and a password that were compared
//	checker.go  the order in which passwords are checked; penalties
//	hash.go     kinds of hashes
//	edit.go     changes of a file of users, for fapws user
//	watched.go  a file that is read again when it has changed
//	login.go    Login, its state directory, and the HTML of its pages
//	respond.go  the responders of these pages: logging in and out, the first user
//	session.go  cookies, tokens, and the list of sessions that have ended
//
// # Login
//
// A Login has users log in with a form, and knows them again by a signed cookie. A mount asks it about each
// request behind a login, on the event loop, before anything answers; its pages (the form, logging out) are responders,
// each on its own goroutine.
//
// # Sessions
//
// A session is a cookie: user, start, time of the last use, and a MAC (session.go). No process keeps a list of sessions, so
// they live through reloads, upgrades and restarts, and every worker knows them. The key of the MAC is derived from a key
// in the state directory and the hash of the user's password: another password, or the removal of the user, ends the
// sessions. Logging out adds a line to a file that all processes share (session.go). Both files stay open (watched.go), and are asked
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
package auth
