//go:build !linux

package confine

// EnterSandbox does nothing: only Linux has what it needs.
func EnterSandbox(*Rules) error { return nil }

// MissingInSandbox says that nothing is restricted.
func MissingInSandbox() string { return "files, TCP ports, signals and system calls (not Linux)" }
