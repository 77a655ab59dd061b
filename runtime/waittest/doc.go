// Package waittest contains the functions with which tests wait. A wait ends with an event; time ends it only if the
// test fails. Any goroutine of a test may call these functions, but a failure ends only the goroutine of the test
// itself. Start reading at [Eventually].
package waittest
