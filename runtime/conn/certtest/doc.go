// Package certtest makes certificates for tests, and authorities that sign them. Start reading at certtest.go.
package certtest
