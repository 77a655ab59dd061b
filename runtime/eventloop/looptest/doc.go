// Package looptest runs an event loop for a test, calls functions on the loop, and waits for their results.
package looptest
