// Package auth checks names and passwords against files in the format of Apache's htpasswd, and provides the form
// with which users log in.
//
// Good hashes are slow by design, so Users.Known returns a remembered verdict on the event loop, and Users.Check
// computes the hash in the background. The verdict is remembered until the file changes. A client learns only after a
// delay that a password is wrong (see below). Known does not report this verdict earlier, because otherwise a client
// could guess faster by sending each guess twice.
//
// # Guessing
//
// A Checker limits the cost of all checks together: it uses half of the processors. A Checker never locks an account,
// because then any client could lock out the owner. Instead, the check that is due first runs next (checker.go):
//
//	due = arrival + penalty for recent failures of the client's network
//	              + penalty for recent failures of the account
//	              + delay for waiting checks from the same network
//	              + delay for waiting checks from the same connection
//
// Therefore a flood of guesses waits behind all other logins, and many requests on one connection wait behind requests
// on other connections. If the user has logged in from a network before, checks from this network get no penalty for
// the account. The first check from a connection is delayed by at most 30 s, in addition to the wait for its turn. The
// 401 for a wrong password is delayed by the larger of both penalties. A check is cancelled if its client disconnects,
// and runs last if its client has shut down its sending side. If more than 1,024 checks wait, the check with the latest
// due time is rejected with status 503.
//
// # Files
//
//	admit.go    Basic and Login as exchange.Access of a mount
//	users.go    a file of users, and remembered verdicts; kinds of hashes
//	checker.go  the order in which passwords are checked; penalties
//	edit.go     changes to a file of users, for fapws user
//	login.go    Login, its state directory, and the HTML of its pages
//	respond.go  the responders of these pages: logging in and out, the first user
//	session.go  cookies, tokens, and the list of ended sessions
//
// # Login
//
// Users log in to a Login with a form, and a signed cookie identifies them afterwards. For each request that requires
// a login, the mount calls Login on the event loop before a source runs. The pages (the form, logging out) are
// responders, which run on their own goroutines.
//
// # Sessions
//
// A session is a cookie that contains the user, the start, the time of the last use and a MAC (session.go). No process
// keeps a list of sessions. Therefore sessions survive reloads, upgrades and restarts, and every worker accepts them.
// The key of the MAC is derived from a key in the state directory and the hash of the user's password. Therefore a new
// password, or the removal of the user, ends the sessions. Logging out adds a line to a file that all processes share
// (session.go). Both files stay open (system.Watched), and fstat(2) detects changes for each request, so that every worker
// rejects an ended session at once.
//
// # Other sites
//
// The cookie is SameSite=Lax. A request with a session must come from a page of the same origin if its method is not
// safe or if it opens a WebSocket (login.go). The form contains a token that is bound to another cookie, so that
// another site cannot log a visitor in as a different user.
//
// # The first user
//
// If there are no users, a client that enters the code from the log can create the first user with the form
// (respond.go).
package auth
