// Package redistest runs a redis-server for tests. The methods of a Server must be called on the goroutine of a test.
package redistest
