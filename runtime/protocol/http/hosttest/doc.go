// Package hosttest has what the tests of HTTP's protocols have in common: a Host without routes, and its loop.
package hosttest
