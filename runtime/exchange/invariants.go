//go:build invariants

package exchange

// The constant invariants enables the checks in the method enter, with the race detector and for fuzzing.
const invariants = true
