//go:build invariants

package exchange

// invariants says that enter checks each change of state, as in tests with the race detector and in fuzzing.
const invariants = true
