// Package certtest makes certificates for tests, and authorities that sign them.
package certtest
