// Package redistest runs a redis-server for tests. Its methods belong to the goroutine of a test.
package redistest
