// Package checktest contains the functions that tests of all packages need: they compare values, read tables of test
// cases, and wait for events. If an event does not occur for a long time, the test fails. Any goroutine of a test may
// call functions that compare or wait, but a failure of Must, Eventually or InItsTime ends only the goroutine of the
// test itself.
package checktest
