//go:build invariants

package exchange

// The constant invariants enables the checks in the method enter, in builds with the race detector and for fuzzing.
const invariants = true
