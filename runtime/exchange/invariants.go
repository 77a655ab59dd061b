//go:build invariants

package exchange

// invariants enables the checks of enter. invariants is true in builds with the race detector and for fuzzing.
const invariants = true
