//go:build !linux

package system

const (
	PollEnd  = 0 // a peer that has shut down its side is not told from one that is silent
	SendMore = 0
)
