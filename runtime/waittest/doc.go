// Package waittest contains the functions with which tests wait for events, and Must. If an event does not occur for a
// long time, the test fails. Any goroutine of a test may call these functions, but a failure ends only the goroutine of
// the test itself.
package waittest
