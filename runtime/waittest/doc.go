// Package waittest has the waits of tests. They end with an event, never with time, unless a test fails. Any goroutine of a test may
// call them, except that a failure ends only the goroutine of the test itself. Begin to read at [Eventually].
package waittest
