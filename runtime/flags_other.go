//go:build !linux

package runtime

const (
	pollEnd  = 0 // a peer that has shut down its side is not told from one that is silent
	sendMore = 0
)
