// Package auth checks names and passwords against files in the format of Apache's htpasswd, and provides the form
// with which users log in.
//
// Good hashes are slow by design, so a check has two steps: Known answers from memory on the event loop, and
// Checker.Check computes in the background. The verdict is remembered until the file changes. Known does not report a
// wrong pair before the delay of its verdict has passed; otherwise a client could guess faster by sending each guess
// twice.
//
// # Guessing
//
// A Checker limits the cost of all checks together: it uses half of the processors. A Checker never locks an account,
// because then any client could lock out the owner. Instead, a check is due at its arrival, plus a penalty for recent
// failures of its client's network and of its account (checker.go), plus a delay for the checks of its network and its
// connection that already wait. Therefore a flood of guesses waits behind all other logins, requests that one
// connection sends at once wait behind other connections, and a network from which the user has logged in is not
// penalized for the failures of other networks. The first check of a connection is delayed by at most 30 s, in addition
// to the wait for its turn. The 401 for a guess is delayed by the larger of both penalties. A check is cancelled if its
// client disconnects, and runs last if its client closed its side. If more than 1,024 checks wait, the check with the
// latest due time gets 503.
//
// # Files
//
//	admit.go    Basic and Login as exchange.Access of a mount
//	users.go    a file of users, and remembered verdicts
//	checker.go  the order in which passwords are checked; penalties
//	hash.go     kinds of hashes
//	edit.go     changes to a file of users, for fapws user
//	watched.go  a file that is read again after a change
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
// A session is a cookie that contains the user, the start, the time of the last use and a MAC (session.go). No
// process keeps a list of sessions, so that they survive reloads, upgrades and restarts, and every worker accepts
// them. The key of the MAC is derived from a key in the state directory and the hash of the user's password.
// Therefore a new password, or the removal of the user, ends the sessions. Logging out adds a line to a file that all
// processes share (session.go). Both files stay open (watched.go), and fstat(2) detects changes for each request, so
// that every worker rejects an ended session at once.
//
// # Other sites
//
// The cookie is SameSite=Lax. A request with a session that changes something, or opens a WebSocket, must come from a
// page of the same origin (login.go). The form contains a token that is bound to another cookie, so that another site
// cannot log a visitor in as a different user.
//
// # The first user
//
// If there are no users, the form creates the first user, for a client that has the code from the log (respond.go).
package auth
