//go:build invariants

package exchange

// invariants enables the checks in enter, in builds with the race detector and for fuzzing.
const invariants = true
