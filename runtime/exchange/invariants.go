//go:build invariants

package exchange

// invariants turns on the checks of enter. Builds with the race detector and for fuzzing have it.
const invariants = true
