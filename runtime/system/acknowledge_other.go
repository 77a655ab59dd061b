//go:build !linux

package system

// Acknowledge does nothing: only Linux lets a server say when it acknowledges.
func Acknowledge(int) {}
