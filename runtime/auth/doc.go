// Package auth checks names and passwords against files as Apache's htpasswd writes them.
//
// Good hashes are slow on purpose (60 ms, on small boards a second), so there are two steps:
// Known answers from memory, which the event loop can afford, and Check computes beside it.
// What is right or wrong once is so until the file changes, and costs nothing more.
//
// A Checker bounds what all checks together cost, and decides whose turn it is. It never
// locks anybody out: an account that is guessed at, or an address that guesses, waits longer, and
// only wrong passwords wait if nothing else does.
package auth
