//go:build !linux

package sandbox

// Enter does nothing: only Linux has what it needs.
func Enter(*Rules) error { return nil }

// Missing says that nothing is restricted.
func Missing() string { return "files, TCP ports, signals and system calls (not Linux)" }
