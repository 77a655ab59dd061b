// Package waittest contains the functions with which tests wait for events, and functions that tests of all packages
// need: Must and Cases. If an event does not occur for a long time, the test fails. Any goroutine of a test may call
// the functions that wait, but a failure ends only the goroutine of the test itself.
package waittest
