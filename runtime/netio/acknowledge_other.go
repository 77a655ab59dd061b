//go:build !linux

package netio

// Acknowledge does nothing: only Linux lets a server say when it acknowledges.
func Acknowledge(int) {}
