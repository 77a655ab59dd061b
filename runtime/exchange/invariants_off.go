//go:build !invariants

package exchange

const invariants = false
