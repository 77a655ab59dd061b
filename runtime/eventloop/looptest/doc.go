// Package looptest runs an event loop for a test, calls functions on it and waits for what they report.
package looptest
