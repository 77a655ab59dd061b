// Package checktest contains the functions that tests of all packages need: they compare values, read tables of test
// cases, and wait for events. If an event does not occur for a long time, the test fails. Any goroutine of a test may
// call the functions that compare. Must, Needf, Eventually and InItsTime end the goroutine that calls them, so only the
// goroutine of the test itself may call them.
package checktest
