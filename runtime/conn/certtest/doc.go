// Package certtest makes certificates for tests: authorities, and certificates that they have signed. Start reading at
// certtest.go.
package certtest
