// Package auth checks names and passwords against files as Apache's htpasswd writes them.
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
// Package sites uses it (sites/rules.go). Start reading at Users and Checker.
package auth
